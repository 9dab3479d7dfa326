//! What a plan promises when it cannot be carried out to its end. Design §3; the contract is that of `Plan`.

use std::sync::Arc;

use statusnode_plan::{ObjectKind, SecretView, Step, Told, names, plan};

use crate::cluster::{Cluster, ordinal};

/// A plan of which only the status is written, as when its first step fails.
fn only_status(cluster: &mut Cluster) {
    let plan = cluster.plan();
    if let Some(status) = plan.status {
        Arc::make_mut(&mut cluster.observed.node).status = Some(status);
    }
}

/// A key that could not be stored must not be recorded: the next look would take it for a lost one, for ever.
#[test]
fn a_key_that_was_not_stored_is_never_recorded() {
    let mut cluster = Cluster::with(1, "");
    cluster.bring_up();
    cluster.edit(|node| node.spec.replicas = 2);
    for _ in 0..3 {
        only_status(&mut cluster);
        let entry = cluster.status().nodes[1].clone();
        assert_eq!((entry.node_id, entry.enode, entry.internal_enode), (None, None, None));
    }
    cluster.bring_up();
    assert_eq!(cluster.condition("Stalled"), "");
    assert_eq!(cluster.condition("Ready"), "True AllReady");
    let id = cluster.status().nodes[1].node_id.clone().unwrap();
    let secret = &cluster.secrets["mail-1-identity"];
    assert_eq!(secret.metadata.annotations.as_ref().unwrap()[names::ANNOTATION_NODE_ID], id);
}

/// The same when it is the first reconcile that fails, and the status has to say why.
#[test]
fn a_first_key_that_was_not_stored_is_never_recorded() {
    let mut cluster = Cluster::with(1, "");
    let message = "exceeded quota".to_owned();
    let failure =
        statusnode_plan::Failure { kind: ObjectKind::Secret, name: "mail-0-identity".into(), message };
    cluster.observed.failures = vec![failure];
    only_status(&mut cluster);
    assert_eq!(cluster.condition("Ready"), "False ApplyFailed");
    cluster.observed.failures.clear();
    cluster.bring_up();
    assert_eq!(cluster.condition("Ready"), "True AllReady");
}

#[test]
fn an_event_of_a_deed_names_its_step_and_one_of_a_finding_the_status() {
    let mut cluster = Cluster::with(2, "");
    let plan = cluster.reconcile();
    let told: Vec<_> = plan.events.iter().map(|event| event.told).collect();
    assert_eq!(told, [Told::AfterStep(0), Told::AfterStep(1)]);
    for (step, event) in plan.steps.iter().zip(&plan.events) {
        let Step::Create(secret) = step else { panic!("{step:?}") };
        let id = secret.manifest["metadata"]["annotations"][names::ANNOTATION_NODE_ID].as_str().unwrap();
        assert!(event.note.ends_with(id), "{} of {id}", event.note);
    }
    cluster.bring_up();
    cluster.edit(|node| node.spec.replicas = 1);
    let plan = cluster.plan();
    for event in &plan.events {
        match event.told {
            Told::AfterStep(step) => {
                assert_eq!((event.reason.as_str(), event.note.as_str()), ("ScaledDown", "removed mail-1"));
                let Step::Delete(deletion) = &plan.steps[step] else { panic!("{:?}", plan.steps[step]) };
                assert_eq!((deletion.kind, deletion.name.as_str()), (ObjectKind::StatefulSet, "mail-1"));
            }
            Told::WithStatus => assert_ne!(event.reason.as_str(), "ScaledDown"),
        }
    }
    assert!(plan.events.iter().any(|event| event.reason.as_str() == "ScaledDown"), "{:?}", plan.events);
}

/// What holds up which pods when it cannot be made; everything else goes on.
#[test]
fn a_pod_waits_for_its_wall_and_what_it_mounts_and_nothing_else_waits() {
    let mut cluster = Cluster::with(2, "");
    cluster.bring_up();
    let steps = cluster.plan().steps;
    let objects = || {
        steps.iter().filter_map(|step| match step {
            Step::Apply(object) => Some(object),
            _ => None,
        })
    };
    for missing in objects() {
        let held: Vec<&str> = steps
            .iter()
            .filter(|step| step.waits_for(missing))
            .map(|step| match step {
                Step::Apply(object) if object.kind == ObjectKind::StatefulSet => object.name.as_str(),
                other => panic!("{other:?} waits for {missing:?}"),
            })
            .collect();
        let expected: &[&str] = match (missing.kind, missing.name.as_str()) {
            (ObjectKind::NetworkPolicy, _) => &["mail-0", "mail-1"],
            (ObjectKind::ConfigMap, name) if name.starts_with("mail-config-") => &["mail-0", "mail-1"],
            (_, "mail-0-live" | "data-mail-0" | "mail-0-p2p") => &["mail-0"],
            (_, "mail-1-live" | "data-mail-1" | "mail-1-p2p") => &["mail-1"],
            _ => &[],
        };
        assert_eq!(held, expected, "{missing:?}");
    }
    assert!(objects().count() > 10);
}

/// The key of a node that is scaled away is found through its entry in the status: that stays until the key is gone.
#[test]
fn a_key_that_could_not_be_deleted_is_tried_again() {
    let mut cluster =
        Cluster::with(2, ", retention: {identities: {whenDeleted: Retain, whenScaled: Delete}}");
    cluster.bring_up();
    cluster.edit(|node| node.spec.replicas = 1);
    only_status(&mut cluster);
    let entry = cluster.status().nodes[1].clone();
    assert_eq!((entry.ordinal, entry.ready, entry.enode), (1, false, None));
    assert_eq!(cluster.status().ready_summary.unwrap(), "1/1");
    let from = cluster.log.len();
    cluster.settle();
    assert!(cluster.since(from).contains(&"delete Secret mail-1-identity".to_owned()), "{:?}", cluster.log);
    assert_eq!(cluster.status().nodes.len(), 1);
    // With the default policy nothing is left in the status.
    let mut cluster = Cluster::with(2, "");
    cluster.bring_up();
    cluster.edit(|node| node.spec.replicas = 1);
    only_status(&mut cluster);
    assert_eq!(cluster.status().nodes.len(), 1);
}

/// A Secret that cannot be read says nothing about its node: what is known of it stays known.
#[test]
fn a_node_whose_secret_is_not_read_or_lost_keeps_its_place() {
    for lost in [true, false] {
        let mut cluster = Cluster::with(2, "");
        cluster.bring_up();
        let before = (cluster.status().nodes, cluster.live_file(0), cluster.live_file(1));
        let from = cluster.log.len();
        if lost {
            cluster.secrets.remove("mail-1-identity");
            cluster.settle();
            assert_eq!(cluster.condition("Stalled"), "True IdentityLost");
        } else {
            cluster.look();
            cluster.observed.secrets.remove("mail-1-identity");
            let plan = plan(&cluster.observed, &mut cluster.keys);
            assert!(matches!(cluster.observed.secrets["mail-0-identity"], SecretView::Present(_)));
            let writes = |step: &Step| match step {
                Step::Apply(object) => object.kind == ObjectKind::ConfigMap && object.name == "mail-0-live",
                _ => false,
            };
            let live = plan.steps.iter().find(|step| writes(step)).unwrap();
            let Step::Apply(live) = live else { unreachable!() };
            let text = live.manifest["data"]["live.json"].as_str().unwrap();
            assert_eq!(serde_json::from_str::<serde_json::Value>(text).unwrap(), before.1);
            Arc::make_mut(&mut cluster.observed.node).status = plan.status;
        }
        assert_eq!(cluster.status().nodes, before.0, "lost: {lost}");
        assert_eq!((cluster.live_file(0), cluster.live_file(1)), (before.1, before.2), "lost: {lost}");
        assert!(!cluster.since(from).iter().any(|write| write.contains("StatefulSet")), "lost: {lost}");
        // Its address still reaches the pod that runs.
        cluster.tick(60);
        cluster.assign(1, "203.0.113.9");
        cluster.reconcile();
        assert_eq!(cluster.live_file(1)["advertise"]["address"], "203.0.113.9");
        assert_eq!(cluster.observed.objects.stateful_sets.len(), 2);
        assert_eq!(cluster.observed.canaries.get(&ordinal(1)).map(|canary| canary.passing), Some(true));
    }
}

/// Secrets are not watched: one that is going is asked for soon, so that its successor does not wait for a minute.
#[test]
fn a_secret_that_is_going_is_looked_at_soon() {
    let mut cluster = Cluster::with(1, "");
    cluster.bring_up();
    assert_eq!(cluster.plan().requeue_after, Some(statusnode_plan::RESYNC));
    let kept = cluster.secrets["mail-rpc-token"].clone();
    cluster.recreate();
    cluster.secrets.insert("mail-rpc-token".to_owned(), kept);
    assert_eq!(cluster.reconcile().requeue_after, Some(statusnode_plan::RESYNC_GOING));
    cluster.settle();
    assert!(cluster.observed.objects.stateful_sets.is_empty());
    assert_eq!(cluster.condition("Ready"), "False WaitingForSecret");
    cluster.secrets.remove("mail-rpc-token");
    cluster.bring_up();
    assert_eq!(cluster.condition("Ready"), "True AllReady");
    assert_eq!(cluster.plan().requeue_after, Some(statusnode_plan::RESYNC));
}

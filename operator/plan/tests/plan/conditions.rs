//! Truth tables of the conditions, and the contract of kstatus. Design §3 (Conditions); `spec/operators.md` §5.9.

use std::sync::Arc;

use statusnode_api::condition::{ConditionType, Reason};
use statusnode_plan::{HistoryFacts, NodeFacts};

use crate::cluster::{Cluster, ordinal};

/// kstatus of the resource, by the rules of `spec/operators.md` §5.9.
fn kstatus(cluster: &Cluster) -> &'static str {
    let status = cluster.status();
    if Some(status.observed_generation) != cluster.observed.node.metadata.generation {
        return "InProgress";
    }
    if cluster.condition("Stalled").starts_with("True") {
        return "Failed";
    }
    if cluster.condition("Reconciling").starts_with("True") || !cluster.condition("Ready").starts_with("True")
    {
        return "InProgress";
    }
    "Current"
}

/// Ready of two replicas over pods × addresses × canaries × history of having been ready.
#[test]
fn ready_truth_table() {
    // pods ready, first address there, canary → Ready, kstatus
    let table = [
        (2, 2, true, "True AllReady", "Current"),
        (2, 2, false, "True AllReady", "Current"),
        (2, 1, true, "False WaitingForAddress", "InProgress"),
        (2, 0, true, "False WaitingForAddress", "InProgress"),
        (1, 2, true, "False PodsNotReady", "InProgress"),
        (0, 2, true, "False PodsNotReady", "InProgress"),
        (0, 0, false, "False PodsNotReady", "InProgress"),
    ];
    for (pods, addresses, canary, ready, verdict) in table {
        let mut cluster = Cluster::with(2, "");
        cluster.settle();
        cluster.bind_volumes();
        for index in 0..2 {
            cluster.run_pod(&format!("mail-{index}"), index < pods);
            if index < addresses {
                cluster.assign(index, "198.51.100.1");
            }
            cluster.canary(index, canary);
        }
        cluster.settle();
        let row = format!("{pods} pods, {addresses} addresses, canary {canary}");
        assert_eq!(cluster.condition("Ready"), ready, "{row}");
        assert_eq!(kstatus(&cluster), verdict, "{row}");
        assert_eq!(cluster.status().ready_summary.unwrap(), format!("{pods}/2"), "{row}");
        let reconciling = ready.replace("False", "True");
        let reconciling = if verdict == "InProgress" { reconciling.as_str() } else { "" };
        assert_eq!(cluster.condition("Reconciling"), reconciling, "{row}");
    }
}

/// Faults after having been ready: Ready holds, Degraded says it.
#[test]
fn degraded_truth_table() {
    type Fault = fn(&mut Cluster);
    let faults: [(&str, Fault, &str, &str); 6] = [
        ("none", |_| {}, "", ""),
        ("address", |c| c.balancer(1, Vec::new()), "ExternalAddressesReady", "PartiallyAssigned"),
        ("canary", |c| c.canary(1, false), "CanaryPassing", "CanaryFailed"),
        ("volume", lose_volume, "StorageReady", "VolumeLost"),
        ("archive", stop_archive, "StorageReady", "ArchiveNotWritable"),
        ("history", |c| c.history(1, WAITING), "HistoryComplete", "HistorySyncing"),
    ];
    for (name, fault, condition, reason) in faults {
        let mut cluster = Cluster::with(2, "");
        cluster.bring_up();
        fault(&mut cluster);
        cluster.settle();
        assert_eq!(cluster.condition("Ready"), "True AllReady", "{name}");
        assert_eq!(kstatus(&cluster), "Current", "{name}");
        if condition.is_empty() {
            assert_eq!(cluster.condition("Degraded"), "", "{name}");
        } else {
            assert_eq!(cluster.condition(condition), format!("False {reason}"), "{name}");
            assert_eq!(cluster.condition("Degraded"), format!("True {reason}"), "{name}");
        }
    }
}

const WAITING: Option<HistoryFacts> = Some(HistoryFacts { complete: false, agreed: false });
const ASSUMED: Option<HistoryFacts> = Some(HistoryFacts { complete: true, agreed: false });
const COMPARED: Option<HistoryFacts> = Some(HistoryFacts { complete: true, agreed: true });

/// What two nodes say of their history × whether both were complete once.
#[test]
fn history_truth_table() {
    // first node, second node → the condition when coming up, and later
    let table = [
        (None, None, "Unknown HistoryPending", "True HistoryCompared"),
        (COMPARED, None, "Unknown HistoryPending", "True HistoryCompared"),
        (WAITING, None, "Unknown HistoryPending", "True HistoryCompared"),
        (WAITING, COMPARED, "Unknown HistoryPending", "False HistorySyncing"),
        (WAITING, WAITING, "Unknown HistoryPending", "False HistorySyncing"),
        (ASSUMED, COMPARED, "True HistoryAssumed", "True HistoryAssumed"),
        (COMPARED, COMPARED, "True HistoryCompared", "True HistoryCompared"),
    ];
    for (first, second, coming_up, later) in table {
        let row = format!("{first:?}, {second:?}");
        let mut cluster = Cluster::with(2, "");
        cluster.settle();
        cluster.run_pods();
        cluster.history(0, first);
        cluster.history(1, second);
        cluster.settle();
        assert_eq!(cluster.condition("HistoryComplete"), coming_up, "{row}");
        let said: Vec<_> = [first, second].map(|facts| facts.map(|history| history.complete)).into();
        let entries = |cluster: &Cluster| -> Vec<_> {
            cluster.status().nodes.iter().map(|node| node.history_complete).collect()
        };
        assert_eq!(entries(&cluster), said, "{row}");

        let mut cluster = Cluster::with(2, "");
        cluster.bring_up();
        assert_eq!(cluster.condition("HistoryComplete"), "True HistoryCompared");
        cluster.history(0, first);
        cluster.history(1, second);
        cluster.settle();
        // As long as one has not been heard of, what was found before stands.
        assert_eq!(cluster.condition("HistoryComplete"), later, "{row}");
        let stands: Vec<_> = said.into_iter().map(|complete| complete.or(Some(true))).collect();
        assert_eq!(entries(&cluster), stands, "{row}");
        // And back.
        cluster.compare_histories();
        cluster.settle();
        assert_eq!(cluster.condition("HistoryComplete"), "True HistoryCompared", "{row}");
        assert_eq!(cluster.condition("Degraded"), "", "{row}");
    }
}

#[test]
fn history_of_one_node_of_none_and_of_a_relay() {
    let mut cluster = Cluster::with(1, "");
    cluster.bring_up();
    assert_eq!(cluster.condition("HistoryComplete"), "True HistoryCompared", "it has no replica");
    cluster.edit(|node| node.spec.suspend = true);
    cluster.settle();
    assert_eq!(cluster.condition("HistoryComplete"), "Unknown HistoryPending");
    let url = format!("enode://{}@192.0.2.9:30303", crate::cluster::key(9).public_key());
    let mut cluster = Cluster::with(1, &format!(", mailserver: {{sync: {{peers: [\"{url}\"]}}}}"));
    cluster.bring_up();
    assert_eq!(cluster.condition("HistoryComplete"), "True HistoryAssumed", "nobody agreed");
    let mut relay = Cluster::new(include_str!("../../../../manifests/samples/relay.yaml"));
    relay.settle();
    assert_eq!(relay.condition("HistoryComplete"), "");
}

fn stop_archive(cluster: &mut Cluster) {
    cluster
        .observed
        .facts
        .insert(ordinal(0), NodeFacts { archive_writable: Some(false), ..NodeFacts::default() });
}

fn lose_volume(cluster: &mut Cluster) {
    let claim = Arc::make_mut(cluster.observed.objects.volume_claims.get_mut("data-mail-0").unwrap());
    claim.status.as_mut().unwrap().phase = Some("Lost".to_owned());
}

#[test]
fn a_missing_service_monitor_api_is_a_fault_only_when_it_was_asked_for() {
    for (policy, expected) in [("Auto", ""), ("Never", ""), ("Always", "True ServiceMonitorApiMissing")] {
        let mut cluster = Cluster::with(1, &format!(", metrics: {{serviceMonitor: {{policy: {policy}}}}}"));
        cluster.observed.environment.service_monitor_api = false;
        cluster.bring_up();
        assert_eq!(cluster.condition("Degraded"), expected, "{policy}");
        assert!(cluster.observed.objects.service_monitors.is_empty());
    }
}

#[test]
fn canary_and_storage_before_they_can_be_known() {
    let mut cluster = Cluster::with(2, "");
    cluster.settle();
    assert_eq!(cluster.condition("CanaryPassing"), "Unknown CanaryPending");
    assert_eq!(cluster.condition("HistoryComplete"), "Unknown HistoryPending");
    assert_eq!(cluster.condition("StorageReady"), "False VolumePending");
    assert_eq!(cluster.condition("Degraded"), "", "coming up is no fault");
    cluster.canary(0, true);
    cluster.settle();
    assert_eq!(cluster.condition("CanaryPassing"), "Unknown CanaryPending");
    cluster.canary(1, true);
    cluster.bind_volumes();
    cluster.settle();
    assert_eq!(cluster.condition("CanaryPassing"), "True CanaryPassed");
    assert_eq!(cluster.condition("StorageReady"), "True VolumesBound");
    let mut relay = Cluster::new(include_str!("../../../../manifests/samples/relay.yaml"));
    relay.settle();
    assert_eq!(relay.condition("StorageReady"), "True NoVolumes");
}

/// A restart of the operator loses what the nodes said; the status does not change until they say something else.
#[test]
fn a_new_operator_repeats_what_its_forerunner_found() {
    for passing in [true, false] {
        let mut cluster = Cluster::with(2, "");
        cluster.bring_up();
        cluster.canary(1, passing);
        let stuck = NodeFacts { archive_writable: Some(passing), history: COMPARED };
        cluster.observed.facts.insert(ordinal(0), stuck);
        cluster.settle();
        let before = cluster.status();
        cluster.observed.canaries.clear();
        cluster.observed.facts.clear();
        assert_eq!(cluster.reconcile().status, None, "passing: {passing}");
        assert_eq!(cluster.status(), before);
        // The first word of one node alone changes nothing either.
        cluster.canary(1, passing);
        assert_eq!(cluster.reconcile().status, None, "passing: {passing}");
        // Then what is found counts.
        cluster.canary(0, true);
        cluster.canary(1, true);
        for index in 0..2 {
            cluster.history(index, COMPARED);
        }
        cluster.settle();
        assert_eq!(cluster.condition("CanaryPassing"), "True CanaryPassed");
        assert_eq!(cluster.condition("StorageReady"), "True VolumesBound");
    }
}

/// What `kubectl get pods` would say is in the message, in words that stay while the trouble stays.
#[test]
fn a_pod_that_is_not_ready_says_why() {
    type Statuses = Vec<serde_json::Value>;
    let waiting = |reason: &str| serde_json::json!({"state": {"waiting": {"reason": reason}}});
    let ended = |state: &str, extra: serde_json::Value| serde_json::json!({"state": {state: extra}, "lastState": {"terminated": {"exitCode": 2, "reason": "Error"}}});
    let table: [(Statuses, &str); 4] = [
        (vec![waiting("ContainerCreating"), waiting("PodInitializing")], "ordinal 0: the pod is not ready"),
        (
            vec![waiting("ErrImagePull"), waiting("ImagePullBackOff")],
            "ordinal 0: the pod is not ready; ordinal 0: ImagePullBackOff",
        ),
        (
            vec![
                ended("waiting", serde_json::json!({"reason": "CrashLoopBackOff"})),
                ended("running", serde_json::json!({})),
                ended("terminated", serde_json::json!({"exitCode": 2, "reason": "Error"})),
            ],
            "ordinal 0: the pod is not ready; ordinal 0: the node ended with exit code 2 (Error)",
        ),
        (
            vec![waiting("CreateContainerConfigError")],
            "ordinal 0: the pod is not ready; ordinal 0: CreateContainerConfigError",
        ),
    ];
    let mut cluster = Cluster::with(1, "");
    cluster.bring_up();
    cluster.run_pod("mail-0", false);
    for (statuses, expected) in table {
        for mut status in statuses {
            for (key, value) in [("name", "statusd"), ("image", "i"), ("imageID", "i")] {
                status[key] = value.into();
            }
            status["ready"] = false.into();
            status["restartCount"] = 3.into();
            let pod = Arc::make_mut(cluster.observed.objects.pods.get_mut("mail-0-0").unwrap());
            let status = serde_json::from_value(status).unwrap();
            pod.status.as_mut().unwrap().container_statuses = Some(vec![status]);
            cluster.settle();
            assert_eq!(cluster.message("Ready"), expected);
        }
    }
    let pod = Arc::make_mut(cluster.observed.objects.pods.get_mut("mail-0-0").unwrap());
    let status = pod.status.as_mut().unwrap();
    status.container_statuses = None;
    status.conditions.as_mut().unwrap().push(k8s_openapi::api::core::v1::PodCondition {
        type_: "PodScheduled".to_owned(),
        status: "False".to_owned(),
        reason: Some("Unschedulable".to_owned()),
        message: Some("0/1 nodes are available".to_owned()),
        ..Default::default()
    });
    cluster.settle();
    assert_eq!(cluster.message("Ready"), "ordinal 0: the pod is not ready; ordinal 0: Unschedulable");
}

/// A spec that was stored under other rules: said, nothing written, the rest of the status kept.
#[test]
fn an_invalid_spec_stalls_and_writes_no_object() {
    let mut cluster = Cluster::with(2, "");
    cluster.bring_up();
    let nodes = cluster.status().nodes;
    cluster.edit(|node| node.spec.p2p.port = 8545);
    let from = cluster.log.len();
    cluster.settle();
    assert_eq!(cluster.since(from), ["status"]);
    assert_eq!(cluster.condition("Stalled"), "True InvalidSpec");
    assert_eq!(cluster.condition("Ready"), "False InvalidSpec");
    assert!(cluster.message("Stalled").contains("must be different"));
    assert_eq!(kstatus(&cluster), "Failed");
    assert_eq!(cluster.status().nodes, nodes);
    cluster.edit(|node| node.spec.p2p.port = 30303);
    cluster.settle();
    assert_eq!(cluster.condition("Stalled"), "");
}

#[test]
fn the_time_of_a_transition_stays_while_the_verdict_stays() {
    let mut cluster = Cluster::with(1, "");
    cluster.settle();
    let at = |cluster: &Cluster, type_: &str| {
        cluster.status().conditions.into_iter().find(|c| c.type_ == type_).unwrap().last_transition_time
    };
    let first = at(&cluster, "Ready");
    cluster.tick(60);
    cluster.bind_volumes();
    cluster.run_pods();
    cluster.settle();
    assert_eq!(cluster.condition("Ready"), "False WaitingForAddress");
    assert_eq!(at(&cluster, "Ready"), first, "another reason, the same verdict");
    cluster.tick(60);
    cluster.assign(0, "198.51.100.1");
    cluster.settle();
    assert_ne!(at(&cluster, "Ready"), first);
    assert_eq!(cluster.status().conditions[0].observed_generation, Some(1));
}

#[test]
fn events_tell_transitions_once() {
    let mut cluster = Cluster::with(1, "");
    let told = |cluster: &mut Cluster| {
        let plan = cluster.reconcile();
        plan.events.iter().map(|e| (e.warning, e.reason.as_str())).collect::<Vec<_>>()
    };
    assert_eq!(told(&mut cluster), [(false, "IdentityCreated")]);
    let coming_up = [(false, "PodsNotReady"), (false, "WaitingForLoadBalancer"), (false, "VolumePending")];
    assert_eq!(told(&mut cluster), coming_up);
    cluster.bind_volumes();
    cluster.assign_all();
    cluster.run_pods();
    assert_eq!(told(&mut cluster), [(false, "AllReady"), (false, "AllAssigned"), (false, "VolumesBound")]);
    cluster.settle();
    cluster.canary(0, false);
    assert_eq!(told(&mut cluster), [(true, "CanaryFailed")], "Degraded says the same");
    cluster.canary(0, true);
    assert_eq!(told(&mut cluster), [(false, "CanaryPassed")]);
    cluster.run_pod("mail-0", false);
    assert_eq!(told(&mut cluster), [(true, "PodsNotReady")]);
    cluster.settle();
    cluster.secrets.remove("mail-0-identity");
    assert_eq!(told(&mut cluster), [(true, "IdentityLost")]);
    assert_eq!(told(&mut cluster), []);
}

/// What the user asked for is no warning; what falls by itself is.
#[test]
fn a_change_of_the_spec_is_no_warning() {
    type Change = fn(&mut statusnode_api::StatusNode);
    let changes: [(&str, Change); 3] = [
        ("UpdateInProgress", |node| node.spec.network.max_peers = 7),
        ("PodsNotReady", |node| node.spec.replicas = 3),
        ("Suspended", |node| node.spec.suspend = true),
    ];
    for (reason, change) in changes {
        let mut cluster = Cluster::with(2, "");
        cluster.bring_up();
        cluster.edit(change);
        let mut events = cluster.reconcile().events;
        events.extend(cluster.reconcile().events);
        let told: Vec<_> = events.iter().filter(|e| e.action == "Ready").collect();
        assert!(told.iter().any(|event| event.reason.as_str() == reason), "{reason}: {events:?}");
        assert!(told.iter().all(|event| !event.warning), "{reason}: {events:?}");
    }
    let mut cluster = Cluster::with(2, "");
    cluster.bring_up();
    cluster.run_pod("mail-0", false);
    let events = cluster.reconcile().events;
    assert!(events.iter().any(|e| e.warning && e.reason.as_str() == "PodsNotReady"), "{events:?}");
}

#[test]
fn the_names_of_conditions_and_reasons_are_fixed() {
    let types: Vec<&str> = ConditionType::ALL.into_iter().map(ConditionType::as_str).collect();
    let mut reasons: Vec<&str> = Reason::ALL.into_iter().map(Reason::as_str).collect();
    insta::assert_yaml_snapshot!("condition-names", (types, &reasons));
    let all = reasons.len();
    reasons.sort_unstable();
    reasons.dedup();
    assert_eq!(reasons.len(), all);
}

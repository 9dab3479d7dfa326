//! Objects of wanted names that are not ours are never written. Design §3 (NameConflict).

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use statusnode_plan::{Failure, ObjectKind, Step, Stranger};

use crate::cluster::Cluster;

fn touches(steps: &[Step], kind: ObjectKind, name: &str) -> bool {
    steps.iter().any(|step| match step {
        Step::Create(object) | Step::Apply(object) | Step::Update(object) => {
            object.kind == kind && object.name == name
        }
        Step::Delete(deletion) => deletion.kind == kind && deletion.name == name,
        Step::TouchPod(_) => false,
    })
}

fn owner(uid: &str, name: &str) -> OwnerReference {
    OwnerReference {
        api_version: "status.im/v1alpha1".to_owned(),
        kind: "StatusNode".to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}

/// Every object, one after the other, is a stranger's: it is left alone and named.
#[test]
fn a_stranger_of_any_wanted_name_is_left_alone_and_named() {
    let mut model = Cluster::mailservers();
    model.bring_up();
    let wanted: Vec<(ObjectKind, String)> = model
        .plan()
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Apply(object) => Some((object.kind, object.name.clone())),
            _ => None,
        })
        .collect();
    assert!(wanted.len() > 15);
    for (kind, name) in wanted {
        let mut cluster = Cluster::mailservers();
        cluster.observed.strangers = vec![Stranger { kind, name: name.clone() }];
        cluster.settle();
        assert!(!touches(&cluster.plan().steps, kind, &name), "{} {name}", kind.kind());
        assert!(
            !cluster.log.iter().any(|write| write.ends_with(&format!("{} {name}", kind.kind()))),
            "{name}"
        );
        assert_eq!(cluster.condition("Stalled"), "True NameConflict", "{name}");
        assert_eq!(cluster.condition("Ready"), "False NameConflict", "{name}");
        assert!(cluster.message("Stalled").contains(&format!("{} {name}", kind.kind())), "{name}");
    }
}

#[test]
fn a_conflict_of_one_ordinal_leaves_the_others_running() {
    let mut cluster = Cluster::mailservers();
    cluster.observed.strangers = vec![Stranger { kind: ObjectKind::Service, name: "mail-1-p2p".to_owned() }];
    cluster.settle();
    let sets: Vec<_> = cluster.observed.objects.stateful_sets.keys().cloned().collect();
    assert_eq!(sets, ["mail-0", "mail-2"]);
}

#[test]
fn a_foreign_identity_secret_is_a_conflict_and_no_identity() {
    let mut cluster = Cluster::with(1, "");
    cluster.secrets.insert("mail-0-identity".to_owned(), k8s_openapi::api::core::v1::Secret::default());
    cluster.settle();
    assert_eq!(cluster.condition("Stalled"), "True NameConflict");
    assert_eq!(cluster.keys.made, 0);
    assert!(cluster.observed.objects.stateful_sets.is_empty());
}

#[test]
fn an_object_of_another_controller_is_a_conflict_although_it_has_our_labels() {
    let mut cluster = Cluster::with(1, "");
    cluster.bring_up();
    let service = cluster.observed.objects.services.get_mut("mail-rpc").unwrap();
    Arc::make_mut(service).metadata.owner_references = Some(vec![owner("uid-other", "other")]);
    cluster.settle();
    assert_eq!(cluster.condition("Stalled"), "True NameConflict");
    assert!(!touches(&cluster.plan().steps, ObjectKind::Service, "mail-rpc"));
}

/// Deleted and applied again quickly: garbage collection is still at it.
#[test]
fn objects_of_the_former_resource_are_waited_for() {
    let mut cluster = Cluster::with(1, "");
    cluster.bring_up();
    let service = cluster.observed.objects.services.get_mut("mail-0-p2p").unwrap();
    Arc::make_mut(service).metadata.owner_references = Some(vec![owner("uid-of-the-former", "mail")]);
    let claim = cluster.observed.objects.volume_claims.get_mut("data-mail-0").unwrap();
    Arc::make_mut(claim).metadata.deletion_timestamp = Some(Time(cluster.observed.now));
    cluster.settle();
    assert_eq!(cluster.condition("Stalled"), "");
    assert_eq!(cluster.condition("Ready"), "False WaitingForDeletion");
    assert_eq!(cluster.condition("Reconciling"), "True WaitingForDeletion");
    let message = cluster.message("Ready");
    assert!(
        message.contains("Service mail-0-p2p") && message.contains("PersistentVolumeClaim data-mail-0"),
        "{message}"
    );
    let steps = cluster.plan().steps;
    assert!(!touches(&steps, ObjectKind::Service, "mail-0-p2p"));
    assert!(!touches(&steps, ObjectKind::PersistentVolumeClaim, "data-mail-0"));
    assert!(!touches(&steps, ObjectKind::StatefulSet, "mail-0"));
}

#[test]
fn what_the_api_server_refuses_is_said_and_tried_again() {
    let mut cluster = Cluster::with(1, "");
    let failure = Failure {
        kind: ObjectKind::PersistentVolumeClaim,
        name: "data-mail-0".to_owned(),
        message: "exceeded\n quota".to_owned(),
    };
    cluster.observed.failures = vec![failure];
    cluster.settle();
    assert_eq!(cluster.condition("Ready"), "False ApplyFailed");
    assert_eq!(cluster.message("Ready"), "PersistentVolumeClaim data-mail-0: exceeded quota");
    assert!(touches(&cluster.plan().steps, ObjectKind::PersistentVolumeClaim, "data-mail-0"));
}

#[test]
fn a_resource_that_is_being_deleted_gets_nothing() {
    let mut cluster = Cluster::with(1, "");
    cluster.bring_up();
    cluster.observed.objects.services.clear();
    let now = cluster.observed.now;
    Arc::make_mut(&mut cluster.observed.node).metadata.deletion_timestamp = Some(Time(now));
    let plan = cluster.plan();
    assert!(plan.steps.is_empty() && plan.status.is_none() && plan.events.is_empty());
}

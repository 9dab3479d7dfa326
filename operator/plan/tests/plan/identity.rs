//! Who a node is. Design §3 (Identity): a recorded id without its key is said, never silently a new key.

use std::sync::Arc;

use k8s_openapi::{ByteString, api::core::v1::Secret};
use statusnode_plan::{Step, names, secrets_to_read};

use crate::cluster::{Cluster, key, ordinal};

fn node_ids(cluster: &Cluster) -> Vec<String> {
    cluster.status().nodes.into_iter().map(|node| node.node_id.unwrap_or_default()).collect()
}

fn user_key(cluster: &mut Cluster, nth: u8) {
    let mut secret = Secret::default();
    secret.metadata.name = Some("own".to_owned());
    let text = format!("{}\n", key(nth).to_hex().as_str());
    secret.data = Some([("k".to_owned(), ByteString(text.into_bytes()))].into());
    cluster.secrets.insert("own".to_owned(), secret);
}

const OWN: &str = ", identity: {keys: [{ordinal: 0, secretKeyRef: {name: own, key: k}}]}";

#[test]
fn each_ordinal_gets_one_key_for_ever() {
    let mut cluster = Cluster::mailservers();
    cluster.bring_up();
    assert_eq!(cluster.keys.made, 3);
    let ids = node_ids(&cluster);
    assert_eq!(ids, [1, 2, 3].map(|nth| key(nth).node_id().to_string()));
    for index in 0..3 {
        let claim = &cluster.observed.objects.volume_claims[&names::volume_claim("mail", ordinal(index))];
        let service = &cluster.observed.objects.services[&names::p2p("mail", ordinal(index))];
        for meta in [&claim.metadata, &service.metadata] {
            let recorded = &meta.annotations.as_ref().unwrap()[names::ANNOTATION_NODE_ID];
            assert_eq!(*recorded, ids[usize::try_from(index).unwrap()]);
        }
    }
    cluster.settle();
    assert_eq!(cluster.keys.made, 3);
}

#[test]
fn the_enode_is_known_before_the_pod_starts() {
    let mut cluster = Cluster::with(1, "");
    cluster.settle();
    cluster.assign(0, "198.51.100.7");
    cluster.settle();
    assert!(cluster.observed.objects.pods.is_empty());
    let public_key = key(1).public_key();
    let node = cluster.status().nodes.remove(0);
    assert_eq!(node.enode.unwrap(), format!("enode://{public_key}@198.51.100.7:30303"));
    assert!(node.internal_enode.unwrap().starts_with(&format!("enode://{public_key}@10.96.0.")));
}

/// Each of the three records alone prevents a new key.
#[test]
fn a_recorded_id_without_its_secret_is_lost_and_gets_no_new_key() {
    for record in ["status", "claim", "service"] {
        let mut cluster = Cluster::with(1, "");
        cluster.bring_up();
        cluster.secrets.remove("mail-0-identity");
        let forget = |meta: &mut k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta| {
            meta.annotations.as_mut().unwrap().remove(names::ANNOTATION_NODE_ID).unwrap();
        };
        let objects = &mut cluster.observed.objects;
        if record != "claim" {
            forget(&mut Arc::make_mut(objects.volume_claims.get_mut("data-mail-0").unwrap()).metadata);
        }
        if record != "service" {
            forget(&mut Arc::make_mut(objects.services.get_mut("mail-0-p2p").unwrap()).metadata);
        }
        if record != "status" {
            Arc::make_mut(&mut cluster.observed.node).status.as_mut().unwrap().nodes.clear();
        }
        let from = cluster.log.len();
        cluster.settle();
        assert_eq!(cluster.condition("Stalled"), "True IdentityLost", "{record}");
        assert_eq!(cluster.condition("Ready"), "False IdentityLost", "{record}");
        assert_eq!(cluster.condition("Reconciling"), "", "{record}");
        let id = key(1).node_id().to_string();
        let message = cluster.message("Stalled");
        for part in ["mail-0-identity", id.as_str(), "restore", "spec.identity.keys"] {
            assert!(message.contains(part), "{message}");
        }
        assert_eq!(cluster.keys.made, 1, "{record}");
        assert!(
            !cluster.since(from).iter().any(|write| write.contains("StatefulSet")),
            "the pod is left alone"
        );
        assert_eq!(node_ids(&cluster), std::slice::from_ref(&id), "{record}: the record stays");
        let claim = &cluster.observed.objects.volume_claims["data-mail-0"];
        assert_eq!(claim.metadata.annotations.as_ref().unwrap()[names::ANNOTATION_NODE_ID], id, "{record}");
    }
}

#[test]
fn the_lost_key_comes_back_when_its_secret_does() {
    let mut cluster = Cluster::with(1, "");
    cluster.bring_up();
    let kept = cluster.secrets.remove("mail-0-identity").unwrap();
    cluster.settle();
    cluster.secrets.insert("mail-0-identity".to_owned(), kept);
    cluster.settle();
    assert_eq!(cluster.condition("Stalled"), "");
    assert_eq!(cluster.condition("Ready"), "True AllReady");
}

#[test]
fn another_key_under_the_same_name_is_a_lost_identity() {
    let mut cluster = Cluster::with(1, "");
    cluster.bring_up();
    let secret = cluster.secrets.get_mut("mail-0-identity").unwrap();
    secret.data = Some([("nodekey".to_owned(), ByteString(key(9).to_hex().as_bytes().to_vec()))].into());
    cluster.settle();
    assert_eq!(cluster.condition("Stalled"), "True IdentityLost");
    assert!(cluster.message("Stalled").contains("another key"));
}

#[test]
fn a_secret_that_was_not_read_is_no_reason_for_a_key() {
    let mut cluster = Cluster::with(1, "");
    cluster.look();
    cluster.observed.secrets.clear();
    let plan = statusnode_plan::plan(&cluster.observed, &mut cluster.keys);
    assert!(!plan.steps.iter().any(|step| matches!(step, Step::Create(_))), "{:?}", plan.steps);
    assert_eq!(cluster.keys.made, 0);
    assert_eq!(cluster.keys.tokens, 0);
}

/// Deleted and applied again with the default retention: the same ids, because Secret and claim stay.
#[test]
fn a_recreated_resource_has_the_same_ids() {
    let mut cluster = Cluster::mailservers();
    cluster.bring_up();
    let ids = node_ids(&cluster);
    cluster.recreate();
    assert_eq!(cluster.observed.objects.services.len(), 0);
    cluster.bring_up();
    assert_eq!(node_ids(&cluster), ids);
    assert_eq!(cluster.keys.made, 3);
    assert_eq!(cluster.condition("Ready"), "True AllReady");
}

/// Keys that go with the resource leave no record behind that would make the next ones look lost.
#[test]
fn keys_that_are_deleted_by_policy_are_not_lost_afterwards() {
    let policy = ", retention: {identities: {whenDeleted: Delete, whenScaled: Delete}}";
    let mut cluster = Cluster::with(2, policy);
    cluster.bring_up();
    cluster.edit(|node| node.spec.replicas = 1);
    cluster.settle();
    assert!(cluster.log.contains(&"delete Secret mail-1-identity".to_owned()));
    assert!(cluster.observed.objects.volume_claims.contains_key("data-mail-1"));
    cluster.edit(|node| node.spec.replicas = 2);
    cluster.bring_up();
    assert_eq!(cluster.condition("Stalled"), "");
    assert_eq!(cluster.keys.made, 3, "a new key for the new ordinal 1");
    cluster.recreate();
    cluster.bring_up();
    assert_eq!(cluster.condition("Stalled"), "");
    assert_eq!(cluster.keys.made, 5);
}

#[test]
fn the_policy_of_identities_moves_owner_references_and_nothing_else() {
    let mut cluster = Cluster::with(1, "");
    cluster.bring_up();
    let owners = |cluster: &Cluster| {
        cluster.secrets["mail-0-identity"].metadata.owner_references.clone().unwrap_or_default().len()
    };
    assert_eq!(owners(&cluster), 0);
    for (policy, expected) in [(statusnode_api::WhenGone::Delete, 1), (statusnode_api::WhenGone::Retain, 0)] {
        cluster.edit(|node| node.spec.retention.identities.when_deleted = policy);
        cluster.settle();
        assert_eq!(owners(&cluster), expected);
    }
}

#[test]
fn an_own_key_is_waited_for_and_then_used() {
    let mut cluster = Cluster::with(2, OWN);
    cluster.settle();
    assert_eq!(cluster.condition("Ready"), "False WaitingForSecret");
    assert_eq!(cluster.condition("Reconciling"), "True WaitingForSecret");
    assert_eq!(cluster.message("Ready"), "Secret own does not exist");
    assert!(!cluster.observed.objects.stateful_sets.contains_key("mail-0"));
    assert!(cluster.observed.objects.stateful_sets.contains_key("mail-1"), "the other one runs");
    user_key(&mut cluster, 50);
    cluster.bring_up();
    assert_eq!(node_ids(&cluster)[0], key(50).node_id().to_string());
    assert_eq!(cluster.keys.made, 1);
    assert!(!cluster.secrets.contains_key("mail-0-identity"));
    assert_eq!(cluster.condition("Ready"), "True AllReady");
}

#[test]
fn an_own_key_is_the_remedy_of_a_lost_one() {
    let mut cluster = Cluster::with(1, "");
    cluster.bring_up();
    cluster.secrets.remove("mail-0-identity");
    cluster.settle();
    user_key(&mut cluster, 50);
    let own: statusnode_api::Identity = serde_json::from_value(
        serde_json::json!({"keys": [{"ordinal": 0, "secretKeyRef": {"name": "own", "key": "k"}}]}),
    )
    .unwrap();
    cluster.edit(|node| node.spec.identity = Some(own));
    cluster.bring_up();
    assert_eq!(cluster.condition("Stalled"), "");
    assert_eq!(node_ids(&cluster), [key(50).node_id().to_string()]);
}

#[test]
fn a_key_that_is_none_is_waited_for_with_its_name() {
    let mut cluster = Cluster::with(1, OWN);
    let data = Some([("k".to_owned(), ByteString(b"0xnot a key".to_vec()))].into());
    let secret = Secret { data, ..Secret::default() };
    cluster.secrets.insert("own".to_owned(), secret);
    cluster.settle();
    assert_eq!(cluster.condition("Ready"), "False WaitingForSecret");
    assert!(cluster.message("Ready").contains("64 hexadecimal digits"));
    assert!(!cluster.message("Ready").contains("not a key"), "what a Secret holds is never said");
}

#[test]
fn only_named_secrets_are_read() {
    let cluster = Cluster::with(
        2,
        ", rpc: {tokenSecretKeyRef: {name: t, key: token}}, mailserver: {passwordSecretKeyRef: {name: p, key: x}}",
    );
    let names: Vec<_> = secrets_to_read(&cluster.observed.node).into_iter().collect();
    assert_eq!(names, ["mail-0-identity", "mail-1-identity", "p", "t"]);
}

#[test]
fn no_key_is_in_anything_but_the_secret() {
    let mut cluster = Cluster::with(1, "");
    let plan = cluster.plan();
    let hex = key(1).to_hex();
    for step in &plan.steps {
        if let Step::Apply(object) = step {
            assert!(!object.manifest.to_string().contains(hex.as_str()), "{object:?}");
        }
    }
    let debug = format!("{plan:?}");
    assert!(!debug.contains(hex.as_str()) && !debug.contains("token-1"), "nor in what is logged");
    assert!(plan.steps.iter().any(
        |step| matches!(step, Step::Create(object) if object.manifest.to_string().contains(hex.as_str()))
    ));
}

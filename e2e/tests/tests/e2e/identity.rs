//! Who a node is outlives its StatusNode: keys, history and, when asked for, addresses. A key that is lost is never
//! replaced by another.

use std::time::Duration;

use e2e_tests::{
    Access, Env, Node, Output, eventually, history, kubectl, kubectl_file, mailserver, object, post,
    reachable, test,
};
use serde_json::{Value, json};

/// Secrets are not watched: they are read again at most once a minute, at the reconcile that comes once a minute.
const NOTICED: Duration = Duration::from_secs(150);

async fn node_ids(node: &Node<'_>) -> Vec<String> {
    let of = |n: &Value| n["nodeId"].as_str().unwrap_or_else(|| panic!("no nodeId in {n}")).to_owned();
    node.replicas().await.iter().map(of).collect()
}

/// What does not exist, as kubectl says it.
async fn is_absent(kind: &str, name: &str, namespace: &str) -> bool {
    let out: Output = kubectl(&["get", kind, name, "-n", namespace]).await;
    assert!(out.code == Some(0) || out.stderr.contains("NotFound"), "{}", out.stderr);
    out.code != Some(0)
}

/// Takes a Secret away as a careless administrator does; what comes back is the backup.
async fn take_secret(env: &Env, name: &str) -> Value {
    let mut secret = object("secret", name, &env.namespace).await;
    kubectl(&["delete", "secret", name, "-n", &env.namespace]).await.ok();
    for field in ["uid", "resourceVersion", "creationTimestamp", "managedFields"] {
        secret["metadata"].as_object_mut().unwrap().remove(field);
    }
    secret
}

async fn wait_identity_lost(node: &Node<'_>, secret: &str, node_id: &str) {
    let (reason, message) = node.wait_condition("Stalled", "True", NOTICED).await;
    assert_eq!(reason, "IdentityLost");
    for word in [secret, node_id, "restore the Secret from a backup", "spec.identity.keys"] {
        assert!(message.contains(word), "{word} is not in: {message}");
    }
    let (reason, _) = node.wait_condition("Ready", "False", Duration::from_secs(5)).await;
    assert_eq!(reason, "IdentityLost");
}

#[test]
fn a_statusnode_applied_again_has_its_keys_and_its_history() {
    test("reapplied", Access::Shared, |env| async move {
        let node = env.ready("again", mailserver(2)).await;
        let (ids, enodes) = (node_ids(&node).await, node.enodes().await);
        // A topic for each replica's own, so that nothing comes to it from the other one.
        let topics = ["e2e0a9a0", "e2e0a9a1"];
        let posted = [post(&enodes[0], topics[0], 20).await, post(&enodes[1], topics[1], 20).await];

        node.delete().await;
        for name in ["again-0", "again-1"] {
            assert!(is_absent("statefulset", name, &env.namespace).await, "{name} goes with its StatusNode");
        }
        let node = env.ready("again", mailserver(2)).await;
        assert_eq!(node_ids(&node).await, ids);
        // The handshake proves the key; the address may be another one, which is the default.
        let enodes = node.enodes().await;
        for (i, posted) in posted.iter().enumerate() {
            let after = eventually("history is served again", || history(&enodes[i], topics[i])).await;
            assert_eq!(after, *posted, "byte for byte, each once");
        }
    });
}

#[test]
fn a_statusnode_applied_again_has_its_enodes_when_addresses_are_retained() {
    test("enodes-retained", Access::Shared, |env| async move {
        let mut spec = mailserver(2);
        spec["retention"] = json!({"addresses": {"whenDeleted": "Retain", "whenScaled": "Delete"}});
        let node = env.ready("kept", spec.clone()).await;
        let enodes = node.enodes().await;
        node.delete().await;
        // Whoever asks for an address meanwhile gets another one.
        let other = env.ready("other", e2e_tests::relay(1)).await.enodes().await.remove(0);
        let node = env.ready("kept", spec).await;
        assert_eq!(node.enodes().await, enodes);
        let address = |enode: &str| enode.rsplit_once('@').expect("an address").1.to_owned();
        assert!(enodes.iter().all(|enode| address(enode) != address(&other)), "{other}");
        for enode in &enodes {
            reachable(enode).await;
        }
    });
}

#[test]
fn a_lost_key_is_told_and_never_replaced() {
    test("identity-lost", Access::Shared, |env| async move {
        let node = env.ready("lost", mailserver(2)).await;
        let (ids, enodes) = (node_ids(&node).await, node.enodes().await);
        let topic = "e2e01057";
        let posted = post(&enodes[1], topic, 20).await;
        let pods = [node.incarnation(0).await, node.incarnation(1).await];

        let secret = "lost-1-identity";
        let backup = take_secret(&env, secret).await;
        wait_identity_lost(&node, secret, &ids[1]).await;
        assert!(is_absent("secret", secret, &env.namespace).await, "no new key");
        // What runs goes on running, with the key that it has.
        assert_eq!([node.incarnation(0).await, node.incarnation(1).await], pods);
        assert_eq!(history(&enodes[1], topic).await, Ok(posted.clone()));
        assert_eq!(node_ids(&node).await, ids);

        // Not even when the pod asks for it, and the operator has looked again.
        kubectl(&["delete", "pod", &node.pod(1), "-n", &env.namespace, "--wait"]).await.ok();
        eventually("the operator has seen that the pod is gone", || async {
            let ready = node.replicas().await[1]["ready"].clone();
            if ready == false { Ok(()) } else { Err(format!("ready: {ready}")) }
        })
        .await;
        assert!(is_absent("secret", secret, &env.namespace).await, "no new key");
        wait_identity_lost(&node, secret, &ids[1]).await;

        kubectl_file(&["create"], &env.namespace, &backup).await.ok();
        node.wait_ready().await;
        assert_eq!(node.condition("Stalled").await, None, "healed");
        assert_eq!(node.enodes().await, enodes);
        let after = eventually("history is served again", || history(&enodes[1], topic)).await;
        assert_eq!(after, posted);
        assert_eq!(node.incarnation(0).await, pods[0], "the other node had nothing to do with it");
    });
}

#[test]
fn a_volume_remembers_its_key_when_the_statusnode_is_gone() {
    test("volume-remembers", Access::Shared, |env| async move {
        let node = env.ready("orphan", mailserver(1)).await;
        let (ids, enodes) = (node_ids(&node).await, node.enodes().await);
        let topic = "e2e0a11d";
        let posted = post(&enodes[0], topic, 20).await;
        node.delete().await;
        let secret = "orphan-0-identity";
        let backup = take_secret(&env, secret).await;

        let node = env.apply("orphan", mailserver(1)).await;
        wait_identity_lost(&node, secret, &ids[0]).await;
        assert!(is_absent("secret", secret, &env.namespace).await, "no new key");
        assert!(is_absent("pod", &node.pod(0), &env.namespace).await, "no node without its key");

        kubectl_file(&["create"], &env.namespace, &backup).await.ok();
        node.wait_ready().await;
        assert_eq!(node_ids(&node).await, ids);
        let enode = node.enodes().await.remove(0);
        let after = eventually("history is served again", || history(&enode, topic)).await;
        assert_eq!(after, posted);
    });
}

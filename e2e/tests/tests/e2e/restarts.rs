//! What survives: a pod deleted, the operator restarted.

use std::collections::BTreeMap;
use std::time::Duration;

use e2e_tests::{
    Access, OPERATOR_NAMESPACE, eventually, history, kubectl, mailserver, operator_pod, post, test, within,
};

const KINDS: &str = "statusnodes,statefulsets,services,configmaps,secrets,persistentvolumeclaims,networkpolicies,poddisruptionbudgets,pods";

/// kind/name → resourceVersion of everything in the namespace that the operator could have written.
async fn versions(namespace: &str) -> BTreeMap<String, String> {
    let all = kubectl(&["get", KINDS, "-n", namespace, "-o", "json"]).await.json();
    let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
    all["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|o| {
            (
                format!("{}/{}", text(&o["kind"]), text(&o["metadata"]["name"])),
                text(&o["metadata"]["resourceVersion"]),
            )
        })
        .collect()
}

/// Waits until the operator itself has said that it leads and has gone through every object once.
async fn operator_settled(pod: &str) {
    let path = format!("/api/v1/namespaces/{OPERATOR_NAMESPACE}/pods/{pod}:8080/proxy/metrics");
    within("the operator reconciled each StatusNode", Duration::from_secs(60), || async {
        let text = kubectl(&["get", "--raw", &path]).await.stdout;
        let value = |name: &str| {
            text.lines()
                .filter(|l| l.starts_with(name))
                .filter_map(|l| l.rsplit_once(' ')?.1.parse::<f64>().ok())
                .sum::<f64>()
        };
        let (leads, done) = (value("status_operator_leader"), value("status_operator_reconciles_total"));
        if leads == 1.0 && done >= 1.0 {
            Ok(())
        } else {
            Err(format!("leader {leads}, reconciles {done}: {text}"))
        }
    })
    .await;
}

#[test]
fn a_deleted_pod_comes_back_with_its_enode_and_its_history() {
    test("pod-deleted", Access::Shared, |env| async move {
        // One replica: nobody else could have kept its history for it.
        let node = env.ready("back", mailserver(1)).await;
        let enodes = node.enodes().await;
        let topic = "e2e0de1e";
        let posted = post(&enodes[0], topic, 50).await;
        assert_eq!(history(&enodes[0], topic).await, Ok(posted.clone()));
        let (old, _) = node.incarnation(0).await;

        kubectl(&["delete", "pod", &node.pod(0), "-n", &env.namespace, "--wait"]).await.ok();
        // By the enode that the client has known all along.
        let after = eventually("the node serves history again", || history(&enodes[0], topic)).await;
        assert_eq!(after, posted, "byte for byte, each once");
        assert_ne!(node.incarnation(0).await.0, old, "it is another pod");
        node.wait_ready().await;
        assert_eq!(node.enodes().await, enodes);
    });
}

#[test]
fn an_operator_restart_changes_no_object() {
    test("operator-restart", Access::Exclusive, |env| async move {
        let node = env.ready("still", mailserver(2)).await;
        // The first verdicts of the canary and on history are the last that may change the status of a node at rest.
        node.wait_condition("CanaryPassing", "True", Duration::from_secs(90)).await;
        node.wait_condition("HistoryComplete", "True", Duration::from_secs(240)).await;
        let before = versions(&env.namespace).await;
        assert!(before.len() > 15, "{before:?}");
        let old = operator_pod().await;
        kubectl(&["delete", "pod", "-n", OPERATOR_NAMESPACE, &old]).await.ok();
        kubectl(&[
            "rollout",
            "status",
            "-n",
            OPERATOR_NAMESPACE,
            "deployment/status-operator",
            "--timeout=60s",
        ])
        .await
        .ok();
        let new = operator_pod().await;
        assert_ne!(old, new);
        operator_settled(&new).await;
        // Quiet within 15 s: what it would write, it has written by then.
        tokio::time::sleep(Duration::from_secs(15)).await;
        assert_eq!(versions(&env.namespace).await, before);
    });
}

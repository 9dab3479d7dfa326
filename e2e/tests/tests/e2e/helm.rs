//! The charts: install, upgrade, uninstall, with the data left in place; the operator's own manners.

use std::time::Duration;

use e2e_tests::{Access, OPERATOR_NAMESPACE, eventually, helm, install_operator, kubectl, mailserver, test};

#[test]
fn uninstall_leaves_nodes_and_data_and_install_takes_them_up_again() {
    test("helm", Access::Exclusive, |env| async move {
        let node = env.ready("kept", mailserver(1)).await;
        let ids: Vec<_> = node.replicas().await.iter().map(|n| n["nodeId"].clone()).collect();
        let incarnation = node.incarnation(0).await;

        helm(&["uninstall", "status-operator", "-n", OPERATOR_NAMESPACE, "--wait"]).await.ok();
        helm(&["uninstall", "status-operator-crds", "-n", OPERATOR_NAMESPACE, "--wait"]).await.ok();
        let crd = kubectl(&["get", "crd", "statusnodes.status.im", "-o", "name"]).await;
        assert_eq!(crd.code, Some(0), "the CRD, and with it every StatusNode, is kept: {}", crd.stderr);
        assert_eq!(node.incarnation(0).await, incarnation, "the pod goes on without an operator");

        install_operator(&[]).await;
        node.wait_ready().await;
        let after: Vec<_> = node.replicas().await.iter().map(|n| n["nodeId"].clone()).collect();
        assert_eq!((after, node.incarnation(0).await), (ids, incarnation));
        // It is watched again, not only listed: a change is acted upon.
        node.patch(serde_json::json!({"spec": {"replicas": 2}})).await;
        node.wait_condition("Ready", "True", Duration::from_secs(120)).await;
        assert_eq!(node.replicas().await.len(), 2);
    });
}

#[test]
fn upgrade_changes_the_operator_and_no_node() {
    test("helm-upgrade", Access::Exclusive, |env| async move {
        let node = env.ready("same", mailserver(1)).await;
        let incarnation = node.incarnation(0).await;
        install_operator(&["--set", "podAnnotations.example\\.com/upgraded=yes"]).await;
        eventually("the new operator runs", || async {
            let selector = "app.kubernetes.io/name=status-operator";
            let pods = kubectl(&["get", "pods", "-n", OPERATOR_NAMESPACE, "-l", selector, "-o", "json"])
                .await
                .json();
            let items = pods["items"].as_array().cloned().unwrap_or_default();
            match &items[..] {
                [one] if one["metadata"]["annotations"]["example.com/upgraded"] == "yes" => Ok(()),
                _ => Err(format!("{} pods", items.len())),
            }
        })
        .await;
        node.patch(serde_json::json!({"metadata": {"labels": {"example.com/touched": "yes"}}})).await;
        node.wait_ready().await;
        assert_eq!(node.incarnation(0).await, incarnation);
    });
}

#[test]
fn the_operator_pod_is_admitted_under_restricted() {
    test("restricted", Access::Exclusive, |_env| async move {
        // Every test's own namespace enforces `restricted`, so the nodes' pods are shown everywhere; here the operator's.
        let level = "pod-security.kubernetes.io/enforce=restricted";
        let out = kubectl(&["label", "namespace", OPERATOR_NAMESPACE, level, "--overwrite"]).await;
        assert!(!out.stderr.contains("violate"), "{}", out.stderr);
        out.ok();
        kubectl(&["rollout", "restart", "-n", OPERATOR_NAMESPACE, "deployment/status-operator"]).await.ok();
        kubectl(&[
            "rollout",
            "status",
            "-n",
            OPERATOR_NAMESPACE,
            "deployment/status-operator",
            "--timeout=90s",
        ])
        .await
        .ok();
    });
}

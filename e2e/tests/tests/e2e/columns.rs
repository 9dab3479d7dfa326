//! What `kubectl get` and `kubectl wait` show.

use e2e_tests::{Access, OPERATOR_NAMESPACE, kubectl, relay, test};

#[test]
fn get_prints_the_columns() {
    test("columns", Access::Shared, |env| async move {
        let node = env.ready("shown", relay(2)).await;
        let address = node.enodes().await[0]
            .rsplit_once('@')
            .expect("an address")
            .1
            .split(':')
            .next()
            .unwrap()
            .to_owned();
        let out = kubectl(&["get", "statusnodes", "-n", &env.namespace]).await.ok();
        let lines: Vec<Vec<&str>> = out.lines().map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["NAME", "MODE", "READY", "EXTERNAL", "STATUS", "AGE"], "{out}");
        assert_eq!(&lines[1][..3], ["shown", "Relay", "2/2"], "{out}");
        assert!(lines[1][3].contains(&address), "EXTERNAL has the first address {address}: {out}");

        let wide = kubectl(&["get", "statusnodes", "-n", &env.namespace, "-o", "wide"]).await.ok();
        assert!(wide.lines().next().unwrap().contains("ENODE") && wide.contains("enode://"), "{wide}");
        assert!(wide.contains("status-node"), "the image is shown: {wide}");
        kubectl(&["get", "sn", "-n", &env.namespace]).await.ok();
    });
}

#[test]
fn wait_returns_when_ready_and_is_not_fooled_before_the_first_reconcile() {
    test("wait", Access::Exclusive, |env| async move {
        let operator = ["-n", OPERATOR_NAMESPACE, "deployment/status-operator"];
        let scale = |n: &'static str| kubectl_owned([&["scale", n], &operator[..]].concat());
        scale("--replicas=0").await.ok();
        kubectl(&[
            "wait",
            "--for=delete",
            "pod",
            "-l",
            "app.kubernetes.io/name=status-operator",
            "-n",
            OPERATOR_NAMESPACE,
            "--timeout=60s",
        ])
        .await
        .ok();

        env.apply("early", relay(1)).await;
        let wait = |seconds: &'static str| {
            let namespace = env.namespace.clone();
            async move {
                kubectl(&["wait", "--for=condition=Ready", "statusnode/early", "-n", &namespace, seconds])
                    .await
            }
        };
        let early = wait("--timeout=5s").await;
        assert_ne!(early.code, Some(0), "nobody has looked at the object yet: {}", early.stdout);
        scale("--replicas=1").await.ok();
        wait("--timeout=120s").await.ok();
        let out = kubectl(&["get", "statusnode", "early", "-n", &env.namespace, "--no-headers"]).await.ok();
        assert!(out.contains("1/1"), "{out}");
    });
}

async fn kubectl_owned(args: Vec<&str>) -> e2e_tests::Output {
    kubectl(&args).await
}

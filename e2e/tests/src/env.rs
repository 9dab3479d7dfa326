//! One test's surroundings: a namespace that enforces the `restricted` Pod Security level, a client, and a dump of
//! what was there when the test fails.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::RwLock;

use futures::FutureExt;
use kube::Client;

use crate::cluster::{crds_once, kubectl, operator_once};

/// How a test uses the one operator that all tests share.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Needs the definitions only.
    Definitions,
    /// Only uses it.
    Shared,
    /// Stops, restarts or reinstalls it: runs alone.
    Exclusive,
}

/// A test's surroundings.
pub struct Env {
    /// A client of the cluster, as administrator.
    pub client: Client,
    /// The test's own namespace.
    pub namespace: String,
    test: String,
}

impl Env {
    /// One more namespace for this test, `e2e-<test>-<name>`; it is made and removed as the test's own.
    pub async fn other_namespace(&self, name: &str) -> String {
        let namespace = format!("{}-{name}", self.namespace);
        create_namespace(&namespace, &self.test).await;
        namespace
    }
}

/// Label of a namespace: the test that it belongs to.
const TEST_LABEL: &str = "e2e-test";

async fn create_namespace(namespace: &str, test: &str) {
    kubectl(&["create", "namespace", namespace]).await.ok();
    let enforce = "pod-security.kubernetes.io/enforce=restricted";
    kubectl(&["label", "namespace", namespace, enforce, &format!("{TEST_LABEL}={test}")]).await.ok();
}

static OPERATOR: RwLock<()> = RwLock::new(());

/// Runs one test in a namespace `e2e-<name>` of its own. Its namespaces are removed when the test passed; when it failed,
/// they stay, and what is in the first one is printed.
pub fn test<F: Future<Output = ()>>(name: &str, access: Access, body: impl FnOnce(Env) -> F) {
    // A test that failed poisons the lock; the next one may still run.
    let (shared, exclusive) = match access {
        Access::Definitions | Access::Shared => {
            (Some(OPERATOR.read().unwrap_or_else(|e| e.into_inner())), None)
        }
        Access::Exclusive => (None, Some(OPERATOR.write().unwrap_or_else(|e| e.into_inner()))),
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime");
    let result = runtime.block_on(async {
        if access == Access::Definitions {
            crds_once().await
        } else {
            operator_once().await
        }
        let namespace = format!("e2e-{name}");
        let client = Client::try_default().await.expect("KUBECONFIG names a cluster");
        let mine = format!("{TEST_LABEL}={name}");
        kubectl(&["delete", "namespace", "-l", &mine, "--wait"]).await.ok();
        create_namespace(&namespace, name).await;
        let env = Env { client, namespace: namespace.clone(), test: name.to_owned() };
        let result = AssertUnwindSafe(body(env)).catch_unwind().await;
        if result.is_err() {
            dump(&namespace).await;
        } else {
            kubectl(&["delete", "namespace", "-l", &mine, "--wait=false"]).await.ok();
        }
        result
    });
    drop((shared, exclusive));
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

/// Prints what helps to understand a failure.
async fn dump(namespace: &str) {
    let mine: [&[&str]; 5] = [
        &["get", "statusnodes", "-o", "yaml", "-n", namespace],
        &["get", "pods,services,pvc,statefulsets", "-o", "wide", "-n", namespace],
        &["get", "events", "--sort-by=.lastTimestamp", "-n", namespace],
        &[
            "logs",
            "-l",
            "app.kubernetes.io/managed-by=status-operator",
            "--tail=30",
            "--prefix",
            "-n",
            namespace,
        ],
        &[
            "logs",
            "-l",
            "app.kubernetes.io/name=status-operator",
            "--tail=60",
            "-n",
            crate::OPERATOR_NAMESPACE,
        ],
    ];
    for args in mine {
        let out = kubectl(args).await;
        eprintln!("--- kubectl {}\n{}{}", args.join(" "), out.stdout, out.stderr);
    }
}

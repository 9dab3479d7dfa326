//! The cluster and the operator in it: kubectl, Helm, the load balancer's test controls, one installation for all tests.

use tokio::sync::OnceCell;

use crate::program::{Output, path, run};

/// Where the operator runs.
pub const OPERATOR_NAMESPACE: &str = "status-system";

pub(crate) async fn status_cluster(verb: &str, args: &[&str]) -> Output {
    run(path("STATUS_BIN").join("status-cluster"), std::iter::once(verb).chain(args.iter().copied())).await
}

/// `kubectl ARGS…` as cluster administrator.
pub async fn kubectl(args: &[&str]) -> Output {
    status_cluster("kubectl", args).await
}

/// `helm ARGS…`
pub async fn helm(args: &[&str]) -> Output {
    status_cluster("helm", args).await
}

/// The load balancer's test controls, `status-cluster lb ARGS…`
pub async fn lb(args: &[&str]) -> Output {
    status_cluster("lb", args).await
}

/// One object, which has to be there.
pub async fn object(kind: &str, name: &str, namespace: &str) -> serde_json::Value {
    kubectl(&["get", kind, name, "-n", namespace, "-o", "json"]).await.json()
}

/// Name of the operator's pod.
pub async fn operator_pod() -> String {
    let selector = "app.kubernetes.io/name=status-operator";
    let pods = kubectl(&["get", "pods", "-n", OPERATOR_NAMESPACE, "-l", selector, "-o", "name"]).await.ok();
    pods.lines().next().expect("the operator's pod").trim_start_matches("pod/").to_owned()
}

/// `kubectl VERB -f` of one object in a namespace: what a user's `kubectl apply` says, with its strict field check.
pub async fn kubectl_file(verb: &[&str], namespace: &str, object: &serde_json::Value) -> Output {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), object.to_string()).expect("written");
    let path = file.path().display().to_string();
    kubectl(&[verb, &["-n", namespace, "-f", &path]].concat()).await
}

/// Installs (or upgrades) the CRDs by Helm.
pub async fn install_crds() {
    let chart = path("STATUS_REPO").join("charts/status-operator-crds").display().to_string();
    helm(&[
        "upgrade",
        "--install",
        "status-operator-crds",
        &chart,
        "-n",
        OPERATOR_NAMESPACE,
        "--create-namespace",
    ])
    .await
    .ok();
    kubectl(&["wait", "--for=condition=Established", "crd/statusnodes.status.im", "--timeout=30s"])
        .await
        .ok();
}

/// Installs (or upgrades) CRDs and operator by Helm and waits until the operator is available.
pub async fn install_operator(extra: &[&str]) {
    install_crds().await;
    let operator = path("STATUS_REPO").join("charts/status-operator").display().to_string();
    let images = std::env::var("OPERATOR_IMAGE").expect("OPERATOR_IMAGE");
    let (repository, tag) = images.rsplit_once(':').expect("an image with a tag");
    let sets = [
        format!("image.repository={repository}"),
        format!("image.tag={tag}"),
        "image.pullPolicy=Never".to_owned(),
        format!("nodeImage={}", std::env::var("NODE_IMAGE").expect("NODE_IMAGE")),
    ];
    let mut args = vec!["upgrade", "--install", "status-operator", &operator];
    args.extend(["-n", OPERATOR_NAMESPACE]);
    for set in &sets {
        args.extend(["--set", set]);
    }
    args.extend(["--wait", "--timeout", "3m"]);
    args.extend(extra);
    helm(&args).await.ok();
}

/// [`install_crds`], once for all tests of this process.
pub(crate) async fn crds_once() {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    INSTALLED.get_or_init(install_crds).await;
}

/// [`install_operator`], once for all tests of this process. With `E2E_INSTALLED` in the environment an operator that is
/// there is used as it is: several processes can then test at the same time.
pub(crate) async fn operator_once() {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    INSTALLED
        .get_or_init(|| async {
            let available =
                ["wait", "--for=condition=Available", "deployment/status-operator", "--timeout=90s"];
            let is_there = std::env::var_os("E2E_INSTALLED").is_some()
                && kubectl(&[&available, &["-n", OPERATOR_NAMESPACE][..]].concat()).await.code == Some(0);
            if !is_there {
                install_operator(&[]).await;
            }
        })
        .await;
}

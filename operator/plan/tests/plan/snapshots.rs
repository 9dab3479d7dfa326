//! The whole plan of each sample and exposure, as it is at rest; and the order of the first writes.

use k8s_openapi::{ByteString, api::core::v1::Secret};
use serde_json::{Value, json};
use statusnode_plan::{Plan, Step};

use crate::cluster::{Cluster, key};

fn shown(cluster: &Cluster, plan: &Plan) -> Value {
    let steps: Vec<Value> = plan
        .steps
        .iter()
        .map(|step| match step {
            Step::Apply(object) => object.manifest.clone(),
            other => panic!("at rest a plan only wants what is there: {other:?}"),
        })
        .collect();
    json!({"objects": steps, "status": cluster.status()})
}

fn user_secret(cluster: &mut Cluster, name: &str, entry: &str, value: &str) {
    let mut secret = Secret::default();
    secret.metadata.name = Some(name.to_owned());
    secret.data = Some([(entry.to_owned(), ByteString(value.as_bytes().to_vec()))].into());
    cluster.secrets.insert(name.to_owned(), secret);
}

#[test]
fn the_relay_sample() {
    let mut cluster = Cluster::new(include_str!("../../../../manifests/samples/relay.yaml"));
    let plan = cluster.settle();
    insta::assert_yaml_snapshot!("relay", shown(&cluster, &plan));
}

#[test]
fn the_mailserver_sample() {
    let mut cluster = Cluster::mailservers();
    let plan = cluster.bring_up().settle();
    insta::assert_yaml_snapshot!("mailserver", shown(&cluster, &plan));
}

#[test]
fn the_sample_with_everything() {
    let mut cluster = Cluster::new(include_str!("../../../../manifests/samples/mailserver-full.yaml"));
    user_secret(&mut cluster, "mail-key", "nodekey", &key(99).to_hex());
    user_secret(&mut cluster, "mail-password", "password", "secret");
    user_secret(&mut cluster, "mail-rpc", "token", "secret");
    let plan = cluster.settle();
    insta::assert_yaml_snapshot!("mailserver-full", shown(&cluster, &plan));
}

#[test]
fn each_exposure() {
    for exposure in ["None", "ClusterIP", "LoadBalancer"] {
        let mut cluster = Cluster::with(1, &format!(", p2p: {{exposure: {{type: {exposure}}}}}"));
        cluster.bring_up();
        let service = cluster.applied(statusnode_plan::ObjectKind::Service, "mail-0-p2p");
        let status = cluster.status();
        let part = json!({
            "service": service["spec"],
            "live": cluster.live_file(0),
            "node": status.nodes[0],
            "summary": status.external_summary,
            "condition": cluster.condition("ExternalAddressesReady"),
        });
        insta::assert_yaml_snapshot!(format!("exposure-{exposure}"), part);
    }
}

/// Design §3 (Order): keys, claims, Services, walls, configuration; and pods only when the addresses are known.
#[test]
fn the_order_of_the_first_writes() {
    let mut cluster = Cluster::with(2, "");
    cluster.reconcile();
    insta::assert_yaml_snapshot!("first-reconcile", cluster.log);
    let first = cluster.log.len();
    cluster.reconcile();
    insta::assert_yaml_snapshot!("second-reconcile", cluster.since(first));
}

/// The cost that issue-free operation allows: one create per child, at most two status writes before any pod runs.
#[test]
fn each_child_is_written_once_and_the_status_once() {
    let mut cluster = Cluster::mailservers();
    cluster.settle();
    let mut writes = cluster.log.clone();
    let total = writes.len();
    writes.sort();
    writes.dedup();
    assert_eq!(writes.len(), total, "{:?}", cluster.log);
    assert_eq!(cluster.log.iter().filter(|write| *write == "status").count(), 1);
}

#[test]
fn at_rest_nothing_is_written_whatever_the_time() {
    for yaml in [
        include_str!("../../../../manifests/samples/relay.yaml"),
        include_str!("../../../../manifests/samples/mailserver.yaml"),
    ] {
        let mut cluster = Cluster::new(yaml);
        cluster.settle();
        let before = cluster.log.len();
        for _ in 0..3 {
            cluster.tick(3600);
            let plan = cluster.reconcile();
            assert_eq!(plan.status, None);
            assert_eq!(plan.events, Vec::new());
        }
        assert_eq!(cluster.since(before), Vec::<String>::new());
    }
}

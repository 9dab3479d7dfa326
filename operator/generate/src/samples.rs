//! The samples, as values of the types: they cannot name a field that does not exist.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{LocalObjectReference, ResourceRequirements},
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::LabelSelector},
};
use kube_core::ObjectMeta;
use serde_json::{Value, json};
use statusnode_api::{
    AccessPeer, Advertise, AdvertisedAddress, Canary, Exposure, ExposureType, Identity, IdentityKey,
    ImagePullPolicy, LoadBalancer, Mailserver, MailserverRetention, MailserverSync, Metrics, Mode, Network,
    NetworkPolicySettings, P2p, PodDisruptionBudgetSettings, PodSettings, Retention, RetentionPolicy, Rpc,
    SecretKeyRef, ServiceMonitor, ServiceMonitorPolicy, StaticPeer, StatusNode, StatusNodeSpec, Storage,
    Switch, Update, UpdateStrategy, WhenGone,
};

/// One sample.
pub(crate) struct Sample {
    /// Name of the file without ending.
    pub(crate) name: &'static str,
    /// What it shows.
    pub(crate) comment: &'static str,
    pub(crate) manifest: Value,
}

/// All samples.
pub(crate) fn samples() -> Vec<Sample> {
    vec![
        Sample {
            name: "relay",
            comment: "The least: one node that relays, with a public address of its own.",
            manifest: short(&node("relay", spec(Mode::Relay))),
        },
        Sample {
            name: "mailserver",
            comment: "Three nodes that relay and keep history, each with its own identity, volume and public address.",
            manifest: short(&node("mail", StatusNodeSpec { replicas: 3, ..spec(Mode::Mailserver) })),
        },
        Sample {
            name: "mailserver-full",
            comment: "Every field. The Secrets mail-key, mail-password and mail-rpc have to exist.",
            manifest: full(&node("mail-full", everything())),
        },
    ]
}

fn node(name: &str, spec: StatusNodeSpec) -> StatusNode {
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some("status".to_owned()),
        ..ObjectMeta::default()
    };
    StatusNode { metadata, spec, status: None }
}

fn spec(mode: Mode) -> StatusNodeSpec {
    StatusNodeSpec {
        mode,
        replicas: 1,
        image: None,
        image_pull_policy: None,
        image_pull_secrets: Vec::new(),
        network: Network::default(),
        identity: None,
        p2p: P2p::default(),
        rpc: Rpc::default(),
        metrics: Metrics::default(),
        mailserver: None,
        storage: None,
        retention: Retention::default(),
        canary: Canary::default(),
        update: Update::default(),
        suspend: false,
        paused: false,
        network_policy: NetworkPolicySettings::default(),
        pod_disruption_budget: PodDisruptionBudgetSettings::default(),
        pod: PodSettings::default(),
    }
}

fn everything() -> StatusNodeSpec {
    let enode = |digit: &str, host: &str| format!("enode://{}@{host}:30303", digit.repeat(128 / digit.len()));
    // Points of the curve: the keys 1, 2 and 3 (SEC 2, the generator, its double, its triple).
    let one = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8";
    let two = "c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee51ae168fea63dc339a3c58419466ceaeef7f632653266d0e1236431a950cfe52a";
    let three = "f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9388f7b0f632de8140fe337e62a37f3566500a99934c2231b6cb9fd7584b8e672";
    let labels = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    let selector = |key: &str, value: &str| {
        Some(LabelSelector { match_labels: Some(labels(key, value)), ..LabelSelector::default() })
    };
    let secret = |name: &str, key: &str| SecretKeyRef { name: name.to_owned(), key: key.to_owned() };
    let quantities = |cpu: &str, memory: &str| {
        let pairs = [("cpu", cpu), ("memory", memory)];
        Some(pairs.into_iter().map(|(k, v)| (k.to_owned(), Quantity(v.to_owned()))).collect())
    };
    StatusNodeSpec {
        replicas: 3,
        image: Some("localhost/status-node:dev".to_owned()),
        image_pull_policy: Some(ImagePullPolicy::IfNotPresent),
        image_pull_secrets: vec![LocalObjectReference { name: "registry".to_owned() }],
        network: Network {
            static_peers: vec![StaticPeer { enode: enode(one, "192.0.2.10") }],
            trusted_peers: vec![enode(two, "192.0.2.11")],
            max_peers: 1000,
        },
        identity: Some(Identity {
            keys: vec![IdentityKey { ordinal: 0, secret_key_ref: secret("mail-key", "nodekey") }],
        }),
        p2p: P2p {
            port: 30303,
            advertise: Some(Advertise {
                port: Some(443),
                addresses: vec![AdvertisedAddress {
                    ordinal: 2,
                    address: "192.0.2.12".to_owned(),
                    port: Some(30303),
                }],
            }),
            exposure: Exposure {
                type_: ExposureType::LoadBalancer,
                load_balancer: Some(LoadBalancer {
                    load_balancer_class: Some("example.org/public".to_owned()),
                    load_balancer_source_ranges: vec!["0.0.0.0/0".to_owned()],
                    allocate_load_balancer_node_ports: true,
                    annotations: labels("example.org/pool", "public"),
                }),
            },
        },
        rpc: Rpc {
            port: 8545,
            modules: vec!["admin".to_owned(), "net".to_owned(), "web3".to_owned()],
            allowed_from: vec![AccessPeer {
                namespace_selector: selector("kubernetes.io/metadata.name", "ops"),
                pod_selector: selector("app", "console"),
                ip_block: None,
            }],
            token_secret_key_ref: Some(secret("mail-rpc", "token")),
        },
        metrics: Metrics {
            port: 9090,
            allowed_from: vec![AccessPeer {
                namespace_selector: selector("kubernetes.io/metadata.name", "monitoring"),
                pod_selector: None,
                ip_block: None,
            }],
            service_monitor: ServiceMonitor {
                policy: ServiceMonitorPolicy::Auto,
                labels: labels("release", "prometheus"),
                interval: "30s".to_owned(),
            },
        },
        mailserver: Some(Mailserver {
            password_secret_key_ref: Some(secret("mail-password", "password")),
            retention: MailserverRetention { max_age: "720h".to_owned(), max_size: Some("40Gi".to_owned()) },
            sync: MailserverSync { interval: "5m".to_owned(), peers: vec![enode(three, "192.0.2.13")] },
        }),
        storage: Some(Storage { size: "50Gi".to_owned(), storage_class_name: Some("standard".to_owned()) }),
        retention: Retention {
            addresses: RetentionPolicy { when_deleted: WhenGone::Retain, when_scaled: WhenGone::Delete },
            ..Retention::default()
        },
        update: Update { strategy: UpdateStrategy::CanaryGated },
        network_policy: NetworkPolicySettings { policy: Switch::Always },
        pod: PodSettings {
            resources: Some(ResourceRequirements {
                requests: quantities("250m", "256Mi"),
                limits: quantities("2", "1Gi"),
                ..ResourceRequirements::default()
            }),
            node_selector: labels("kubernetes.io/os", "linux"),
            labels: labels("team", "messaging"),
            ..PodSettings::default()
        },
        ..spec(Mode::Mailserver)
    }
}

/// The manifest with every field.
fn full(node: &StatusNode) -> Value {
    let mut value = serde_json::to_value(node).unwrap_or_default();
    if let Some(members) = value.as_object_mut() {
        members.remove("status");
    }
    value
}

/// The manifest without what the schema fills in anyway.
fn short(node: &StatusNode) -> Value {
    let mut value = full(node);
    let defaults = full(&self::node("", spec(node.spec.mode)));
    if let (Some(fields), Some(defaults)) = (
        value.get_mut("spec").and_then(Value::as_object_mut),
        defaults.get("spec").and_then(Value::as_object),
    ) {
        fields.retain(|key, field| key == "mode" || *field != *defaults.get(key).unwrap_or(&json!(null)));
    }
    value
}

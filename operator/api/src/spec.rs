//! The root of the spec: what one `StatusNode` asks for. Facts: design §3.

#![allow(clippy::duplicated_attributes)] // a column repeats `type_ = "string"`: the lint reads the derive's list as one attribute

use k8s_openapi::api::core::v1::LocalObjectReference;
use kube_derive::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Canary, Mailserver, Metrics, Network, NetworkPolicySettings, P2p, PodDisruptionBudgetSettings,
    PodSettings, Retention, Rpc, StatusNodeStatus, Storage, Update,
};

/// What a node does.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum Mode {
    /// Relays envelopes, keeps history on its volume and serves it to peers that were offline.
    Mailserver,
    /// Relays envelopes only.
    Relay,
}

impl Mode {
    /// The value as written in a manifest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mailserver => "Mailserver",
            Self::Relay => "Relay",
        }
    }
}

/// A set of Status nodes: each replica has its own identity, volume and public address.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "status.im",
    version = "v1alpha1",
    kind = "StatusNode",
    plural = "statusnodes",
    singular = "statusnode",
    shortname = "sn",
    category = "status",
    namespaced,
    status = "StatusNodeStatus",
    derive = "PartialEq",
    doc = "A set of Status nodes: each replica has its own identity, volume and public address.",
    crates(kube_core = "::kube_core"),
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.readySummary",
        description = "Ready replicas of those wanted"
    ),
    printcolumn(
        name = "External",
        type_ = "string",
        json_path = ".status.externalSummary",
        description = "Public addresses by ordinal"
    ),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason",
        description = "Reason of the condition Ready"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Enode",
        type_ = "string",
        json_path = ".status.nodes[0].enode",
        description = "Enode of the first replica",
        priority = 1
    ),
    printcolumn(name = "Image", type_ = "string", json_path = ".status.image", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    crates(kube_core = "::kube_core"),
    validation = Rule::new("self.p2p.port != self.rpc.port && self.p2p.port != self.metrics.port && self.rpc.port != self.metrics.port")
        .message("p2p.port, rpc.port and metrics.port must be different"),
    validation = Rule::new("self.p2p.port == oldSelf.p2p.port || self.p2p.port != oldSelf.rpc.port && self.p2p.port != oldSelf.metrics.port")
        .message("p2p.port cannot become what rpc.port or metrics.port was: pods that still have it there would be open to everybody; choose another port"),
    validation = Rule::new("self.mode == 'Mailserver' || !has(self.mailserver)")
        .message("mailserver may be set only when mode is Mailserver"),
    validation = Rule::new("has(self.storage) == has(oldSelf.storage)")
        .message("storage cannot be added or removed later: the volumes exist already; create another StatusNode"),
    validation = Rule::new("!has(self.mailserver) || !has(self.mailserver.retention) || !has(self.mailserver.retention.maxSize) || quantity(self.mailserver.retention.maxSize).isLessThan(quantity(has(self.storage) ? self.storage.size : '20Gi'))")
        .message("mailserver.retention.maxSize must be smaller than storage.size (20Gi when not set): the store needs room to compact"),
)]
pub struct StatusNodeSpec {
    /// What each node does. Cannot be changed later.
    #[x_kube(validation = Rule::new("self == oldSelf").message("mode cannot be changed: create another StatusNode"))]
    pub mode: Mode,
    /// Number of nodes, 0 to 32. Ordinals 0 to replicas-1 exist.
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 0, max = 32))]
    pub replicas: i32,
    /// Image of the node, best with a digest. Without it the operator's own default; the one in use is in `status.image`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// When the kubelet pulls the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// Secrets with credentials for the registry, in the same namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Peers and limits of the peer-to-peer network.
    #[serde(default)]
    pub network: Network,
    /// Node keys. Without an entry for an ordinal the operator generates its key once, in Secret `<name>-<ordinal>-identity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// The peer-to-peer port and how peers outside the cluster reach it.
    #[serde(default)]
    pub p2p: P2p,
    /// The JSON-RPC interface. It has a cluster-internal address only.
    #[serde(default)]
    pub rpc: Rpc,
    /// Prometheus metrics and health.
    #[serde(default)]
    pub metrics: Metrics,
    /// History. Only with mode Mailserver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailserver: Option<Mailserver>,
    /// The volume of each node. With mode Mailserver 20Gi when not set; with mode Relay no volume when not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// What is kept when a StatusNode is deleted or scaled down.
    #[serde(default)]
    pub retention: Retention,
    /// How often the operator proves from the client's side that each node serves.
    #[serde(default)]
    pub canary: Canary,
    /// How a change is rolled out.
    #[serde(default)]
    pub update: Update,
    /// No pods; identities, volumes and public addresses are kept.
    #[serde(default)]
    pub suspend: bool,
    /// No reconciling: nothing is changed in the cluster until this is false again.
    #[serde(default)]
    pub paused: bool,
    /// Who may connect to the pods.
    #[serde(default)]
    pub network_policy: NetworkPolicySettings,
    /// How many nodes a drain may take away at once.
    #[serde(default)]
    pub pod_disruption_budget: PodDisruptionBudgetSettings,
    /// Scheduling and resources of the pods.
    #[serde(default)]
    pub pod: PodSettings,
}

const fn default_replicas() -> i32 {
    1
}

/// When the kubelet pulls the image.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum ImagePullPolicy {
    /// At each start.
    Always,
    /// Only when the node of the cluster does not have it.
    IfNotPresent,
    /// Never.
    Never,
}

impl ImagePullPolicy {
    /// The value as the pod spec has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// Keys that the user brings.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(crates(kube_core = "::kube_core"))]
pub struct Identity {
    /// At most one entry an ordinal.
    #[serde(default)]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["ordinal".into()]))]
    pub keys: Vec<IdentityKey>,
}

/// The key of one node.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IdentityKey {
    /// The replica this key is for, 0 to 31.
    #[schemars(range(min = 0, max = 31))]
    pub ordinal: i32,
    /// A secp256k1 private key as 64 hexadecimal digits. While the Secret does not exist the node is not started.
    pub secret_key_ref: SecretKeyRef,
}

/// One key of a Secret in the same namespace.
#[derive(Clone, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), pattern("^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// Key in its data.
    #[schemars(length(min = 1, max = 253), pattern("^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

//! What the operator reports. Live counters stay out: they are metrics. Facts: design §3; `spec/operators.md` §1.1, §5.9.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube_derive::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator reports. Every new object starts with `observedGeneration: -1`, so that nothing takes an object
/// that no operator has seen for one that is ready.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(crates(kube_core = "::kube_core"))]
pub struct StatusNodeStatus {
    /// The `metadata.generation` that this status speaks of; -1 before the first.
    #[serde(default = "not_observed")]
    pub observed_generation: i64,
    /// Replicas that are to have a pod.
    #[serde(default)]
    pub replicas: i32,
    /// Replicas whose pod is ready.
    #[serde(default)]
    pub ready_replicas: i32,
    /// `ready/wanted`, for the column READY.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_summary: Option<String>,
    /// Public addresses by ordinal, for the column EXTERNAL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_summary: Option<String>,
    /// Label selector of the pods, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// The image that the spec and the operator's default resolve to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Conditions; see `condition`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// One entry for each ordinal that is wanted, or that is scaled away and whose key is still to be deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["ordinal".into()]))]
    pub nodes: Vec<NodeEntry>,
}

const fn not_observed() -> i64 {
    -1
}

/// One replica.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeEntry {
    /// 0 to 31.
    #[schemars(range(min = 0, max = 31))]
    pub ordinal: i32,
    /// Name of its pod, whether it runs or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Keccak-256 of its public key, 64 hexadecimal digits. Once here, never replaced without the user's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// What peers outside dial. Absent until the address is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enode: Option<String>,
    /// What peers inside the cluster dial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal_enode: Option<String>,
    /// The advertised address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalAddress>,
    /// Whether its pod is ready.
    #[serde(default)]
    pub ready: bool,
    /// Verdict of the last canary; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanaryState>,
    /// Whether it says that it keeps what its replicas keep; absent before its first word, and without history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_complete: Option<bool>,
    /// Image that its pod runs, once that is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// Verdict of the last canary.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum CanaryState {
    /// The node served what it must.
    Passing,
    /// It did not.
    Failing,
}

/// The address that a node advertises.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalAddress {
    /// IP address.
    pub address: String,
    /// TCP port.
    pub tcp_port: i32,
    /// UDP port.
    pub udp_port: i32,
    /// Where the address comes from.
    pub source: AddressSource,
}

/// Where an advertised address comes from.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum AddressSource {
    /// `status.loadBalancer` of the node's Service.
    LoadBalancer,
    /// `spec.clusterIP` of the node's Service.
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    /// `spec.p2p.advertise.addresses`.
    Spec,
}

//! Who may connect, how changes roll out, and how health is proved. Facts: design §3; `spec/operators.md` §1.2, §1.3.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube_derive::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SecretKeyRef;

/// The JSON-RPC interface. It has a cluster-internal address only, whatever `p2p.exposure` says.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rpc {
    /// Port.
    #[serde(default = "default_rpc_port")]
    #[schemars(range(min = 1024, max = 65535))]
    pub port: i32,
    /// Modules that are offered.
    #[serde(default = "default_modules")]
    #[schemars(length(min = 1, max = 16), inner(length(max = 16), pattern("^[a-z][a-z0-9]*$")))]
    pub modules: Vec<String>,
    /// Who may connect; nobody when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub allowed_from: Vec<AccessPeer>,
    /// The bearer token of methods that change something. Without it one is generated in Secret `<name>-rpc-token`, key `token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret_key_ref: Option<SecretKeyRef>,
}

const fn default_rpc_port() -> i32 {
    8545
}

fn default_modules() -> Vec<String> {
    vec!["admin".to_owned(), "web3".to_owned()]
}

impl Default for Rpc {
    fn default() -> Self {
        Self { port: 8545, modules: default_modules(), allowed_from: Vec::new(), token_secret_key_ref: None }
    }
}

/// One group of clients: pods by labels, or addresses.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    crates(kube_core = "::kube_core"),
    validation = Rule::new("has(self.ipBlock) ? !has(self.namespaceSelector) && !has(self.podSelector) : has(self.namespaceSelector) || has(self.podSelector)")
        .message("set either ipBlock, or namespaceSelector and podSelector (at least one of the two)")
)]
pub struct AccessPeer {
    /// Namespaces by labels; without it the namespace of the StatusNode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Pods by labels; without it all pods of the namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<LabelSelector>,
    /// Addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_block: Option<IpBlock>,
}

/// A range of addresses.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IpBlock {
    /// The range: `10.0.0.0/8`.
    #[schemars(length(max = 64), pattern("^[0-9a-fA-F.:]+/[0-9]{1,3}$"))]
    pub cidr: String,
    /// Ranges within it that are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 64), pattern("^[0-9a-fA-F.:]+/[0-9]{1,3}$")))]
    pub except: Vec<String>,
}

/// Prometheus metrics and health.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// Port.
    #[serde(default = "default_metrics_port")]
    #[schemars(range(min = 1024, max = 65535))]
    pub port: i32,
    /// Who may connect, besides the operator.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub allowed_from: Vec<AccessPeer>,
    /// The ServiceMonitor for the Prometheus operator.
    #[serde(default)]
    pub service_monitor: ServiceMonitor,
}

const fn default_metrics_port() -> i32 {
    9090
}

impl Default for Metrics {
    fn default() -> Self {
        Self { port: 9090, allowed_from: Vec::new(), service_monitor: ServiceMonitor::default() }
    }
}

/// When a ServiceMonitor is made.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum ServiceMonitorPolicy {
    /// When the cluster has the API `monitoring.coreos.com/v1`.
    #[default]
    Auto,
    /// Always; a cluster without the API is reported in the condition Degraded.
    Always,
    /// Never.
    Never,
}

/// The ServiceMonitor for the Prometheus operator.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceMonitor {
    /// When it is made.
    #[serde(default)]
    pub policy: ServiceMonitorPolicy,
    /// Labels by which a Prometheus selects it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub labels: BTreeMap<String, String>,
    /// Time between two scrapes.
    #[serde(default = "default_scrape_interval")]
    #[schemars(length(max = 8), pattern("^[1-9][0-9]{0,4}(s|m)$"))]
    pub interval: String,
}

fn default_scrape_interval() -> String {
    "30s".to_owned()
}

impl Default for ServiceMonitor {
    fn default() -> Self {
        Self {
            policy: ServiceMonitorPolicy::Auto,
            labels: BTreeMap::new(),
            interval: default_scrape_interval(),
        }
    }
}

/// How often the operator proves from the client's side that each node serves.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Canary {
    /// Time between two runs, a tenth more or less. After one that failed at most 15s.
    #[serde(default = "default_canary_interval")]
    #[schemars(length(max = 8), pattern("^[1-9][0-9]{0,4}(s|m)$"))]
    pub interval: String,
    /// Longest time that each step of a run may take: to connect, to get the answer.
    #[serde(default = "default_canary_timeout")]
    #[schemars(length(max = 8), pattern("^[1-9][0-9]{0,4}(s|m)$"))]
    pub timeout: String,
}

fn default_canary_interval() -> String {
    "1m".to_owned()
}

fn default_canary_timeout() -> String {
    "10s".to_owned()
}

impl Default for Canary {
    fn default() -> Self {
        Self { interval: default_canary_interval(), timeout: default_canary_timeout() }
    }
}

/// What the next node waits for when a change is rolled out.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum UpdateStrategy {
    /// All others ready, a canary that passed against each of them, and with history each says that it has what its
    /// replicas have: that takes a minute after its start.
    #[default]
    CanaryGated,
    /// All others ready.
    Ready,
}

/// How a change is rolled out: one node at a time.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Update {
    /// What the next node waits for.
    #[serde(default)]
    pub strategy: UpdateStrategy,
}

/// Whether an object is made.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Switch {
    /// It is made.
    #[default]
    Always,
    /// It is not made, and deleted when it is there.
    Never,
}

/// Who may connect to the pods: peers to the peer-to-peer port, `allowedFrom` to the others.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicySettings {
    /// With Never the RPC and metrics ports are open to the whole cluster.
    #[serde(default)]
    pub policy: Switch,
}

/// How many nodes a drain may take away at once. No budget is made for a single replica.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodDisruptionBudgetSettings {
    /// Whether there is a budget.
    #[serde(default)]
    pub policy: Switch,
    /// Nodes that may be away at once.
    #[serde(default = "default_max_unavailable")]
    #[schemars(range(min = 1, max = 32))]
    pub max_unavailable: i32,
}

const fn default_max_unavailable() -> i32 {
    1
}

impl Default for PodDisruptionBudgetSettings {
    fn default() -> Self {
        Self { policy: Switch::Always, max_unavailable: default_max_unavailable() }
    }
}

//! The peer-to-peer port and how peers reach it. Facts: design §3; `spec/operators.md` §3.

use std::collections::BTreeMap;

use kube_derive::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The peer-to-peer port and how peers outside the cluster reach it.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct P2p {
    /// Port that the node binds, TCP and UDP, and that its Service has.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1024, max = 65535))]
    pub port: i32,
    /// How peers reach each node.
    #[serde(default)]
    pub exposure: Exposure,
}

const fn default_port() -> i32 {
    30303
}

impl Default for P2p {
    fn default() -> Self {
        Self { port: default_port(), exposure: Exposure::default() }
    }
}

/// The kind of address that each node gets and advertises.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum ExposureType {
    /// Nothing is advertised; the replicas reach each other inside the cluster.
    None,
    /// The cluster-internal address is advertised.
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    /// A load balancer for each node; its address is advertised.
    #[default]
    LoadBalancer,
}

impl ExposureType {
    /// The value as written in a manifest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::ClusterIp => "ClusterIP",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}

/// How peers reach each node: a type, and at most the member of that name.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    crates(kube_core = "::kube_core"),
    validation = Rule::new("self.type == 'LoadBalancer' || !has(self.loadBalancer)")
        .message("loadBalancer may be set only when type is LoadBalancer"),
    validation = Rule::new("oldSelf.type != 'LoadBalancer' || self.type == 'LoadBalancer'")
        .message("type cannot leave LoadBalancer: the public addresses in the published enodes would be lost; create another StatusNode"),
    validation = Rule::new("oldSelf.type != 'LoadBalancer' || (has(self.loadBalancer) && has(self.loadBalancer.loadBalancerClass) ? self.loadBalancer.loadBalancerClass : '') == (has(oldSelf.loadBalancer) && has(oldSelf.loadBalancer.loadBalancerClass) ? oldSelf.loadBalancer.loadBalancerClass : '')")
        .message("loadBalancer.loadBalancerClass cannot be changed: Kubernetes fixes it when the Service is created")
)]
pub struct Exposure {
    /// The kind of address.
    #[serde(default, rename = "type")]
    pub type_: ExposureType,
    /// Settings of the load balancers. Only with type LoadBalancer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<LoadBalancer>,
}

/// Settings of the load balancers.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancer {
    /// The implementation, where the cluster has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub load_balancer_class: Option<String>,
    /// CIDRs that may connect; everyone when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 64), pattern("^[0-9a-fA-F.:]+/[0-9]{1,3}$")))]
    pub load_balancer_source_ranges: Vec<String>,
    /// Whether Kubernetes also allocates node ports; needed by most implementations.
    #[serde(default = "default_true")]
    pub allocate_load_balancer_node_ports: bool,
    /// Annotations of each node's Service, for the implementation.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub annotations: BTreeMap<String, String>,
}

const fn default_true() -> bool {
    true
}

impl Default for LoadBalancer {
    fn default() -> Self {
        Self {
            load_balancer_class: None,
            load_balancer_source_ranges: Vec::new(),
            allocate_load_balancer_node_ports: true,
            annotations: BTreeMap::new(),
        }
    }
}

//! The peer-to-peer port and how peers reach it. Facts: design §3; `spec/operators.md` §3.

use std::collections::BTreeMap;

use kube_derive::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The peer-to-peer port and how peers outside the cluster reach it.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    crates(kube_core = "::kube_core"),
    validation = Rule::new("self.exposure.type != 'None' || !has(self.advertise) || !has(self.advertise.addresses) || size(self.advertise.addresses) == 0")
        .message("advertise.addresses needs an exposure.type other than None: with None nothing is advertised")
)]
pub struct P2p {
    /// Port that the node binds, TCP and UDP; its Service has it too, unless `advertise.port` says otherwise.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1024, max = 65535))]
    pub port: i32,
    /// What peers are told to dial, where it differs from what the cluster knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advertise: Option<Advertise>,
    /// How peers reach each node.
    #[serde(default)]
    pub exposure: Exposure,
}

const fn default_port() -> i32 {
    30303
}

impl Default for P2p {
    fn default() -> Self {
        Self { port: default_port(), advertise: None, exposure: Exposure::default() }
    }
}

/// What peers are told to dial. Changed without restart.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    crates(kube_core = "::kube_core"),
    validation = Rule::new("!has(self.addresses) || self.addresses.all(a, self.addresses.exists_one(b, a.address == b.address && (has(a.port) ? a.port : 0) == (has(b.port) ? b.port : 0)))")
        .message("two entries of addresses have one address and port: each node needs its own")
)]
pub struct Advertise {
    /// Port of each node's Service and enode, TCP and UDP; `p2p.port` when not set. Some networks let only 443 through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// Addresses that the cluster does not know: of a router or a balancer in front of it. At most one entry an ordinal;
    /// it stands before the address that the exposure gives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["ordinal".into()]))]
    pub addresses: Vec<AdvertisedAddress>,
}

/// Where peers reach one node.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AdvertisedAddress {
    /// The replica this address is for, 0 to 31.
    #[schemars(range(min = 0, max = 31))]
    pub ordinal: i32,
    /// IPv4 or IPv6 address.
    #[schemars(length(min = 2, max = 45), pattern("^[0-9a-fA-F.:]+$"))]
    pub address: String,
    /// Port there, TCP and UDP; `advertise.port` when not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
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

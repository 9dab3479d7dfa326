//! Who may connect to the pods: anybody to the peer-to-peer port, only the named to the others.

use serde_json::{Value, json};
use statusnode_api::AccessPeer;

use crate::{
    Object, ObjectKind,
    build::{Base, Owner},
    names,
    world::World,
};

/// Label that every namespace has with its own name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// The policy of all pods of the resource. Kubelet probes come from the node, which no policy stops.
pub(crate) fn network_policy(world: &World<'_>) -> Object {
    let settings = world.settings;
    let mut ingress = vec![json!({"ports": [
        {"protocol": "TCP", "port": settings.ports.p2p},
        {"protocol": "UDP", "port": settings.ports.p2p},
    ]})];
    let rpc: Vec<Value> = settings.spec.rpc.allowed_from.iter().map(peer).collect();
    let operator = world.observed.environment.operator.as_ref().map(|operator| {
        json!({
            "namespaceSelector": {"matchLabels": {NAMESPACE_NAME: operator.namespace}},
            "podSelector": {"matchLabels": operator.labels},
        })
    });
    let metrics: Vec<Value> = settings.spec.metrics.allowed_from.iter().map(peer).chain(operator).collect();
    // Numbers, not names: some implementations do not resolve named ports.
    // A rule without `from` would let everybody in: no rule for a port that nobody may reach.
    for (port, from) in [(settings.ports.rpc, rpc), (settings.ports.metrics, metrics)] {
        if !from.is_empty() {
            ingress.push(json!({"from": from, "ports": [{"protocol": "TCP", "port": port}]}));
        }
    }
    let base = Base {
        kind: ObjectKind::NetworkPolicy,
        name: names::policy(&settings.name),
        component: names::COMPONENT_NODE,
        ordinal: None,
        owner: Owner::Resource,
    };
    base.object(
        settings,
        serde_json::Map::new(),
        json!({"spec": {
            "podSelector": {"matchLabels": names::pod_selector(&settings.name, None)},
            "policyTypes": ["Ingress"],
            "ingress": ingress,
        }}),
    )
}

fn peer(allowed: &AccessPeer) -> Value {
    serde_json::to_value(allowed).unwrap_or_default()
}

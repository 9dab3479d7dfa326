//! Who may connect to the pods: anybody to the peer-to-peer port, only the named to the others.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use statusnode_api::AccessPeer;

use crate::{
    Object, ObjectKind,
    build::{Base, CONTAINER, Owner, PORT_METRICS, PORT_P2P, PORT_RPC},
    names,
    world::World,
};

/// Label that every namespace has with its own name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// The policy of all pods of the resource. Kubelet probes come from the node, which no policy stops.
pub(crate) fn network_policy(world: &World<'_>) -> Object {
    let settings = world.settings;
    let p2p = ports(world, PORT_P2P, settings.ports.p2p);
    let both = |port: u16| ["TCP", "UDP"].map(|protocol| json!({"protocol": protocol, "port": port}));
    let mut ingress = vec![json!({"ports": p2p.into_iter().flat_map(both).collect::<Vec<_>>()})];
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
    for (name, port, from) in
        [(PORT_RPC, settings.ports.rpc, rpc), (PORT_METRICS, settings.ports.metrics, metrics)]
    {
        if !from.is_empty() {
            let open = ports(world, name, port).into_iter();
            let open: Vec<Value> = open.map(|port| json!({"protocol": "TCP", "port": port})).collect();
            ingress.push(json!({"from": from, "ports": open}));
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

/// The port of that name in the spec, and those that pods have that were made with another one and still run: a rollout
/// goes from node to node, and the others serve meanwhile.
fn ports(world: &World<'_>, name: &str, wanted: u16) -> BTreeSet<u16> {
    let containers =
        world.observed.objects.pods.values().filter_map(|pod| {
            pod.spec.as_ref()?.containers.iter().find(|container| container.name == CONTAINER)
        });
    let named = containers
        .flat_map(|container| container.ports.iter().flatten())
        .filter(|port| port.name.as_deref() == Some(name));
    named.filter_map(|port| u16::try_from(port.container_port).ok()).chain([wanted]).collect()
}

fn peer(allowed: &AccessPeer) -> Value {
    serde_json::to_value(allowed).unwrap_or_default()
}

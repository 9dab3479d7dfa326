//! The peer-to-peer Service of one node: the address that its enode has. Made before the StatefulSet, never recreated.

use serde_json::{Value, json};
use statusnode_api::{ExposureType, LoadBalancer};

use crate::{
    Object, ObjectKind,
    build::{Base, Owner, PORT_P2P, PORT_P2P_UDP, set},
    names,
    validate::Settings,
    world::{Replica, may_record},
};

/// The Service of `replica`. With exposure None it has a cluster address all the same: the other replicas dial it.
///
/// A node that is not ready is reachable too: it can find peers while it starts, and a load balancer with policy
/// `Local` counts it as healthy. `Local` keeps the client's own address, by which the node limits
/// (`spec/operators.md` §3.2).
pub(crate) fn p2p_service(settings: &Settings<'_>, replica: &Replica<'_>) -> Object {
    let retention = settings.spec.retention.addresses.when_deleted;
    let record = replica.record.as_deref().filter(|_| may_record(settings, retention));
    let mut annotations = super::annotation(names::ANNOTATION_NODE_ID, record);
    let port = settings.ports.service;
    let mut spec = json!({
        "type": "ClusterIP",
        "selector": names::pod_selector(&settings.name, Some(replica.ordinal)),
        "publishNotReadyAddresses": true,
        "ports": [
            {"name": PORT_P2P, "protocol": "TCP", "port": port, "targetPort": PORT_P2P},
            {"name": PORT_P2P_UDP, "protocol": "UDP", "port": port, "targetPort": PORT_P2P_UDP},
        ],
    });
    let exposure = &settings.spec.p2p.exposure;
    if exposure.type_ == ExposureType::LoadBalancer {
        let balancer = exposure.load_balancer.clone().unwrap_or_default();
        for (key, value) in &balancer.annotations {
            annotations.entry(key.clone()).or_insert_with(|| json!(value));
        }
        expose(&mut spec, &balancer);
    }
    let base = Base {
        kind: ObjectKind::Service,
        name: names::p2p(&settings.name, replica.ordinal),
        component: names::COMPONENT_P2P,
        ordinal: Some(replica.ordinal),
        owner: Owner::when_deleted(retention),
    };
    base.object(settings, annotations, json!({"spec": spec}))
}

fn expose(spec: &mut Value, balancer: &LoadBalancer) {
    set(spec, "type", json!("LoadBalancer"));
    set(spec, "externalTrafficPolicy", json!("Local"));
    set(spec, "allocateLoadBalancerNodePorts", json!(balancer.allocate_load_balancer_node_ports));
    if let Some(class) = &balancer.load_balancer_class {
        set(spec, "loadBalancerClass", json!(class));
    }
    if !balancer.load_balancer_source_ranges.is_empty() {
        set(spec, "loadBalancerSourceRanges", json!(balancer.load_balancer_source_ranges));
    }
}

//! The governing Service of the StatefulSets: a DNS name for each pod.

use serde_json::json;

use crate::{
    Object, ObjectKind,
    build::{Base, Owner, PORT_P2P},
    names,
    validate::Settings,
};

/// The Service; also for pods that are not ready, which look for each other while they start.
pub(crate) fn headless_service(settings: &Settings<'_>) -> Object {
    let base = Base {
        kind: ObjectKind::Service,
        name: names::headless(&settings.name),
        component: names::COMPONENT_HEADLESS,
        ordinal: None,
        owner: Owner::Resource,
    };
    base.object(
        settings,
        serde_json::Map::new(),
        json!({"spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "selector": names::pod_selector(&settings.name, None),
            "publishNotReadyAddresses": true,
            "ports": [{"name": PORT_P2P, "protocol": "TCP", "port": settings.ports.p2p, "targetPort": PORT_P2P}],
        }}),
    )
}

//! The metrics Service: what a ServiceMonitor selects.

use serde_json::json;

use crate::{
    Object, ObjectKind,
    build::{Base, Owner, PORT_METRICS},
    names,
    validate::Settings,
};

/// The Service; also for pods that are not ready, whose metrics say why.
pub(crate) fn metrics_service(settings: &Settings<'_>) -> Object {
    let base = Base {
        kind: ObjectKind::Service,
        name: names::metrics(&settings.name),
        component: names::COMPONENT_METRICS,
        ordinal: None,
        owner: Owner::Resource,
    };
    let port = settings.ports.metrics;
    base.object(
        settings,
        serde_json::Map::new(),
        json!({"spec": {
            "type": "ClusterIP",
            "selector": names::pod_selector(&settings.name, None),
            "publishNotReadyAddresses": true,
            "ports": [{"name": PORT_METRICS, "protocol": "TCP", "port": port, "targetPort": PORT_METRICS}],
        }}),
    )
}

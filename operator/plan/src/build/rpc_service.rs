//! The RPC Service. A cluster address, always: no setting makes it anything else.

use serde_json::json;

use crate::{
    Object, ObjectKind,
    build::{Base, Owner, PORT_RPC},
    names,
    validate::Settings,
};

/// The Service; only for ready pods, which answer.
pub(crate) fn rpc_service(settings: &Settings<'_>) -> Object {
    let base = Base {
        kind: ObjectKind::Service,
        name: names::rpc(&settings.name),
        component: names::COMPONENT_RPC,
        ordinal: None,
        owner: Owner::Resource,
    };
    base.object(
        settings,
        serde_json::Map::new(),
        json!({"spec": {
            "type": "ClusterIP",
            "selector": names::pod_selector(&settings.name, None),
            "ports": [{"name": PORT_RPC, "protocol": "TCP", "port": settings.ports.rpc, "targetPort": PORT_RPC}],
        }}),
    )
}

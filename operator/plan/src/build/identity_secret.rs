//! The Secret with a generated node key. Created once, immutable, never applied over.

use std::sync::Arc;

use enode::NodeKey;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

use crate::{
    Object, ObjectKind, Ordinal,
    build::{Base, Owner, annotation, set},
    names,
    validate::Settings,
};

/// The new Secret of `key`. It stays when the resource is deleted unless its policy says otherwise: who holds the key
/// is the node.
pub(crate) fn identity_secret(settings: &Settings<'_>, ordinal: Ordinal, key: &NodeKey) -> Object {
    let base = Base {
        kind: ObjectKind::Secret,
        name: names::identity(&settings.name, ordinal),
        component: names::COMPONENT_IDENTITY,
        ordinal: Some(ordinal),
        owner: Owner::when_deleted(settings.spec.retention.identities.when_deleted),
    };
    let node_id = key.node_id().to_string();
    base.object(
        settings,
        annotation(names::ANNOTATION_NODE_ID, Some(&node_id)),
        json!({
            "type": "Opaque",
            "immutable": true,
            "stringData": {names::IDENTITY_KEY: key.to_hex().as_str()},
        }),
    )
}

/// The live Secret with the owners that the policy asks for; `None` when it has them.
pub(crate) fn reowned(settings: &Settings<'_>, live: &Arc<Secret>) -> Option<Object> {
    let wanted = settings.spec.retention.identities.when_deleted == statusnode_api::WhenGone::Delete;
    if wanted == names::is_controlled(&live.metadata, &settings.uid) {
        return None;
    }
    let mut manifest = serde_json::to_value(live.as_ref()).ok()?;
    let metadata = manifest.get_mut("metadata")?;
    let owners = if wanted {
        json!([names::owner_reference(&settings.name, &settings.uid)])
    } else {
        Value::Array(Vec::new())
    };
    set(metadata, "ownerReferences", owners);
    let name = live.metadata.name.clone()?;
    Some(Object { kind: ObjectKind::Secret, name, manifest })
}

//! The Secret with the generated bearer token of RPC methods that change something. Created once.

use serde_json::json;

use crate::{
    Entropy, Object, ObjectKind,
    build::{Base, Owner},
    names,
    validate::Settings,
};

/// The new Secret. It goes with the resource: nothing outside depends on its value.
pub(crate) fn token_secret(settings: &Settings<'_>, entropy: &mut dyn Entropy) -> Object {
    let base = Base {
        kind: ObjectKind::Secret,
        name: names::rpc_token(&settings.name),
        component: names::COMPONENT_RPC,
        ordinal: None,
        owner: Owner::Resource,
    };
    base.object(
        settings,
        serde_json::Map::new(),
        json!({"type": "Opaque", "stringData": {names::TOKEN_KEY: entropy.token().as_str()}}),
    )
}

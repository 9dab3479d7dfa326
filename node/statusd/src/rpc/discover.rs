//! The OpenRPC document of `rpc_discover`, written from the registry so that it cannot tell anything else than what is
//! there. Format: OpenRPC 1.2.6. Extensions: `x-privileged` (needs the token, once one is configured),
//! `x-subscriptions` (what `<namespace>_subscribe` takes as its first parameter).

use serde_json::{Value, json};

use super::registry::{Access, Kind, Param, Spec, Subscription};
use crate::node::VERSION;

/// The document of these methods and subscriptions.
pub(super) fn document<'a>(
    specs: impl Iterator<Item = &'static Spec>,
    subscriptions: impl Iterator<Item = &'a Subscription>,
) -> Value {
    let mut specs: Vec<&Spec> = specs.collect();
    specs.sort_by_key(|spec| spec.name);
    json!({
        "openrpc": "1.2.6",
        "info": {"title": "statusd", "version": VERSION},
        "methods": specs.into_iter().map(method).collect::<Value>(),
        "x-subscriptions": subscriptions.map(subscription).collect::<Value>(),
    })
}

fn method(spec: &Spec) -> Value {
    json!({
        "name": spec.name,
        "summary": spec.summary,
        "paramStructure": "by-position",
        "params": spec.params.iter().map(param).collect::<Value>(),
        "result": {"name": "result", "schema": schema(spec.result)},
        "x-privileged": spec.access == Access::Privileged,
    })
}

fn subscription(subscription: &Subscription) -> Value {
    json!({
        "method": format!("{}_subscribe", subscription.namespace),
        "name": subscription.name,
        "params": subscription.params.iter().map(param).collect::<Value>(),
        "x-privileged": subscription.access == Access::Privileged,
    })
}

fn param(param: &Param) -> Value {
    json!({"name": param.name, "required": param.required, "schema": schema(param.kind)})
}

fn schema(kind: Kind) -> Value {
    match kind {
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Number => json!({"type": "number"}),
        Kind::Text => json!({"type": "string"}),
        Kind::Texts => json!({"type": "array", "items": {"type": "string"}}),
        Kind::Array => json!({"type": "array"}),
        Kind::Object => json!({"type": "object"}),
        Kind::Null => json!({"type": "null"}),
    }
}

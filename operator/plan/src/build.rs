//! Makes every wanted object, one kind a file. No builder sees a client; each returns a whole manifest.

mod config;
mod disruption_budget;
mod headless_service;
mod identity_secret;
mod live_config;
mod metrics_service;
mod network_policy;
mod p2p_service;
mod rpc_service;
mod service_monitor;
mod stateful_set;
mod token_secret;
mod volume_claim;

pub(crate) use config::config;
pub(crate) use disruption_budget::disruption_budget;
pub(crate) use headless_service::headless_service;
pub(crate) use identity_secret::{identity_secret, reowned};
pub(crate) use live_config::{live_config, touch};
pub(crate) use metrics_service::metrics_service;
pub(crate) use network_policy::network_policy;
pub(crate) use p2p_service::p2p_service;
pub(crate) use rpc_service::rpc_service;
pub(crate) use service_monitor::service_monitor;
pub(crate) use stateful_set::stateful_set;
pub(crate) use token_secret::token_secret;
pub(crate) use volume_claim::{retained_claim, volume_claim};

use serde_json::{Map, Value, json};

use crate::{Object, ObjectKind, Ordinal, names, validate::Settings};

/// Who an object goes with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Owner {
    /// The resource: deleted with it.
    Resource,
    /// Nobody: it stays, and is adopted by its labels.
    Nobody,
}

impl Owner {
    const fn when_deleted(kept: statusnode_api::WhenGone) -> Self {
        match kept {
            statusnode_api::WhenGone::Delete => Self::Resource,
            statusnode_api::WhenGone::Retain => Self::Nobody,
        }
    }
}

/// What every object has in common.
struct Base<'a> {
    kind: ObjectKind,
    name: String,
    component: &'a str,
    ordinal: Option<Ordinal>,
    owner: Owner,
}

impl Base<'_> {
    /// The object with `body`'s members (`spec`, `data`, …) beside the common ones.
    fn object(self, settings: &Settings<'_>, annotations: Map<String, Value>, body: Value) -> Object {
        let mut labels = names::owned_labels(&settings.name);
        labels.insert(names::LABEL_COMPONENT.to_owned(), self.component.to_owned());
        if let Some(ordinal) = self.ordinal {
            labels.insert(names::LABEL_ORDINAL.to_owned(), ordinal.to_string());
        }
        let mut metadata = json!({
            "name": self.name,
            "namespace": settings.namespace,
            "labels": labels,
        });
        if !annotations.is_empty() {
            set(&mut metadata, "annotations", Value::Object(annotations));
        }
        if self.owner == Owner::Resource {
            set(
                &mut metadata,
                "ownerReferences",
                json!([names::owner_reference(&settings.name, &settings.uid)]),
            );
        }
        let mut manifest = json!({
            "apiVersion": self.kind.api_version(),
            "kind": self.kind.kind(),
            "metadata": metadata,
        });
        if let Value::Object(members) = body {
            for (key, value) in members {
                set(&mut manifest, &key, value);
            }
        }
        Object { kind: self.kind, name: self.name, manifest }
    }
}

/// Sets a member of a JSON object.
fn set(object: &mut Value, key: &str, value: Value) {
    if let Value::Object(members) = object {
        members.insert(key.to_owned(), value);
    }
}

/// Name of the node's container: others may be injected beside it.
pub const CONTAINER: &str = "statusd";
/// The ports of a node's pod by name; Services refer to these names.
pub const PORT_P2P: &str = "p2p";
const PORT_P2P_UDP: &str = "p2p-udp";
const PORT_RPC: &str = "rpc";
/// Metrics and health.
pub const PORT_METRICS: &str = "metrics";

fn annotation(key: &str, value: Option<&str>) -> Map<String, Value> {
    value.map(|value| (key.to_owned(), json!(value))).into_iter().collect()
}

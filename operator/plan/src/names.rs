//! Names, labels and annotations of every object, and whose an object is. Nothing else makes a name.
//!
//! Every name is at most 63 characters for a resource name of at most 40.

use std::{collections::BTreeMap, fmt};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::{Value, json};
use statusnode_api::{GROUP, VERSION};

/// Label: always [`APP`].
pub const LABEL_NAME: &str = "app.kubernetes.io/name";
/// Label: name of the resource.
pub const LABEL_INSTANCE: &str = "app.kubernetes.io/instance";
/// Label: always [`OPERATOR`].
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Label: what the object is for; see the constants `COMPONENT_…`.
pub const LABEL_COMPONENT: &str = "app.kubernetes.io/component";
/// Label: ordinal of the node that an object belongs to.
pub const LABEL_ORDINAL: &str = "status.im/ordinal";
/// Annotation: node id whose key belongs to a volume claim or peer-to-peer Service.
pub const ANNOTATION_NODE_ID: &str = "status.im/node-id";
/// Annotation of a pod: hash of the live file that the kubelet should bring; see [`crate::PodTouch`].
pub const ANNOTATION_LIVE_HASH: &str = "status.im/live-hash";
/// Annotation of a live ConfigMap: when its content changed last (RFC 3339).
pub const ANNOTATION_LIVE_CHANGED: &str = "status.im/live-changed";
/// Annotation of a StatefulSet: hash of the template as planned.
pub const ANNOTATION_TEMPLATE_HASH: &str = "status.im/template-hash";
/// Annotation of a volume claim: the StorageClass that was asked for when it was made; empty for the default one.
pub const ANNOTATION_STORAGE_CLASS: &str = "status.im/storage-class";

/// Value of [`LABEL_NAME`].
pub const APP: &str = "status-node";
/// Value of [`LABEL_MANAGED_BY`].
pub const OPERATOR: &str = "status-operator";
/// A node: its StatefulSet, pod and volume claim.
pub const COMPONENT_NODE: &str = "node";
/// The peer-to-peer Service of one node.
pub const COMPONENT_P2P: &str = "p2p";
/// The governing Service.
pub const COMPONENT_HEADLESS: &str = "headless";
/// JSON-RPC.
pub const COMPONENT_RPC: &str = "rpc";
/// Metrics.
pub const COMPONENT_METRICS: &str = "metrics";
/// A Secret with a node key.
pub const COMPONENT_IDENTITY: &str = "identity";
/// Restart-relevant configuration.
pub const COMPONENT_CONFIG: &str = "config";
/// Configuration that is applied without restart.
pub const COMPONENT_LIVE: &str = "live";

/// Key of the node key in a generated identity Secret.
pub const IDENTITY_KEY: &str = "nodekey";
/// Key of the token in a generated token Secret.
pub const TOKEN_KEY: &str = "token";

/// Index of a replica, 0 to 31.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ordinal(u8);

impl Ordinal {
    /// One more than the largest.
    pub const COUNT: u8 = 32;

    /// The ordinal of that index; `None` above 31.
    #[must_use]
    pub fn new(index: i64) -> Option<Self> {
        u8::try_from(index).ok().filter(|index| *index < Self::COUNT).map(Self)
    }

    /// 0 to 31.
    #[must_use]
    pub const fn index(self) -> u8 {
        self.0
    }

    /// The first `count` ordinals, at most 32.
    pub fn first(count: u8) -> impl Iterator<Item = Self> {
        (0..count.min(Self::COUNT)).map(Self)
    }

    /// The ordinal that an object's label names.
    #[must_use]
    pub fn of(meta: &ObjectMeta) -> Option<Self> {
        let text = meta.labels.as_ref()?.get(LABEL_ORDINAL)?;
        let ordinal = Self::new(text.parse().ok()?)?;
        (ordinal.to_string() == *text).then_some(ordinal)
    }
}

impl fmt::Display for Ordinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// StatefulSet of one node: `mail-0`.
#[must_use]
pub fn stateful_set(name: &str, ordinal: Ordinal) -> String {
    format!("{name}-{ordinal}")
}

/// Pod of one node: `mail-0-0`.
#[must_use]
pub fn pod(name: &str, ordinal: Ordinal) -> String {
    format!("{name}-{ordinal}-0")
}

/// Secret with the generated key of one node: `mail-0-identity`.
#[must_use]
pub fn identity(name: &str, ordinal: Ordinal) -> String {
    format!("{name}-{ordinal}-identity")
}

/// Volume claim of one node: `data-mail-0`.
#[must_use]
pub fn volume_claim(name: &str, ordinal: Ordinal) -> String {
    format!("data-{name}-{ordinal}")
}

/// Peer-to-peer Service of one node: `mail-0-p2p`.
#[must_use]
pub fn p2p(name: &str, ordinal: Ordinal) -> String {
    format!("{name}-{ordinal}-p2p")
}

/// ConfigMap of one node that is applied without restart: `mail-0-live`.
#[must_use]
pub fn live(name: &str, ordinal: Ordinal) -> String {
    format!("{name}-{ordinal}-live")
}

/// Governing Service: `mail-headless`.
#[must_use]
pub fn headless(name: &str) -> String {
    format!("{name}-headless")
}

/// RPC Service: `mail-rpc`.
#[must_use]
pub fn rpc(name: &str) -> String {
    format!("{name}-rpc")
}

/// Secret with the generated RPC token: `mail-rpc-token`.
#[must_use]
pub fn rpc_token(name: &str) -> String {
    format!("{name}-rpc-token")
}

/// Metrics Service, and ServiceMonitor: `mail-metrics`.
#[must_use]
pub fn metrics(name: &str) -> String {
    format!("{name}-metrics")
}

/// Immutable ConfigMap: `mail-config-<hash>`.
#[must_use]
pub fn config(name: &str, hash: &str) -> String {
    format!("{name}-config-{hash}")
}

/// NetworkPolicy and PodDisruptionBudget: the name of the resource.
#[must_use]
pub fn policy(name: &str) -> String {
    name.to_owned()
}

/// Labels of every object of a resource.
#[must_use]
pub fn owned_labels(name: &str) -> BTreeMap<String, String> {
    [(LABEL_NAME, APP), (LABEL_INSTANCE, name), (LABEL_MANAGED_BY, OPERATOR)]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// Labels of the objects of all resources, for watches: the constant part of [`owned_labels`].
pub const WATCH_SELECTOR: &str =
    "app.kubernetes.io/managed-by=status-operator,app.kubernetes.io/name=status-node";

/// Name of the resource that an object's labels name.
#[must_use]
pub fn resource_of(meta: &ObjectMeta) -> Option<&str> {
    let labels = meta.labels.as_ref()?;
    let ours = labels.get(LABEL_NAME)? == APP && labels.get(LABEL_MANAGED_BY)? == OPERATOR;
    ours.then(|| labels.get(LABEL_INSTANCE))?.map(String::as_str)
}

/// Labels that select the pods of a resource, of one ordinal or all. Never changed: a StatefulSet's selector cannot be.
#[must_use]
pub fn pod_selector(name: &str, ordinal: Option<Ordinal>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([
        (LABEL_INSTANCE.to_owned(), name.to_owned()),
        (LABEL_NAME.to_owned(), APP.to_owned()),
    ]);
    if let Some(ordinal) = ordinal {
        labels.insert(LABEL_ORDINAL.to_owned(), ordinal.to_string());
    }
    labels.insert(LABEL_COMPONENT.to_owned(), COMPONENT_NODE.to_owned());
    labels
}

/// Whose an object of a wanted name is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Claim {
    /// It carries the labels and is controlled by this resource, or by nobody: retained, and adopted.
    Ours,
    /// It belonged to a former resource of this name, or is being deleted already: it will go.
    Going,
    /// Somebody else's.
    Foreign,
}

/// Whose an object is, seen from the resource `name` with `uid`.
#[must_use]
pub fn claim(meta: &ObjectMeta, name: &str, uid: &str) -> Claim {
    if resource_of(meta) != Some(name) {
        return Claim::Foreign;
    }
    let controller = meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    match controller {
        Some(owner) if owner.uid != uid => {
            if is_former(owner, name) {
                Claim::Going
            } else {
                Claim::Foreign
            }
        }
        _ if meta.deletion_timestamp.is_some() => Claim::Going,
        _ => Claim::Ours,
    }
}

fn is_former(owner: &OwnerReference, name: &str) -> bool {
    owner.kind == "StatusNode" && owner.name == name && owner.api_version.starts_with(GROUP)
}

/// Whether the controlling owner of an object is the resource with `uid`.
#[must_use]
pub fn is_controlled(meta: &ObjectMeta, uid: &str) -> bool {
    meta.owner_references.iter().flatten().any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

/// The owner reference to the resource.
#[must_use]
pub fn owner_reference(name: &str, uid: &str) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "StatusNode",
        "name": name,
        "uid": uid,
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

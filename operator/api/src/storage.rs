//! Volumes, and what outlives a StatusNode. Facts: design §3 (Claims); `spec/operators.md` §1.2 rows 23, 24.

use kube_derive::KubeSchema;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The volume of each node.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    crates(kube_core = "::kube_core"),
    validation = Rule::new("(has(self.storageClassName) ? self.storageClassName : '') == (has(oldSelf.storageClassName) ? oldSelf.storageClassName : '')")
        .message("storageClassName cannot be changed: Kubernetes fixes it when the volume is created"),
    validation = Rule::new("quantity(self.size).compareTo(quantity(oldSelf.size)) >= 0")
        .message("size cannot shrink: Kubernetes can only grow a volume")
)]
pub struct Storage {
    /// Size of each volume: `20Gi`. Can grow where the StorageClass allows it.
    #[serde(default = "default_size")]
    #[schemars(length(min = 3, max = 12), pattern("^[1-9][0-9]{0,8}(Mi|Gi|Ti)$"))]
    pub size: String,
    /// StorageClass; the cluster's default when not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
}

fn default_size() -> String {
    "20Gi".to_owned()
}

impl Default for Storage {
    fn default() -> Self {
        Self { size: default_size(), storage_class_name: None }
    }
}

/// Whether something is kept.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum WhenGone {
    /// Kept, and adopted when a StatusNode of the same name wants it again.
    Retain,
    /// Deleted.
    Delete,
}

/// What happens to the objects of a StatusNode that is deleted, or of an ordinal that is scaled away. Each of the two has
/// the default of the field that holds it; see [`Retention`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RetentionPolicy {
    /// When the StatusNode is deleted.
    pub when_deleted: WhenGone,
    /// When `replicas` becomes smaller.
    pub when_scaled: WhenGone,
}

/// What is kept when a StatusNode is deleted or scaled down.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Volumes with history.
    #[serde(default = "retain")]
    #[schemars(transform = retained_by_default)]
    pub volumes: RetentionPolicy,
    /// Secrets with generated keys. Keys that the user brought are never touched.
    #[serde(default = "retain")]
    #[schemars(transform = retained_by_default)]
    pub identities: RetentionPolicy,
    /// Services of the peer-to-peer port. A load balancer costs money; its address is lost with its Service.
    #[serde(default = "delete")]
    #[schemars(transform = deleted_by_default)]
    pub addresses: RetentionPolicy,
}

fn retained_by_default(policy: &mut Schema) {
    default_members(policy, WhenGone::Retain);
}

fn deleted_by_default(policy: &mut Schema) {
    default_members(policy, WhenGone::Delete);
}

/// Gives both members of a policy a default, so that one may be set alone.
fn default_members(policy: &mut Schema, default: WhenGone) {
    policy.remove("required");
    let members = policy.get_mut("properties").and_then(serde_json::Value::as_object_mut);
    for member in members.into_iter().flat_map(|members| members.values_mut()) {
        if let Some(member) = member.as_object_mut() {
            member.insert("default".to_owned(), json!(default));
        }
    }
}

const fn retain() -> RetentionPolicy {
    RetentionPolicy { when_deleted: WhenGone::Retain, when_scaled: WhenGone::Retain }
}

const fn delete() -> RetentionPolicy {
    RetentionPolicy { when_deleted: WhenGone::Delete, when_scaled: WhenGone::Delete }
}

impl Default for Retention {
    fn default() -> Self {
        Self { volumes: retain(), identities: retain(), addresses: delete() }
    }
}

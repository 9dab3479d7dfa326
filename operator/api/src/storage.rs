//! Volumes, and what outlives a StatusNode. Facts: design §3 (Claims); `spec/operators.md` §1.2 rows 23, 24.

use kube_derive::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// What happens to the objects of a StatusNode that is deleted, or of an ordinal that is scaled away.
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
    pub volumes: RetentionPolicy,
    /// Secrets with generated keys. Keys that the user brought are never touched.
    #[serde(default = "retain")]
    pub identities: RetentionPolicy,
    /// Services of the peer-to-peer port. A load balancer costs money; its address is lost with its Service.
    #[serde(default = "delete")]
    pub addresses: RetentionPolicy,
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

//! What one reconcile of a resource leaves for the next; dropped with the resource.
//!
//! Nothing in here is needed to converge: a restarted operator begins without it.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use statusnode_api::{StatusNode, StatusNodeStatus};
use statusnode_plan::Failure;

use crate::store::{OwnerKey, version};

/// All resources.
#[derive(Default)]
pub struct Memory(Mutex<HashMap<OwnerKey, Entry>>);

#[derive(Default)]
struct Entry {
    refused: Vec<Failure>,
    failures: u32,
    written: Option<(u128, StatusNodeStatus)>,
}

impl Memory {
    /// What the API server refused last time.
    pub fn refused(&self, key: &OwnerKey) -> Vec<Failure> {
        self.0.lock().get(key).map(|entry| entry.refused.clone()).unwrap_or_default()
    }

    /// The last reconcile went through.
    pub fn succeeded(&self, key: &OwnerKey) {
        if let Some(entry) = self.0.lock().get_mut(key) {
            entry.refused.clear();
            entry.failures = 0;
        }
    }

    /// The last reconcile failed; `refused` is what the API server did not accept, if that was it. Returns how many
    /// times in a row.
    pub fn failed(&self, key: &OwnerKey, refused: Option<Failure>) -> u32 {
        let mut entries = self.0.lock();
        let entry = entries.entry(key.clone()).or_default();
        if let Some(refused) = refused {
            entry.refused = vec![refused];
        }
        entry.failures = entry.failures.saturating_add(1);
        entry.failures
    }

    /// A status was written; the server gave the resource that version.
    pub fn wrote_status(&self, key: &OwnerKey, version: Option<&str>, status: StatusNodeStatus) {
        let version = version.and_then(|v| v.parse().ok());
        self.0.lock().entry(key.clone()).or_default().written = version.map(|v| (v, status));
    }

    /// The resource with the status that was written last, when the cache does not have that yet.
    pub fn with_status(&self, key: &OwnerKey, node: &StatusNode) -> Arc<StatusNode> {
        let mut node = node.clone();
        if let Some(entry) = self.0.lock().get_mut(key) {
            match &entry.written {
                Some((written, status)) if version(&node).is_some_and(|cached| cached < *written) => {
                    node.status = Some(status.clone());
                }
                _ => entry.written = None,
            }
        }
        Arc::new(node)
    }

    /// The resource is gone.
    pub fn drop_owner(&self, key: &OwnerKey) {
        self.0.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(version: &str, observed: i64) -> StatusNode {
        serde_json::from_value(json!({
            "apiVersion": "status.im/v1alpha1", "kind": "StatusNode",
            "metadata": {"namespace": "a", "name": "mail", "resourceVersion": version},
            "spec": {"mode": "Relay"}, "status": {"observedGeneration": observed}
        }))
        .unwrap()
    }

    #[test]
    fn a_written_status_is_seen_until_the_cache_has_it() {
        let memory = Memory::default();
        let key = OwnerKey { namespace: "a".into(), name: "mail".into() };
        let observed =
            |node: &StatusNode| memory.with_status(&key, node).status.as_ref().unwrap().observed_generation;
        assert_eq!(observed(&node("5", -1)), -1);
        memory.wrote_status(&key, Some("9"), node("9", 3).status.unwrap());
        assert_eq!(observed(&node("5", -1)), 3);
        assert_eq!(observed(&node("10", 4)), 4);
        assert_eq!(observed(&node("5", -1)), -1);
    }

    #[test]
    fn failures_are_counted_until_one_goes_through() {
        let memory = Memory::default();
        let key = OwnerKey { namespace: "a".into(), name: "mail".into() };
        let kind = statusnode_plan::ObjectKind::Service;
        let refused = Failure { kind, name: "mail-0".into(), message: "no".into() };
        assert_eq!(memory.failed(&key, Some(refused.clone())), 1);
        assert_eq!(memory.failed(&key, None), 2);
        assert_eq!(memory.refused(&key), [refused]);
        memory.succeeded(&key);
        assert_eq!((memory.refused(&key).len(), memory.failed(&key, None)), (0, 1));
    }
}

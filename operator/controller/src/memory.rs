//! What one reconcile of a resource leaves for the next; dropped with the resource.
//!
//! Nothing in here is needed to converge: a restarted operator begins without it.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use statusnode_api::{StatusNode, StatusNodeStatus};
use statusnode_plan::Failure;

use crate::{
    error::Error,
    store::{OwnerKey, version},
};

/// All resources.
#[derive(Default)]
pub struct Memory(Mutex<HashMap<OwnerKey, Entry>>);

#[derive(Default)]
struct Entry {
    refused: Vec<Failure>,
    failures: u32,
    invalid: Option<String>,
    written: Option<(u128, StatusNodeStatus)>,
    ending: Option<String>,
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

    /// The last reconcile failed; returns how many times in a row. What the API server does not accept stays told until
    /// the next answer about it.
    pub fn failed(&self, key: &OwnerKey, error: &Error) -> u32 {
        let mut entries = self.0.lock();
        let entry = entries.entry(key.clone()).or_default();
        entry.failures = entry.failures.saturating_add(1);
        let refused = error.refusals(entry.failures);
        if !refused.is_empty() {
            entry.refused = refused;
        }
        entry.failures
    }

    /// Whether the problem of a stored object that cannot be read as its type is another one than was told last; `None`
    /// when it can be read.
    pub fn is_news(&self, key: &OwnerKey, problem: Option<&str>) -> bool {
        let mut entries = self.0.lock();
        if problem.is_none() && !entries.contains_key(key) {
            return false;
        }
        let entry = entries.entry(key.clone()).or_default();
        let news = entry.invalid.as_deref() != problem;
        if news {
            entry.invalid = problem.map(str::to_owned);
        }
        news
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

    /// The namespace of the resource of that uid is being deleted, which nothing can undo.
    pub fn ends(&self, key: &OwnerKey, uid: &str) {
        self.0.lock().entry(key.clone()).or_default().ending = Some(uid.to_owned());
    }

    /// Whether the resource of that uid goes with its namespace.
    pub fn is_ending(&self, key: &OwnerKey, uid: &str) -> bool {
        self.0.lock().get(key).is_some_and(|entry| entry.ending.as_deref() == Some(uid))
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
    fn failures_are_counted_and_told_until_one_goes_through() {
        let memory = Memory::default();
        let key = OwnerKey { namespace: "a".into(), name: "mail".into() };
        let kind = statusnode_plan::ObjectKind::Service;
        let error = |source| Error::Object { verb: "apply", kind, name: "mail-0".into(), source };
        let status = kube::core::Status { code: 422, message: "no".into(), ..Default::default() };
        assert_eq!(memory.failed(&key, &error(Box::new(kube::Error::Api(status.boxed())))), 1);
        assert_eq!(memory.failed(&key, &error(Box::new(kube::Error::Service("cut".into())))), 2);
        assert_eq!(memory.refused(&key), [Failure { kind, name: "mail-0".into(), message: "no".into() }]);
        memory.succeeded(&key);
        assert_eq!(memory.refused(&key), []);
        assert_eq!(memory.failed(&key, &Error::Panicked("x".into())), 1);
    }

    #[test]
    fn a_problem_is_news_once() {
        let memory = Memory::default();
        let key = OwnerKey { namespace: "a".into(), name: "mail".into() };
        let told: Vec<bool> = [None, Some("x"), Some("x"), Some("y"), None, Some("y")]
            .map(|problem| memory.is_news(&key, problem))
            .into();
        assert_eq!(told, [false, true, false, true, true, true]);
    }
}

//! The watches that fill the caches and ask for reconciles.
//!
//! One task a kind and namespace; each lists once, follows, and recovers by itself with backoff. Only objects with the
//! operator's labels are watched, and no Secrets at all. A `StatusNode` that cannot be read as one goes into the cache
//! as such and never stops its watch (`DeserializeGuard`).

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Debug,
    sync::Arc,
};

use futures::StreamExt;
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject},
    core::{DeserializeGuard, NamespaceResourceScope},
    runtime::{
        WatchStreamExt,
        reflector::{ObjectRef, store::Writer},
        watcher::{self, Event},
    },
};
use parking_lot::Mutex;
use prometheus::IntGaugeVec;
use serde::de::DeserializeOwned;
use statusnode_api::StatusNode;
use statusnode_plan::{ObjectKind, names};
use tokio::{sync::Semaphore, task::JoinSet};
use tracing::{info, warn};

use crate::{
    caches::Caches,
    metrics::Metrics,
    store::{OwnerKey, Store},
    triggers::Triggers,
};

/// A `StatusNode`, or what is stored in place of one.
pub type GuardedNode = DeserializeGuard<StatusNode>;
/// The cache of `StatusNode`s.
pub type NodeStore = kube::runtime::reflector::Store<GuardedNode>;

/// What every watch needs.
#[derive(Clone)]
pub struct Watches {
    /// To the API server.
    pub client: Client,
    /// Namespaces to watch; empty means all.
    pub scopes: Vec<String>,
    /// What is filled.
    pub caches: Arc<Caches>,
    /// Who is told.
    pub triggers: Triggers,
    /// Counts objects.
    pub metrics: Metrics,
}

/// Counts the first complete list of each watch.
#[derive(Clone)]
pub struct Synced {
    lists: Arc<Semaphore>,
    wanted: u32,
}

impl Synced {
    /// Waits until every watch has listed once.
    pub async fn wait(&self) {
        // The semaphore is never closed; an error cannot be.
        let _permits = self.lists.acquire_many(self.wanted).await;
    }
}

impl Watches {
    /// Starts all watches but that of ServiceMonitors; they run as long as the set.
    ///
    /// The cache of `StatusNode`s counts as ready from the start: wait for [`Synced`] instead.
    pub fn start(&self, tasks: &mut JoinSet<()>) -> (NodeStore, Synced) {
        let lists = Arc::new(Semaphore::new(0));
        let mut wanted = 0;
        let mut writer = Writer::<GuardedNode>::default();
        let store = writer.as_reader();
        writer.apply_watcher_event(&Event::Init);
        writer.apply_watcher_event(&Event::InitDone);
        let writer = Arc::new(Mutex::new(writer));
        for scope in self.scopes() {
            macro_rules! children {
                ($($field:ident: $kind:literal),*) => {$({
                    wanted += 1;
                    let (watches, scope, lists) = (self.clone(), scope.clone(), Arc::clone(&lists));
                    tasks.spawn(async move {
                        let (api, scope) = (watches.api(scope.as_deref()), scope.as_deref());
                        let store = &watches.caches.$field;
                        watches.children($kind, api, store, scope, move || lists.add_permits(1)).await;
                    });
                })*};
            }
            children!(
                stateful_sets: "StatefulSet",
                services: "Service",
                config_maps: "ConfigMap",
                volume_claims: "PersistentVolumeClaim",
                network_policies: "NetworkPolicy",
                disruption_budgets: "PodDisruptionBudget",
                pods: "Pod"
            );
            wanted += 1;
            let (watches, lists, writer) = (self.clone(), Arc::clone(&lists), Arc::clone(&writer));
            tasks.spawn(async move { watches.nodes(scope.as_deref(), &writer, &lists).await });
        }
        (store, Synced { lists, wanted })
    }

    /// Watches ServiceMonitors until dropped; call only while the API is there.
    pub async fn service_monitors(&self) {
        let resource = ObjectKind::ServiceMonitor.api_resource();
        let follow = self.scopes().into_iter().map(|scope| {
            let resource = resource.clone();
            async move {
                let api = self.dynamic_api(scope.as_deref(), &resource);
                let store = &self.caches.service_monitors;
                self.children("ServiceMonitor", api, store, scope.as_deref(), || {}).await;
            }
        });
        futures::future::join_all(follow).await;
    }

    fn scopes(&self) -> Vec<Option<String>> {
        if self.scopes.is_empty() { vec![None] } else { self.scopes.iter().cloned().map(Some).collect() }
    }

    fn api<K>(&self, scope: Option<&str>) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        match scope {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    fn dynamic_api(&self, scope: Option<&str>, kind: &ApiResource) -> Api<DynamicObject> {
        match scope {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, kind),
            None => Api::all_with(self.client.clone(), kind),
        }
    }

    async fn children<K>(
        &self,
        kind: &'static str,
        api: Api<K>,
        store: &Store<K>,
        scope: Option<&str>,
        listed: impl FnOnce() + Send,
    ) where
        K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        let mut listed = Some(listed);
        let mut list = Vec::new();
        let config = watcher::Config::default().labels(names::WATCH_SELECTOR);
        let mut events = Box::pin(watcher::watcher(api, config).default_backoff());
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => list.clear(),
                Ok(Event::InitApply(object)) => list.push(trim(object)),
                Ok(Event::InitDone) => {
                    self.triggers.extend(store.replace_all(scope, std::mem::take(&mut list)));
                    if let Some(listed) = listed.take() {
                        listed();
                    }
                }
                Ok(Event::Apply(object)) => {
                    let owner = store.owner(&object);
                    store.put(trim(object));
                    self.triggers.extend(owner);
                }
                Ok(Event::Delete(object)) => {
                    store.remove(&object);
                    self.triggers.extend(store.owner(&object));
                }
                Err(error) => warn!(%error, kind, "watch interrupted"),
            }
            self.metrics
                .objects
                .with_label_values(&[kind])
                .set(i64::try_from(store.len()).unwrap_or(i64::MAX));
        }
    }

    /// Follows the `StatusNode`s of one scope. All scopes share one cache, so a list goes into it object by object.
    async fn nodes(&self, scope: Option<&str>, writer: &Mutex<Writer<GuardedNode>>, lists: &Semaphore) {
        let store = writer.lock().as_reader();
        let mut seen = Seen::default();
        let mut list: HashMap<OwnerKey, GuardedNode> = HashMap::new();
        let mut first = true;
        let gauge = |family: &IntGaugeVec| family.with_label_values(&["StatusNode"]);
        let mut counted = (0, 0);
        let api: Api<GuardedNode> = self.api(scope);
        let mut events = Box::pin(watcher::watcher(api, watcher::Config::default()).default_backoff());
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => list.clear(),
                Ok(Event::InitApply(node)) => list.extend(node_key(&node).map(|key| (key, trim(node)))),
                Ok(Event::InitDone) => {
                    info!(count = list.len(), "StatusNodes listed");
                    let mut concerned = Vec::new();
                    {
                        let mut writer = writer.lock();
                        for key in seen.missing(&list) {
                            if let Some(node) = node_of(&store, &key) {
                                writer.apply_watcher_event(&Event::Delete(GuardedNode::clone(&node)));
                            }
                            concerned.push(key);
                        }
                        for (_, node) in list.drain() {
                            concerned.extend(seen.changed(&node));
                            writer.apply_watcher_event(&Event::Apply(node));
                        }
                    }
                    self.triggers.extend(concerned);
                    if std::mem::take(&mut first) {
                        lists.add_permits(1);
                    }
                }
                Ok(Event::Apply(node)) => {
                    let node = trim(node);
                    let concerned = seen.changed(&node);
                    writer.lock().apply_watcher_event(&Event::Apply(node));
                    self.triggers.extend(concerned);
                }
                Ok(Event::Delete(node)) => {
                    let concerned = seen.gone(&node);
                    writer.lock().apply_watcher_event(&Event::Delete(node));
                    self.triggers.extend(concerned);
                }
                Err(error) if is_not_found(&error) => warn!(
                    "the API server has no StatusNodes: install the chart status-operator-crds, or apply \
                     crds/statusnodes.yaml"
                ),
                Err(error) => warn!(%error, kind = "StatusNode", "watch interrupted"),
            }
            let now = seen.counts();
            gauge(&self.metrics.objects).add(now.0 - counted.0);
            gauge(&self.metrics.invalid_objects).add(now.1 - counted.1);
            counted = now;
        }
    }
}

/// One resource of the cache.
pub fn node_of(store: &NodeStore, key: &OwnerKey) -> Option<Arc<GuardedNode>> {
    store.get(&ObjectRef::new(&key.name).within(&key.namespace))
}

/// Keys of all resources of the cache.
pub fn node_keys(store: &NodeStore) -> Vec<OwnerKey> {
    store.state().iter().filter_map(|node| node_key(node)).collect()
}

/// Which versions of the `StatusNode`s of a scope were acted upon: what changes only a status is no reason to reconcile.
#[derive(Default)]
struct Seen(HashMap<OwnerKey, Version>);

/// What of a `StatusNode` is a reason to reconcile.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    uid: Option<String>,
    generation: Option<i64>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    deleting: bool,
    invalid: bool,
}

impl Seen {
    fn changed(&mut self, node: &GuardedNode) -> Option<OwnerKey> {
        let key = node_key(node)?;
        let meta = node.meta();
        let now = Version {
            uid: meta.uid.clone(),
            generation: meta.generation,
            labels: meta.labels.clone(),
            annotations: meta.annotations.clone(),
            deleting: meta.deletion_timestamp.is_some(),
            invalid: node.0.is_err(),
        };
        let before = self.0.insert(key.clone(), now);
        (before.as_ref() != self.0.get(&key)).then_some(key)
    }

    fn gone(&mut self, node: &GuardedNode) -> Option<OwnerKey> {
        let key = node_key(node)?;
        self.0.remove(&key);
        Some(key)
    }

    /// Takes out and returns what is not in a complete list.
    fn missing(&mut self, list: &HashMap<OwnerKey, GuardedNode>) -> Vec<OwnerKey> {
        self.0.extract_if(|key, _| !list.contains_key(key)).map(|(key, _)| key).collect()
    }

    /// All, and the invalid among them.
    fn counts(&self) -> (i64, i64) {
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        (count(self.0.len()), count(self.0.values().filter(|v| v.invalid).count()))
    }
}

fn node_key(node: &GuardedNode) -> Option<OwnerKey> {
    let meta = node.meta();
    Some(OwnerKey { namespace: meta.namespace.clone()?, name: meta.name.clone()? })
}

/// Takes out what nothing reads.
fn trim<K: Resource>(mut object: K) -> K {
    object.meta_mut().managed_fields = None;
    object
}

fn is_not_found(error: &watcher::Error) -> bool {
    let cause = match error {
        watcher::Error::InitialListFailed(e) | watcher::Error::WatchStartFailed(e) => e,
        _ => return false,
    };
    // An unknown group is answered in plain text, without a reason.
    matches!(cause, kube::Error::Api(status) if status.code == 404)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn node(change: impl FnOnce(&mut Value)) -> GuardedNode {
        let mut value = json!({
            "apiVersion": "status.im/v1alpha1", "kind": "StatusNode",
            "metadata": {"namespace": "a", "name": "mail", "uid": "u", "generation": 1, "resourceVersion": "1"},
            "spec": {"mode": "Relay"}
        });
        change(&mut value);
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_change_of_status_alone_is_no_reason_to_reconcile() {
        let mut seen = Seen::default();
        assert!(seen.changed(&node(|_| {})).is_some());
        let touched = node(|n| {
            n["metadata"]["resourceVersion"] = json!("2");
            n["status"] = json!({"observedGeneration": 1});
        });
        assert!(seen.changed(&touched).is_none());
        for change in [
            |n: &mut Value| n["metadata"]["generation"] = json!(2),
            |n: &mut Value| n["metadata"]["annotations"] = json!({"status.im/x": "y"}),
            |n: &mut Value| n["metadata"]["uid"] = json!("another"),
            |n: &mut Value| n["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"),
        ] {
            assert!(seen.changed(&node(change)).is_some());
        }
    }

    #[test]
    fn a_list_shows_what_is_gone() {
        let mut seen = Seen::default();
        let other = node(|n| n["metadata"]["name"] = json!("other"));
        assert!(seen.changed(&node(|_| {})).is_some());
        let key = seen.changed(&other).unwrap();
        let list = HashMap::from([(node_key(&node(|_| {})).unwrap(), node(|_| {}))]);
        assert_eq!(seen.missing(&list), [key]);
        assert_eq!(seen.missing(&list), []);
        assert_eq!(seen.counts(), (1, 0));
    }

    #[test]
    fn a_malformed_resource_is_kept_as_such() {
        let broken = node(|n| n["spec"] = json!({"mode": "Nonsense", "replicas": "many"}));
        assert!(broken.0.is_err());
        let mut seen = Seen::default();
        assert!(seen.changed(&broken).is_some());
        assert_eq!(seen.counts(), (1, 1));
    }
}

//! Caches of owned objects, indexed by the `StatusNode` they belong to.
//!
//! Owns what was last seen of each object. An object's answer to a write goes in as well as what the watch brings,
//! and a version never replaces a newer one: a reconcile sees its own writes (resourceVersions of one object are
//! ordered integers, Kubernetes API concepts "resource versions"; one that is no integer replaces whatever is there).
//! An answer that comes after the news that its object is gone brings nothing back. Must never do I/O.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use kube::{Resource, ResourceExt};
use parking_lot::RwLock;

/// Namespace and name of a `StatusNode`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OwnerKey {
    /// Namespace; owned objects are always in it.
    pub namespace: String,
    /// Name of the `StatusNode`.
    pub name: String,
}

impl std::fmt::Display for OwnerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Uids of objects that are gone which are remembered, the latest. An answer is late by seconds, not by so many objects.
const GONE: usize = 1024;

type Objects<K> = HashMap<OwnerKey, BTreeMap<String, Arc<K>>>;

/// One kind of owned object.
pub struct Store<K> {
    state: RwLock<State<K>>,
    owner: fn(&K) -> Option<OwnerKey>,
}

struct State<K> {
    objects: Objects<K>,
    gone: Gone,
}

/// The uids of the objects that went last.
#[derive(Default)]
struct Gone {
    uids: HashSet<String>,
    order: VecDeque<String>,
}

impl Gone {
    fn add(&mut self, uid: Option<&str>) {
        let Some(uid) = uid.filter(|uid| !self.uids.contains(*uid)) else { return };
        self.uids.insert(uid.to_owned());
        self.order.push_back(uid.to_owned());
        if self.order.len() > GONE
            && let Some(oldest) = self.order.pop_front()
        {
            self.uids.remove(&oldest);
        }
    }

    fn take_back(&mut self, uid: Option<&str>) {
        if let Some(uid) = uid
            && self.uids.remove(uid)
        {
            self.order.retain(|known| known != uid);
        }
    }

    fn has(&self, uid: Option<&str>) -> bool {
        uid.is_some_and(|uid| self.uids.contains(uid))
    }
}

impl<K: Resource> Store<K> {
    /// An empty cache; `owner` says to which `StatusNode` an object belongs.
    pub fn new(owner: fn(&K) -> Option<OwnerKey>) -> Self {
        let state = State { objects: HashMap::new(), gone: Gone::default() };
        Self { state: RwLock::new(state), owner }
    }

    /// The owner of an object, if it has one.
    pub fn owner(&self, object: &K) -> Option<OwnerKey> {
        (self.owner)(object)
    }

    /// Takes in a version of an object that the watch brings, unless a newer one is known.
    pub fn put(&self, object: K) {
        let mut state = self.state.write();
        // The watch tells things in their order: what it brings is there, whatever a list that lagged behind said.
        state.gone.take_back(object.meta().uid.as_deref());
        self.insert(&mut state.objects, object);
    }

    /// Takes in the server's answer to a request, unless a newer version is known or the object is known to be gone;
    /// whether it is in.
    pub fn put_answer(&self, object: K) -> bool {
        let mut state = self.state.write();
        !state.gone.has(object.meta().uid.as_deref()) && self.insert(&mut state.objects, object)
    }

    /// Whether an object of that name is there afterwards.
    fn insert(&self, objects: &mut Objects<K>, object: K) -> bool {
        let Some(owner) = self.owner(&object) else { return false };
        let of_owner = objects.entry(owner).or_default();
        let name = object.name_any();
        if !of_owner.get(&name).is_some_and(|known| newer(&**known, &object)) {
            of_owner.insert(name, Arc::new(object));
        }
        true
    }

    /// Forgets an object that was deleted; a newer one of that name stays.
    pub fn remove(&self, object: &K) {
        let mut state = self.state.write();
        state.gone.add(object.meta().uid.as_deref());
        let Some(owner) = self.owner(object) else { return };
        if let Some(of_owner) = state.objects.get_mut(&owner) {
            let name = object.name_any();
            if of_owner.get(&name).is_some_and(|known| !newer(&**known, object)) {
                of_owner.remove(&name);
            }
            if of_owner.is_empty() {
                state.objects.remove(&owner);
            }
        }
    }

    /// Forgets an object known to be gone, if it is the one of that uid.
    pub fn forget(&self, owner: &OwnerKey, name: &str, uid: &str) {
        let mut state = self.state.write();
        state.gone.add(Some(uid));
        if let Some(of_owner) = state.objects.get_mut(owner)
            && of_owner.get(name).is_some_and(|o| o.meta().uid.as_deref() == Some(uid))
        {
            of_owner.remove(name);
        }
    }

    /// Replaces all objects of a namespace (`None`: of all) by a complete list; returns the owners concerned. Of an object
    /// in the list of which a newer version is known, from an answer to a write, that one stays.
    pub fn replace_all(&self, namespace: Option<&str>, list: Vec<K>) -> Vec<OwnerKey> {
        let mut fresh: Objects<K> = HashMap::new();
        for object in list {
            if let Some(owner) = self.owner(&object) {
                fresh.entry(owner).or_default().insert(object.name_any(), Arc::new(object));
            }
        }
        let mut owners: Vec<OwnerKey> = fresh.keys().cloned().collect();
        let mut state = self.state.write();
        let State { objects, gone } = &mut *state;
        objects.retain(|owner, known| {
            if namespace.is_some_and(|n| n != owner.namespace) {
                return true;
            }
            let mut of_owner = fresh.get_mut(owner);
            if of_owner.is_none() {
                owners.push(owner.clone());
            }
            for (name, known) in known {
                match of_owner.as_mut().and_then(|fresh| fresh.get_mut(name)) {
                    Some(listed) if newer(&**known, &**listed) => *listed = Arc::clone(known),
                    Some(listed) if listed.meta().uid == known.meta().uid => {}
                    _ => gone.add(known.meta().uid.as_deref()),
                }
            }
            false
        });
        for object in fresh.values().flat_map(BTreeMap::values) {
            gone.take_back(object.meta().uid.as_deref());
        }
        objects.extend(fresh);
        owners
    }

    /// All objects of an owner, by name.
    pub fn of(&self, owner: &OwnerKey) -> BTreeMap<String, Arc<K>> {
        self.state.read().objects.get(owner).cloned().unwrap_or_default()
    }

    /// One object of an owner.
    pub fn get(&self, owner: &OwnerKey, name: &str) -> Option<Arc<K>> {
        self.state.read().objects.get(owner)?.get(name).cloned()
    }

    /// Number of objects.
    pub fn len(&self) -> usize {
        self.state.read().objects.values().map(BTreeMap::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.state.read().objects.is_empty()
    }
}

/// Whether `known` is a later version than `other`.
fn newer<K: Resource>(known: &K, other: &K) -> bool {
    match (version(known), version(other)) {
        (Some(known), Some(other)) => known > other,
        _ => false,
    }
}

/// The resourceVersion as a number.
pub fn version<K: Resource>(object: &K) -> Option<u128> {
    object.meta().resource_version.as_deref()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::ObjectMeta;

    use super::*;

    fn owner(object: &ConfigMap) -> Option<OwnerKey> {
        let name = object.labels().get("owner")?.clone();
        Some(OwnerKey { namespace: object.namespace()?, name })
    }

    fn object(namespace: &str, name: &str, version: &str) -> ConfigMap {
        ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.into()),
                namespace: Some(namespace.into()),
                labels: Some([("owner".to_owned(), "mail".to_owned())].into()),
                resource_version: Some(version.into()),
                uid: Some(format!("uid-{name}")),
                ..Default::default()
            },
            ..Default::default()
        }
    }

    fn key(namespace: &str) -> OwnerKey {
        OwnerKey { namespace: namespace.into(), name: "mail".into() }
    }

    fn versions(store: &Store<ConfigMap>, namespace: &str) -> Vec<String> {
        store.of(&key(namespace)).values().filter_map(|o| o.resource_version()).collect()
    }

    #[test]
    fn an_older_version_never_replaces_a_newer_one() {
        let store = Store::new(owner);
        store.put(object("a", "x", "9"));
        store.put(object("a", "x", "10"));
        store.put(object("a", "x", "9"));
        assert_eq!(versions(&store, "a"), ["10"]);
        store.remove(&object("a", "x", "9"));
        assert_eq!(versions(&store, "a"), ["10"]);
        store.remove(&object("a", "x", "11"));
        assert!(store.is_empty());
    }

    #[test]
    fn a_version_that_is_no_number_always_replaces() {
        let store = Store::new(owner);
        store.put(object("a", "x", "10"));
        store.put(object("a", "x", "opaque"));
        assert_eq!(versions(&store, "a"), ["opaque"]);
    }

    #[test]
    fn a_list_replaces_only_its_own_namespace_and_names_the_owners() {
        let store = Store::new(owner);
        store.put(object("a", "x", "1"));
        store.put(object("b", "x", "1"));
        assert_eq!(store.replace_all(Some("a"), vec![]), [key("a")]);
        assert_eq!((store.len(), versions(&store, "b").len()), (1, 1));
        let mut owners = store.replace_all(None, vec![object("c", "x", "2")]);
        owners.sort();
        assert_eq!(owners, [key("b"), key("c")]);
        assert_eq!(store.len(), 1);
    }

    #[test]
    fn a_list_that_lags_behind_an_answer_takes_nothing_back() {
        let store = Store::new(owner);
        store.put(object("a", "x", "9"));
        store.put(object("a", "gone", "9"));
        store.replace_all(None, vec![object("a", "x", "8"), object("a", "y", "7")]);
        assert_eq!(versions(&store, "a"), ["9", "7"]);
    }

    #[test]
    fn only_the_object_of_that_uid_is_forgotten() {
        let store = Store::new(owner);
        store.put(object("a", "x", "1"));
        store.forget(&key("a"), "x", "uid-of-a-former-one");
        assert_eq!(store.len(), 1);
        store.forget(&key("a"), "x", "uid-x");
        assert_eq!(store.len(), 0);
    }

    #[test]
    fn an_answer_that_is_later_than_the_end_of_its_object_brings_nothing_back() {
        let store = Store::new(owner);
        for end in ["watch", "answer", "list"] {
            store.put(object("a", "x", "5"));
            match end {
                "watch" => store.remove(&object("a", "x", "6")),
                "answer" => store.forget(&key("a"), "x", "uid-x"),
                _ => drop(store.replace_all(None, vec![])),
            }
            assert!(!store.put_answer(object("a", "x", "5")), "{end}");
            assert_eq!(store.len(), 0, "{end}");
        }
        let mut next = object("a", "x", "8");
        next.metadata.uid = Some("uid-of-the-next".into());
        assert!(store.put_answer(next));
        assert_eq!(versions(&store, "a"), ["8"]);
    }

    #[test]
    fn what_a_lagging_list_lacked_comes_back_by_the_watch() {
        let store = Store::new(owner);
        assert!(store.put_answer(object("a", "x", "5")));
        store.replace_all(None, vec![]);
        store.put(object("a", "x", "5"));
        assert!(store.put_answer(object("a", "x", "6")));
        assert_eq!(versions(&store, "a"), ["6"]);
    }

    #[test]
    fn only_so_many_that_are_gone_are_remembered() {
        let mut gone = Gone::default();
        for i in 0..3 * GONE {
            gone.add(Some(&i.to_string()));
        }
        assert_eq!((gone.uids.len(), gone.order.len()), (GONE, GONE));
        assert!(gone.has(Some(&(3 * GONE - 1).to_string())) && !gone.has(Some("0")));
    }

    #[test]
    fn objects_without_an_owner_are_not_kept() {
        let store = Store::new(owner);
        let mut stranger = object("a", "x", "1");
        stranger.metadata.labels = None;
        store.put(stranger);
        assert_eq!(store.len(), 0);
    }
}

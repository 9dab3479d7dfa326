//! Caches of owned objects, indexed by the `StatusNode` they belong to.
//!
//! Owns what was last seen of each object. An object's answer to a write goes in as well as what the watch brings,
//! and a version never replaces a newer one: a reconcile sees its own writes (resourceVersions of one object are
//! ordered integers, Kubernetes API concepts "resource versions"; one that is no integer replaces whatever is there).
//! Must never do I/O.

use std::{
    collections::{BTreeMap, HashMap},
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

type Objects<K> = HashMap<OwnerKey, BTreeMap<String, Arc<K>>>;

/// One kind of owned object.
pub struct Store<K> {
    objects: RwLock<Objects<K>>,
    owner: fn(&K) -> Option<OwnerKey>,
}

impl<K: Resource> Store<K> {
    /// An empty cache; `owner` says to which `StatusNode` an object belongs.
    pub fn new(owner: fn(&K) -> Option<OwnerKey>) -> Self {
        Self { objects: RwLock::default(), owner }
    }

    /// The owner of an object, if it has one.
    pub fn owner(&self, object: &K) -> Option<OwnerKey> {
        (self.owner)(object)
    }

    /// Takes in a version of an object unless a newer one is known.
    pub fn put(&self, object: K) {
        let Some(owner) = self.owner(&object) else { return };
        let mut objects = self.objects.write();
        let of_owner = objects.entry(owner).or_default();
        let name = object.name_any();
        if of_owner.get(&name).is_some_and(|known| newer(&**known, &object)) {
            return;
        }
        of_owner.insert(name, Arc::new(object));
    }

    /// Forgets an object that was deleted; a newer one of that name stays.
    pub fn remove(&self, object: &K) {
        let Some(owner) = self.owner(object) else { return };
        let mut objects = self.objects.write();
        if let Some(of_owner) = objects.get_mut(&owner) {
            let name = object.name_any();
            if of_owner.get(&name).is_some_and(|known| !newer(&**known, object)) {
                of_owner.remove(&name);
            }
            if of_owner.is_empty() {
                objects.remove(&owner);
            }
        }
    }

    /// Forgets an object known to be gone, if it is the one of that uid.
    pub fn forget(&self, owner: &OwnerKey, name: &str, uid: &str) {
        let mut objects = self.objects.write();
        if let Some(of_owner) = objects.get_mut(owner)
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
        let mut objects = self.objects.write();
        objects.retain(|owner, known| {
            let concerned = namespace.is_none_or(|n| n == owner.namespace);
            match fresh.get_mut(owner) {
                Some(fresh) => {
                    for (name, listed) in fresh {
                        if let Some(known) = known.get(name).filter(|known| newer(&***known, &**listed)) {
                            *listed = Arc::clone(known);
                        }
                    }
                }
                None if concerned => owners.push(owner.clone()),
                None => {}
            }
            !concerned
        });
        objects.extend(fresh);
        owners
    }

    /// All objects of an owner, by name.
    pub fn of(&self, owner: &OwnerKey) -> BTreeMap<String, Arc<K>> {
        self.objects.read().get(owner).cloned().unwrap_or_default()
    }

    /// One object of an owner.
    pub fn get(&self, owner: &OwnerKey, name: &str) -> Option<Arc<K>> {
        self.objects.read().get(owner)?.get(name).cloned()
    }

    /// Number of objects.
    pub fn len(&self) -> usize {
        self.objects.read().values().map(BTreeMap::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.objects.read().is_empty()
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
    fn objects_without_an_owner_are_not_kept() {
        let store = Store::new(owner);
        let mut stranger = object("a", "x", "1");
        stranger.metadata.labels = None;
        store.put(stranger);
        assert_eq!(store.len(), 0);
    }
}

//! What the operator knows of the cluster: one [`Store`] a kind, and the conversions between kinds and manifests.
//!
//! Owns no connection: watches and answers to writes fill it. Secrets are never in here.

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Service},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube::{Resource, api::DynamicObject};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use statusnode_plan::{ObjectKind, Objects, names};

use crate::store::{OwnerKey, Store};

/// A store for every kind that is watched.
pub struct Caches {
    /// StatefulSets.
    pub stateful_sets: Store<StatefulSet>,
    /// Services.
    pub services: Store<Service>,
    /// ConfigMaps.
    pub config_maps: Store<ConfigMap>,
    /// PersistentVolumeClaims.
    pub volume_claims: Store<PersistentVolumeClaim>,
    /// NetworkPolicies.
    pub network_policies: Store<NetworkPolicy>,
    /// PodDisruptionBudgets.
    pub disruption_budgets: Store<PodDisruptionBudget>,
    /// ServiceMonitors; empty while the API is absent.
    pub service_monitors: Store<DynamicObject>,
    /// Pods of the nodes.
    pub pods: Store<Pod>,
}

/// The resource that an object's labels name.
pub fn owner<K: Resource>(object: &K) -> Option<OwnerKey> {
    let meta = object.meta();
    Some(OwnerKey { namespace: meta.namespace.clone()?, name: names::resource_of(meta)?.to_owned() })
}

impl Default for Caches {
    fn default() -> Self {
        Self {
            stateful_sets: Store::new(owner),
            services: Store::new(owner),
            config_maps: Store::new(owner),
            volume_claims: Store::new(owner),
            network_policies: Store::new(owner),
            disruption_budgets: Store::new(owner),
            service_monitors: Store::new(owner),
            pods: Store::new(owner),
        }
    }
}

impl Caches {
    /// Everything that belongs to one resource.
    pub fn objects(&self, key: &OwnerKey) -> Objects {
        Objects {
            stateful_sets: self.stateful_sets.of(key),
            services: self.services.of(key),
            config_maps: self.config_maps.of(key),
            volume_claims: self.volume_claims.of(key),
            network_policies: self.network_policies.of(key),
            disruption_budgets: self.disruption_budgets.of(key),
            service_monitors: self.service_monitors.of(key),
            pods: self.pods.of(key),
        }
    }

    /// The manifest of one object as last seen; `None` when it is not known, always for Secrets.
    pub fn manifest(&self, kind: ObjectKind, key: &OwnerKey, name: &str) -> Option<Value> {
        match kind {
            ObjectKind::Secret => None,
            ObjectKind::PersistentVolumeClaim => manifest(&self.volume_claims, key, name),
            ObjectKind::Service => manifest(&self.services, key, name),
            ObjectKind::ConfigMap => manifest(&self.config_maps, key, name),
            ObjectKind::NetworkPolicy => manifest(&self.network_policies, key, name),
            ObjectKind::PodDisruptionBudget => manifest(&self.disruption_budgets, key, name),
            ObjectKind::StatefulSet => manifest(&self.stateful_sets, key, name),
            ObjectKind::ServiceMonitor => manifest(&self.service_monitors, key, name),
        }
    }

    /// Takes in the server's answer to a write or a read, unless the object is known to be gone; whether it is in.
    /// Secrets never are.
    ///
    /// # Errors
    /// When the answer is no object of that kind.
    pub fn put(&self, kind: ObjectKind, object: DynamicObject) -> Result<bool, serde_json::Error> {
        match kind {
            ObjectKind::Secret => Ok(false),
            ObjectKind::PersistentVolumeClaim => put(&self.volume_claims, object),
            ObjectKind::Service => put(&self.services, object),
            ObjectKind::ConfigMap => put(&self.config_maps, object),
            ObjectKind::NetworkPolicy => put(&self.network_policies, object),
            ObjectKind::PodDisruptionBudget => put(&self.disruption_budgets, object),
            ObjectKind::StatefulSet => put(&self.stateful_sets, object),
            ObjectKind::ServiceMonitor => Ok(self.service_monitors.put_answer(object)),
        }
    }

    /// Forgets an object that the server says is gone.
    pub fn forget(&self, kind: ObjectKind, key: &OwnerKey, name: &str, uid: &str) {
        match kind {
            ObjectKind::Secret => {}
            ObjectKind::PersistentVolumeClaim => self.volume_claims.forget(key, name, uid),
            ObjectKind::Service => self.services.forget(key, name, uid),
            ObjectKind::ConfigMap => self.config_maps.forget(key, name, uid),
            ObjectKind::NetworkPolicy => self.network_policies.forget(key, name, uid),
            ObjectKind::PodDisruptionBudget => self.disruption_budgets.forget(key, name, uid),
            ObjectKind::StatefulSet => self.stateful_sets.forget(key, name, uid),
            ObjectKind::ServiceMonitor => self.service_monitors.forget(key, name, uid),
        }
    }
}

fn manifest<K: Resource + Serialize>(store: &Store<K>, key: &OwnerKey, name: &str) -> Option<Value> {
    serde_json::to_value(store.get(key, name)?.as_ref()).ok()
}

fn put<K: Resource + DeserializeOwned>(
    store: &Store<K>,
    mut object: DynamicObject,
) -> Result<bool, serde_json::Error> {
    object.metadata.managed_fields = None;
    Ok(store.put_answer(serde_json::from_value(serde_json::to_value(object)?)?))
}

//! A model of the cluster as far as plans see it: carries plans out the way the API server would store them, and plays
//! the other controllers on demand.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use enode::NodeKey;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    ByteString,
    api::{
        apps::v1::StatefulSetStatus,
        core::v1::{
            LoadBalancerIngress, LoadBalancerStatus, PersistentVolumeClaimStatus, Pod, PodCondition, PodSpec,
            PodStatus, Secret, Service, ServiceStatus,
        },
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use statusnode_api::{Mode, StatusNode, StatusNodeStatus};
use statusnode_plan::{
    CanaryFacts, Entropy, Environment, HistoryFacts, NodeFacts, Object, ObjectKind, Objects, Observed,
    OperatorPods, Ordinal, Plan, SecretView, Step, names, plan, secrets_to_read,
};
use zeroize::Zeroizing;

/// Keys in a fixed order, counted.
#[derive(Default)]
pub struct Keys {
    pub made: u8,
    pub tokens: u8,
}

impl Entropy for Keys {
    fn node_key(&mut self) -> NodeKey {
        self.made += 1;
        key(self.made)
    }

    fn token(&mut self) -> Zeroizing<String> {
        self.tokens += 1;
        Zeroizing::new(format!("token-{}", self.tokens))
    }
}

/// The key that the `nth` request for one gives, from 1.
pub fn key(nth: u8) -> NodeKey {
    NodeKey::from_bytes(&[nth; 32]).unwrap()
}

pub fn ordinal(index: i64) -> Ordinal {
    Ordinal::new(index).unwrap()
}

pub struct Cluster {
    pub observed: Observed,
    pub keys: Keys,
    /// Everything that was ever written, in order: verb, kind, name.
    pub log: Vec<String>,
    /// All Secrets of the namespace; the plan sees those it asked for.
    pub secrets: BTreeMap<String, Secret>,
    applied: BTreeMap<(ObjectKind, String), Value>,
    uids: u32,
}

impl Cluster {
    pub fn new(yaml: &str) -> Self {
        let mut node: StatusNode = serde_yaml::from_str(yaml).unwrap();
        node.metadata.uid = Some("uid-of-the-resource".to_owned());
        node.metadata.generation = Some(1);
        node.status = Some(StatusNodeStatus { observed_generation: -1, ..StatusNodeStatus::default() });
        let operator = OperatorPods {
            namespace: "status-operator".to_owned(),
            labels: [("app.kubernetes.io/name".to_owned(), "status-operator".to_owned())].into(),
        };
        Self {
            observed: Observed {
                now: "2026-11-23T10:00:00Z".parse().unwrap(),
                node: Arc::new(node),
                environment: Environment {
                    operator: Some(operator),
                    default_image: "example.org/status-node:1".to_owned(),
                    service_monitor_api: true,
                },
                objects: Objects::default(),
                secrets: BTreeMap::new(),
                strangers: Vec::new(),
                failures: Vec::new(),
                facts: BTreeMap::new(),
                canaries: BTreeMap::new(),
            },
            keys: Keys::default(),
            log: Vec::new(),
            secrets: BTreeMap::new(),
            applied: BTreeMap::new(),
            uids: 0,
        }
    }

    pub fn mailservers() -> Self {
        Self::new(include_str!("../../../../manifests/samples/mailserver.yaml"))
    }

    pub fn with(replicas: i32, spec: &str) -> Self {
        Self::new(&format!(
            "{{apiVersion: status.im/v1alpha1, kind: StatusNode, metadata: {{name: mail, namespace: status}}, \
             spec: {{mode: Mailserver, replicas: {replicas}{spec}}}}}"
        ))
    }

    /// Changes the spec as a user would: a new generation.
    pub fn edit(&mut self, change: impl FnOnce(&mut StatusNode)) {
        let node = Arc::make_mut(&mut self.observed.node);
        change(node);
        node.metadata.generation = node.metadata.generation.map(|generation| generation + 1);
    }

    /// The resource is deleted and applied again: what it owned goes, it gets another uid and no status.
    pub fn recreate(&mut self) {
        let owned =
            |meta: &ObjectMeta| meta.owner_references.as_ref().is_some_and(|owners| !owners.is_empty());
        let objects = &mut self.observed.objects;
        objects.stateful_sets.retain(|_, object| !owned(&object.metadata));
        objects.services.retain(|_, object| !owned(&object.metadata));
        objects.config_maps.retain(|_, object| !owned(&object.metadata));
        objects.volume_claims.retain(|_, object| !owned(&object.metadata));
        objects.network_policies.retain(|_, object| !owned(&object.metadata));
        objects.disruption_budgets.retain(|_, object| !owned(&object.metadata));
        objects.service_monitors.clear();
        objects.pods.clear();
        self.secrets.retain(|_, secret| !owned(&secret.metadata));
        self.observed.canaries.clear();
        let node = Arc::make_mut(&mut self.observed.node);
        node.metadata.uid = Some("uid-of-the-next".to_owned());
        node.metadata.generation = Some(1);
        node.status = None;
    }

    pub fn look(&mut self) {
        let wanted = secrets_to_read(&self.observed.node);
        self.observed.secrets = wanted
            .into_iter()
            .map(|name| {
                let view = self
                    .secrets
                    .get(&name)
                    .map_or(SecretView::Absent, |secret| SecretView::Present(Arc::new(secret.clone())));
                (name, view)
            })
            .collect();
    }

    pub fn plan(&mut self) -> Plan {
        self.look();
        plan(&self.observed, &mut self.keys)
    }

    /// One reconcile.
    pub fn reconcile(&mut self) -> Plan {
        let plan = self.plan();
        for step in &plan.steps {
            self.carry_out(step);
        }
        if let Some(status) = &plan.status {
            Arc::make_mut(&mut self.observed.node).status = Some(status.clone());
            self.log.push("status".to_owned());
        }
        plan
    }

    /// Reconciles until nothing is written any more.
    pub fn settle(&mut self) -> Plan {
        for _ in 0..10 {
            let before = self.log.len();
            let plan = self.reconcile();
            if self.log.len() == before {
                assert_eq!(plan.events, Vec::new(), "events at rest");
                return plan;
            }
        }
        panic!("does not come to rest; last writes: {:?}", &self.log[self.log.len().saturating_sub(10)..]);
    }

    /// Reconciles and plays the other controllers until all is up.
    pub fn bring_up(&mut self) -> &mut Self {
        self.settle();
        self.assign_all();
        self.bind_volumes();
        self.run_pods();
        self.pass_canaries();
        self.compare_histories();
        self.settle();
        self
    }

    fn carry_out(&mut self, step: &Step) {
        match step {
            Step::Create(object) => {
                assert!(!self.secrets.contains_key(&object.name), "AlreadyExists: {}", object.name);
                let mut secret: Secret = typed(object);
                let clear = secret.string_data.take().unwrap_or_default();
                secret
                    .data
                    .get_or_insert_default()
                    .extend(clear.into_iter().map(|(key, value)| (key, ByteString(value.into_bytes()))));
                self.stamp(&mut secret.metadata, None);
                self.log.push(format!("create Secret {}", object.name));
                self.secrets.insert(object.name.clone(), secret);
            }
            Step::Update(object) => {
                let secret: Secret = serde_json::from_value(object.manifest.clone()).unwrap();
                let live = &self.secrets[&object.name];
                assert_eq!(secret.metadata.resource_version, live.metadata.resource_version);
                assert_eq!(secret.data, live.data, "an update never changes a key");
                self.log.push(format!("update Secret {}", object.name));
                self.secrets.insert(object.name.clone(), secret);
            }
            Step::Apply(object) => {
                let id = (object.kind, object.name.clone());
                if self.applied.get(&id) != Some(&object.manifest) || self.has_drifted(object) {
                    self.log.push(format!("apply {} {}", object.kind.kind(), object.name));
                    self.apply(object);
                    self.applied.insert(id, object.manifest.clone());
                }
            }
            Step::Delete(deletion) => {
                self.log.push(format!("delete {} {}", deletion.kind.kind(), deletion.name));
                let objects = &mut self.observed.objects;
                let name = &deletion.name;
                match deletion.kind {
                    ObjectKind::StatefulSet => {
                        objects.stateful_sets.remove(name);
                        objects.pods.remove(&format!("{name}-0"));
                    }
                    ObjectKind::Service => drop(objects.services.remove(name)),
                    ObjectKind::ConfigMap => drop(objects.config_maps.remove(name)),
                    ObjectKind::PersistentVolumeClaim => drop(objects.volume_claims.remove(name)),
                    ObjectKind::NetworkPolicy => drop(objects.network_policies.remove(name)),
                    ObjectKind::PodDisruptionBudget => drop(objects.disruption_budgets.remove(name)),
                    ObjectKind::ServiceMonitor => drop(objects.service_monitors.remove(name)),
                    ObjectKind::Secret => drop(self.secrets.remove(name)),
                }
            }
            Step::TouchPod(touch) => {
                self.log.push(format!("touch Pod {}", touch.pod));
                let pod = Arc::make_mut(self.observed.objects.pods.get_mut(&touch.pod).unwrap());
                let annotations = pod.metadata.annotations.get_or_insert_default();
                annotations.insert(touch.annotation.to_owned(), touch.value.clone());
            }
        }
    }

    /// Whether the live object is gone or lost an annotation.
    fn has_drifted(&self, object: &Object) -> bool {
        let Some(live) = self.meta(object) else { return true };
        let live = live.annotations.unwrap_or_default();
        let wanted = object.manifest["metadata"]["annotations"].as_object();
        wanted.is_some_and(|wanted| {
            wanted.iter().any(|(key, value)| live.get(key).map(String::as_str) != value.as_str())
        })
    }

    fn meta(&self, object: &Object) -> Option<ObjectMeta> {
        let objects = &self.observed.objects;
        let name = &object.name;
        match object.kind {
            ObjectKind::StatefulSet => objects.stateful_sets.get(name).map(|o| o.metadata.clone()),
            ObjectKind::Service => objects.services.get(name).map(|o| o.metadata.clone()),
            ObjectKind::ConfigMap => objects.config_maps.get(name).map(|o| o.metadata.clone()),
            ObjectKind::PersistentVolumeClaim => objects.volume_claims.get(name).map(|o| o.metadata.clone()),
            ObjectKind::NetworkPolicy => objects.network_policies.get(name).map(|o| o.metadata.clone()),
            ObjectKind::PodDisruptionBudget => {
                objects.disruption_budgets.get(name).map(|o| o.metadata.clone())
            }
            ObjectKind::ServiceMonitor => objects.service_monitors.get(name).map(|o| o.metadata.clone()),
            ObjectKind::Secret => self.secrets.get(name).map(|o| o.metadata.clone()),
        }
    }

    fn stamp(&mut self, meta: &mut ObjectMeta, live: Option<&ObjectMeta>) {
        self.uids += 1;
        meta.resource_version = Some(self.uids.to_string());
        meta.uid = live.and_then(|live| live.uid.clone()).or_else(|| Some(format!("uid-{}", self.uids)));
        meta.creation_timestamp =
            live.and_then(|live| live.creation_timestamp.clone()).or(Some(Time(self.observed.now)));
    }

    fn apply(&mut self, object: &Object) {
        let live = self.meta(object);
        let name = object.name.clone();
        match object.kind {
            ObjectKind::StatefulSet => {
                let mut set: k8s_openapi::api::apps::v1::StatefulSet = typed(object);
                self.stamp(&mut set.metadata, live.as_ref());
                let old = self.observed.objects.stateful_sets.get(&name);
                let generation = old.and_then(|old| old.metadata.generation).unwrap_or_default();
                let same = old.is_some_and(|old| old.spec == set.spec);
                set.metadata.generation = Some(if same { generation } else { generation + 1 });
                set.status = old.and_then(|old| old.status.clone());
                self.observed.objects.stateful_sets.insert(name, Arc::new(set));
            }
            ObjectKind::Service => {
                let mut service: Service = typed(object);
                self.stamp(&mut service.metadata, live.as_ref());
                let old = self.observed.objects.services.get(&name);
                service.status = old.and_then(|old| old.status.clone());
                let spec = service.spec.get_or_insert_default();
                if spec.cluster_ip.is_none() {
                    let kept = old.and_then(|old| old.spec.as_ref()?.cluster_ip.clone());
                    spec.cluster_ip = kept.or_else(|| Some(format!("10.96.0.{}", self.uids)));
                }
                self.observed.objects.services.insert(name, Arc::new(service));
            }
            ObjectKind::ConfigMap => {
                let mut map: k8s_openapi::api::core::v1::ConfigMap = typed(object);
                self.stamp(&mut map.metadata, live.as_ref());
                self.observed.objects.config_maps.insert(name, Arc::new(map));
            }
            ObjectKind::PersistentVolumeClaim => {
                let mut claim: k8s_openapi::api::core::v1::PersistentVolumeClaim = typed(object);
                self.stamp(&mut claim.metadata, live.as_ref());
                let old = self.observed.objects.volume_claims.get(&name);
                claim.status = old.and_then(|old| old.status.clone());
                let asked = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.clone());
                let had = old.and_then(|old| old.spec.as_ref()?.storage_class_name.clone());
                // The default class is filled in, and a class cannot change.
                let class = had.clone().or_else(|| asked.clone()).or_else(|| Some("the-default".to_owned()));
                assert!(
                    asked.is_none() || asked == class,
                    "the class of {name} cannot change from {had:?} to {asked:?}"
                );
                claim.spec.get_or_insert_default().storage_class_name = class;
                self.observed.objects.volume_claims.insert(name, Arc::new(claim));
            }
            ObjectKind::NetworkPolicy => {
                let mut policy: k8s_openapi::api::networking::v1::NetworkPolicy = typed(object);
                self.stamp(&mut policy.metadata, live.as_ref());
                self.observed.objects.network_policies.insert(name, Arc::new(policy));
            }
            ObjectKind::PodDisruptionBudget => {
                let mut budget: k8s_openapi::api::policy::v1::PodDisruptionBudget = typed(object);
                self.stamp(&mut budget.metadata, live.as_ref());
                self.observed.objects.disruption_budgets.insert(name, Arc::new(budget));
            }
            ObjectKind::ServiceMonitor => {
                let mut monitor: kube_core::DynamicObject =
                    serde_json::from_value(object.manifest.clone()).unwrap();
                self.stamp(&mut monitor.metadata, live.as_ref());
                self.observed.objects.service_monitors.insert(name, Arc::new(monitor));
            }
            ObjectKind::Secret => panic!("a Secret is never applied: {name}"),
        }
    }

    // --- the other controllers ---

    pub fn tick(&mut self, seconds: i64) {
        self.observed.now = self.observed.now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
    }

    pub fn balancer(&mut self, index: i64, ingress: Vec<LoadBalancerIngress>) {
        let service = self.observed.objects.services.get_mut(&names::p2p("mail", ordinal(index))).unwrap();
        Arc::make_mut(service).status = Some(ServiceStatus {
            load_balancer: Some(LoadBalancerStatus { ingress: Some(ingress) }),
            ..ServiceStatus::default()
        });
    }

    pub fn assign(&mut self, index: i64, ip: &str) {
        self.balancer(
            index,
            vec![LoadBalancerIngress { ip: Some(ip.to_owned()), ..LoadBalancerIngress::default() }],
        );
    }

    pub fn assign_all(&mut self) {
        for index in 0..i64::from(self.observed.node.spec.replicas) {
            let name = names::p2p("mail", ordinal(index));
            let service = self.observed.objects.services.get(&name).cloned();
            let balanced = service.and_then(|s| s.spec.clone()?.type_).as_deref() == Some("LoadBalancer");
            if balanced {
                self.assign(index, &format!("198.51.100.{}", index + 1));
            }
        }
    }

    pub fn bind_volumes(&mut self) {
        for claim in self.observed.objects.volume_claims.values_mut() {
            let phase = Some("Bound".to_owned());
            Arc::make_mut(claim).status =
                Some(PersistentVolumeClaimStatus { phase, ..PersistentVolumeClaimStatus::default() });
        }
    }

    /// Every StatefulSet gets the pod that its present template describes, ready since now if it is new.
    pub fn run_pods(&mut self) {
        for name in self.observed.objects.stateful_sets.keys().cloned().collect::<Vec<_>>() {
            self.run_pod(&name, true);
        }
    }

    pub fn run_pod(&mut self, set_name: &str, ready: bool) {
        let set = Arc::make_mut(self.observed.objects.stateful_sets.get_mut(set_name).unwrap());
        let spec = set.spec.clone().unwrap();
        let revision = statusnode_plan::hash::of_json(&serde_json::to_value(&spec.template).unwrap());
        set.status = Some(StatefulSetStatus {
            observed_generation: set.metadata.generation,
            current_revision: Some(revision.clone()),
            update_revision: Some(revision.clone()),
            ..StatefulSetStatus::default()
        });
        let name = format!("{set_name}-0");
        if spec.replicas == Some(0) {
            self.observed.objects.pods.remove(&name);
            return;
        }
        let template = spec.template;
        let mut meta = template.metadata.unwrap_or_default();
        meta.name = Some(name.clone());
        let pod_spec = template.spec;
        let old = self.observed.objects.pods.get(&name);
        let same = old.is_some_and(|old| old.spec == pod_spec);
        let was_ready = old.is_some_and(|old| is_ready(old));
        if same && was_ready == ready {
            return;
        }
        if same && let Some(old) = old {
            meta = old.metadata.clone();
        } else {
            self.uids += 1;
            meta.uid = Some(format!("uid-{}", self.uids));
            meta.creation_timestamp = Some(Time(self.observed.now));
        }
        let pod = pod(meta, pod_spec, ready, self.observed.now);
        self.observed.objects.pods.insert(name, Arc::new(pod));
    }

    pub fn pass_canaries(&mut self) {
        for index in 0..i64::from(self.observed.node.spec.replicas) {
            self.canary(index, true);
        }
    }

    pub fn canary(&mut self, index: i64, passing: bool) {
        let message = if passing { String::new() } else { "no envelopes".to_owned() };
        let facts = CanaryFacts { at: self.observed.now, passing, message };
        self.observed.canaries.insert(ordinal(index), facts);
    }

    /// Each node with history has agreed with a replica, or has none.
    pub fn compare_histories(&mut self) {
        let spec = &self.observed.node.spec;
        let (replicas, keeps) = (spec.replicas, spec.mode == Mode::Mailserver);
        for index in (0..replicas).filter(|_| keeps) {
            self.history(index.into(), Some(HistoryFacts { complete: true, agreed: replicas > 1 }));
        }
    }

    pub fn history(&mut self, index: i64, history: Option<HistoryFacts>) {
        let facts = NodeFacts { archive_writable: Some(true), history };
        self.observed.facts.insert(ordinal(index), facts);
    }

    // --- what is asked of it ---

    pub fn status(&self) -> StatusNodeStatus {
        self.observed.node.status.clone().unwrap()
    }

    /// `status reason` of a condition; empty when it is absent.
    pub fn condition(&self, type_: &str) -> String {
        let conditions = self.status().conditions;
        let found = conditions.iter().find(|condition| condition.type_ == type_);
        found.map_or_else(String::new, |condition| format!("{} {}", condition.status, condition.reason))
    }

    pub fn message(&self, type_: &str) -> String {
        let conditions = self.status().conditions;
        conditions.into_iter().find(|condition| condition.type_ == type_).unwrap().message
    }

    pub fn applied(&self, kind: ObjectKind, name: &str) -> Value {
        self.applied
            .get(&(kind, name.to_owned()))
            .cloned()
            .unwrap_or_else(|| panic!("no {} {name}", kind.kind()))
    }

    pub fn live_file(&self, index: i64) -> Value {
        let map = &self.observed.objects.config_maps[&names::live("mail", ordinal(index))];
        serde_json::from_str(&map.data.as_ref().unwrap()["live.json"]).unwrap()
    }

    pub fn config_names(&self) -> BTreeSet<String> {
        let maps = self.observed.objects.config_maps.keys();
        maps.filter(|name| name.contains("-config-")).cloned().collect()
    }

    /// What was written since `from`, an index of the log.
    pub fn since(&self, from: usize) -> Vec<String> {
        self.log[from..].to_vec()
    }
}

fn pod(metadata: ObjectMeta, spec: Option<PodSpec>, ready: bool, now: Timestamp) -> Pod {
    let condition = PodCondition {
        type_: "Ready".to_owned(),
        status: if ready { "True" } else { "False" }.to_owned(),
        last_transition_time: Some(Time(now)),
        ..PodCondition::default()
    };
    let status = PodStatus { conditions: Some(vec![condition]), ..PodStatus::default() };
    Pod { metadata, spec, status: Some(status) }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|conditions| conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
}

/// The typed object; every field of the manifest must be one that Kubernetes knows.
fn typed<T: DeserializeOwned + Serialize>(object: &Object) -> T {
    let typed: T = serde_json::from_value(object.manifest.clone())
        .unwrap_or_else(|error| panic!("{object:?} is not of its kind: {error}"));
    let back = serde_json::to_value(&typed).unwrap();
    assert_eq!(pruned(&back), pruned(&object.manifest), "{object:?}: a field that Kubernetes does not know");
    typed
}

/// Without empty maps: their absence means the same, and some types leave them out.
fn pruned(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.iter().map(|(key, member)| (key.clone(), pruned(member)));
            Value::Object(kept.filter(|(_, member)| *member != json!({})).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(pruned).collect()),
        scalar => scalar.clone(),
    }
}

//! Carries out the steps of a plan, one request each at most.
//!
//! Owns how objects are written: server-side apply with one field manager for objects and one for status, skipped when
//! the live object already has it (see [`crate::drift`]); create for what must not be overwritten; deletes and updates
//! with preconditions. Every answer goes into the caches. Decides nothing: what to write is the plan's.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::{Value, json};
use statusnode_api::{StatusNode, StatusNodeStatus};
use statusnode_plan::{Deletion, Object, ObjectKind, PodTouch, Step, Stranger, names};

use crate::{
    caches::{Caches, owner},
    drift::{self, HASH_ANNOTATION},
    error::Error,
    metrics::Metrics,
    secrets::Secrets,
    store::OwnerKey,
};

/// Field manager of everything but status.
pub const FIELD_MANAGER: &str = "status-operator";
/// Field manager of status.
pub const STATUS_MANAGER: &str = "status-operator-status";

/// Longest time for one request; the API server itself gives up after a minute.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Objects looked for at the same time for one resource.
const LOOKS: usize = 8;

/// A request with [`REQUEST_TIMEOUT`].
///
/// # Errors
/// Those of the request, or that it took too long.
pub async fn bounded<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, kube::Error> {
    let late = || kube::Error::Service(format!("no answer in {} s", REQUEST_TIMEOUT.as_secs()).into());
    tokio::time::timeout(REQUEST_TIMEOUT, call).await.unwrap_or_else(|_| Err(late()))
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The live object had it already; nothing was sent.
    Unchanged,
    /// It was written.
    Written,
    /// What was to be created is there.
    AlreadyExists,
}

/// What a look at the cluster gave.
#[derive(Debug, Default)]
pub struct Look {
    /// Objects of wanted names that are not the operator's.
    pub strangers: Vec<Stranger>,
    /// Whether objects went into the caches that were not there before.
    pub found: bool,
}

/// Writes objects.
pub struct Applier {
    /// To the API server.
    pub client: Client,
    /// Where answers go.
    pub caches: Arc<Caches>,
    /// Whose answers a write ends.
    pub secrets: Arc<Secrets>,
    /// Counts writes.
    pub metrics: Metrics,
}

impl Applier {
    /// Looks for the objects that `steps` would apply and the caches do not have: one that is somebody else's must not
    /// be applied over, and one of a lagging cache must be seen before. One whose labels were taken off is `node`'s own
    /// while `node` is its controlling owner.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn look(&self, key: &OwnerKey, node: &StatusNode, steps: &[Step]) -> Result<Look, Error> {
        let unknown = steps.iter().filter_map(|step| match step {
            Step::Apply(object) => {
                self.caches.manifest(object.kind, key, &object.name).is_none().then_some(object)
            }
            _ => None,
        });
        let looks: Vec<_> = unknown
            .map(|object| async move {
                let read = bounded(self.api(object.kind, key).get_opt(&object.name)).await;
                read.map(|found| (object, found)).map_err(|e| failed("get", object.kind, &object.name, e))
            })
            .collect();
        let mut answers = stream::iter(looks).buffer_unordered(LOOKS);
        let uid = node.metadata.uid.as_deref().unwrap_or_default();
        let mut look = Look::default();
        while let Some(answer) = answers.next().await {
            let (object, Some(found)) = answer? else { continue };
            if owner(&found).as_ref() == Some(key) {
                look.found |= self.put(object.kind, found)?;
            } else if !names::is_controlled(&found.metadata, uid) {
                look.strangers.push(Stranger { kind: object.kind, name: object.name.clone() });
            }
        }
        Ok(look)
    }

    /// Carries out one step.
    ///
    /// # Errors
    /// When the API server refuses it or does not answer.
    pub async fn step(&self, key: &OwnerKey, step: &Step) -> Result<Outcome, Error> {
        let result = match step {
            Step::Create(object) => self.create(key, object).await,
            Step::Apply(object) => self.apply(key, object).await,
            Step::Update(object) => self.update(key, object).await,
            Step::Delete(deletion) => self.delete(key, deletion).await,
            Step::TouchPod(touch) => self.touch(key, touch).await,
        };
        if let Ok(Outcome::Written) = result {
            let (verb, kind) = match step {
                Step::Create(object) => ("create", object.kind.kind()),
                Step::Apply(object) => ("apply", object.kind.kind()),
                Step::Update(object) => ("update", object.kind.kind()),
                Step::Delete(deletion) => ("delete", deletion.kind.kind()),
                Step::TouchPod(_) => ("patch", "Pod"),
            };
            self.metrics.writes.with_label_values(&[verb, kind]).inc();
        }
        result
    }

    async fn create(&self, key: &OwnerKey, object: &Object) -> Result<Outcome, Error> {
        let (kind, name) = (object.kind, object.name.as_str());
        let manifest: DynamicObject = serde_json::from_value(object.manifest.clone())
            .map_err(|source| Error::Answer { kind, name: name.into(), source })?;
        let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..Default::default() };
        let answer = bounded(self.api(kind, key).create(&params, &manifest)).await;
        // Also after an error: the server may have acted.
        self.secrets.forget(key, name);
        match answer {
            Ok(_) => Ok(Outcome::Written),
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(Outcome::AlreadyExists),
            Err(error) => Err(failed("create", kind, name, error)),
        }
    }

    async fn apply(&self, key: &OwnerKey, object: &Object) -> Result<Outcome, Error> {
        let (kind, name) = (object.kind, object.name.as_str());
        let mut desired = object.manifest.clone();
        let hash = drift::stamp(&mut desired);
        if let Some(live) = self.caches.manifest(kind, key, name) {
            let metadata = &live["metadata"];
            if metadata["annotations"][HASH_ANNOTATION] == hash.as_str() && drift::covers(&live, &desired) {
                return Ok(Outcome::Unchanged);
            }
            // One that was replaced behind our back is not this one.
            if let Some(uid) = metadata["uid"].as_str()
                && let Some(target) = desired.get_mut("metadata").and_then(Value::as_object_mut)
            {
                target.insert("uid".into(), json!(uid));
            }
        }
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let answer = bounded(self.api(kind, key).patch(name, &params, &Patch::Apply(&desired))).await;
        self.put(kind, answer.map_err(|e| failed("apply", kind, name, e))?)?;
        Ok(Outcome::Written)
    }

    async fn update(&self, key: &OwnerKey, object: &Object) -> Result<Outcome, Error> {
        let (kind, name) = (object.kind, object.name.as_str());
        let manifest: DynamicObject = serde_json::from_value(object.manifest.clone())
            .map_err(|source| Error::Answer { kind, name: name.into(), source })?;
        let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..Default::default() };
        let answer = bounded(self.api(kind, key).replace(name, &params, &manifest)).await;
        self.secrets.forget(key, name);
        self.put(kind, answer.map_err(|e| failed("update", kind, name, e))?)?;
        Ok(Outcome::Written)
    }

    async fn delete(&self, key: &OwnerKey, deletion: &Deletion) -> Result<Outcome, Error> {
        let (kind, name) = (deletion.kind, deletion.name.as_str());
        let only = Preconditions { uid: Some(deletion.uid.clone()), resource_version: None };
        let params = DeleteParams::background().preconditions(only);
        let answer = bounded(self.api(kind, key).delete(name, &params)).await;
        if kind == ObjectKind::Secret {
            self.secrets.forget(key, name);
        }
        match answer {
            // Finalizers keep it for a while; the watch tells when it is gone.
            Ok(either) => match either.left() {
                Some(going) if going.metadata.deletion_timestamp.is_some() => {
                    self.put(kind, going)?;
                }
                _ => self.caches.forget(kind, key, name, &deletion.uid),
            },
            Err(kube::Error::Api(status)) if status.is_not_found() => {
                self.caches.forget(kind, key, name, &deletion.uid);
            }
            Err(error) => return Err(failed("delete", kind, name, error)),
        }
        Ok(Outcome::Written)
    }

    async fn touch(&self, key: &OwnerKey, touch: &PodTouch) -> Result<Outcome, Error> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &key.namespace);
        let annotations = json!({touch.annotation: touch.value});
        let patch = json!({"metadata": {"uid": touch.uid, "annotations": annotations}});
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..Default::default() };
        match bounded(api.patch(&touch.pod, &params, &Patch::Merge(&patch))).await {
            Ok(mut pod) => {
                pod.metadata.managed_fields = None;
                self.caches.pods.put_answer(pod);
                Ok(Outcome::Written)
            }
            // The pod is gone or another one: that one mounts the file as it is now.
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {
                Ok(Outcome::Unchanged)
            }
            Err(error) => Err(Error::Touch { name: touch.pod.clone(), source: Box::new(error) }),
        }
    }

    /// Writes the status; `None` when the resource is gone, else its new resourceVersion.
    ///
    /// # Errors
    /// When the API server refuses it or does not answer.
    pub async fn status(&self, key: &OwnerKey, status: &StatusNodeStatus) -> Result<Option<String>, Error> {
        let api: Api<StatusNode> = Api::namespaced(self.client.clone(), &key.namespace);
        let patch = json!({
            "apiVersion": format!("{}/{}", statusnode_api::GROUP, statusnode_api::VERSION),
            "kind": "StatusNode",
            "metadata": {"name": key.name},
            "status": status,
        });
        let params = PatchParams::apply(STATUS_MANAGER).force();
        match bounded(api.patch_status(&key.name, &params, &Patch::Apply(&patch))).await {
            Ok(node) => {
                self.metrics.writes.with_label_values(&["apply", "StatusNode"]).inc();
                Ok(node.metadata.resource_version)
            }
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
            Err(error) => Err(Error::Status(Box::new(error))),
        }
    }

    fn api(&self, kind: ObjectKind, key: &OwnerKey) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &key.namespace, &kind.api_resource())
    }

    fn put(&self, kind: ObjectKind, object: DynamicObject) -> Result<bool, Error> {
        let name = object.metadata.name.clone().unwrap_or_default();
        self.caches.put(kind, object).map_err(|source| Error::Answer { kind, name, source })
    }
}

fn failed(verb: &'static str, kind: ObjectKind, name: &str, error: kube::Error) -> Error {
    Error::Object { verb, kind, name: name.to_owned(), source: Box::new(error) }
}

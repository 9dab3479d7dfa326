//! What a plan tells the controller to do.

use std::{fmt, time::Duration};

use enode::NodeKey;
use kube_core::{ApiResource, GroupVersionKind};
use serde_json::Value;
use statusnode_api::{StatusNodeStatus, condition::Reason};
use zeroize::Zeroizing;

use crate::names::LABEL_ORDINAL;

/// One reconcile's worth of work.
///
/// Carrying it out: [`Self::steps`] in order. A [`Step::Create`] that is answered `AlreadyExists` ends everything: no
/// further step, no status, no event; observe again at once, for what follows was planned with a key that nobody has.
/// One that fails ends the steps for the same reason. Any other step that the API server refuses holds up only those
/// that [wait](Step::waits_for) for it: an address must reach its node although another node's volume cannot grow. A
/// server that does not answer ends the steps. The status goes out after every failure, the events that came
/// [true](EventIntent::told) as well, and the failures go into [`crate::Observed::failures`] of the next look.
#[derive(Debug)]
pub struct Plan {
    /// Writes, in order.
    pub steps: Vec<Step>,
    /// The new status; `None` when the present one is right.
    pub status: Option<StatusNodeStatus>,
    /// Events, on transitions only.
    pub events: Vec<EventIntent>,
    /// When to look again although nothing was seen to change; `None`: only when something changes.
    pub requeue_after: Option<Duration>,
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// POST. Only for Secrets with generated content, which must never be overwritten.
    Create(Object),
    /// Server-side apply with force, as the one field manager; skipped when the live object already has it.
    Apply(Object),
    /// PUT; `metadata.resourceVersion` in the manifest is the precondition. Only for owners of identity Secrets.
    Update(Object),
    /// DELETE in the background, with the uid as precondition; 404 is success.
    Delete(Deletion),
    /// Merge patch of a pod's annotations, with the uid as precondition; 404 and 409 are success.
    TouchPod(PodTouch),
}

impl Step {
    /// Whether this step must not be taken because `missing` is not in the cluster and could not be made: no pod starts
    /// without what it mounts and the address that its peers dial, and none before its wall.
    #[must_use]
    pub fn waits_for(&self, missing: &Object) -> bool {
        let Self::Apply(object) = self else { return false };
        if object.kind != ObjectKind::StatefulSet {
            return false;
        }
        match missing.kind {
            ObjectKind::NetworkPolicy => true,
            ObjectKind::ConfigMap => missing.ordinal().is_none() || missing.ordinal() == object.ordinal(),
            ObjectKind::PersistentVolumeClaim | ObjectKind::Service => {
                missing.ordinal().is_some() && missing.ordinal() == object.ordinal()
            }
            ObjectKind::Secret
            | ObjectKind::PodDisruptionBudget
            | ObjectKind::StatefulSet
            | ObjectKind::ServiceMonitor => false,
        }
    }
}

/// A wanted object. Its `Debug` form leaves the manifest out: some hold keys.
#[derive(Clone, PartialEq)]
pub struct Object {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its name; the namespace is that of the resource.
    pub name: String,
    /// The whole manifest, `apiVersion`, `kind` and `metadata` included.
    pub manifest: Value,
}

impl Object {
    /// The ordinal of the node that it belongs to, as its label has it; `None` for what all nodes share.
    fn ordinal(&self) -> Option<&str> {
        self.manifest.get("metadata")?.get("labels")?.get(LABEL_ORDINAL)?.as_str()
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.kind(), self.name)
    }
}

/// An object that is no longer wanted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Deletion {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its name.
    pub name: String,
    /// The uid it must have.
    pub uid: String,
}

/// Annotations that make the kubelet look at the pod's volumes now instead of within a minute.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PodTouch {
    /// Name of the pod.
    pub pod: String,
    /// The uid it must have.
    pub uid: String,
    /// Annotation.
    pub annotation: &'static str,
    /// Its value.
    pub value: String,
}

/// Kinds that are written.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ObjectKind {
    /// v1
    Secret,
    /// v1
    PersistentVolumeClaim,
    /// v1
    Service,
    /// v1
    ConfigMap,
    /// networking.k8s.io/v1
    NetworkPolicy,
    /// policy/v1
    PodDisruptionBudget,
    /// apps/v1
    StatefulSet,
    /// monitoring.coreos.com/v1
    ServiceMonitor,
}

impl ObjectKind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Secret,
        Self::PersistentVolumeClaim,
        Self::Service,
        Self::ConfigMap,
        Self::NetworkPolicy,
        Self::PodDisruptionBudget,
        Self::StatefulSet,
        Self::ServiceMonitor,
    ];

    const fn row(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Secret => ("", "v1", "Secret", "secrets"),
            Self::PersistentVolumeClaim => ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::ConfigMap => ("", "v1", "ConfigMap", "configmaps"),
            Self::NetworkPolicy => ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
            Self::PodDisruptionBudget => ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
            Self::StatefulSet => ("apps", "v1", "StatefulSet", "statefulsets"),
            Self::ServiceMonitor => ("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors"),
        }
    }

    /// The kind as a manifest names it.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        self.row().2
    }

    /// `apiVersion` of a manifest.
    #[must_use]
    pub fn api_version(self) -> String {
        let (group, version, ..) = self.row();
        if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
    }

    /// For a dynamic API.
    #[must_use]
    pub fn api_resource(self) -> ApiResource {
        let (group, version, kind, plural) = self.row();
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }
}

/// An Event to publish.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EventIntent {
    /// `Warning` rather than `Normal`.
    pub warning: bool,
    /// Reason.
    pub reason: Reason,
    /// What the operator did or found, in one or two words (`action` of events.k8s.io).
    pub action: &'static str,
    /// One sentence.
    pub note: String,
    /// When it is true; before that it must not be told.
    pub told: Told,
}

/// What makes an event true.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Told {
    /// The status of the plan was written.
    WithStatus,
    /// The step of this index was carried out.
    AfterStep(usize),
}

/// Where generated secrets come from. The plan itself has no randomness; it asks at most once per wanted Secret that
/// does not exist.
pub trait Entropy {
    /// A new node key.
    fn node_key(&mut self) -> NodeKey;
    /// A new bearer token: at least 128 random bits, printable, without white space.
    fn token(&mut self) -> Zeroizing<String>;
}

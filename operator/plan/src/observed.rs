//! Everything a plan may know: what the controller read, once, before planning.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube_core::DynamicObject;
use statusnode_api::StatusNode;

use crate::{ObjectKind, Ordinal};

/// One consistent look at the world of one `StatusNode`.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The time of the look.
    pub now: Timestamp,
    /// The resource, with `metadata.uid` and `metadata.generation`.
    pub node: Arc<StatusNode>,
    /// What holds for all resources of this operator.
    pub environment: Environment,
    /// Objects in the namespace of the resource that carry [`crate::names::owned_labels`], by name.
    pub objects: Objects,
    /// The Secrets that [`crate::secrets_to_read`] names. One that is missing here has not been read: nothing is
    /// concluded from that, least of all that a key may be generated.
    pub secrets: BTreeMap<String, SecretView>,
    /// Objects of a wanted name that are in the cluster and not in [`Self::objects`], because they do not carry the
    /// labels. The controller looks before it applies an object that is not in its caches, and plans again with the
    /// find in here.
    pub strangers: Vec<Stranger>,
    /// What the API server refused when the last plan was carried out; empty when it went through.
    pub failures: Vec<Failure>,
    /// What `/status` of the nodes said last.
    pub facts: BTreeMap<Ordinal, NodeFacts>,
    /// What the last canary against each node came to.
    pub canaries: BTreeMap<Ordinal, CanaryFacts>,
}

/// What holds for all resources of one operator.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Where the operator's own pods are, for the NetworkPolicy; `None` when it runs outside the cluster.
    pub operator: Option<OperatorPods>,
    /// The image of nodes whose spec names none.
    pub default_image: String,
    /// Whether the cluster has `monitoring.coreos.com/v1`, `ServiceMonitor`.
    pub service_monitor_api: bool,
}

/// The operator's own pods.
#[derive(Clone, Debug)]
pub struct OperatorPods {
    /// Their namespace.
    pub namespace: String,
    /// Labels that all of them and nobody else there carries.
    pub labels: BTreeMap<String, String>,
}

/// Objects by kind and name, as last seen.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// StatefulSets.
    pub stateful_sets: BTreeMap<String, Arc<StatefulSet>>,
    /// Services.
    pub services: BTreeMap<String, Arc<Service>>,
    /// ConfigMaps.
    pub config_maps: BTreeMap<String, Arc<ConfigMap>>,
    /// PersistentVolumeClaims.
    pub volume_claims: BTreeMap<String, Arc<PersistentVolumeClaim>>,
    /// NetworkPolicies.
    pub network_policies: BTreeMap<String, Arc<NetworkPolicy>>,
    /// PodDisruptionBudgets.
    pub disruption_budgets: BTreeMap<String, Arc<PodDisruptionBudget>>,
    /// ServiceMonitors; empty when the API is absent.
    pub service_monitors: BTreeMap<String, Arc<DynamicObject>>,
    /// Pods.
    pub pods: BTreeMap<String, Arc<Pod>>,
}

/// What a read of one Secret by name gave.
#[derive(Clone, Debug)]
pub enum SecretView {
    /// There is none (404, nothing else).
    Absent,
    /// This one.
    Present(Arc<Secret>),
}

/// An object of a wanted name that does not carry the operator's labels.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stranger {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its name.
    pub name: String,
}

/// A write that the API server refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// Kind of the object.
    pub kind: ObjectKind,
    /// Its name.
    pub name: String,
    /// The server's answer, without anything secret and without what differs from try to try.
    pub message: String,
}

/// What a node says about itself at `/status`, as far as a plan uses it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NodeFacts {
    /// Whether the archive takes durable writes; `None` without an archive.
    pub archive_writable: Option<bool>,
    /// Whether it keeps what its replicas keep; `None` without an archive.
    pub history: Option<HistoryFacts>,
}

/// What a node says of its history.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HistoryFacts {
    /// Nothing that a replica has is missing, as far as the node knows.
    pub complete: bool,
    /// Because a replica agreed, not only because there is none or none agreed in time.
    pub agreed: bool,
}

/// What the last canary against a node came to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CanaryFacts {
    /// When it ended.
    pub at: Timestamp,
    /// Whether the node served what it must.
    pub passing: bool,
    /// What went wrong, in words that stay the same while the fault stays the same; empty when passing.
    pub message: String,
}

/// How long after a plan that left nothing to wait for the resource is looked at again: Secrets are not watched.
pub const RESYNC: Duration = Duration::from_secs(60);
/// The same while a Secret of a former resource of this name, or one that is being deleted, is still there.
pub const RESYNC_GOING: Duration = Duration::from_secs(2);

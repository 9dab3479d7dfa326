//! The `StatusNode` custom resource as Rust types: `statusnodes.status.im`, version `v1alpha1`.
//!
//! Owns: field names, defaults, bounds, CEL rules with their messages, printed columns, the scale subresource,
//! condition types and reasons. Must never: talk to an API server, hold a default that is not visible in the schema,
//! or accept a field that nothing acts on. Facts: design §3; `spec/operators.md` §1.1, §5.2, §5.9.
//!
//! [`crd()`] is the one source of `crds/statusnodes.yaml`.

// The derive of CEL rules emits each struct a second time inside a function, where `pub` reaches nothing.
#![allow(unreachable_pub)]

pub mod condition;
mod crd;
mod mailserver;
mod network;
mod p2p;
mod pod;
mod policy;
mod spec;
mod status;
mod storage;

pub use crd::{MAX_NAME_LENGTH, NAME_MESSAGE, crd};
pub use mailserver::{DEFAULT_MAIL_PASSWORD, Mailserver, MailserverRetention, MailserverSync};
pub use network::{Network, StaticPeer};
pub use p2p::{Advertise, AdvertisedAddress, Exposure, ExposureType, LoadBalancer, P2p};
pub use pod::PodSettings;
pub use policy::{
    AccessPeer, Canary, IpBlock, Metrics, NetworkPolicySettings, PodDisruptionBudgetSettings, Rpc,
    ServiceMonitor, ServiceMonitorPolicy, Switch, Update, UpdateStrategy,
};
pub use spec::{Identity, IdentityKey, ImagePullPolicy, Mode, SecretKeyRef, StatusNode, StatusNodeSpec};
pub use status::{AddressSource, CanaryState, ExternalAddress, NodeEntry, StatusNodeStatus};
pub use storage::{Retention, RetentionPolicy, Storage, WhenGone};

/// API group of every resource of this project.
pub const GROUP: &str = "status.im";
/// The one version served and stored.
pub const VERSION: &str = "v1alpha1";

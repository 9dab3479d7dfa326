//! History settings. Facts: design §3; `spec/operations.md` §1.5.

use kube_derive::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SecretKeyRef;

/// The password that every client of the ecosystem sends. It derives the key of history requests and is public:
/// not access control (`spec/operations.md` §1.5).
pub const DEFAULT_MAIL_PASSWORD: &str = "status-offline-inbox";

/// History settings.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mailserver {
    /// The password of history requests. Without it the public constant of the ecosystem, `status-offline-inbox`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret_key_ref: Option<SecretKeyRef>,
    /// How much is kept.
    #[serde(default)]
    pub retention: MailserverRetention,
    /// How replicas give each other what they miss.
    #[serde(default)]
    pub sync: MailserverSync,
}

/// Replica sync: mailservers compare what they keep, and give each other what is missing. The replicas of a StatusNode
/// always do. Changed without restart.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(crates(kube_core = "::kube_core"))]
pub struct MailserverSync {
    /// Time between two rounds with a replica that has nothing new to give, 10s to 24h. They sync on connect too.
    #[serde(default = "default_sync_interval")]
    #[schemars(length(max = 8), pattern("^[1-9][0-9]{0,4}(s|m|h)$"))]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s') && duration(self) <= duration('24h')").message("must be 10s to 24h"))]
    pub interval: String,
    /// Enodes of mailservers that are no replicas of this StatusNode, with which each replica syncs. They are dialled
    /// as static peers, and must name the replicas as their own sync peers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 512), pattern("^enode://[0-9a-fA-F]{128}@")))]
    pub peers: Vec<String>,
}

fn default_sync_interval() -> String {
    "5m".to_owned()
}

impl Default for MailserverSync {
    fn default() -> Self {
        Self { interval: default_sync_interval(), peers: Vec::new() }
    }
}

/// How much history is kept. The older goes first when either bound is reached.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MailserverRetention {
    /// Age, in hours and minutes: `720h`, `36h30m`.
    #[serde(default = "default_max_age")]
    #[schemars(length(min = 2, max = 12), pattern("^([1-9][0-9]{0,5}h)?([1-9][0-9]{0,6}m)?$"))]
    pub max_age: String,
    /// Size on disk: `16Gi`. Without it four fifths of the volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 12), pattern("^[1-9][0-9]{0,8}(Mi|Gi|Ti)$"))]
    pub max_size: Option<String>,
}

fn default_max_age() -> String {
    "720h".to_owned()
}

impl Default for MailserverRetention {
    fn default() -> Self {
        Self { max_age: default_max_age(), max_size: None }
    }
}

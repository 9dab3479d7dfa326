//! History settings. Facts: design §3; `spec/operations.md` §1.5.

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

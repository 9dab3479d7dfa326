//! Peers and limits of the peer-to-peer network. Facts: `spec/operations.md` §1.4, §1.6; `spec/devp2p.md` §1.3.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Peers and limits of the peer-to-peer network.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// Nodes that are always dialled, besides the other replicas. Changed without restart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub static_peers: Vec<StaticPeer>,
    /// Enodes that may connect beyond `maxPeers`. Changed without restart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 512), pattern("^enode://[0-9a-fA-F]{128}@")))]
    pub trusted_peers: Vec<String>,
    /// Most peers connected at once.
    #[serde(default = "default_max_peers")]
    #[schemars(range(min = 1, max = 10000))]
    pub max_peers: i32,
}

const fn default_max_peers() -> i32 {
    500
}

impl Default for Network {
    fn default() -> Self {
        Self { static_peers: Vec::new(), trusted_peers: Vec::new(), max_peers: default_max_peers() }
    }
}

/// A node that is always dialled.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StaticPeer {
    /// `enode://<128 hexadecimal digits>@<IP>:<port>`
    #[schemars(length(max = 512), pattern("^enode://[0-9a-fA-F]{128}@"))]
    pub enode: String,
}

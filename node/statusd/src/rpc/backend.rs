//! What the methods need of the node, and the exact JSON shapes of what they answer.
//! Facts: `spec/operations.md` §2.2.

use enode::{Enode, EnodeUrl};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The node as the methods see it.
pub(crate) trait Backend: Send + Sync + 'static {
    /// The peer name, `Statusd/v…/linux-amd64/…`.
    fn client_name(&self) -> String;
    /// Ethereum network number.
    fn network_id(&self) -> u64;
    /// Connected peers.
    fn peer_count(&self) -> usize;
    /// Names of the connected peers.
    fn peer_names(&self) -> Vec<String>;
    /// Key and advertised address.
    fn enode(&self) -> Enode;
    /// What `admin_nodeInfo` answers.
    fn info(&self) -> NodeInfo;
    /// What `admin_peers` answers, in any order.
    fn peers(&self) -> Vec<PeerEntry>;
    /// Keeps a connection to `peer` from now on; dialing is asynchronous. Fails with a plain sentence.
    fn add_peer(&self, peer: EnodeUrl) -> Result<(), String>;
}

/// `admin_nodeInfo`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct NodeInfo {
    /// Node id, 64 hex digits.
    pub(crate) id: String,
    /// Peer name.
    pub(crate) name: String,
    /// enode URL; without a known address its incomplete form.
    pub(crate) enode: String,
    /// Node record.
    pub(crate) enr: String,
    /// Advertised IP address; empty while none is known.
    pub(crate) ip: String,
    /// Advertised ports.
    pub(crate) ports: Ports,
    /// Where the devp2p listener is bound.
    #[serde(rename = "listenAddr")]
    pub(crate) listen_addr: String,
    /// Protocol name to details.
    pub(crate) protocols: Map<String, Value>,
}

/// Ports of `admin_nodeInfo`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Ports {
    /// UDP, 0 when there is none.
    pub(crate) discovery: u16,
    /// TCP.
    pub(crate) listener: u16,
}

/// An element of `admin_peers`. A record (`enr`) is never known here: it does not travel in RLPx.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PeerEntry {
    /// enode URL; of an inbound peer with its ephemeral port.
    pub(crate) enode: String,
    /// Node id, 64 hex digits.
    pub(crate) id: String,
    /// Peer name.
    pub(crate) name: String,
    /// Offered capabilities, `waku/1`.
    pub(crate) caps: Vec<String>,
    /// The connection.
    pub(crate) network: PeerNetwork,
    /// Protocol name to `"unknown"`.
    pub(crate) protocols: Map<String, Value>,
}

/// The connection of a peer.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PeerNetwork {
    pub(crate) local_address: String,
    pub(crate) remote_address: String,
    pub(crate) inbound: bool,
    pub(crate) trusted: bool,
    #[serde(rename = "static")]
    pub(crate) is_static: bool,
}

/// `protocols` of `admin_nodeInfo`: the first entry of a name counts, hence version "0".
pub(crate) fn waku_protocol(max_message_size: u32, minimum_pow: f64) -> Map<String, Value> {
    let details = json!({"maxMessageSize": max_message_size, "minimumPoW": minimum_pow, "version": "0"});
    Map::from_iter([("waku".to_owned(), details)])
}

/// `protocols` of a peer with these protocols: none gives details.
pub(crate) fn peer_protocols(names: impl Iterator<Item = String>) -> Map<String, Value> {
    names.map(|name| (name, json!("unknown"))).collect()
}

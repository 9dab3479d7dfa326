//! What the methods need of the node, and the exact JSON shapes of what they answer.
//! Facts: `spec/operations.md` §2.2.

use std::collections::BTreeMap;

use enode::{Enode, EnodeUrl, NodeId};
use futures::{future::BoxFuture, stream::BoxStream};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::number::GoFloat;

/// The node as the methods see it.
pub(crate) trait Backend: Send + Sync + 'static {
    /// The peer name, `Statusd/v…/linux-amd64/…`.
    fn client_name(&self) -> String;
    /// Ethereum network number.
    fn network_id(&self) -> u64;
    /// Whether peers can connect to it.
    fn is_listening(&self) -> bool;
    /// Absolute path of the data directory.
    fn data_dir(&self) -> String;
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
    /// Forgets that a peer was to be kept connected, and disconnects it; done when it is gone.
    fn remove_peer(&self, peer: NodeId) -> BoxFuture<'_, ()>;
    /// Whether a peer may come above the limit from now on. Fails with a plain sentence.
    fn set_trusted(&self, peer: NodeId, trusted: bool) -> Result<(), String>;
    /// Peers that come and go from now on. One who reads too slowly misses some.
    fn peer_events(&self) -> BoxStream<'static, PeerChange>;
}

/// An item of `admin_peerEvents`. The reference never sends its types `msgsend` and `msgrecv`: they are switched off
/// there (`spec/devp2p.md` §3.7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct PeerChange {
    /// `add` or `drop`.
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    /// Node id, 64 hex digits.
    pub(crate) peer: String,
    /// Why it was dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// This side's address.
    pub(crate) local: String,
    /// The peer's address.
    pub(crate) remote: String,
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
    pub(crate) protocols: BTreeMap<&'static str, ProtocolDetails>,
}

/// What the node says of a protocol.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProtocolDetails {
    max_message_size: usize,
    #[serde(rename = "minimumPoW")]
    minimum_pow: GoFloat,
    version: &'static str,
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
pub(crate) fn waku_protocol(
    max_message_size: usize,
    minimum_pow: f64,
) -> BTreeMap<&'static str, ProtocolDetails> {
    let details = ProtocolDetails { max_message_size, minimum_pow: GoFloat(minimum_pow), version: "0" };
    BTreeMap::from([("waku", details)])
}

/// `protocols` of a peer with these protocols: none gives details.
pub(crate) fn peer_protocols(names: impl Iterator<Item = String>) -> Map<String, Value> {
    names.map(|name| (name, json!("unknown"))).collect()
}

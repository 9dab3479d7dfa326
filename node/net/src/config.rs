//! Settings of a server and of one connection. Facts: `spec/devp2p.md` §2.7, §3.1.

use std::{net::SocketAddr, time::Duration};

use enode::{Endpoint, EnodeUrl, NodeId, NodeKey};
use node_config::Cidr;
use rlpx::{Hello, Offer};

/// Deadlines; the defaults are those of `spec/devp2p.md` §2.7 and §3.
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// Name resolution and TCP connect together. 15 s.
    pub dial: Duration,
    /// Both packets of the encryption handshake together. 5 s.
    pub handshake: Duration,
    /// From the encryption handshake to the peer's Hello. 30 s.
    pub hello: Duration,
    /// Waiting for a message and receiving all of it. 30 s.
    pub read: Duration,
    /// Getting rid of each 128 KB. 20 s.
    pub write: Duration,
    /// Saying what is queued and Disconnect while closing, then waiting for the peer to close. 1 s each.
    pub close: Duration,
    /// Between pings. 15 s.
    pub ping: Duration,
    /// A second connection from one address is refused for so long. 30 s.
    pub inbound_throttle: Duration,
    /// A static peer is dialed again after so long. 35 s.
    pub redial: Duration,
    /// How long an existing session may take to answer a ping when its node id connects again, before it counts as
    /// dead and is replaced. 2 s.
    pub probe: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self {
            dial: s(15),
            handshake: s(5),
            hello: s(30),
            read: s(30),
            write: s(20),
            close: s(1),
            ping: s(15),
            inbound_throttle: s(30),
            redial: s(35),
            probe: s(2),
        }
    }
}

/// What this side says of itself and accepts, once for any number of connections.
#[derive(Debug, Clone)]
pub struct LocalHello {
    /// Client name, e.g. `Statusd/v0.84.0/linux-amd64/rust1.95`: other clients split it at `/`.
    pub name: String,
    /// The capabilities to offer, with the number of message codes of each.
    pub offers: Vec<Offer>,
    /// Largest uncompressed payload that is accepted after Hello, bytes, at most 16,777,215. A bigger message is
    /// refused at its frame header or Snappy preamble and ends the session with Disconnect 0x10.
    pub max_message_size: usize,
}

impl LocalHello {
    pub(crate) fn to_hello(&self, key: &NodeKey) -> Hello {
        let capabilities = self.offers.iter().map(|offer| offer.capability.clone()).collect();
        Hello::new(self.name.clone(), capabilities, &key.public_key())
    }
}

/// Settings of a server.
#[derive(Debug, Clone)]
pub struct Config {
    /// The node's identity.
    pub key: NodeKey,
    /// Client name in Hello.
    pub client_name: String,
    /// TCP address to listen on; `[::]` takes IPv4 too. `None` only dials.
    pub listen: Option<SocketAddr>,
    /// All peers; a third of them, at least one, may be dialed (`spec/devp2p.md` §3.1).
    pub max_peers: usize,
    /// Inbound connections that are not yet peers, and dials in progress; each.
    pub max_pending: usize,
    /// Kept connected: dialed until they are there.
    pub static_peers: Vec<EnodeUrl>,
    /// Allowed over `max_peers`.
    pub trusted_peers: Vec<NodeId>,
    /// Source addresses that many clients share (SNAT): never throttled per address.
    pub shared_sources: Vec<Cidr>,
    /// Whether loopback and private sources are throttled too; the reference exempts them (`spec/devp2p.md` §3.3).
    pub throttle_private_sources: bool,
    /// Where the node is reached from outside; `None` while that is not known.
    pub advertised: Option<Endpoint>,
    /// The last sequence number of the node record that was published, 0 for none. The first record has one more.
    pub record_seq: u64,
    /// Largest uncompressed message, see [`LocalHello::max_message_size`].
    pub max_message_size: usize,
    /// Bytes that all peers together may have in inbound buffers over 16 KB each.
    pub inbound_budget: usize,
    /// Bytes that messages over 16 KB of all peers together may have while they wait to be handled. Less than one
    /// message means one at a time.
    pub message_budget: usize,
    /// Deadlines.
    pub timeouts: Timeouts,
}

impl Config {
    /// The defaults of statusd: 25 peers, 100 pending, 1 MiB messages, nothing listened on.
    #[must_use]
    pub fn new(key: NodeKey, client_name: String) -> Self {
        Self {
            key,
            client_name,
            listen: None,
            max_peers: 25,
            max_pending: 100,
            static_peers: Vec::new(),
            trusted_peers: Vec::new(),
            shared_sources: Vec::new(),
            throttle_private_sources: false,
            advertised: None,
            record_seq: 0,
            max_message_size: 1 << 20,
            inbound_budget: 64 << 20,
            message_budget: 16 << 20,
            timeouts: Timeouts::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `spec/devp2p.md` §2.7, §2.8, §3.1, §3.3, §3.4, value by value.
    #[test]
    fn section_2_7_and_3_defaults() {
        let config = Config::new(NodeKey::generate(), String::new());
        assert_eq!((config.max_peers, config.max_pending, config.max_message_size), (25, 100, 1_048_576));
        assert!(!config.throttle_private_sources);
        let Timeouts { dial, handshake, hello, read, write, close, ping, inbound_throttle, redial, probe: _ } =
            config.timeouts;
        let seconds = [dial, handshake, hello, read, write, close, ping, inbound_throttle, redial];
        assert_eq!(seconds.map(|duration| duration.as_secs()), [15, 5, 30, 30, 20, 1, 15, 30, 35]);
    }
}

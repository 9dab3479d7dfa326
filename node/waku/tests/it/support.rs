//! The server under test and its scripted peers. The clock stands still until a test moves it.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use archive::{History, Writer, WriterConfig, WriterObserver};
use bytes::Bytes;
use devp2p::{
    Capability, Connection, DisconnectReason, Handle, Lane, LocalHello, Manager, Offer, Peer, PeerSender,
    Protocol, Timeouts,
};
use enode::{Endpoint, Enode, NodeKey};
use mailserver::{Mailserver, Password};
use prometheus::Registry;
use waku::{Config, Metrics, Waku};
use waku_wire::{
    Envelope, EnvelopeHash, MessageResponse, ProtocolVersion, StatusOptions, Topic, WireEnvelope, codes,
    decode_batch_ack, messages, seal,
};

pub(crate) const NOW: u32 = 1_700_000_000;
pub(crate) const PASSWORD: &str = "status-offline-inbox";

/// A deadline far beyond what any step takes.
pub(crate) async fn soon<T>(step: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), step).await.expect("in time")
}

/// What a server is made of.
pub(crate) struct Setup {
    pub(crate) config: Config,
    pub(crate) history: Option<Arc<dyn History>>,
    pub(crate) mailserver: bool,
    now: Arc<AtomicU32>,
}

impl Setup {
    pub(crate) fn new() -> Self {
        let now = Arc::new(AtomicU32::new(NOW));
        let clock = Arc::clone(&now);
        let config = Config::new(Arc::new(move || clock.load(Ordering::SeqCst)));
        Self { config, history: None, mailserver: false, now }
    }

    pub(crate) fn confirming() -> Self {
        let mut setup = Self::new();
        setup.config.confirmations = true;
        setup
    }

    pub(crate) fn with_history(mut self, history: Arc<dyn History>) -> Self {
        self.history = Some(history);
        self
    }

    pub(crate) fn with_mailserver(mut self, history: Arc<dyn History>) -> Self {
        self.mailserver = true;
        self.with_history(history)
    }

    pub(crate) fn start(self) -> Server {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        let clock: mailserver::Clock = self.config.clock.clone();
        let mailserver = self.history.clone().filter(|_| self.mailserver).map(|history| {
            let password = Password::new(PASSWORD.to_owned().into()).unwrap();
            let metrics = Arc::new(mailserver::Metrics::new(&registry, history.label()).unwrap());
            Mailserver::new(mailserver::Config::default(), &password, history, metrics, clock)
        });
        let writer = self.history.map(|history| {
            let (writer, task) = Writer::new(history, WriterConfig::default(), None, Arc::new(Unobserved));
            tokio::spawn(task);
            writer
        });
        let key = NodeKey::generate();
        let mut config = devp2p::Config::new(key.clone(), "test/server".to_owned());
        config.listen = Some("127.0.0.1:0".parse().unwrap());
        config.max_message_size = self.config.max_message_size;
        config.max_peers = 200;
        let waku = Waku::new(self.config, writer, mailserver, metrics);
        tokio::spawn(Arc::clone(&waku).expire());
        let handle = Manager::start(config, vec![Arc::clone(&waku) as Arc<dyn Protocol>]).unwrap();
        Server { waku, handle, key, registry, now: self.now }
    }
}

struct Unobserved;

impl WriterObserver for Unobserved {
    fn stored(&self, _size: usize) {}
    fn failed(&self, _envelopes: usize) {}
}

/// The node under test.
pub(crate) struct Server {
    pub(crate) waku: Arc<Waku>,
    handle: Handle,
    key: NodeKey,
    registry: Registry,
    now: Arc<AtomicU32>,
}

impl Server {
    pub(crate) fn advance(&self, seconds: u32) {
        self.now.fetch_add(seconds, Ordering::SeqCst);
    }

    /// The value of a metric line; 0 when there is none.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        let text = prometheus::TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        text.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok()).unwrap_or(0.0)
    }

    /// Dials with these capabilities, before any status.
    pub(crate) async fn dial(&self, capabilities: &[(&str, u64)]) -> Connection {
        self.dial_as(&NodeKey::generate(), capabilities).await
    }

    fn enode(&self) -> Enode {
        let address = self.handle.local_addr().unwrap();
        let endpoint = Endpoint { ip: address.ip(), tcp: address.port(), udp: address.port() };
        Enode { public_key: self.key.public_key(), endpoint: Some(endpoint) }
    }

    async fn dial_as(&self, key: &NodeKey, capabilities: &[(&str, u64)]) -> Connection {
        let offer = |(name, version): &(&str, u64)| Offer {
            capability: Capability { name: (*name).to_owned(), version: *version },
            length: 128,
        };
        let hello = LocalHello {
            name: "test/client".to_owned(),
            offers: capabilities.iter().map(offer).collect(),
            max_message_size: 1 << 20,
        };
        soon(Connection::dial(&self.enode(), key, &hello, &Timeouts::default())).await.unwrap()
    }

    /// A peer that has said nothing yet.
    pub(crate) async fn silent(&self, version: ProtocolVersion) -> Client {
        let version = match version {
            ProtocolVersion::V0 => 0,
            ProtocolVersion::V1 => 1,
        };
        let client = Client::new(self.dial(&[("waku", version)]).await);
        assert_eq!(client.peer.capability.version, version);
        client
    }

    pub(crate) fn node_id(&self) -> enode::NodeId {
        self.key.node_id()
    }

    /// Has this node dial another for as long as both are there.
    pub(crate) fn dial_node(&self, other: &Self) {
        self.handle.add_peer(other.enode().into());
    }

    /// A peer after the handshake, of this version of waku.
    pub(crate) async fn connect_by(&self, version: ProtocolVersion, options: StatusOptions) -> Client {
        let mut client = self.silent(version).await;
        client.send(codes::STATUS, options.encode_status(version)).await;
        assert_eq!(client.recv().await.0, codes::STATUS);
        client
    }

    /// A peer after the handshake, of `waku/1`.
    pub(crate) async fn connect(&self, options: StatusOptions) -> Client {
        self.connect_as(&NodeKey::generate(), options).await
    }

    /// The same with the node id of `key`.
    pub(crate) async fn connect_as(&self, key: &NodeKey, options: StatusOptions) -> Client {
        let mut client = Client::new(self.dial_as(key, &[("waku", 1)]).await);
        client.send(codes::STATUS, options.encode_status(ProtocolVersion::V1)).await;
        assert_eq!(client.recv().await.0, codes::STATUS);
        client
    }

    /// A peer that wants everything.
    pub(crate) async fn full(&self) -> Client {
        self.connect(StatusOptions { pow_requirement: Some(0.0), ..StatusOptions::default() }).await
    }
}

/// A scripted peer.
pub(crate) struct Client {
    pub(crate) peer: Peer,
    pub(crate) sender: PeerSender,
}

impl Client {
    fn new(connection: Connection) -> Self {
        let peer = connection.open("waku").expect("waku is shared");
        Self { sender: peer.sender(), peer }
    }

    pub(crate) async fn send(&self, code: u64, payload: impl Into<Bytes>) {
        soon(self.sender.send(Lane::Live, code, payload.into())).await.unwrap();
    }

    /// The next packet, whatever it is.
    pub(crate) async fn recv(&mut self) -> (u64, Bytes) {
        let message = soon(self.peer.recv()).await;
        let message = message.unwrap_or_else(|| panic!("the session ended: {:?}", self.peer.end_reason()));
        (message.code, message.payload)
    }

    /// The session ends with this reason, and nothing comes before but the server's status.
    pub(crate) async fn assert_ended(mut self, reason: DisconnectReason) {
        while let Some(message) = soon(self.peer.recv()).await {
            assert_eq!(message.code, codes::STATUS, "nothing but the status comes before the end");
        }
        assert_eq!(self.peer.end_disconnect(), Some(reason), "{:?}", self.peer.end_reason());
    }

    pub(crate) async fn post(&self, envelopes: &[&WireEnvelope]) -> [u8; 32] {
        let payload = messages::encode(envelopes.iter().map(|e| e.raw().as_ref()));
        let batch = messages::batch_hash(&payload);
        self.send(codes::MESSAGES, payload).await;
        batch
    }

    /// So many envelopes of gossip; the next packets have to be messages.
    pub(crate) async fn gossip(&mut self, count: usize) -> Vec<EnvelopeHash> {
        let mut hashes = Vec::new();
        while hashes.len() < count {
            let (code, payload) = self.recv().await;
            assert_eq!(code, codes::MESSAGES);
            hashes.extend(messages::decode(&payload).unwrap().iter().map(WireEnvelope::hash));
        }
        hashes
    }

    /// The next two packets are a confirmation.
    pub(crate) async fn confirmation(&mut self) -> MessageResponse {
        let (code, payload) = self.recv().await;
        assert_eq!(code, codes::MESSAGE_RESPONSE, "code 12 comes first");
        let response = MessageResponse::decode(&payload).unwrap().unwrap();
        let (code, payload) = self.recv().await;
        assert_eq!(code, codes::BATCH_ACK, "then code 11");
        assert_eq!(decode_batch_ack(&payload).unwrap(), response.batch);
        response
    }

    /// Posts and reads the confirmation: error records as (hash, code, text).
    pub(crate) async fn confirm(&mut self, envelopes: &[&WireEnvelope]) -> Vec<(EnvelopeHash, u32, String)> {
        let batch = self.post(envelopes).await;
        let response = self.confirmation().await;
        assert_eq!(response.batch, batch);
        response.errors.into_iter().map(|e| (e.hash, e.code, e.description)).collect()
    }

    /// Proves that the server still serves this session and has said nothing else in between: an empty batch is
    /// confirmed. Only with confirmations on.
    pub(crate) async fn assert_kept(&mut self) {
        assert_eq!(self.confirm(&[]).await, []);
    }
}

pub(crate) fn topic(n: u8) -> Topic {
    Topic([n.wrapping_mul(37), n.wrapping_mul(101).wrapping_add(50), n.wrapping_mul(211).wrapping_add(9), n])
}

/// An envelope of `length` data bytes that differs from others by `n`.
pub(crate) fn of_length(n: u32, topic: Topic, expiry: u32, ttl: u32, length: usize) -> WireEnvelope {
    let mut data = n.to_be_bytes().to_vec();
    data.resize(length.max(4), 0xab);
    Envelope { expiry, ttl, topic, data: Bytes::from(data), nonce: 0 }.encode().unwrap()
}

/// A valid envelope sent now.
pub(crate) fn valid(n: u32) -> WireEnvelope {
    of_length(n, topic(1), NOW + 50, 50, 32)
}

/// A valid envelope of this topic.
pub(crate) fn on_topic(n: u32, t: u8) -> WireEnvelope {
    of_length(n, topic(t), NOW + 50, 50, 32)
}

/// An envelope whose proof of work is `target` or more.
pub(crate) fn sealed(n: u32, expiry: u32, ttl: u32, target: f64) -> WireEnvelope {
    let data = Bytes::from(n.to_be_bytes().to_vec());
    let envelope = Envelope { expiry, ttl, topic: topic(1), data, nonce: 0 };
    seal::seal(envelope, target, || true).unwrap()
}

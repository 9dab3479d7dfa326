//! One Waku session as a client: connecting, the status handshake, and the task that receives.
//! Facts: `spec/waku-mailserver.md` §1, §4.2, §4.3.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use devp2p::{
    Connection, DisconnectReason, Lane, LiveSource, LocalHello, Offer, Peer, PeerInfo, PeerSender, Timeouts,
};
use enode::{Enode, EnodeUrl, NodeId, NodeKey};
use rlpx::Capability;
use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    task::JoinHandle,
    time::timeout,
};
use waku_wire::{Bloom, PeerSettings, ProtocolVersion, StatusOptions, Topic, WireEnvelope, codes};

use crate::{Error, inbox::Inbox};

/// Largest packet that is taken, bytes: twice the network's limit, because the reference exceeds it
/// (`spec/waku-mailserver.md` §12 Q18, Q31).
const MAX_PACKET: usize = 2 << 20;

/// How to connect and what to say of oneself.
#[derive(Debug, Clone)]
pub struct Options {
    /// Client name in Hello, `name/v<version>/<os>-<arch>/<toolchain>`.
    pub name: String,
    /// Versions of `waku` to offer; not empty.
    pub versions: Vec<ProtocolVersion>,
    /// What the status says.
    pub status: StatusOptions,
    /// For everything from name resolution to the node's status.
    pub timeout: Duration,
}

impl Options {
    /// Wants no gossip.
    #[must_use]
    pub fn quiet() -> Self {
        Self::wanting(StatusOptions { topics: Some(Vec::new()), ..StatusOptions::default() })
    }

    /// Wants the envelopes of `topics`; all when there are none.
    #[must_use]
    pub fn watching(topics: Vec<Topic>) -> Self {
        Self::wanting(if topics.is_empty() {
            StatusOptions { bloom: Some(Bloom::FULL.0.to_vec()), ..StatusOptions::default() }
        } else {
            StatusOptions { topics: Some(topics), ..StatusOptions::default() }
        })
    }

    fn wanting(interest: StatusOptions) -> Self {
        Self {
            name: concat!("StatusClient/v", env!("CARGO_PKG_VERSION"), "/linux/rust").to_owned(),
            versions: vec![ProtocolVersion::V0, ProtocolVersion::V1],
            status: StatusOptions {
                pow_requirement: Some(0.0),
                light_node: Some(false),
                confirmations: Some(false),
                ..interest
            },
            timeout: Duration::from_secs(10),
        }
    }
}

/// A session with a node after the Waku handshake. Dropping it ends the session; [`Client::close`] also waits until
/// everything queued was written.
#[derive(Debug)]
pub struct Client {
    info: Arc<PeerInfo>,
    version: ProtocolVersion,
    key: NodeKey,
    sender: PeerSender,
    inbox: Arc<Inbox>,
    ended: watch::Receiver<bool>,
    pub(crate) history_turn: Semaphore,
    stop: Option<oneshot::Sender<()>>,
    driver: JoinHandle<()>,
}

impl Client {
    /// Resolves, dials and shakes hands.
    ///
    /// # Errors
    /// [`Error::Resolve`], [`Error::Connect`], [`Error::TooManyPeers`], [`Error::Handshake`], or [`Error::Timeout`] when
    /// [`Options::timeout`] is over before the node's status is there.
    pub async fn connect(node: &EnodeUrl, key: &NodeKey, options: &Options) -> Result<Self, Error> {
        let connecting = Box::pin(async {
            let connection = dial(&resolve(node).await?, key, options).await?;
            let version = agreed(&connection)?;
            let peer = connection.open("waku").ok_or_else(no_waku)?;
            shake_hands(peer, version, &options.status).await
        });
        let (peer, version, settings) =
            timeout(options.timeout, connecting).await.map_err(|_| Error::Timeout("the connection"))??;
        let (info, sender) = (Arc::clone(&peer.info), peer.sender());
        let inbox = Arc::new(Inbox::new(version, settings));
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = watch::channel(false);
        let driver = tokio::spawn(drive(peer, Arc::clone(&inbox), stopped, end));
        let history_turn = Semaphore::new(1);
        Ok(Self {
            info,
            version,
            key: key.clone(),
            sender,
            inbox,
            ended,
            history_turn,
            stop: Some(stop),
            driver,
        })
    }

    /// Who the node is: key, name, capabilities, both addresses.
    #[must_use]
    pub fn info(&self) -> &PeerInfo {
        &self.info
    }

    /// This side's node id, by which the node lists it.
    #[must_use]
    pub fn own_id(&self) -> NodeId {
        self.key.node_id()
    }

    /// The version of `waku` that runs.
    #[must_use]
    pub fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// What the node announced last.
    #[must_use]
    pub fn settings(&self) -> PeerSettings {
        self.inbox.settings()
    }

    /// Tells the node which topics this side wants from now on.
    ///
    /// # Errors
    /// [`Error::Lost`].
    pub async fn set_topics(&self, topics: Vec<Topic>) -> Result<(), Error> {
        let update = StatusOptions { topics: Some(topics), ..StatusOptions::default() };
        self.send(Lane::Control, codes::STATUS_UPDATE, update.encode_update(self.version).into()).await
    }

    /// Receives every envelope that the node sends as gossip from now on. A watch that is not read holds up the whole
    /// session once it is 1024 envelopes behind; drop it to stop.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch { receiver: self.inbox.watch(), inbox: Arc::clone(&self.inbox) }
    }

    /// Gossip packets that the node has sent so far, read or not.
    #[must_use]
    pub fn gossip_packets(&self) -> u64 {
        self.inbox.gossip_packets()
    }

    /// Whether the session has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        *self.ended.borrow()
    }

    /// Ends when the session has ended by itself; says why.
    pub async fn ended(&self) -> Error {
        let mut ended = self.ended.clone();
        // An error means that the driver is gone, which is an end too.
        let _ = ended.wait_for(|ended| *ended).await;
        self.inbox.lost()
    }

    /// Ends the session and returns when all that was queued is written and the node was told, in 3 s at most.
    pub async fn close(self) {
        let Self { sender, stop, driver, .. } = self;
        drop(sender);
        drop(stop);
        // A driver that panicked has closed the session too.
        let _ = driver.await;
    }

    pub(crate) fn key(&self) -> &NodeKey {
        &self.key
    }

    pub(crate) fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    pub(crate) async fn send(&self, lane: Lane, code: u64, payload: Bytes) -> Result<(), Error> {
        self.sender.send(lane, code, payload).await.map_err(|error| match error {
            devp2p::SendError::Closed => self.inbox.lost(),
            other => Error::Send(other),
        })
    }
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inbox")
    }
}

/// Gossip of one session, see [`Client::watch`].
#[derive(Debug)]
pub struct Watch {
    receiver: mpsc::Receiver<WireEnvelope>,
    inbox: Arc<Inbox>,
}

impl Watch {
    /// The next envelope.
    ///
    /// # Errors
    /// [`Error::Lost`] when the session has ended.
    pub async fn next(&mut self) -> Result<WireEnvelope, Error> {
        self.receiver.recv().await.ok_or_else(|| self.inbox.lost())
    }
}

/// The node with an address; the first one of a DNS name, as the reference does.
async fn resolve(node: &EnodeUrl) -> Result<Enode, Error> {
    let Some(name) = node.dns_name() else { return Ok(node.with_ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED))) };
    let failed = |reason: String| Error::Resolve { host: name.to_owned(), reason };
    let mut addresses =
        tokio::net::lookup_host((name, 0)).await.map_err(|error| failed(error.to_string()))?;
    let first = addresses.next().ok_or_else(|| failed("no address".to_owned()))?;
    Ok(node.with_ip(first.ip()))
}

async fn dial(node: &Enode, key: &NodeKey, options: &Options) -> Result<Connection, Error> {
    let offer = |version: &ProtocolVersion| Offer {
        capability: Capability { name: "waku".to_owned(), version: number(*version) },
        length: codes::RESERVED,
    };
    let hello = LocalHello {
        name: options.name.clone(),
        offers: options.versions.iter().map(offer).collect(),
        max_message_size: MAX_PACKET,
    };
    let timeouts = Timeouts { dial: options.timeout, ..Timeouts::default() };
    Ok(Connection::dial(node, key, &hello, &timeouts).await?)
}

fn number(version: ProtocolVersion) -> u64 {
    match version {
        ProtocolVersion::V0 => 0,
        ProtocolVersion::V1 => 1,
    }
}

fn agreed(connection: &Connection) -> Result<ProtocolVersion, Error> {
    let shared = connection.shared().iter().find(|s| s.capability.name == "waku").ok_or_else(no_waku)?;
    Ok(if shared.capability.version == 0 { ProtocolVersion::V0 } else { ProtocolVersion::V1 })
}

fn no_waku() -> Error {
    Error::Handshake("the node does not speak waku".to_owned())
}

/// Both statuses (§4.3): sent at once, and the node's must be its first packet.
async fn shake_hands(
    mut peer: Peer,
    version: ProtocolVersion,
    status: &StatusOptions,
) -> Result<(Peer, ProtocolVersion, PeerSettings), Error> {
    let payload = Bytes::from(status.encode_status(version));
    // When this fails the session has ended, and receiving says why.
    let _ = peer.sender().send(Lane::Control, codes::STATUS, payload).await;
    let Some(first) = peer.recv().await else {
        if peer.end_disconnect() == Some(DisconnectReason::TooManyPeers) {
            return Err(Error::TooManyPeers);
        }
        let reason = peer.end_reason().unwrap_or_else(|| "the session has ended".to_owned());
        return Err(Error::Handshake(format!("no waku status: {reason}")));
    };
    if first.code != codes::STATUS {
        return Err(Error::Handshake(format!(
            "first packet of the node has code {}, want a status",
            first.code
        )));
    }
    let options = StatusOptions::decode_status(version, &first.payload)
        .map_err(|error| Error::Handshake(format!("status of the node: {error}")))?;
    let mut settings = PeerSettings::default();
    settings.apply(options)?;
    Ok((peer, version, settings))
}

/// Receives until the session ends or the client does.
async fn drive(
    mut peer: Peer,
    inbox: Arc<Inbox>,
    mut stopped: oneshot::Receiver<()>,
    end: watch::Sender<bool>,
) {
    let reason = tokio::select! {
        reason = receive(&mut peer, &inbox) => reason,
        _ = &mut stopped => "closed by this side".to_owned(),
    };
    inbox.end(reason);
    // Nobody may listen.
    let _ = end.send(true);
    finish(peer).await;
}

async fn receive(peer: &mut Peer, inbox: &Inbox) -> String {
    while let Some(message) = peer.recv().await {
        if let Err(error) = inbox.dispatch(message.code, message.payload).await {
            return error.to_string();
        }
    }
    peer.end_reason().unwrap_or_else(|| "the session has ended".to_owned())
}

/// Says goodbye and waits until the session's writer is done: a session lets go of its live source then.
async fn finish(mut peer: Peer) {
    struct Told(#[expect(dead_code, reason = "dropping it is the signal")] oneshot::Sender<()>);
    impl LiveSource for Told {
        fn next_packet(&mut self, _max_bytes: usize) -> Option<(u64, Bytes)> {
            None
        }
    }
    let sender = peer.sender();
    sender.disconnect(DisconnectReason::ClientQuitting);
    while peer.recv().await.is_some() {}
    let (told, done) = oneshot::channel();
    sender.set_live_source(Box::new(Told(told)));
    drop((sender, peer));
    // Always an error: the sender is dropped, never used.
    let _ = done.await;
}

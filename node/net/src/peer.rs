//! What a sub-protocol gets: the peer, its sender, and the trait that the sub-protocol implements.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use enode::{Enode, NodeId, PublicKey};
use futures::future::BoxFuture;
use rlpx::{Capability, DisconnectReason, Hello, Shared};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    Lane, LiveSource, LiveWaker, SendError,
    budget::Charge,
    outbox::{Outbox, Source},
    session::Ended,
};

/// Largest payload that can be sent, bytes: what fits a frame also when it does not compress.
const MAX_SENT: usize = rlpx::MAX_PAYLOAD - 32;

/// A received message.
#[derive(Debug)]
pub struct Message {
    /// Message code, relative to the sub-protocol (absolute from [`crate::Reader`]).
    pub code: u64,
    /// Payload, uncompressed. An allocation of its own: holding a slice of it holds this message and no more.
    pub payload: Bytes,
    /// Bytes of the payload in its frame.
    pub(crate) wire: usize,
    /// A big payload stays on the budget until the message is dropped.
    _charge: Option<Charge>,
}

impl Message {
    pub(crate) fn new(code: u64, payload: Bytes, wire: usize, charge: Option<Charge>) -> Self {
        Self { code, payload, wire, _charge: charge }
    }
}

/// Facts about a connected peer. `trusted` is the only one that changes.
pub struct PeerInfo {
    /// Keccak-256 of the public key.
    pub id: NodeId,
    /// The key that was authenticated by the handshake.
    pub public_key: PublicKey,
    /// Client name as the peer says it: hostile text, at most 2 KB.
    pub name: String,
    /// All capabilities that the peer announced.
    pub capabilities: Vec<Capability>,
    /// The capabilities in common.
    pub shared: Vec<Capability>,
    /// As dialed; for an inbound peer its source address and port.
    pub enode: Enode,
    /// This side's address.
    pub local_addr: SocketAddr,
    /// The peer's address.
    pub remote_addr: SocketAddr,
    /// The peer connected to us.
    pub inbound: bool,
    /// We dialed it because it is in the static list.
    pub is_static: bool,
    /// When the session was established.
    pub since: Instant,
    trusted: AtomicBool,
}

impl PeerInfo {
    pub(crate) fn new(
        public_key: PublicKey,
        hello: &Hello,
        shared: Vec<Capability>,
        enode: Enode,
        (local_addr, remote_addr): (SocketAddr, SocketAddr),
        (inbound, is_static, trusted): (bool, bool, bool),
    ) -> Self {
        Self {
            id: public_key.node_id(),
            public_key,
            name: hello.name.clone(),
            capabilities: hello.capabilities.clone(),
            shared,
            enode,
            local_addr,
            remote_addr,
            inbound,
            is_static,
            since: Instant::now(),
            trusted: AtomicBool::new(trusted),
        }
    }

    /// Allowed above the limits.
    #[must_use]
    pub fn trusted(&self) -> bool {
        self.trusted.load(Ordering::Relaxed)
    }

    pub(crate) fn set_trusted(&self, trusted: bool) {
        self.trusted.store(trusted, Ordering::Relaxed);
    }
}

impl fmt::Debug for PeerInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerInfo({} {} {:?})", self.id, self.remote_addr, self.name)
    }
}

/// A sub-protocol's view of one session.
pub struct Peer {
    /// Who it is.
    pub info: Arc<PeerInfo>,
    /// The agreed name and version.
    pub capability: Capability,
    receiver: mpsc::Receiver<Box<Message>>,
    sender: PeerSender,
    ended: Arc<Ended>,
    /// A client's session ends with its peer; a server's with the protocol's future.
    _end_session: Option<DropGuard>,
}

impl Peer {
    pub(crate) fn new(
        info: Arc<PeerInfo>,
        capability: Capability,
        receiver: mpsc::Receiver<Box<Message>>,
        sender: PeerSender,
        ended: Arc<Ended>,
    ) -> Self {
        Self { info, capability, receiver, sender, ended, _end_session: None }
    }

    /// Has `token` cancelled when the peer is dropped.
    pub(crate) fn ending_with(self, token: CancellationToken) -> Self {
        Self { _end_session: Some(token.drop_guard()), ..self }
    }

    /// The next message of the sub-protocol; `None` when the session has ended. While it is not called the session
    /// stops reading after a few messages, and after 30 s in which that holds nothing is lost but time.
    pub async fn recv(&mut self) -> Option<Message> {
        self.receiver.recv().await.map(|message| *message)
    }

    /// Why the session ended, once [`Self::recv`] gave `None`: the text of an [`crate::Error`].
    #[must_use]
    pub fn end_reason(&self) -> Option<String> {
        self.ended.text()
    }

    /// The Disconnect reason that either side said, once the session ended.
    #[must_use]
    pub fn end_disconnect(&self) -> Option<DisconnectReason> {
        self.ended.reason()
    }

    /// A sender for this session.
    #[must_use]
    pub fn sender(&self) -> PeerSender {
        self.sender.clone()
    }
}

/// Sends on one session. Cheap to clone; outlives the session without harm.
#[derive(Clone)]
pub struct PeerSender {
    outbox: Arc<Outbox>,
    offset: u64,
    length: u64,
}

impl PeerSender {
    pub(crate) fn new(outbox: Arc<Outbox>, shared: &Shared) -> Self {
        Self { outbox, offset: shared.offset, length: shared.length }
    }

    /// Queues a message, waiting while the lane holds 256 KB or 512 messages. Done when queued, not when written.
    ///
    /// # Errors
    /// [`SendError::Closed`], [`SendError::Code`], [`SendError::TooBig`].
    pub async fn send(&self, lane: Lane, code: u64, payload: Bytes) -> Result<(), SendError> {
        let code = self.absolute(code, &payload)?;
        match self.outbox.try_send(lane, code, &payload) {
            // Boxed: waiting is rare, and a session has several places where it may have to.
            Err(SendError::Full) => Box::pin(self.outbox.send(lane, code, payload)).await,
            done => done,
        }
    }

    /// Queues a message unless the lane is full.
    ///
    /// # Errors
    /// As [`Self::send`], and [`SendError::Full`].
    pub fn try_send(&self, lane: Lane, code: u64, payload: &Bytes) -> Result<(), SendError> {
        let code = self.absolute(code, payload)?;
        self.outbox.try_send(lane, code, payload)
    }

    /// Gives the session its live source; the writer asks it at once, then after each [`LiveWaker::wake`].
    pub fn set_live_source(&self, source: Box<dyn LiveSource>) {
        self.outbox.set_source(Source { offset: self.offset, source });
    }

    /// What wakes the writer for the live source.
    #[must_use]
    pub fn waker(&self) -> LiveWaker {
        LiveWaker(Arc::clone(&self.outbox))
    }

    /// Ends the session: what is queued is still said within a second, then Disconnect.
    pub fn disconnect(&self, reason: DisconnectReason) {
        self.outbox.close(reason);
    }

    fn absolute(&self, code: u64, payload: &Bytes) -> Result<u64, SendError> {
        if code >= self.length {
            return Err(SendError::Code { code, length: self.length });
        }
        if payload.len() > MAX_SENT {
            return Err(SendError::TooBig(payload.len()));
        }
        Ok(self.offset + code)
    }
}

impl fmt::Debug for PeerSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerSender(offset {})", self.offset)
    }
}

/// Why a sub-protocol ends a session.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ProtocolError {
    /// What the peer is told.
    pub reason: DisconnectReason,
    /// For our own log.
    pub message: String,
}

impl ProtocolError {
    /// A message that cannot be decoded or has an unknown code: Disconnect 2.
    #[must_use]
    pub fn breach(message: impl Into<String>) -> Self {
        Self { reason: DisconnectReason::ProtocolBreach, message: message.into() }
    }

    /// Any other failure: Disconnect 0x10.
    #[must_use]
    pub fn subprotocol(message: impl Into<String>) -> Self {
        Self { reason: DisconnectReason::SubprotocolError, message: message.into() }
    }
}

/// A sub-protocol of a server.
pub trait Protocol: Send + Sync + 'static {
    /// The versions it speaks, all of one name.
    fn capabilities(&self) -> &[Capability];

    /// Message codes that each version takes.
    fn length(&self) -> u64 {
        128
    }

    /// Whether Hello offers it to this node, whose id is authenticated by then. Asked anew for each connection.
    fn is_offered_to(&self, _peer: &NodeId) -> bool {
        true
    }

    /// Serves one peer from Hello to the end of the session. Ends when [`Peer::recv`] gives `None`, in 5 s at most. `Ok`
    /// while the session stands ends it with Disconnect 8, an error with its reason.
    fn run(&self, peer: Peer) -> BoxFuture<'static, Result<(), ProtocolError>>;
}

//! A scripted node on loopback: the real transport under a Waku peer that misbehaves in one chosen way.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(unreachable_pub, reason = "a module of tests has no outside")]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;

use devp2p::{
    Capability, Config, DisconnectReason, Handle, Lane, Manager, Message, Peer, PeerSender, Protocol,
    ProtocolError,
};
use enode::{Endpoint, Enode, EnodeUrl, NodeKey};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use waku_wire::{
    Bloom, Completion, Cursor, EnvelopeError, EnvelopeHash, MessageResponse, MessagesRequest, P2pRequest,
    ProtocolVersion, RequestId, StatusOptions, SymmetricKey, Topic, WireEnvelope, codes, messages, payload,
};

/// What the node does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Announces no confirmations and sends none.
    NoConfirmations,
    /// Refuses every envelope in its confirmation.
    Rejects,
    /// Announces confirmations but never sends one.
    ForgetsConfirmations,
    /// Confirms but stores nothing.
    Forgets,
    /// Stores only when asked for the second time, and announces no confirmations.
    StoresLate,
    /// Sends everything twice.
    Repeats,
    /// Completions without packets 127.
    Withholds,
    /// Sends the packets 127 half a second after the completion.
    DeliversLate,
    /// No completion.
    Silent,
    /// Completions of another request.
    WrongId,
    /// Error completions.
    Refuses,
    /// Ends the session when asked for history.
    HangsUp,
    /// Sends no status.
    NoStatus,
    /// Sends a status that does not decode.
    BadStatus,
    /// Sends another packet before its status.
    PacketFirst,
    /// Ends the session right after the handshake.
    HangsUpAtOnce,
    /// Answers with a packet 127 that does not decode.
    Garbage,
    /// Sends more envelopes than asked for.
    TooMany,
    /// Always the same cursor.
    CursorStands,
    /// Newest first.
    NewestFirst,
    /// Delivers all it has, whatever the limit.
    IgnoresLimit,
    /// Has as many peers as it takes, and says so instead of a Hello.
    Full,
    /// The same, after the Hello.
    FullAfterHello,
}

#[derive(Default)]
struct Seen {
    rows: Vec<WireEnvelope>,
    late: Vec<WireEnvelope>,
    topics: Vec<Vec<Topic>>,
    requests: Vec<MessagesRequest>,
}

struct Script {
    fault: Fault,
    mailbox: SymmetricKey,
    seen: Mutex<Seen>,
    sessions: Mutex<Vec<PeerSender>>,
}

/// A running scripted node.
pub struct Node {
    pub url: EnodeUrl,
    pub handle: Handle,
    script: Arc<Script>,
}

pub fn mailbox() -> SymmetricKey {
    SymmetricKey::from_bytes([7; 32]).unwrap()
}

impl Node {
    pub fn start(fault: Fault) -> Self {
        Self::start_with(fault, &[0, 1])
    }

    pub fn start_with(fault: Fault, versions: &[u64]) -> Self {
        let key = NodeKey::generate();
        let mut config = Config::new(key.clone(), "Scripted/v1/linux/rust".into());
        config.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        if fault == Fault::Full {
            config.max_peers = 0;
        }
        let script = Arc::new(Script {
            fault,
            mailbox: mailbox(),
            seen: Mutex::default(),
            sessions: Mutex::default(),
        });
        let capabilities = versions.iter().map(|version| Capability::new("waku", *version)).collect();
        let listener = Listener { capabilities, script: Arc::clone(&script) };
        let handle = Manager::start(config, vec![Arc::new(listener)]).unwrap();
        let addr = handle.local_addr().unwrap();
        let endpoint = Some(Endpoint::new(addr.ip(), addr.port(), 0));
        Self { url: Enode { public_key: key.public_key(), endpoint }.into(), handle, script }
    }

    /// Puts envelopes into the history.
    pub fn store(&self, envelopes: &[WireEnvelope]) {
        self.script.seen.lock().rows.extend_from_slice(envelopes);
    }

    pub fn rows(&self) -> Vec<WireEnvelope> {
        self.script.seen.lock().rows.clone()
    }

    /// The topic interests that clients announced, status updates included.
    pub fn topics(&self) -> Vec<Vec<Topic>> {
        self.script.seen.lock().topics.clone()
    }

    pub fn requests(&self) -> Vec<MessagesRequest> {
        self.script.seen.lock().requests.clone()
    }

    /// Sends gossip to all sessions.
    pub async fn gossip(&self, envelopes: &[WireEnvelope]) {
        let payload = messages::encode(envelopes.iter().map(|e| e.raw().as_ref()));
        let sessions = self.script.sessions.lock().clone();
        for session in sessions {
            session.send(Lane::Live, codes::MESSAGES, payload.clone()).await.unwrap();
        }
    }
}

struct Listener {
    capabilities: Vec<Capability>,
    script: Arc<Script>,
}

impl Protocol for Listener {
    fn capabilities(&self) -> &[Capability] {
        &self.capabilities
    }

    fn run(&self, peer: Peer) -> BoxFuture<'static, Result<(), ProtocolError>> {
        let script = Arc::clone(&self.script);
        Box::pin(async move { script.serve(peer).await })
    }
}

impl Script {
    async fn serve(&self, mut peer: Peer) -> Result<(), ProtocolError> {
        let version = if peer.capability.version == 0 { ProtocolVersion::V0 } else { ProtocolVersion::V1 };
        let sender = peer.sender();
        let fault = self.fault;
        if fault == Fault::FullAfterHello {
            sender.disconnect(DisconnectReason::TooManyPeers);
            while peer.recv().await.is_some() {}
            return Ok(());
        }
        if fault == Fault::PacketFirst {
            send(&sender, Lane::Control, 50, Bytes::new()).await;
        }
        let confirms = !matches!(fault, Fault::NoConfirmations | Fault::StoresLate);
        let status = StatusOptions {
            pow_requirement: Some(0.002),
            confirmations: Some(confirms),
            ..StatusOptions::default()
        };
        match fault {
            Fault::NoStatus => {}
            Fault::BadStatus => {
                send(&sender, Lane::Control, codes::STATUS, Bytes::from_static(b"\x01")).await
            }
            _ => send(&sender, Lane::Control, codes::STATUS, status.encode_status(version).into()).await,
        }
        let Some(first) = peer.recv().await else { return Ok(()) };
        if first.code != codes::STATUS {
            return Err(ProtocolError::subprotocol("no status"));
        }
        self.interest(StatusOptions::decode_status(version, &first.payload));
        if fault == Fault::HangsUpAtOnce {
            return Err(ProtocolError::subprotocol("as scripted"));
        }
        self.sessions.lock().push(sender.clone());
        while let Some(Message { code, payload, .. }) = peer.recv().await {
            match code {
                codes::STATUS_UPDATE => self.interest(StatusOptions::decode_update(version, &payload)),
                codes::MESSAGES => self.messages(&sender, &payload).await,
                codes::P2P_REQUEST if fault == Fault::HangsUp => {
                    return Err(ProtocolError::subprotocol("as scripted"));
                }
                codes::P2P_REQUEST => self.request(&sender, &payload).await,
                _ => {}
            }
        }
        Ok(())
    }

    fn interest(&self, options: Result<StatusOptions, waku_wire::WireError>) {
        self.seen.lock().topics.extend(options.unwrap().topics);
    }

    async fn messages(&self, sender: &PeerSender, payload: &Bytes) {
        let envelopes = messages::decode(payload).unwrap();
        let batch = messages::batch_hash(payload);
        let errors = if self.fault == Fault::Rejects {
            let error = |e: &WireEnvelope| EnvelopeError {
                hash: e.hash(),
                code: 22,
                description: "envelope with low PoW received".into(),
            };
            envelopes.iter().map(error).collect()
        } else {
            Vec::new()
        };
        match self.fault {
            Fault::StoresLate => self.seen.lock().late.extend(envelopes),
            Fault::Forgets | Fault::Rejects => {}
            _ => self.seen.lock().rows.extend(envelopes),
        }
        if !matches!(self.fault, Fault::NoConfirmations | Fault::StoresLate | Fault::ForgetsConfirmations) {
            let response = MessageResponse { batch, errors }.encode();
            send(sender, Lane::Control, codes::MESSAGE_RESPONSE, response.into()).await;
            send(sender, Lane::Control, codes::BATCH_ACK, waku_wire::encode_batch_ack(&batch).into()).await;
        }
    }

    async fn request(&self, sender: &PeerSender, packet: &Bytes) {
        let (id, request) = match self.read(packet) {
            Ok(read) => read,
            Err(id) => {
                let error = "failed to decrypt p2p request".to_owned();
                return complete(sender, &Completion::Failure { request: id, error }).await;
            }
        };
        let mut page = self.page(&request);
        self.seen.lock().requests.push(request.clone());
        {
            let mut seen = self.seen.lock();
            let late = std::mem::take(&mut seen.late);
            seen.rows.extend(late);
        }
        let limit = if request.limit == 0 { 1000 } else { request.limit as usize };
        let full = page.len() >= limit;
        if self.fault != Fault::IgnoresLimit {
            page.truncate(limit);
        }
        let last = page.last().map_or(EnvelopeHash::ZERO, WireEnvelope::hash);
        let cursor = page.last().filter(|_| full).map(Cursor::of);
        let mut done = Completion::Success { request: id, last, cursor };
        match self.fault {
            Fault::Silent => return,
            Fault::WrongId => done = Completion::Success { request: [1; 32], last, cursor },
            Fault::Refuses => done = Completion::Failure { request: id, error: "rate limit exceeded".into() },
            Fault::Withholds => page.clear(),
            Fault::NewestFirst => page.reverse(),
            Fault::Repeats => page = page.iter().flat_map(|e| [e.clone(), e.clone()]).collect(),
            Fault::TooMany => page.extend(page.clone()),
            Fault::CursorStands => {
                let cursor = Some(Cursor([9; 36]));
                done = Completion::Success { request: id, last, cursor };
            }
            Fault::Garbage => {
                send(sender, Lane::History, codes::P2P_MESSAGE, Bytes::from_static(b"\xc1\x01")).await;
            }
            Fault::DeliversLate => {
                complete(sender, &done).await;
                // Late is what this fault is about.
                tokio::time::sleep(Duration::from_millis(500)).await;
                return deliver(sender, &page).await;
            }
            _ => {}
        }
        for packet in page.chunks(3) {
            deliver(sender, packet).await;
        }
        complete(sender, &done).await;
    }

    fn read(&self, packet: &Bytes) -> Result<(RequestId, MessagesRequest), RequestId> {
        match P2pRequest::decode(packet).unwrap() {
            P2pRequest::Plain { id, request } => Ok((id, request)),
            P2pRequest::Envelope(envelope) => {
                let id = envelope.hash().0;
                let plain = payload::decrypt_symmetric(&envelope.data(), &self.mailbox).map_err(|_| id)?;
                let opened = payload::parse(&plain).unwrap();
                assert!(opened.source.is_some(), "signed");
                Ok((id, MessagesRequest::decode(&opened.payload).unwrap()))
            }
        }
    }

    /// Oldest first, strictly behind the cursor.
    fn page(&self, request: &MessagesRequest) -> Vec<WireEnvelope> {
        let cursor = Cursor::from_slice(&request.cursor);
        let bloom = Bloom::try_from(request.bloom.as_slice()).unwrap_or(Bloom::EMPTY);
        let wanted = |e: &&WireEnvelope| {
            let topic = if request.topics.is_empty() {
                bloom.matches(e.topic())
            } else {
                request.topics.contains(&e.topic())
            };
            topic
                && (request.from..=request.to).contains(&e.sent())
                && cursor.is_none_or(|c| Cursor::of(e) > c)
        };
        let mut page: Vec<_> = self.seen.lock().rows.iter().filter(wanted).cloned().collect();
        page.sort_by_key(Cursor::of);
        page
    }
}

async fn send(sender: &PeerSender, lane: Lane, code: u64, payload: Bytes) {
    // A client that hung up is no fault of the node.
    let _ = sender.send(lane, code, payload).await;
}

async fn deliver(sender: &PeerSender, envelopes: &[WireEnvelope]) {
    if !envelopes.is_empty() {
        let packet = messages::encode(envelopes.iter().map(|e| e.raw().as_ref()));
        send(sender, Lane::History, codes::P2P_MESSAGE, packet).await;
    }
}

async fn complete(sender: &PeerSender, completion: &Completion) {
    send(sender, Lane::History, codes::P2P_REQUEST_COMPLETE, completion.encode()).await;
}

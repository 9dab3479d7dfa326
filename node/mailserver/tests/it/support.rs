//! A mailserver over the in-memory archive, with a clock that stands still, and a peer that collects what it is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use archive::conformance::append;
use archive::memory::MemoryHistory;
use archive::{Appended, ArchiveError, Budget, History, Page, Position, Query, Source};
use bytes::Bytes;
use enode::{NodeId, NodeKey};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use mailserver::{Clock, Config, Deliver, Mailserver, Metrics, Password, Undelivered};
use parking_lot::Mutex;
use prometheus::Registry;
use tokio::sync::Semaphore;
use waku_wire::payload::{self, Padding};
use waku_wire::{
    Completion, Envelope, MessagesRequest, RequestId, SymmetricKey, Topic, WireEnvelope, messages,
};

/// The now of vector V40.
pub(crate) const NOW: u32 = 1_634_567_890;
pub(crate) const PASSWORD: &str = "status-offline-inbox";

pub(crate) fn password(text: &str) -> Password {
    Password::new(text.to_owned().into()).unwrap()
}

/// One key derivation for all tests' clients.
pub(crate) fn key() -> SymmetricKey {
    static KEY: std::sync::OnceLock<SymmetricKey> = std::sync::OnceLock::new();
    KEY.get_or_init(|| SymmetricKey::from_password(PASSWORD)).clone()
}

pub(crate) fn peer(n: u8) -> NodeId {
    NodeId([n; 32])
}

/// Packets of one peer in the order sent, and a gate that each code 127 packet has to pass.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) packets: Arc<Mutex<Vec<(u64, Bytes)>>>,
    pub(crate) gate: Arc<Semaphore>,
    /// Code 127 packets that are taken before the peer is gone.
    pub(crate) takes: Arc<AtomicUsize>,
}

impl Peer {
    pub(crate) fn new() -> Self {
        Self {
            packets: Arc::default(),
            gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
            takes: Arc::new(AtomicUsize::new(usize::MAX)),
        }
    }

    /// One that takes no code 127 packet until its gate gets permits.
    pub(crate) fn slow() -> Self {
        Self { gate: Arc::new(Semaphore::new(0)), ..Self::new() }
    }

    pub(crate) fn answer(&self) -> Answer {
        let mut answer = Answer { packets: Vec::new(), raw: Vec::new(), completions: Vec::new() };
        for (code, payload) in self.packets.lock().iter() {
            answer.raw.push(payload.clone());
            if *code == 125 {
                answer.completions.push(Completion::decode(payload).unwrap());
            } else {
                assert!(answer.completions.is_empty(), "all envelopes come before the completion");
                answer.packets.push(messages::decode(payload).unwrap());
            }
        }
        answer
    }
}

impl Deliver for Peer {
    async fn p2p_messages(&self, payload: Bytes) -> Result<(), Undelivered> {
        self.gate.acquire().await.unwrap().forget();
        if self.takes.load(Ordering::SeqCst) == 0 {
            return Err(Undelivered);
        }
        self.takes.fetch_sub(1, Ordering::SeqCst);
        self.packets.lock().push((127, payload));
        Ok(())
    }

    async fn complete(&self, payload: Bytes) -> Result<(), Undelivered> {
        if self.takes.load(Ordering::SeqCst) == 0 {
            return Err(Undelivered);
        }
        self.packets.lock().push((125, payload));
        Ok(())
    }
}

/// What a peer was sent for one request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) packets: Vec<Vec<WireEnvelope>>,
    pub(crate) raw: Vec<Bytes>,
    pub(crate) completions: Vec<Completion>,
}

impl Answer {
    pub(crate) fn envelopes(&self) -> Vec<WireEnvelope> {
        self.packets.concat()
    }

    pub(crate) fn completion(&self) -> &Completion {
        assert_eq!(self.completions.len(), 1, "exactly one completion");
        &self.completions[0]
    }

    /// The text of an error completion, which has no envelopes.
    pub(crate) fn error(&self) -> &str {
        assert!(self.packets.is_empty(), "no envelopes with an error");
        match self.completion() {
            Completion::Failure { error, .. } => error,
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) struct Server {
    pub(crate) mailserver: Arc<Mailserver>,
    pub(crate) history: Arc<Faulty>,
    pub(crate) registry: Registry,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) now: Arc<AtomicU32>,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(crate) fn with(config: Config) -> Self {
        let history = Arc::new(Faulty::default());
        let registry = Registry::new();
        let metrics = Arc::new(Metrics::new(&registry, history.label()).unwrap());
        let now = Arc::new(AtomicU32::new(NOW));
        let clock: Clock = {
            let now = Arc::clone(&now);
            Arc::new(move || now.load(Ordering::SeqCst))
        };
        let mailserver = Mailserver::new(
            config,
            &password(PASSWORD),
            Arc::clone(&history) as _,
            Arc::clone(&metrics),
            clock,
        );
        Self { mailserver, history, registry, metrics, now }
    }

    pub(crate) fn rate_limited(limit: Duration) -> Self {
        Self::with(Config { rate_limit: limit, ..Config::default() })
    }

    pub(crate) async fn store(&self, envelopes: &[WireEnvelope]) {
        let stored = append(&self.history.inner, envelopes).await;
        assert!(stored.iter().all(|verdict| *verdict == Appended::Stored));
    }

    /// Sends a packet as a peer and waits until it is answered.
    pub(crate) async fn ask_as(&self, id: NodeId, payload: impl Into<Bytes>) -> Answer {
        let peer = Peer::new();
        // The last byte stands for the address.
        let source = id.0.last().map(|n| Source((*n).into()));
        let (session, run) = self.mailserver.session(id, source, peer.clone());
        session.push(payload.into());
        drop(session);
        run.await;
        peer.answer()
    }

    pub(crate) async fn ask(&self, payload: impl Into<Bytes>) -> Answer {
        self.ask_as(peer(1), payload).await
    }

    /// The value of a series, by name and labels as in the text format; 0 when it does not exist.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let text = prometheus::TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        let line =
            text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ').map(str::to_owned));
        line.map_or(0.0, |value| value.parse().unwrap())
    }
}

/// The in-memory archive, whose reading can be made to fail.
#[derive(Default)]
pub(crate) struct Faulty {
    pub(crate) inner: MemoryHistory,
    pub(crate) failure: Mutex<Option<ArchiveError>>,
    pub(crate) turns: AtomicUsize,
    /// Keys that a turn says to have looked at when it looked at one, when it is not to be an ordinary one.
    pub(crate) tedious: AtomicUsize,
}

impl archive::Layer for Faulty {
    fn below(&self) -> &dyn History {
        &self.inner
    }

    fn page(
        &self,
        query: Query,
        after: Option<Position>,
        budget: Budget,
    ) -> BoxFuture<'_, Result<Page, ArchiveError>> {
        self.turns.fetch_add(1, Ordering::SeqCst);
        match self.failure.lock().clone() {
            Some(error) => std::future::ready(Err(error)).boxed(),
            None => match self.tedious.load(Ordering::SeqCst) {
                0 => self.inner.page(query, after, budget),
                scanned => {
                    let turn = self.inner.page(query, after, Budget { rows: 1, keys: 1, ..budget });
                    turn.map(move |page| Ok(Page { scanned, ..page? })).boxed()
                }
            },
        }
    }
}

/// The id of plain requests in tests.
pub(crate) const ID: RequestId = *b"0123456789abcdef0123456789abcdef";
pub(crate) const TOPIC: Topic = Topic([0x0f, 1, 2, 0]);

/// A request of one topic for everything.
pub(crate) fn request() -> MessagesRequest {
    MessagesRequest { topics: vec![TOPIC], batch: true, ..MessagesRequest::default() }
}

/// Form B.
pub(crate) fn plain(request: &MessagesRequest) -> Bytes {
    request.encode_plain(&ID).into()
}

/// Form A: an envelope with this content, signed or not.
pub(crate) fn encrypted(content: &[u8], key: &SymmetricKey, signer: Option<&NodeKey>) -> WireEnvelope {
    let text = payload::build(content, Padding::Random, signer).unwrap();
    let data = payload::encrypt_symmetric(&text, key).unwrap();
    let envelope =
        Envelope { expiry: NOW + 50, ttl: 50, topic: Topic::default(), data: data.into(), nonce: 0 };
    envelope.encode().unwrap()
}

/// Form A as clients make it.
pub(crate) fn signed(request: &MessagesRequest) -> WireEnvelope {
    encrypted(&request.encode(), &key(), Some(&NodeKey::generate()))
}

/// The envelope of vector V30: sent 1 000 000 000, topic 0f010200.
pub(crate) fn v30() -> WireEnvelope {
    let raw = "f842843b9aca3232840f010200b5aadb80b6cd6285c292e5ef90d2cfa700c5694aa56ce687e44a86c713a10ff7d2e7380ca29765\
               aba30a000102030405060708090a0b80";
    WireEnvelope::decode(&hex::decode(raw).unwrap().into()).unwrap()
}

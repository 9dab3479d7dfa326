//! Archives, and a wire in memory that counts and can be cut.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use archive::{
    Appended, ArchiveError, History, NewRow, Position, TimeRange, WriterObserver,
    conformance::{DAY_START, envelope},
    memory::MemoryHistory,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use replica_sync::{
    Gone, Message, Quota, QuotaConfig, Report, Site, SiteConfig, SyncError, Wire, initiate, respond,
};
use tokio::sync::{mpsc, watch};
use waku_wire::WireEnvelope;

/// Four days after the first envelopes, 100 s into an hour.
pub(crate) const NOW: u32 = DAY_START + 4 * 86_400 + 100;

/// A store in memory whose writes can be made to fail.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) rows: MemoryHistory,
    pub(crate) full: AtomicBool,
}

impl archive::Layer for Store {
    fn below(&self) -> &dyn History {
        &self.rows
    }

    fn append(&self, batch: Vec<NewRow>) -> BoxFuture<'_, Result<Vec<Appended>, ArchiveError>> {
        if self.full.load(Ordering::Relaxed) {
            return Box::pin(async { Err(ArchiveError::Full("on purpose".into())) });
        }
        self.rows.append(batch)
    }
}

/// Counts what was stored and what failed.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) stored: AtomicU64,
    pub(crate) failed: AtomicU64,
}

impl WriterObserver for Counts {
    fn stored(&self, _: usize) {
        self.stored.fetch_add(1, Ordering::Relaxed);
    }
    fn failed(&self, envelopes: usize) {
        self.failed.fetch_add(envelopes as u64, Ordering::Relaxed);
    }
}

/// A node with an archive.
pub(crate) struct Replica {
    pub(crate) store: Arc<Store>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) site: Arc<Site>,
    pub(crate) quota: Arc<Quota>,
}

impl Replica {
    pub(crate) fn new() -> Self {
        Self::with(config(), QuotaConfig::default())
    }

    pub(crate) fn with(config: SiteConfig, quota: QuotaConfig) -> Self {
        let (store, counts) = (Arc::new(Store::default()), Arc::new(Counts::default()));
        let history = Arc::clone(&store) as Arc<dyn History>;
        let observer = Arc::clone(&counts) as Arc<dyn WriterObserver>;
        let site = Arc::new(Site::new(history, observer, config, Arc::new(|| NOW)));
        Self { store, counts, site, quota: Arc::new(Quota::new(quota, NOW)) }
    }

    pub(crate) async fn holding(envelopes: &[WireEnvelope]) -> Self {
        let replica = Self::new();
        replica.add(envelopes).await;
        replica
    }

    pub(crate) async fn add(&self, envelopes: &[WireEnvelope]) {
        let row = |envelope: &WireEnvelope| NewRow { envelope: envelope.clone(), known_new: false };
        self.store.append(envelopes.iter().map(row).collect()).await.unwrap();
    }

    /// All that it holds.
    pub(crate) async fn held(&self) -> Vec<Position> {
        self.store.ids(TimeRange::ALL, None, usize::MAX).await.unwrap()
    }
}

/// Patience that tests with a paused clock wait for, and no proof of work.
pub(crate) fn config() -> SiteConfig {
    SiteConfig { min_pow: 0.0, max_message_size: 1 << 20, patience: Duration::from_secs(30) }
}

/// Where these envelopes stand, in order.
pub(crate) fn places(envelopes: &[WireEnvelope]) -> Vec<Position> {
    let mut places: Vec<_> = envelopes.iter().map(|it| Position::of(it.sent(), &it.hash())).collect();
    places.sort_unstable();
    places.dedup();
    places
}

/// `count` envelopes of 300 bytes from `sent` on, `step` seconds apart.
pub(crate) fn every(sent: u32, step: u32, count: u32, salt: u32) -> Vec<WireEnvelope> {
    (0..count).map(|at| envelope(sent + at * step, [1, 2, 3, 4], salt + at, 270)).collect()
}

/// What passed, and when the wire breaks.
pub(crate) struct Traffic {
    pub(crate) messages: AtomicU64,
    /// With what RLPx adds: a header and two MACs of 16 bytes, the code, four bytes of Snappy, padding to 16.
    pub(crate) bytes: AtomicU64,
    /// Of envelopes that were given.
    pub(crate) envelope_bytes: AtomicU64,
    left: AtomicI64,
    cut: watch::Sender<bool>,
}

/// One end of a wire.
pub(crate) struct End {
    to: mpsc::Sender<(u64, Bytes)>,
    from: mpsc::Receiver<(u64, Bytes)>,
    traffic: Arc<Traffic>,
    cut: watch::Receiver<bool>,
}

/// A wire that breaks instead of taking message `messages` + 1.
pub(crate) fn wire(messages: i64) -> (End, End, Arc<Traffic>) {
    let ((a, from_a), (b, from_b)) = (mpsc::channel(4), mpsc::channel(4));
    let (sender, cut) = watch::channel(false);
    let traffic = Arc::new(Traffic {
        messages: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
        envelope_bytes: AtomicU64::new(0),
        left: AtomicI64::new(messages),
        cut: sender,
    });
    let end = |to, from| End { to, from, traffic: Arc::clone(&traffic), cut: cut.clone() };
    (end(a, from_b), end(b, from_a), Arc::clone(&traffic))
}

impl Wire for End {
    async fn send(&mut self, code: u64, payload: Bytes) -> Result<(), Gone> {
        if self.traffic.left.fetch_sub(1, Ordering::Relaxed) <= 0 {
            self.traffic.cut.send_replace(true);
            return Err(Gone);
        }
        self.traffic.messages.fetch_add(1, Ordering::Relaxed);
        let framed = 3 * 16 + (payload.len() + 5).next_multiple_of(16);
        self.traffic.bytes.fetch_add(framed as u64, Ordering::Relaxed);
        if let Ok(Message::Envelopes { envelopes, .. }) = Message::decode(code, &payload) {
            let bytes: usize = envelopes.iter().map(|envelope| envelope.raw().len()).sum();
            self.traffic.envelope_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        self.to.send((code, payload)).await.map_err(|_| Gone)
    }

    async fn recv(&mut self) -> Result<(u64, Bytes), Gone> {
        tokio::select! {
            biased;
            _ = self.cut.wait_for(|cut| *cut) => Err(Gone),
            packet = self.from.recv() => packet.ok_or(Gone),
        }
    }
}

impl End {
    /// For peers that do as they like.
    pub(crate) async fn say(&mut self, message: &Message) {
        let (code, payload) = message.encode();
        // The honest side may have hung up.
        let _ = self.send(code, payload).await;
    }

    pub(crate) async fn hear(&mut self) -> Option<Message> {
        let (code, payload) = self.recv().await.ok()?;
        Some(Message::decode(code, &payload).unwrap())
    }
}

/// A round between an honest side that asks and a peer whose every message passes `tamper`, which may change it, or hold
/// it back for ever.
pub(crate) async fn tampered(
    honest: &Replica,
    peer: &Replica,
    mut tamper: impl FnMut(Message) -> Option<Message>,
) -> (Ended, Ended) {
    let (ours, mut here, _) = wire(i64::MAX);
    let (mut there, theirs, _) = wire(i64::MAX);
    let pass = async move {
        loop {
            tokio::select! {
                message = here.hear() => match message {
                    Some(message) => there.say(&message).await,
                    None => return,
                },
                message = there.hear() => match message {
                    Some(message) => if let Some(message) = tamper(message) { here.say(&message).await },
                    // The peer has left; the honest side is to find out by itself.
                    None => { while here.hear().await.is_some() {} return; }
                },
            }
        }
    };
    let (asked, answered, ()) = tokio::join!(ask(honest, ours), answer(peer, theirs), pass);
    (asked, answered)
}

/// How a round ended on one side.
pub(crate) type Ended = (Report, Result<(), SyncError>);

/// One round as the asking side; the wire is hung up afterwards.
pub(crate) async fn ask(replica: &Replica, mut end: End) -> Ended {
    let mut report = Report::default();
    let outcome = initiate(&mut end, &replica.site, &replica.quota, &mut report).await;
    (report, outcome)
}

/// The same as the answering side.
pub(crate) async fn answer(replica: &Replica, mut end: End) -> Ended {
    let mut report = Report::default();
    let outcome = respond(&mut end, &replica.site, &replica.quota, &mut report).await;
    (report, outcome)
}

/// One round over a wire that breaks after `messages`.
pub(crate) async fn round_of(
    asking: &Replica,
    answering: &Replica,
    messages: i64,
) -> (Ended, Ended, Arc<Traffic>) {
    let (a, b, traffic) = wire(messages);
    let (first, second) = tokio::join!(ask(asking, a), answer(answering, b));
    (first, second, traffic)
}

/// One round that both sides end well.
pub(crate) async fn round(asking: &Replica, answering: &Replica) -> (Report, Report, Arc<Traffic>) {
    let ((first, one), (second, two), traffic) = round_of(asking, answering, i64::MAX).await;
    one.unwrap();
    two.unwrap();
    (first, second, traffic)
}

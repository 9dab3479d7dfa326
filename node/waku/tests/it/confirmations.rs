//! `spec/waku-mailserver.md` §4.7, §9.3; with an archive a confirmation waits for the write.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use archive::{
    Appended, ArchiveError, Budget, History, NewRow, Page, Position, Query, memory::MemoryHistory,
};
use futures::{FutureExt as _, future::BoxFuture};
use tokio::sync::Semaphore;
use waku_wire::{StatusOptions, codes, messages};

use crate::support::{NOW, Setup, of_length, soon, topic, valid};

/// History whose every write waits for a permit, and whose pages have no end.
pub(crate) struct Gated {
    memory: MemoryHistory,
    gate: Semaphore,
    /// Pages asked for.
    pub(crate) pages: AtomicU64,
}

impl Gated {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { memory: MemoryHistory::new(), gate: Semaphore::new(0), pages: AtomicU64::new(0) })
    }
}

impl archive::Layer for Gated {
    fn below(&self) -> &dyn History {
        &self.memory
    }

    fn label(&self) -> &str {
        "gated"
    }

    fn append(&self, batch: Vec<NewRow>) -> BoxFuture<'_, Result<Vec<Appended>, ArchiveError>> {
        async move {
            self.gate.acquire().await.expect("open").forget();
            self.memory.append(batch).await
        }
        .boxed()
    }

    fn page(
        &self,
        _query: Query,
        _after: Option<Position>,
        _budget: Budget,
    ) -> BoxFuture<'_, Result<Page, ArchiveError>> {
        self.pages.fetch_add(1, Ordering::SeqCst);
        async {
            tokio::task::yield_now().await;
            Ok(Page { rows: Vec::new(), next: Some(Position::first_of(NOW)), scanned: 1 })
        }
        .boxed()
    }
}

async fn archived(history: &dyn History) -> u64 {
    history.stats().await.unwrap().envelopes
}

#[tokio::test]
async fn s45_valid_batch() {
    let server = Setup::confirming().start();
    let mut a = server.full().await;
    let payload = messages::encode([valid(1).raw().as_ref()]);
    a.send(codes::MESSAGES, payload.clone()).await;
    let response = a.confirmation().await;
    assert_eq!(response.batch, enode::keccak256(&payload));
    assert_eq!(response.errors, []);
}

#[tokio::test]
async fn s46_one_valid_and_one_very_old() {
    let server = Setup::confirming().start();
    let mut a = server.full().await;
    let old = of_length(2, topic(1), NOW - 30, 50, 32);
    assert_eq!(a.confirm(&[&valid(1), &old]).await, [(old.hash(), 21, "very old envelope".to_owned())]);
    assert_eq!(server.waku.stats().envelopes, 1);
}

#[tokio::test]
async fn s47_without_confirmations() {
    let server = Setup::new().start();
    let (mut a, b) = (server.full().await, server.full().await);
    a.post(&[&valid(1)]).await;
    b.post(&[&valid(2)]).await;
    assert_eq!(a.gossip(1).await, [valid(2).hash()], "no code 11 or 12 in between");
}

/// §2.7: a blacklisted peer's packets are discarded and confirmed without errors.
#[tokio::test]
async fn soft_blacklisted_peer() {
    let key = enode::NodeKey::generate();
    let mut setup = Setup::confirming();
    setup.config.soft_blacklist.insert(key.node_id());
    let server = setup.start();
    let mut listed = server.connect_as(&key, waku_wire::StatusOptions::default()).await;
    let old = of_length(2, topic(1), NOW - 30, 50, 32);
    assert_eq!(listed.confirm(&[&valid(1), &old]).await, []);
    assert_eq!(server.waku.stats().envelopes, 0);
    listed.send(codes::MESSAGES, vec![0x80]).await;
    listed.assert_kept().await;
}

/// With an archive: relayed at once, confirmed only when written, in packet order.
#[tokio::test]
async fn confirmations_wait_for_the_archive_and_relaying_does_not() {
    let history = Gated::new();
    let server = Setup::confirming().with_history(history.clone()).start();
    let (mut a, mut b) = (server.full().await, server.full().await);
    b.assert_kept().await;
    let first = a.post(&[&valid(1)]).await;
    let empty = a.post(&[]).await;
    assert_eq!(b.gossip(1).await, [valid(1).hash()]);
    assert!(a.peer.recv().now_or_never().is_none(), "not confirmed before it is written");
    assert_eq!(archived(&*history).await, 0);
    history.gate.add_permits(1);
    assert_eq!(a.confirmation().await.batch, first);
    assert_eq!(archived(&*history).await, 1);
    assert_eq!(a.confirmation().await.batch, empty, "in packet order");
}

/// A duplicate is confirmed only when the first one is durable.
#[tokio::test]
async fn a_duplicates_confirmation_waits_for_the_first_ones_write() {
    let history = Gated::new();
    let server = Setup::confirming().with_history(history.clone()).start();
    let (mut a, mut b) = (server.full().await, server.full().await);
    b.assert_kept().await;
    a.post(&[&valid(1)]).await;
    assert_eq!(b.gossip(1).await, [valid(1).hash()]);
    b.post(&[&valid(1)]).await;
    assert!(b.peer.recv().now_or_never().is_none());
    // The first group is written; the duplicate's check is a group of its own.
    history.gate.add_permits(2);
    assert_eq!(a.confirmation().await.errors, []);
    assert_eq!(b.confirmation().await.errors, []);
    assert_eq!(archived(&*history).await, 1);
    // Known to be durable now: no write, so no permit is needed.
    assert_eq!(b.confirm(&[&valid(1)]).await, []);
}

/// What is relayed but not stored gets a record of code 22.
#[tokio::test]
async fn a_failed_write_is_reported() {
    let history = Arc::new(MemoryHistory::new());
    let server = Setup::confirming().with_history(history.clone()).start();
    let (mut a, mut b) = (server.full().await, server.full().await);
    b.assert_kept().await;
    assert_eq!(a.confirm(&[&valid(1)]).await, []);
    history.close().await.unwrap();
    let errors = a.confirm(&[&valid(2)]).await;
    let [(hash, 22, text)] = &errors[..] else { panic!("one record of code 22: {errors:?}") };
    assert_eq!(*hash, valid(2).hash());
    assert!(text.starts_with("not archived: "), "{text}");
    assert_eq!(b.gossip(2).await, [valid(1).hash(), valid(2).hash()], "relayed all the same");
    let again = b.confirm(&[&valid(2)]).await;
    assert_eq!(again.len(), 1, "a duplicate of what is not stored is not confirmed either");
}

/// The archive's admission is stricter than the relay's: sent more than two days ago, still alive.
#[tokio::test]
async fn too_old_for_the_archive_but_alive() {
    let history = Arc::new(MemoryHistory::new());
    let mut setup = Setup::confirming().with_history(history.clone());
    setup.config.min_pow = 0.0;
    let server = setup.start();
    let mut a = server.full().await;
    let old = of_length(1, topic(1), NOW + 60, 3 * 86_400, 32);
    assert_eq!(a.confirm(&[&valid(1), &old]).await, [(old.hash(), 22, "not archived: too old".to_owned())]);
    assert_eq!(archived(&*history).await, 1);
    assert_eq!(server.waku.stats().envelopes, 2);
}

/// Without confirmations everything new is archived too, and nothing twice.
#[tokio::test]
async fn archived_without_confirmations() {
    let history = Arc::new(MemoryHistory::new());
    let server = Setup::new().with_history(history.clone()).start();
    let (a, b) = (server.full().await, server.full().await);
    a.post(&[&valid(1), &valid(2)]).await;
    b.post(&[&valid(2), &valid(3)]).await;
    soon(async {
        while archived(&*history).await < 3 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// A batch with more errors than fit a packet is not confirmed at all: silence promises nothing.
#[tokio::test]
async fn too_many_errors_are_not_confirmed() {
    let server = Setup::confirming().start();
    let mut a = server.full().await;
    let old: Vec<_> = (0..10_000).map(|n| of_length(n, topic(1), NOW - 30, 50, 4)).collect();
    a.post(&old.iter().collect::<Vec<_>>()).await;
    a.assert_kept().await;
    let errors = a.confirm(&old[..1000].iter().collect::<Vec<_>>()).await;
    assert_eq!(errors.len(), 1000);
    assert!(errors.iter().zip(&old).all(|((hash, code, _), e)| *hash == e.hash() && *code == 21));
}

/// Confirmations that wait for the archive have a bound for all sessions together; what is beyond it is not confirmed.
#[tokio::test]
async fn waiting_confirmations_of_all_sessions_are_bounded() {
    const SESSIONS: u32 = 60;
    const OLD: u32 = 5000;
    let history = Gated::new();
    let server = Setup::confirming().with_history(history.clone()).start();
    let old: Vec<_> = (0..OLD).map(|n| of_length(n, topic(1), NOW - 30, 50, 4)).collect();
    let mut clients = Vec::new();
    for n in 0..SESSIONS {
        // Some 400 KB of error records, and one envelope to wait for.
        let new = valid(n);
        let client = server.connect(StatusOptions { topics: Some(vec![]), ..Default::default() }).await;
        let batch = client.post(&old.iter().chain([&new]).collect::<Vec<_>>()).await;
        clients.push((client, batch));
    }
    soon(async {
        while server.metric("waku_envelopes_received_total") < f64::from(SESSIONS * (OLD + 1)) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
    history.gate.add_permits(Semaphore::MAX_PERMITS / 2);
    let mut confirmed = 0;
    for (client, batch) in &mut clients {
        let empty = client.post(&[]).await;
        loop {
            let answered = client.confirmation().await.batch;
            confirmed += u32::from(answered == *batch);
            if answered == empty {
                break;
            }
        }
    }
    // 16 MiB hold some 40 of them.
    assert!((30..50).contains(&confirmed), "{confirmed} of {SESSIONS}");
}

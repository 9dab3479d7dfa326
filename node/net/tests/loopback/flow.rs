//! How much of what goes out when: lanes, the live source, slow readers, the inbound budget.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use devp2p::{Config, DisconnectReason, Lane, LiveSource, SendError};
use enode::NodeKey;
use parking_lot::Mutex;
use rlpx::base;

use crate::common::{LONG, OFFSET, Server, config, dropped, event, random_bytes, timed};

/// A source that counts how often it was asked.
#[derive(Clone, Default)]
struct Source {
    packets: Arc<Mutex<VecDeque<Bytes>>>,
    given: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
}

impl LiveSource for Source {
    fn next_packet(&mut self, max_bytes: usize) -> Option<(u64, Bytes)> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let packet = self.packets.lock().pop_front()?;
        assert!(packet.len() <= max_bytes);
        self.given.fetch_add(1, Ordering::SeqCst);
        Some((1, packet))
    }
}

/// Under a reader that stands still, what is urgent overtakes what is not.
#[tokio::test]
async fn lanes_overtake_under_a_slow_reader() {
    let (server, mut peers) = Server::capturing(config());
    let mut raw = server.raw(&NodeKey::generate()).await;
    let peer = peers.recv().await.unwrap();
    let sender = peer.sender();
    let big = Bytes::from(random_bytes(100_000));
    // The reader does not read: the lanes fill until nothing more is taken.
    let mut queued = 0;
    while tokio::time::timeout(Duration::from_secs(1), sender.send(Lane::Sync, 4, big.clone())).await.is_ok()
    {
        queued += 1;
        assert!(queued < 1000, "the lane is bounded");
    }
    for (lane, code) in [(Lane::History, 3), (Lane::Live, 2), (Lane::Control, 1)] {
        sender.send(lane, code, "urgent".into()).await.unwrap();
    }
    let mut order = Vec::new();
    let mut before = 0;
    while order.len() < 3 {
        let (code, _) = raw.recv().await.unwrap();
        match code - OFFSET {
            4 => before += usize::from(order.is_empty()),
            code => order.push(code),
        }
    }
    assert_eq!(order, [1, 2, 3]);
    // The two in the lane at least came later, however much the kernel held.
    assert!(before < queued, "{before} of {queued} came first");
}

/// The live source is asked only while the socket can take more, and goes before history.
#[tokio::test]
async fn the_live_source_is_pulled() {
    let (server, mut peers) = Server::capturing(config());
    let mut raw = server.raw(&NodeKey::generate()).await;
    let peer = peers.recv().await.unwrap();
    let (sender, source) = (peer.sender(), Source::default());
    let packet = Bytes::from(random_bytes(50_000));
    source.packets.lock().extend(std::iter::repeat_n(packet.clone(), 400));
    // Set while there is something already: it is asked at once.
    sender.set_live_source(Box::new(source.clone()));
    sender.send(Lane::History, 3, "history".into()).await.unwrap();
    let waker = sender.waker();
    // 20 MB wait for a reader that does not read.
    let mut last = usize::MAX;
    while last != source.given.load(Ordering::SeqCst) {
        last = source.given.load(Ordering::SeqCst);
        for _ in 0..100 {
            waker.wake();
            waker.write_or_wake(later());
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!((1..400).contains(&last), "{last} packets were taken by a socket that is not read");
    for i in 0..400 {
        let (code, payload) = raw.recv().await.unwrap();
        assert_eq!((code, payload), (OFFSET + 1, packet.clone()), "packet {i}");
    }
    assert_eq!(raw.recv().await.unwrap(), (OFFSET + 3, "history".into()));
    // Once it said None it is not asked before the next wake.
    let asked = source.asked.load(Ordering::SeqCst);
    sender.send(Lane::Control, 2, "x".into()).await.unwrap();
    assert_eq!(raw.recv().await.unwrap().0, OFFSET + 2);
    assert_eq!(source.asked.load(Ordering::SeqCst), asked);
    source.packets.lock().push_back("later".into());
    waker.wake();
    assert_eq!(raw.recv().await.unwrap(), (OFFSET + 1, "later".into()));
}

/// A moment at which every session has rested.
fn later() -> Instant {
    Instant::now() + Duration::from_secs(1)
}

/// Who has something for a session at rest writes it; a busy one collects, and one that has ended gets nothing.
#[tokio::test]
async fn a_session_at_rest_is_written_to_without_its_task() {
    let (server, mut peers) = Server::capturing(config());
    let mut events = server.handle.events();
    let mut raw = server.raw(&NodeKey::generate()).await;
    let peer = peers.recv().await.unwrap();
    let (sender, source) = (peer.sender(), Source::default());
    sender.set_live_source(Box::new(source.clone()));
    sender.send(Lane::Control, 2, "x".into()).await.unwrap();
    assert_eq!(raw.recv().await.unwrap().0, OFFSET + 2);
    let (waker, later) = (sender.waker(), later());
    let given = || source.given.load(Ordering::SeqCst);
    // There is one thread, and nothing is awaited in between: the task did not run.
    source.packets.lock().extend(["first".into(), "second".into()]);
    waker.write_or_wake(later);
    assert_eq!(given(), 2);
    source.packets.lock().push_back("third".into());
    waker.write_or_wake(later + Duration::from_millis(1));
    assert_eq!(given(), 2, "written to a moment ago: left to the task");
    for packet in ["first", "second", "third"] {
        assert_eq!(raw.recv().await.unwrap(), (OFFSET + 1, packet.into()));
    }
    drop(raw);
    event(&mut events, dropped).await;
    source.packets.lock().push_back("fourth".into());
    waker.write_or_wake(later + Duration::from_secs(1));
    assert_eq!(given(), 3, "the session has ended");
}

/// `spec/devp2p.md` §2.7: a peer that cannot be written to for the write timeout is dropped, and costs no queue.
#[tokio::test]
async fn section_2_7_write_deadline() {
    let mut config = config();
    config.timeouts.write = Duration::from_millis(500);
    let (server, mut peers) = Server::capturing(config);
    let raw = server.raw(&NodeKey::generate()).await;
    let mut events = server.handle.events();
    let sender = peers.recv().await.unwrap().sender();
    let (end, took) = timed(async {
        while sender.send(Lane::Live, 1, Bytes::from(random_bytes(200_000))).await.is_ok() {}
        event(&mut events, dropped).await
    })
    .await;
    assert_eq!((end.reason, end.error.as_str()), (None, "timed out: writing"));
    assert!(took < LONG, "{took:?}");
    assert_eq!(sender.try_send(Lane::Live, 1, &Bytes::new()), Err(SendError::Closed));
    drop(raw);
}

/// Reading never waits for writing: with the way out blocked, what comes in is still handled.
#[tokio::test]
async fn reading_does_not_wait_for_writing() {
    let (server, mut peers) = Server::capturing(config());
    let mut raw = server.raw(&NodeKey::generate()).await;
    let mut peer = peers.recv().await.unwrap();
    let sender = peer.sender();
    let full =
        async { while sender.send(Lane::Live, 1, Bytes::from(random_bytes(200_000))).await.is_ok() {} };
    assert!(tokio::time::timeout(Duration::from_millis(500), full).await.is_err(), "the way out is blocked");
    for i in 0..50u8 {
        // Pings owe pongs that cannot be sent; however many, one is owed.
        raw.send(base::PING, base::EMPTY_LIST).await;
        raw.send(OFFSET + 9, &[i]).await;
        let message = tokio::time::timeout(LONG, peer.recv()).await.expect("read meanwhile").unwrap();
        assert_eq!((message.code, &message.payload[..]), (9, &[i][..]));
    }
    let mut pongs = 0;
    while tokio::time::timeout(Duration::from_secs(2), raw.recv()).await.is_ok_and(|m| {
        pongs += usize::from(m.is_some_and(|(code, _)| code == base::PONG));
        true
    }) {}
    assert!((1..50).contains(&pongs), "{pongs}");
}

/// Big messages beyond the budget wait for each other; small ones pass.
#[tokio::test]
async fn the_inbound_budget_is_shared() {
    let (server, mut peers) = Server::capturing(Config { message_budget: 1 << 20, ..config() });
    let mut first = server.raw(&NodeKey::generate()).await;
    let mut of_first = peers.recv().await.unwrap();
    let mut second = server.raw(&NodeKey::generate()).await;
    let mut of_second = peers.recv().await.unwrap();
    let big = random_bytes(900_000);
    first.send(OFFSET, &big).await;
    let held = tokio::time::timeout(LONG, of_first.recv()).await.unwrap().unwrap();
    assert_eq!(held.payload.len(), big.len());
    // It is still held: another of its size has to wait, a small one does not.
    second.send(OFFSET, b"small").await;
    assert_eq!(tokio::time::timeout(LONG, of_second.recv()).await.unwrap().unwrap().payload, "small");
    let frame = second.frame(OFFSET, &big);
    let sending = tokio::spawn(async move {
        tokio::io::AsyncWriteExt::write_all(&mut second.stream, &frame).await.unwrap();
        second
    });
    assert!(tokio::time::timeout(Duration::from_millis(700), of_second.recv()).await.is_err(), "it waits");
    drop(held);
    let message = tokio::time::timeout(LONG, of_second.recv()).await.expect("the budget is free").unwrap();
    assert_eq!(message.payload, big);
    drop(sending.await.unwrap());
}

/// What a protocol queued before it ended is said before the Disconnect.
#[tokio::test]
async fn queued_messages_are_said_before_disconnect() {
    let (server, mut peers) = Server::capturing(config());
    let mut raw = server.raw(&NodeKey::generate()).await;
    let sender = peers.recv().await.unwrap().sender();
    for i in 0..20 {
        sender.send(Lane::History, i, "x".into()).await.unwrap();
    }
    sender.disconnect(DisconnectReason::Requested);
    assert_eq!(sender.send(Lane::Control, 1, "too late".into()).await, Err(SendError::Closed));
    for i in 0..20 {
        assert_eq!(raw.recv().await.unwrap().0, OFFSET + i);
    }
    assert_eq!(raw.disconnect().await, DisconnectReason::Requested);
}

//! Who is let in: `spec/devp2p.md` §3.1–3.3, and the half-open and dead sessions that must not lock others out.

use std::time::Duration;

use devp2p::{Config, DisconnectReason, Hello};
use enode::NodeKey;
use rlpx::base;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::common::{LONG, OFFSET, Raw, Server, added, config, dropped, event, timed, waku};

fn limited(max_peers: usize) -> Config {
    Config { max_peers, ..config() }
}

/// `spec/devp2p.md` §3.2, checkpoint 1: refused in place of Hello, uncompressed.
#[tokio::test]
async fn section_3_2_too_many_peers() {
    // 4 peers: 1 dialed, 3 inbound.
    let server = Server::start(limited(4));
    let mut peers = Vec::new();
    for _ in 0..3 {
        peers.push(server.raw(&NodeKey::generate()).await);
    }
    let mut fourth = Raw::connect(server.addr, &NodeKey::generate(), server.key.public_key()).await;
    assert_eq!(fourth.disconnect().await, DisconnectReason::TooManyPeers);
    assert_eq!(server.handle.peer_count(), 3);

    // Room again when one leaves.
    let mut events = server.handle.events();
    peers.pop();
    event(&mut events, dropped).await;
    server.raw(&NodeKey::generate()).await;
}

/// `spec/operations.md` §3.5: connections that come to nothing, and sessions that end, are counted by their cause.
#[tokio::test]
async fn what_becomes_of_connections_is_counted() {
    let server = Server::start(limited(2));
    let mut events = server.handle.events();
    let first = server.raw(&NodeKey::generate()).await;
    let mut second = Raw::connect(server.addr, &NodeKey::generate(), server.key.public_key()).await;
    assert_eq!(second.disconnect().await, DisconnectReason::TooManyPeers);
    drop((first, second));
    event(&mut events, dropped).await;
    // The counts come just after the event and the last byte; nothing tells of them.
    let counted = async {
        loop {
            let totals = server.handle.totals();
            if !totals.failed.is_empty() && !totals.ended.is_empty() {
                break totals;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let totals = tokio::time::timeout(LONG, counted).await.unwrap();
    assert_eq!((totals.accepted, totals.throttled, totals.dials), (2, 0, 0));
    assert_eq!(totals.failed, [(devp2p::Direction::Inbound, "too_many_peers", 1)]);
    assert_eq!(totals.ended, [("eof", 1)]);
}

/// Changed limits count from the next connection on, and disconnect nobody.
#[tokio::test]
async fn limits_change_while_the_server_runs() {
    // 2 peers: 1 dialed, 1 inbound.
    let server = Server::start(limited(2));
    let mut events = server.handle.events();
    let mut first = server.raw(&NodeKey::generate()).await;
    event(&mut events, added).await;
    let refused = async || {
        let mut raw = Raw::connect(server.addr, &NodeKey::generate(), server.key.public_key()).await;
        raw.disconnect().await
    };
    assert_eq!(refused().await, DisconnectReason::TooManyPeers);
    server.handle.set_limits(3, 100);
    assert_eq!(server.handle.max_peers(), 3);
    let _second = server.raw(&NodeKey::generate()).await;
    event(&mut events, added).await;
    server.handle.set_limits(1, 100);
    assert_eq!(refused().await, DisconnectReason::TooManyPeers);
    assert_eq!(server.handle.peer_count(), 2);
    first.send(OFFSET + 1, b"still").await;
    assert_eq!(first.recv().await.unwrap().1, "still");
}

/// `spec/devp2p.md` §3.2: only trusted peers are exempt from the limits.
#[tokio::test]
async fn section_3_2_trusted_peers() {
    let server = Server::start(limited(2));
    let _first = server.raw(&NodeKey::generate()).await;
    let trusted = NodeKey::generate();
    server.handle.add_trusted(trusted.node_id());
    let mut raw = server.raw(&trusted).await;
    raw.send(OFFSET + 1, b"in").await;
    assert_eq!(raw.recv().await.unwrap().1, "in");
    let trust = |server: &Server| {
        server.handle.peers().iter().find(|p| p.id == trusted.node_id()).map(|p| p.trusted()).unwrap()
    };
    assert!(trust(&server));
    server.handle.remove_trusted(trusted.node_id());
    assert!(!trust(&server), "taken back, and still connected");
    raw.send(OFFSET + 1, b"still").await;
    assert_eq!(raw.recv().await.unwrap().1, "still");
}

/// `spec/devp2p.md` §3.2, checkpoint 2: the same checks after Hello, told compressed.
#[tokio::test]
async fn section_3_2_checkpoint_2() {
    let server = Server::start(limited(2));
    // Both pass checkpoint 1; one inbound place is there.
    let keys = [NodeKey::generate(), NodeKey::generate()];
    let mut raws = Vec::new();
    for key in &keys {
        let mut raw = Raw::connect(server.addr, key, server.key.public_key()).await;
        assert_eq!(raw.recv().await.unwrap().0, base::HELLO);
        raws.push(raw);
    }
    for (raw, key) in raws.iter_mut().zip(&keys) {
        raw.send(base::HELLO, &Hello::new("x".into(), waku(), &key.public_key()).encode()).await;
        raw.decoder.enable_snappy();
        raw.encoder.enable_snappy();
        if server.handle.peer_count() == 0 {
            raw.send(OFFSET + 1, b"in").await;
            assert_eq!(raw.recv().await.unwrap().1, "in");
        }
    }
    assert_eq!(raws[1].disconnect().await, DisconnectReason::TooManyPeers);
    assert_eq!(server.handle.peers()[0].id, keys[0].node_id());
}

/// `spec/devp2p.md` §3.2: a node id that has a living session.
#[tokio::test]
async fn section_3_2_already_connected() {
    let mut config = config();
    config.timeouts.probe = LONG;
    let server = Server::start(config);
    let key = NodeKey::generate();
    let connection = server.dial(&key).await.unwrap();
    let first = connection.local_addr();
    // The session answers pings by itself.
    let _peer = connection.open("waku").unwrap();
    let (refused, took) = timed(server.dial(&key)).await;
    assert_eq!(refused.err().unwrap().reason(), Some(DisconnectReason::AlreadyConnected));
    assert!(took < LONG, "a living session answers at once: {took:?}");
    assert_eq!(server.handle.peers()[0].remote_addr, first);
}

/// A session that does not answer any more is replaced by the next of the same node.
#[tokio::test]
async fn a_dead_session_is_replaced() {
    let mut config = limited(1);
    config.max_peers = 2;
    config.timeouts.probe = Duration::from_millis(300);
    let server = Server::start(config);
    let mut events = server.handle.events();
    let key = NodeKey::generate();
    let dead = server.raw(&key).await;
    let dead_addr = dead.stream.local_addr().unwrap();
    assert_eq!(event(&mut events, added).await.remote_addr, dead_addr);
    // The table is full, and still its owner gets in.
    let mut alive = server.raw(&key).await;
    alive.send(OFFSET + 1, b"new").await;
    assert_eq!(alive.recv().await.unwrap().1, "new");
    let end = event(&mut events, dropped).await;
    assert_eq!((end.info.remote_addr, end.reason), (dead_addr, Some(DisconnectReason::AlreadyConnected)));
    assert_eq!(event(&mut events, added).await.id, key.node_id());
    // The end of the old session does not take the new one out.
    drop(dead);
    alive.send(OFFSET + 1, b"again").await;
    assert_eq!(alive.recv().await.unwrap().1, "again");
    assert_eq!(server.handle.peer_count(), 1);
}

/// `spec/devp2p.md` §3.3: the second attempt of a source is closed without a byte; loopback is exempt by default.
#[tokio::test]
async fn section_3_3_throttle() {
    let mut throttled = Config { throttle_private_sources: true, ..config() };
    throttled.timeouts.inbound_throttle = Duration::from_secs(3);
    let server = Server::start(throttled.clone());
    let _first = server.raw(&NodeKey::generate()).await;
    let mut second = TcpStream::connect(server.addr).await.unwrap();
    let read = tokio::time::timeout(LONG, second.read(&mut [0; 1])).await.expect("closed at once");
    assert_eq!(read.unwrap_or(0), 0);
    tokio::time::sleep(Duration::from_millis(3050)).await;
    let _third = server.raw(&NodeKey::generate()).await;

    let shared = Config {
        key: NodeKey::generate(),
        shared_sources: vec!["127.0.0.0/8".parse().unwrap()],
        ..throttled
    };
    let server = Server::start(shared);
    let _both = (server.raw(&NodeKey::generate()).await, server.raw(&NodeKey::generate()).await);
    let server = Server::start(config());
    let _both = (server.raw(&NodeKey::generate()).await, server.raw(&NodeKey::generate()).await);
}

/// 200 sockets that say nothing, and 200 that stop in the middle of the handshake, do not keep a good node out.
#[tokio::test]
async fn half_open_sockets_do_not_lock_newcomers_out() {
    let mut config = config();
    // They do not make room by running out of time.
    config.timeouts.handshake = 10 * LONG;
    let server = Server::start(config);
    let mut half_open = Vec::new();
    for i in 0..400u32 {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        if i % 2 == 0 {
            stream.write_all(&[1, 0xb3, 4]).await.unwrap();
        }
        half_open.push(stream);
    }
    let key = NodeKey::generate();
    let newcomer = tokio::time::timeout(LONG, server.raw(&key));
    let mut raw = newcomer.await.expect("let in at once");
    raw.send(OFFSET + 1, b"in").await;
    assert_eq!(raw.recv().await.unwrap().1, "in");
    assert!(server.handle.pending_count() <= 100, "{}", server.handle.pending_count());
}

/// Nor do handshakes that are completed and never followed by a Hello.
#[tokio::test]
async fn handshakes_without_hello_do_not_lock_newcomers_out() {
    let mut config = Config { max_pending: 10, ..config() };
    config.timeouts.hello = 10 * LONG;
    let server = Server::start(config);
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(Raw::connect(server.addr, &NodeKey::generate(), server.key.public_key()).await);
    }
    let key = NodeKey::generate();
    let newcomer = tokio::time::timeout(LONG, server.raw(&key));
    let _raw = newcomer.await.expect("let in at once");
    assert!(server.handle.pending_count() <= 10);
    // The oldest had to go.
    assert_eq!(silent[0].recv().await.map(|(code, _)| code), Some(base::HELLO));
    assert_eq!(silent[0].recv().await, None);
}

//! Peers that hold on: to a connect, to a close, to buffers. `spec/devp2p.md` §2.6, §2.7; design §2, Bounds.

use std::time::Duration;

use bytes::Bytes;
use devp2p::{Config, Connection, DisconnectReason, Error, Lane, Timeouts};
use enode::{Endpoint, Enode, NodeKey};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::common::{LONG, OFFSET, Raw, Server, config, dropped, event, local_hello, random_bytes, timed};

/// `spec/devp2p.md` §2.7: TCP connect has a deadline, here of an address that takes no more connections.
#[tokio::test]
async fn section_2_7_dial_deadline() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = timeout(Duration::from_secs(1), TcpStream::connect(addr)).await {
        waiting.push(stream.unwrap());
    }
    let endpoint = Endpoint::new(addr.ip(), addr.port(), addr.port());
    let enode = Enode { public_key: NodeKey::generate().public_key(), endpoint: Some(endpoint) };
    let timeouts = Timeouts { dial: Duration::from_millis(300), ..Timeouts::default() };
    let (key, hello) = (NodeKey::generate(), local_hello());
    let (error, took) = timed(timeout(LONG, Connection::dial(&enode, &key, &hello, &timeouts))).await;
    let error = error.expect("not longer than the deadline").err().unwrap();
    assert!(matches!(error, Error::Timeout("TCP connect")) && error.is_retryable(), "{error}");
    assert!(took >= timeouts.dial, "{took:?}");
}

/// `spec/devp2p.md` §2.7: closing has a deadline of its own; a peer that does not read does not have the 20 s of a write.
#[tokio::test]
async fn section_2_7_close_deadline() {
    let (server, mut peers) = Server::capturing(config());
    let _raw = server.raw(&NodeKey::generate()).await;
    let mut events = server.handle.events();
    let sender = peers.recv().await.unwrap().sender();
    let big = Bytes::from(random_bytes(200_000));
    let full = async { while sender.send(Lane::Live, 1, big.clone()).await.is_ok() {} };
    assert!(timeout(Duration::from_secs(1), full).await.is_err(), "the way out is blocked");
    sender.disconnect(DisconnectReason::Requested);
    assert_eq!(event(&mut events, dropped).await.reason, Some(DisconnectReason::Requested));
}

/// A frame that is begun.
async fn begin(raw: &mut Raw, payload: &[u8], all: bool) {
    let frame = raw.frame(OFFSET, payload);
    let end = frame.len() - usize::from(!all);
    raw.stream.write_all(&frame[..end]).await.unwrap();
}

/// Frames that are not finished use up the buffers of their kind, and nothing else: small messages go on, and a big one
/// that is there is handled.
#[tokio::test]
async fn unfinished_frames_hold_up_big_ones_only() {
    let mut config = Config { inbound_budget: 1 << 20, ..config() };
    config.timeouts.read = Duration::from_secs(3);
    let (server, mut peers) = Server::capturing(config);
    let mut slow = server.raw(&NodeKey::generate()).await;
    let of_slow = peers.recv().await.unwrap();
    let mut good = server.raw(&NodeKey::generate()).await;
    let mut of_good = peers.recv().await.unwrap();
    begin(&mut slow, &random_bytes(1 << 20), false).await;
    for _ in 0..10 {
        good.send(OFFSET, b"small").await;
        assert_eq!(timeout(LONG, of_good.recv()).await.unwrap().unwrap().payload, "small");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // The slow one's time runs out, and its buffer is there for others.
    let big = random_bytes(900_000);
    begin(&mut good, &big, true).await;
    assert_eq!(timeout(LONG, of_good.recv()).await.expect("in time").unwrap().payload, big);
    assert_eq!(slow.recv().await, None);
    drop(of_slow);
}

/// A message is made only when there is room for it among those that wait to be handled: what compresses well costs its
/// sender little and the node no more than that, however many send it.
#[tokio::test]
async fn bombs_wait_compressed() {
    let (server, mut peers) = Server::capturing(Config { message_budget: 1 << 20, ..config() });
    let bomb = vec![0; 1 << 20];
    let mut first = server.raw(&NodeKey::generate()).await;
    let mut of_first = peers.recv().await.unwrap();
    first.send(OFFSET, &bomb).await;
    let held = timeout(LONG, of_first.recv()).await.unwrap().unwrap();
    let mut others = Vec::new();
    for _ in 0..5 {
        let mut raw = server.raw(&NodeKey::generate()).await;
        raw.send(OFFSET, &bomb).await;
        others.push((peers.recv().await.unwrap(), raw));
    }
    for (peer, _) in &mut others {
        assert!(timeout(Duration::from_millis(200), peer.recv()).await.is_err(), "it waits");
    }
    // One after the other, each when the one before is done with.
    drop(held);
    let all = others.into_iter().map(|(mut peer, raw)| async move {
        let payload = timeout(LONG, peer.recv()).await.expect("its turn").unwrap().payload;
        assert_eq!(payload.len(), 1 << 20);
        drop(raw);
    });
    futures::future::join_all(all).await;
}

//! `spec/waku-mailserver.md` §4.8 to §4.10: codes 125 to 127 as a session sees them.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use archive::memory::MemoryHistory;
use bytes::Bytes;
use enode::NodeKey;
use waku_wire::{
    Bloom, Completion, Cursor, Envelope, EnvelopeHash, MessagesRequest, SymmetricKey, Topic, WireEnvelope,
    codes, messages,
    payload::{Padding, build, encrypt_symmetric},
    seal::seal,
};

use crate::{
    confirmations::Gated,
    support::{Client, NOW, PASSWORD, Server, Setup, on_topic, soon, topic},
};

pub(crate) fn mailserver() -> Server {
    Setup::confirming().with_mailserver(Arc::new(MemoryHistory::new())).start()
}

pub(crate) fn request() -> MessagesRequest {
    MessagesRequest {
        from: NOW - 3600,
        to: NOW,
        topics: vec![topic(1)],
        limit: 10,
        batch: true,
        ..Default::default()
    }
}

/// As the canary asks: an encrypted, signed envelope.
pub(crate) fn form_a(request: &MessagesRequest) -> WireEnvelope {
    let plain = build(&request.encode(), Padding::Random, Some(&NodeKey::generate())).unwrap();
    let data = encrypt_symmetric(&plain, &SymmetricKey::from_password(PASSWORD)).unwrap();
    let envelope =
        Envelope { expiry: NOW + 50, ttl: 50, topic: Topic::default(), data: Bytes::from(data), nonce: 0 };
    seal(envelope, 0.000_002, || true).unwrap()
}

/// Everything up to the completion.
pub(crate) async fn answer(client: &mut Client) -> (Vec<WireEnvelope>, Completion) {
    let mut envelopes = Vec::new();
    loop {
        match client.recv().await {
            (codes::P2P_MESSAGE, payload) => envelopes.extend(messages::decode(&payload).unwrap()),
            (codes::P2P_REQUEST_COMPLETE, payload) => {
                return (envelopes, Completion::decode(&payload).unwrap());
            }
            (code, _) => panic!("code {code}"),
        }
    }
}

#[tokio::test]
async fn s60_s61_canary_request() {
    let server = mailserver();
    let mut a = server.full().await;
    let bloom = Bloom::of_topic(topic(1)).0.to_vec();
    let canary = MessagesRequest { bloom, topics: vec![], limit: 1, ..request() };
    let ask = form_a(&canary);
    a.send(codes::P2P_REQUEST, ask.raw().clone()).await;
    let nothing = Completion::Success { request: ask.hash().0, last: EnvelopeHash::ZERO, cursor: None };
    assert_eq!(answer(&mut a).await, (vec![], nothing));
    let stored = on_topic(1, 1);
    assert_eq!(a.confirm(&[&stored, &on_topic(2, 2)]).await, []);
    let ask = form_a(&canary);
    a.send(codes::P2P_REQUEST, ask.raw().clone()).await;
    let (envelopes, completion) = answer(&mut a).await;
    assert_eq!(envelopes.iter().map(WireEnvelope::raw).collect::<Vec<_>>(), [stored.raw()]);
    let (request, last) = (ask.hash().0, stored.hash());
    assert_eq!(completion, Completion::Success { request, last, cursor: Some(Cursor::of(&stored)) });
}

#[tokio::test]
async fn s80_plain_request() {
    let server = mailserver();
    let mut a = server.full().await;
    let stored = on_topic(1, 1);
    a.confirm(&[&stored]).await;
    let id = *b"0123456789abcdef0123456789abcdef";
    a.send(codes::P2P_REQUEST, request().encode_plain(&id)).await;
    let (envelopes, completion) = answer(&mut a).await;
    assert_eq!(envelopes, std::slice::from_ref(&stored));
    assert_eq!(completion, Completion::Success { request: id, last: stored.hash(), cursor: None });
}

/// §12 Q01: requests are served beside the session, which goes on reading.
#[tokio::test]
async fn requests_and_gossip_together() {
    let server = mailserver();
    let mut a = server.full().await;
    a.confirm(&[&on_topic(1, 1)]).await;
    for n in 0..5u8 {
        a.send(codes::P2P_REQUEST, request().encode_plain(&[n; 32])).await;
    }
    let batch = a.post(&[&on_topic(9, 9)]).await;
    let (mut completed, mut confirmed) = (Vec::new(), false);
    while completed.len() < 5 || !confirmed {
        match a.recv().await {
            (codes::P2P_REQUEST_COMPLETE, payload) => match Completion::decode(&payload).unwrap() {
                Completion::Success { request: [n, ..], .. } => completed.push(n),
                failed => panic!("{failed:?}"),
            },
            (codes::BATCH_ACK, payload) => {
                confirmed = waku_wire::decode_batch_ack(&payload).unwrap() == batch;
            }
            _ => {}
        }
    }
    assert_eq!(completed, [0, 1, 2, 3, 4]);
}

/// A walk through the archive that finds nothing to send ends with its peer too, and what waits is not begun: whoever
/// comes and goes cannot pile up walks.
#[tokio::test]
async fn serving_ends_with_the_peer() {
    let history = Gated::new();
    let pages = || history.pages.load(Ordering::SeqCst);
    let server = Setup::confirming().with_mailserver(history.clone()).start();
    let mut a = server.full().await;
    for n in 0..3 {
        a.send(codes::P2P_REQUEST, request().encode_plain(&[n; 32])).await;
    }
    a.assert_kept().await;
    soon(async {
        while pages() < 10 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(a);
    soon(async {
        let mut before = 0;
        while before != pages() {
            before = pages();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn s79_request_to_a_node_without_mailserver() {
    let server = Setup::confirming().start();
    let mut a = server.full().await;
    a.send(codes::P2P_REQUEST, form_a(&request()).raw().clone()).await;
    a.assert_kept().await;
}

/// `spec/waku-mailserver.md` §9.4 S87: sent again after its expiry, silently dropped for 20 s, then refused; archived once.
#[tokio::test]
async fn s87_an_envelope_sent_again_after_its_expiry() {
    let history = Arc::new(MemoryHistory::new());
    let server = Setup::confirming().with_mailserver(history.clone()).start();
    let mut a = server.full().await;
    let stored = on_topic(1, 1);
    assert_eq!(a.confirm(&[&stored]).await, []);
    server.advance(50 + 20);
    assert_eq!(a.confirm(&[&stored]).await, []);
    server.advance(1);
    assert_eq!(a.confirm(&[&stored]).await, [(stored.hash(), 21, "very old envelope".to_owned())]);
    assert_eq!(archive::History::stats(&*history).await.unwrap().envelopes, 1);
    a.send(codes::P2P_REQUEST, request().encode_plain(&[1; 32])).await;
    assert_eq!(answer(&mut a).await.0, [stored]);
}

//! History for the node itself and direct messages (`spec/waku-mailserver.md` §4.8 to §4.10).

use archive::{History as _, memory::MemoryHistory};
use bytes::Bytes;
use enode::NodeKey;
use std::sync::Arc;
use waku::{Completed, DirectError};
use waku_wire::{Completion, Cursor, MessagesRequest, P2pRequest, StatusOptions, codes, messages};

use crate::{
    filters::{filter, secret, texts},
    support::{NOW, Setup, of_length, soon, topic},
};

/// `spec/waku-mailserver.md` §4.8, §4.10, §11 TestMailserverCompletionEvent: a trusted peer's envelopes go to the filters,
/// past every check and nowhere else, and all of them are there when the completion is told.
#[tokio::test]
async fn a_trusted_peers_history() {
    let history = Arc::new(MemoryHistory::new());
    let server = Setup::confirming().with_mailserver(history.clone()).start();
    let key = NodeKey::generate();
    let mut a = server.connect_as(&key, StatusOptions::default()).await;
    let mut b = server.full().await;
    a.assert_kept().await;
    b.assert_kept().await;
    let id = server.waku.install_filter(filter(true)).unwrap();
    let gossip_only = server.waku.install_filter(filter(false)).unwrap();
    let mut completions = server.waku.completions();
    // Expired for long, as history is.
    let rows = ["one", "two", "three"].map(|text| secret(text, NOW - 3600));
    let packet = |rows: &[waku_wire::WireEnvelope]| messages::encode(rows.iter().map(|e| e.raw().as_ref()));
    a.send(codes::P2P_MESSAGE, packet(&rows)).await;
    a.assert_kept().await;
    assert!(texts(&server, id).is_empty(), "nobody is trusted yet");
    server.waku.mark_trusted(key.node_id()).unwrap();
    let completion =
        Completion::Success { request: [7; 32], last: rows[2].hash(), cursor: Some(Cursor::of(&rows[2])) };
    for payload in [packet(&rows[..2]), packet(&rows[2..]), Bytes::from_static(&[0xff])] {
        a.send(codes::P2P_MESSAGE, payload).await;
    }
    for payload in [Bytes::from_static(&[0x83, 1, 2, 3]), completion.encode()] {
        a.send(codes::P2P_REQUEST_COMPLETE, payload).await;
    }
    let told = soon(completions.recv()).await.unwrap();
    assert_eq!(told, Completed { peer: key.node_id(), completion });
    assert_eq!(texts(&server, id), ["one", "two", "three"]);
    assert!(texts(&server, gossip_only).is_empty());
    a.assert_kept().await;
    b.assert_kept().await;
    assert_eq!((server.waku.stats().envelopes, history.stats().await.unwrap().envelopes), (0, 0));
}

/// `spec/waku-mailserver.md` §4.8: trust is lost with the connection.
#[tokio::test]
async fn trust_ends_with_the_session() {
    let server = Setup::confirming().start();
    let key = NodeKey::generate();
    let unknown = server.waku.mark_trusted(key.node_id()).unwrap_err();
    assert_eq!(unknown, DirectError::NotConnected(key.node_id()));
    assert_eq!(unknown.to_string(), format!("could not find peer with ID: {}", key.node_id()));
    let id = server.waku.install_filter(filter(true)).unwrap();
    let packet = messages::encode([secret("one", NOW).raw().as_ref()]);
    for trusted in [true, false] {
        let mut a = server.connect_as(&key, StatusOptions::default()).await;
        a.assert_kept().await;
        if trusted {
            server.waku.mark_trusted(key.node_id()).unwrap();
        }
        a.send(codes::P2P_MESSAGE, packet.clone()).await;
        a.assert_kept().await;
        assert_eq!(texts(&server, id).len(), usize::from(trusted));
        a.sender.disconnect(devp2p::DisconnectReason::Requested);
        while soon(a.peer.recv()).await.is_some() {}
        soon(async {
            while server.waku.mark_trusted(key.node_id()).is_ok() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        })
        .await;
    }
}

/// `spec/waku-mailserver.md` §4.9, §7.1, §11 TestSendMessagesRequest: whom we ask we trust; one node serves the other.
#[tokio::test]
async fn one_node_asks_another_for_history() {
    let asking = Setup::confirming().start();
    let serving = Setup::confirming().with_mailserver(Arc::new(MemoryHistory::new())).start();
    let stored = ["one", "two"].map(|text| secret(text, NOW + 50));
    assert_eq!(serving.full().await.confirm(&[&stored[0], &stored[1]]).await, []);
    // Dialled only now, and asked for what gossip has brought already: filters get it as history too.
    asking.dial_node(&serving);
    soon(async {
        while asking.waku.stats().envelopes < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
    let id = asking.waku.install_filter(filter(true)).unwrap();
    let mut completions = asking.waku.completions();
    let request = MessagesRequest { from: NOW - 10, to: NOW, topics: vec![topic(1)], ..Default::default() };
    let payload = Bytes::from(request.encode_plain(&[3; 32]));
    assert!(P2pRequest::decode(&payload).is_ok());
    asking.waku.request_history(serving.node_id(), payload.clone()).await.unwrap();
    let told = soon(completions.recv()).await.unwrap();
    assert!(matches!(told.completion, Completion::Success { request, .. } if request == [3; 32]), "{told:?}");
    let mut found = texts(&asking, id);
    found.sort_unstable();
    assert_eq!(found, ["one", "two"]);
    let nobody = NodeKey::generate().node_id();
    assert_eq!(asking.waku.request_history(nobody, payload).await, Err(DirectError::NotConnected(nobody)));
}

/// `spec/waku-mailserver.md` §4.8: an envelope to one peer only, which nothing is checked of.
#[tokio::test]
async fn an_envelope_to_one_peer() {
    let server = Setup::confirming().start();
    let key = NodeKey::generate();
    let mut a = server.connect_as(&key, StatusOptions::default()).await;
    let mut b = server.full().await;
    a.assert_kept().await;
    b.assert_kept().await;
    let old = of_length(1, topic(1), 100, 50, 32);
    server.waku.send_direct(key.node_id(), &old).await.unwrap();
    let (code, payload) = a.recv().await;
    assert_eq!((code, payload), (codes::P2P_MESSAGE, messages::encode([old.raw().as_ref()])));
    b.assert_kept().await;
}

//! The client against a node on loopback: handshake, posting, watching, history (`spec/waku-mailserver.md` §4, §5).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod common;

use std::time::Duration;

use common::{Fault, Node, mailbox};
use enode::NodeKey;
use node_client::{Client, Error, ErrorClass, Options, history::Form};
use waku_wire::{Envelope, MessagesRequest, ProtocolVersion, Topic, WireEnvelope};

const SECOND: Duration = Duration::from_secs(1);
/// What no answer should take, on a busy machine either.
const PATIENCE: Duration = Duration::from_secs(20);
const NOW: u32 = 1_700_000_000;

fn envelope(topic: Topic, sent: u32, text: &str) -> WireEnvelope {
    let data = text.as_bytes().to_vec().into();
    Envelope { expiry: sent + 15, ttl: 15, topic, data, nonce: 0 }.encode().unwrap()
}

fn topic() -> Topic {
    Topic::from_name("status")
}

async fn connect(node: &Node) -> Client {
    Client::connect(&node.url, &NodeKey::generate(), &Options::quiet()).await.unwrap()
}

fn request(limit: u32) -> MessagesRequest {
    MessagesRequest {
        from: NOW - 1000,
        to: NOW + 1000,
        topics: vec![topic()],
        limit,
        batch: true,
        ..MessagesRequest::default()
    }
}

fn filled(fault: Fault, count: u32) -> (Node, Vec<WireEnvelope>) {
    let node = Node::start(fault);
    let rows: Vec<_> = (0..count).map(|i| envelope(topic(), NOW + i, &format!("row {i}"))).collect();
    node.store(&rows);
    node.store(&[envelope(Topic([1, 2, 3, 4]), NOW, "another topic")]);
    (node, rows)
}

#[tokio::test]
async fn s01_s02_the_highest_common_version_runs() {
    let cases = [
        (&[0, 1][..], vec![ProtocolVersion::V0, ProtocolVersion::V1], ProtocolVersion::V1),
        (&[0], vec![ProtocolVersion::V0, ProtocolVersion::V1], ProtocolVersion::V0),
        (&[0, 1], vec![ProtocolVersion::V0], ProtocolVersion::V0),
    ];
    for (offered, versions, agreed) in cases {
        let node = Node::start_with(Fault::None, offered);
        let options = Options { versions, ..Options::quiet() };
        let client = Client::connect(&node.url, &NodeKey::generate(), &options).await.unwrap();
        assert_eq!(client.version(), agreed);
        assert!(client.settings().confirmations);
        assert!((client.settings().pow_requirement - 0.002).abs() < 1e-12);
        assert_eq!(client.info().name, "Scripted/v1/linux/rust");
    }
}

#[tokio::test]
async fn s03_no_waku_in_common_is_a_connect_error() {
    let node = Node::start_with(Fault::None, &[7]);
    let error = Client::connect(&node.url, &NodeKey::generate(), &Options::quiet()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Connect);
    assert!(error.to_string().contains("useless peer"), "{error}");
}

#[tokio::test]
async fn a_node_that_breaks_the_handshake_is_a_connect_error() {
    for (fault, text) in [(Fault::BadStatus, "status of the node"), (Fault::PacketFirst, "code 50")] {
        let node = Node::start(fault);
        let error = Client::connect(&node.url, &NodeKey::generate(), &Options::quiet()).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Connect, "{error}");
        assert!(error.to_string().contains(text), "{error}");
    }
    let node = Node::start(Fault::NoStatus);
    let options = Options { timeout: SECOND, ..Options::quiet() };
    let error = Client::connect(&node.url, &NodeKey::generate(), &options).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Timeout, "{error}");
}

#[tokio::test]
async fn an_address_without_a_node_is_a_connect_error() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("enode://{}@127.0.0.1:{free}", NodeKey::generate().public_key()).parse().unwrap();
    let error = Client::connect(&url, &NodeKey::generate(), &Options::quiet()).await.unwrap_err();
    assert!(matches!(error, Error::Connect(_)), "{error}");
    let bare = format!("enode://{}", NodeKey::generate().public_key()).parse().unwrap();
    let error = Client::connect(&bare, &NodeKey::generate(), &Options::quiet()).await.unwrap_err();
    assert!(error.to_string().contains("no address"), "{error}");
}

#[tokio::test]
async fn s45_a_posted_envelope_is_confirmed() {
    let node = Node::start(Fault::None);
    let client = connect(&node).await;
    let posted = envelope(topic(), NOW, "hello");
    let confirmation = client.post(std::slice::from_ref(&posted)).await.unwrap();
    assert!(confirmation.is_expected());
    confirmation.wait(PATIENCE).await.unwrap();
    assert_eq!(node.rows(), [posted]);
}

#[tokio::test]
async fn s46_a_refused_envelope_is_named() {
    let node = Node::start(Fault::Rejects);
    let posted = envelope(topic(), NOW, "hello");
    let client = connect(&node).await;
    let error = client.post(std::slice::from_ref(&posted)).await.unwrap().wait(PATIENCE).await.unwrap_err();
    let Error::Rejected(errors) = &error else { panic!("{error}") };
    assert_eq!((errors[0].hash, errors[0].code), (posted.hash(), 22));
    assert!(error.to_string().contains("low PoW"), "{error}");
}

#[tokio::test]
async fn s47_a_node_without_confirmations_says_so() {
    let node = Node::start(Fault::NoConfirmations);
    let client = connect(&node).await;
    let confirmation = client.post(&[envelope(topic(), NOW, "hello")]).await.unwrap();
    assert!(!confirmation.is_expected());
    assert!(matches!(confirmation.wait(SECOND).await, Err(Error::NoConfirmations)));
}

#[tokio::test]
async fn a_confirmation_that_does_not_come_times_out() {
    let node = Node::start(Fault::ForgetsConfirmations);
    let client = connect(&node).await;
    let confirmation = client.post(&[envelope(topic(), NOW, "hello")]).await.unwrap();
    assert!(matches!(confirmation.wait(SECOND / 10).await, Err(Error::Timeout(_))));
}

#[tokio::test]
async fn closing_writes_what_was_posted() {
    let node = Node::start(Fault::NoConfirmations);
    let client = connect(&node).await;
    let many: Vec<_> =
        (0..500).map(|i| envelope(topic(), NOW, &format!("{i} {}", "x".repeat(1000)))).collect();
    for one in &many {
        client.post(std::slice::from_ref(one)).await.unwrap();
    }
    client.close().await;
    // Closing may not wait for the node's own work: that is done when it has seen the end.
    let mut events = node.handle.events();
    while node.handle.peer_count() > 0 {
        events.recv().await.unwrap();
    }
    assert_eq!(node.rows(), many);
}

#[tokio::test]
async fn watching_gets_gossip_and_the_node_gets_the_interest() {
    let node = Node::start(Fault::None);
    let options = Options::watching(vec![topic()]);
    let client = Client::connect(&node.url, &NodeKey::generate(), &options).await.unwrap();
    let mut watch = client.watch();
    // A confirmed post: the node has then seen the handshake and takes gossip for this session.
    client.post(&[]).await.unwrap().wait(PATIENCE).await.unwrap();
    let sent: Vec<_> = (0..5).map(|i| envelope(topic(), NOW + i, "gossip")).collect();
    node.gossip(&sent).await;
    for expected in &sent {
        assert_eq!(&watch.next().await.unwrap(), expected);
    }
    client.set_topics(vec![]).await.unwrap();
    client.post(&[]).await.unwrap().wait(PATIENCE).await.unwrap();
    assert_eq!(node.topics(), [vec![topic()], vec![]]);
}

#[tokio::test]
async fn s61_s62_s92_pages_follow_the_cursor() {
    let (node, rows) = filled(Fault::None, 10);
    let client = connect(&node).await;
    for form in [Form::Plain, Form::Encrypted { key: mailbox(), pow: 0.002 }] {
        let first = client.request_history(&request(6), &form, NOW, PATIENCE).await.unwrap();
        assert_eq!(first.envelopes, rows[..6]);
        assert_eq!(first.last, rows[5].hash());
        let cursor = first.cursor.unwrap().0.to_vec();
        let next = MessagesRequest { cursor, ..request(6) };
        let second = client.request_history(&next, &form, NOW, PATIENCE).await.unwrap();
        assert_eq!((&second.envelopes[..], second.cursor), (&rows[6..], None));
        for limit in [1, 3, 5, 10, 0] {
            let all = client.request_all_history(&request(limit), &form, NOW, PATIENCE, 100).await.unwrap();
            assert_eq!(all, rows, "limit {limit}");
        }
    }
}

#[tokio::test]
async fn s60_an_empty_history_is_an_empty_page() {
    let client_node = Node::start(Fault::None);
    let client = connect(&client_node).await;
    let page = client.request_history(&request(6), &Form::Plain, NOW, PATIENCE).await.unwrap();
    assert!(page.envelopes.is_empty() && page.cursor.is_none());
    assert_eq!(page.last, waku_wire::EnvelopeHash::ZERO);
}

#[tokio::test]
async fn what_a_node_does_wrong_with_history_is_a_typed_error() {
    for (fault, patience, class) in [
        (Fault::Silent, SECOND, ErrorClass::Timeout),
        (Fault::WrongId, SECOND, ErrorClass::Timeout),
        (Fault::Refuses, PATIENCE, ErrorClass::Refused),
        (Fault::HangsUp, PATIENCE, ErrorClass::Lost),
        (Fault::Garbage, PATIENCE, ErrorClass::Lost),
        (Fault::TooMany, PATIENCE, ErrorClass::Breach),
    ] {
        let (node, _) = filled(fault, 4);
        let client = connect(&node).await;
        let error = client.request_history(&request(4), &Form::Plain, NOW, patience).await.unwrap_err();
        assert_eq!(error.class(), class, "{fault:?}: {error}");
    }
}

#[tokio::test]
async fn s71_another_password_is_refused() {
    let (node, _) = filled(Fault::None, 1);
    let client = connect(&node).await;
    let form = Form::Encrypted { key: waku_wire::SymmetricKey::from_bytes([8; 32]).unwrap(), pow: 0.002 };
    let error = client.request_history(&request(4), &form, NOW, PATIENCE).await.unwrap_err();
    assert!(matches!(&error, Error::Refused(text) if text == "failed to decrypt p2p request"), "{error}");
}

#[tokio::test]
async fn following_cursors_is_bounded() {
    let (node, _) = filled(Fault::CursorStands, 3);
    let client = connect(&node).await;
    let error = client.request_all_history(&request(3), &Form::Plain, NOW, PATIENCE, 100).await.unwrap_err();
    assert!(error.to_string().contains("does not move on"), "{error}");
    let (node, _) = filled(Fault::None, 10);
    let client = connect(&node).await;
    let error = client.request_all_history(&request(3), &Form::Plain, NOW, PATIENCE, 5).await.unwrap_err();
    assert!(error.to_string().contains("more than 5"), "{error}");
}

#[tokio::test]
async fn requests_at_once_take_turns() {
    let (node, rows) = filled(Fault::None, 2);
    let client = connect(&node).await;
    let (all, first) = (request(2), request(1));
    let (all, first) = futures::join!(
        client.request_history(&all, &Form::Plain, NOW, PATIENCE),
        client.request_history(&first, &Form::Plain, NOW, PATIENCE),
    );
    assert_eq!((all.unwrap().envelopes, first.unwrap().envelopes), (rows.clone(), rows[..1].to_vec()));
}

#[tokio::test]
async fn envelopes_behind_the_completion_are_not_in_the_page() {
    let (node, rows) = filled(Fault::DeliversLate, 2);
    let client = connect(&node).await;
    let page = client.request_history(&request(2), &Form::Plain, NOW, PATIENCE).await.unwrap();
    assert!(page.envelopes.is_empty());
    assert_eq!(page.last, rows[1].hash());
}

#[tokio::test]
async fn the_end_of_the_session_ends_every_wait_and_says_why() {
    let node = Node::start(Fault::HangsUp);
    let client = connect(&node).await;
    let mut watch = client.watch();
    let history = client.request_history(&request(1), &Form::Plain, NOW, PATIENCE).await.unwrap_err();
    assert!(history.to_string().contains("subprotocol error"), "{history}");
    assert!(matches!(watch.next().await, Err(Error::Lost(_))));
    assert!(matches!(client.ended().await, Error::Lost(_)));
    assert!(matches!(client.post(&[]).await, Err(Error::Lost(_))));
    let again = client.request_history(&request(1), &Form::Plain, NOW, PATIENCE).await.unwrap_err();
    assert_eq!(again.class(), ErrorClass::Lost);
}

//! Many requests at once, slow peers and peers that go.

use std::sync::atomic::Ordering;
use std::time::Duration;

use archive::conformance::envelope;
use bytes::Bytes;
use mailserver::{Password, QUEUE_LENGTH};
use waku_wire::{Completion, MessagesRequest, RequestId, WireEnvelope};

use crate::support::{NOW, Peer, Server, TOPIC, peer, plain, request};

fn numbered(n: u8) -> Bytes {
    request().encode_plain(&[n; 32]).into()
}

fn id(completion: &Completion) -> RequestId {
    match completion {
        Completion::Success { request, .. } | Completion::Failure { request, .. } => *request,
    }
}

async fn some(server: &Server, count: u32) {
    let envelopes: Vec<WireEnvelope> = (0..count).map(|n| envelope(NOW - n, TOPIC.0, n, 1000)).collect();
    server.store(&envelopes).await;
}

/// Lets everything run that can.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_is_served_eight_wait_and_more_are_told_at_once() {
    let server = Server::new();
    some(&server, 1).await;
    let slow = Peer::slow();
    let (session, run) = server.mailserver.session(peer(1), None, slow.clone());
    let run = tokio::spawn(run);
    session.push(numbered(0));
    settle().await; // it is being served
    for n in 1..=12 {
        session.push(numbered(n));
    }
    settle().await;
    let told = slow.answer();
    assert!(told.packets.is_empty());
    let busy: Vec<RequestId> = told.completions.iter().map(id).collect();
    assert_eq!(busy, [[9; 32], [10; 32], [11; 32], [12; 32]]);
    for completion in &told.completions {
        let Completion::Failure { error, .. } = completion else { panic!("{completion:?}") };
        assert_eq!(error, "too many requests in progress, try again");
    }
    slow.packets.lock().clear();
    slow.gate.add_permits(1000);
    drop(session);
    run.await.unwrap();
    let served: Vec<RequestId> = slow
        .packets
        .lock()
        .iter()
        .filter(|(code, _)| *code == 125)
        .map(|(_, payload)| id(&Completion::decode(payload).unwrap()))
        .collect();
    let expected: Vec<RequestId> = (0..=u8::try_from(QUEUE_LENGTH).unwrap()).map(|n| [n; 32]).collect();
    assert_eq!(served, expected, "in the order asked, each once");
    assert_eq!(server.metric("mailserver_delivery_failures_total{type=\"peer_req_limit\"}"), 4.0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_peer_does_not_delay_another() {
    let server = Server::new();
    some(&server, 5).await;
    let slow = Peer::slow();
    let (session, run) = server.mailserver.session(peer(1), None, slow.clone());
    let run = tokio::spawn(run);
    session.push(numbered(0));
    settle().await;
    assert_eq!(server.ask_as(peer(2), numbered(1)).await.envelopes().len(), 5);
    assert!(slow.packets.lock().is_empty());
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn requests_that_wait_are_bounded_in_bytes_over_all_peers() {
    let server = Server::new();
    some(&server, 1).await;
    let large = |n: u8| -> Bytes {
        let request = MessagesRequest { bloom: vec![0xff; 1_000_000], ..request() };
        request.encode_plain(&[n; 32]).into()
    };
    let sessions: Vec<_> = (0..20u8)
        .map(|n| {
            let slow = Peer::slow();
            let (session, run) = server.mailserver.session(peer(n), None, slow.clone());
            session.push(large(n));
            (session, tokio::spawn(run), slow)
        })
        .collect();
    settle().await;
    let busy = sessions.iter().filter(|(_, _, slow)| slow.answer().completions.len() == 1).count();
    assert_eq!(busy, 4, "16 of 1 MB wait or are served, the others are told");
    // Small ones still pass, and room comes back.
    assert_eq!(server.ask_as(peer(100), numbered(1)).await.envelopes().len(), 1);
    for (session, run, slow) in sessions {
        slow.gate.add_permits(10);
        drop(session);
        run.await.unwrap();
    }
    assert!(matches!(server.ask_as(peer(100), large(1)).await.completion(), Completion::Success { .. }));
}

#[tokio::test(start_paused = true)]
async fn s94_a_peer_that_goes_mid_page_ends_it() {
    let server = Server::new();
    some(&server, 900).await; // four turns
    let going = Peer::new();
    going.takes.store(3, Ordering::SeqCst);
    let (session, run) = server.mailserver.session(peer(1), None, going.clone());
    session.push(plain(&request()));
    drop(session);
    run.await;
    assert_eq!(going.packets.lock().len(), 3);
    assert_eq!(server.metric("mailserver_delivery_failures_total{type=\"process\"}"), 1.0);
    assert_eq!(server.metric("mailserver_delivery_failures_total{type=\"historic_msg_resp\"}"), 1.0);
    assert!(server.history.turns.load(Ordering::SeqCst) < 4, "the rest is not read");
    assert_eq!(server.ask(plain(&request())).await.envelopes().len(), 900, "the server is well");
}

#[tokio::test(start_paused = true)]
async fn q33_a_peer_that_does_not_read_gets_no_success() {
    let server = Server::new();
    some(&server, 900).await;
    let slow = Peer::slow();
    slow.gate.add_permits(2);
    let (session, run) = server.mailserver.session(peer(1), None, slow.clone());
    session.push(plain(&request()));
    drop(session);
    let begin = tokio::time::Instant::now();
    run.await;
    assert_eq!(begin.elapsed(), Duration::from_secs(60));
    let answer = slow.answer();
    assert_eq!(answer.packets.len(), 2);
    assert!(
        matches!(answer.completion(), Completion::Failure { error, .. } if error == "failed to send history")
    );
}

#[tokio::test(start_paused = true)]
async fn dropping_the_future_ends_serving() {
    let server = Server::new();
    some(&server, 900).await;
    let slow = Peer::slow();
    slow.gate.add_permits(1);
    let (session, run) = server.mailserver.session(peer(1), None, slow.clone());
    session.push(numbered(1));
    session.push(numbered(2));
    assert!(futures::poll!(Box::pin(run)).is_pending());
    // The future is gone, and with it the peer's side.
    slow.gate.add_permits(1000);
    session.push(numbered(3));
    settle().await;
    assert_eq!(slow.packets.lock().len(), 1);
    assert_eq!(server.history.turns.load(Ordering::SeqCst), 1);
}

#[test]
fn passwords_are_not_empty_and_not_printed() {
    let error = Password::new(String::new().into()).unwrap_err();
    assert!(error.to_string().contains("WakuConfig.MailServerPassword"));
    let password = Password::new("secret".to_owned().into()).unwrap();
    assert!(!format!("{password:?}").contains("secret"));
}

//! What the reference's tests run for `waku/0` and `waku/1` alike (`spec/waku-mailserver.md` §11,
//! `waku/waku_version_test.go`).

use std::sync::Arc;

use archive::memory::MemoryHistory;
use bytes::Bytes;
use waku_wire::{
    Completion, P2pRequest,
    ProtocolVersion::{self, V0, V1},
    StatusOptions, codes,
};

use crate::{
    history::{answer, form_a, request},
    support::{Client, NOW, Server, Setup, of_length, on_topic, topic, valid},
};

async fn full(server: &Server, version: ProtocolVersion) -> Client {
    let everything = StatusOptions { pow_requirement: Some(0.0), ..StatusOptions::default() };
    server.connect_by(version, everything).await
}

/// `spec/waku-mailserver.md` §11 TestConfirmationHandshakeExtension, TestHandshakeWithConfirmationsDisabled.
#[tokio::test]
async fn option_3_says_whether_the_node_confirms() {
    for (version, confirmations) in [(V0, true), (V0, false), (V1, true), (V1, false)] {
        let mut setup = Setup::new();
        setup.config.confirmations = confirmations;
        let (_, payload) = setup.start().silent(version).await.recv().await;
        let status = StatusOptions::decode_status(version, &payload).unwrap();
        assert_eq!(status.confirmations, Some(confirmations), "{version:?}");
    }
}

/// `spec/waku-mailserver.md` §11 TestHandleP2PMessageCode, TestMessagesResponseWithError, TestConfirmationEventsReceived,
/// TestConfirmationEventsExtendedWithErrors: from every version to every version.
#[tokio::test]
async fn gossip_confirmations_and_updates() {
    for (from, to) in [(V0, V0), (V0, V1), (V1, V0), (V1, V1)] {
        let server = Setup::confirming().start();
        let (mut a, mut b) = (full(&server, from).await, full(&server, to).await);
        b.assert_kept().await;
        let future = of_length(2, topic(1), NOW + 61, 50, 32);
        let very_old = of_length(3, topic(1), NOW - 21, 50, 32);
        let records = a.confirm(&[&future, &valid(1), &very_old]).await;
        let expected = [(&future, "envelope from future"), (&very_old, "very old envelope")]
            .map(|(refused, text)| (refused.hash(), 21, text.to_owned()));
        assert_eq!(records, expected, "{from:?} to {to:?}");
        assert_eq!(b.gossip(1).await, [valid(1).hash()]);
        let nothing = StatusOptions { topics: Some(vec![]), ..StatusOptions::default() };
        b.send(codes::STATUS_UPDATE, nothing.encode_update(to)).await;
        b.assert_kept().await;
        a.confirm(&[&valid(4)]).await;
        b.assert_kept().await;
        assert_eq!(server.waku.stats().envelopes, 2);
    }
}

/// `spec/waku-mailserver.md` §11 TestDeprecatedDeliverMail, TestMailserverCompletionEvent: both forms, and the completion
/// last.
#[tokio::test]
async fn history_requests() {
    for version in [V0, V1] {
        let server = Setup::confirming().with_mailserver(Arc::new(MemoryHistory::new())).start();
        let mut a = full(&server, version).await;
        let stored = on_topic(1, 1);
        assert_eq!(a.confirm(&[&stored]).await, []);
        for ask in [form_a(&request()).raw().clone(), Bytes::from(request().encode_plain(&[7; 32]))] {
            let id = P2pRequest::decode(&ask).unwrap().id();
            a.send(codes::P2P_REQUEST, ask).await;
            let done = Completion::Success { request: id, last: stored.hash(), cursor: None };
            assert_eq!(answer(&mut a).await, (vec![stored.clone()], done), "{version:?}");
        }
    }
}

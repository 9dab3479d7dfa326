//! The malformed-input matrix of `spec/waku-mailserver.md` §4.14, line by line. Its first two lines, what ends a handshake,
//! are in `handshake`; what a single envelope is refused for is in `gossip`.

use std::sync::Arc;

use archive::memory::MemoryHistory;
use bytes::Bytes;
use devp2p::DisconnectReason;
use rlpx::Compression;
use waku_wire::{Completion, EnvelopeHash, ProtocolVersion::V1, StatusOptions, codes, messages};

use crate::{
    history::{answer, form_a, mailserver, request},
    support::{NOW, Setup, of_length, on_topic, sealed, soon, topic, valid},
};

/// An envelope of four items.
const FOUR_ITEMS: [u8; 9] = [0xc8, 0x80, 0x80, 0x84, 0, 0, 0, 0, 0x80];
/// V32, a message response.
const V32: &str = "e401e2a07587fa788c88caed088b47f99b95c0a9e981cd70fae09bab333669ad94b23b7fc0";

/// `spec/waku-mailserver.md` §9.2 S30: a packet of the limit is handled, one byte more ends the session.
#[tokio::test]
async fn s30_packet_of_the_limit_and_one_byte_more() {
    let mut setup = Setup::confirming();
    setup.config.max_message_size = 2000;
    let server = setup.start();
    let mut a = server.full().await;
    let of_packet = |length| {
        let first: Vec<_> = (0..10).map(|n| of_length(n, topic(1), NOW + 50, 50, 100)).collect();
        let last = (4..1000).map(|data| of_length(10, topic(1), NOW + 50, 50, data));
        last.map(|last| messages::encode(first.iter().chain([&last]).map(|e| e.raw().as_ref())))
            .find(|packet| packet.len() == length)
            .unwrap()
    };
    a.send(codes::MESSAGES, of_packet(2000)).await;
    assert_eq!(a.confirmation().await.errors, []);
    assert_eq!(server.waku.stats().envelopes, 11);
    a.send(codes::MESSAGES, of_packet(2001)).await;
    a.assert_ended(DisconnectReason::SubprotocolError).await;
}

/// `spec/waku-mailserver.md` §4.12, §4.14: the limit is that of every code, known or not.
#[tokio::test]
async fn a_packet_over_the_limit_ends_the_session_whatever_its_code() {
    let mut setup = Setup::confirming().with_mailserver(Arc::new(MemoryHistory::new()));
    setup.config.max_message_size = 2000;
    let server = setup.start();
    for code in [
        codes::STATUS,
        codes::MESSAGES,
        50,
        codes::BATCH_ACK,
        codes::MESSAGE_RESPONSE,
        codes::STATUS_UPDATE,
        codes::P2P_REQUEST_COMPLETE,
        codes::P2P_REQUEST,
        codes::P2P_MESSAGE,
    ] {
        let mut a = server.full().await;
        a.send(code, vec![0x80; 2000]).await;
        a.assert_kept().await;
        a.send(code, vec![0x80; 2001]).await;
        a.assert_ended(DisconnectReason::SubprotocolError).await;
    }
}

/// `spec/waku-mailserver.md` §9.2 S40: a code beyond the reserved ones closes the connection; nothing is said.
#[tokio::test]
async fn s40_a_code_beyond_the_reserved_ones() {
    let server = Setup::new().start();
    for (code, kept) in [(16 + 127, true), (16 + 128, false), (16 + 300, false)] {
        let (mut reader, mut writer) = server.dial(&[("waku", 1)]).await.split();
        let status = soon(reader.read()).await.unwrap();
        assert_eq!(status.code, 16 + codes::STATUS);
        for (code, payload) in [(16 + codes::STATUS, &[0xc0][..]), (code, &[0xc0]), (2, &[0xc0])] {
            writer.queue(code, payload, Compression::Snappy).unwrap();
        }
        soon(writer.flush()).await.unwrap();
        // The ping is answered by whoever is still there.
        let next = soon(reader.read()).await;
        assert_eq!(next.as_ref().ok().map(|message| message.code), kept.then_some(3), "{code}: {next:?}");
    }
}

/// `spec/waku-mailserver.md` §9.2 S39: codes that do not exist are ignored.
#[tokio::test]
async fn s39_codes_that_do_not_exist() {
    let server = Setup::confirming().start();
    let mut a = server.full().await;
    for code in [2, 21, 23, 50, 123, 124] {
        a.send(code, vec![0xde, 0xad]).await;
        a.assert_kept().await;
    }
}

/// `spec/waku-mailserver.md` §9.2 S31, S32, §9.3 S50: dropped as a whole, counted, kept, not confirmed.
#[tokio::test]
async fn s31_s32_s50_malformed_messages() {
    let server = Setup::confirming().start();
    let mut a = server.full().await;
    let good = valid(1);
    let packet = messages::encode([good.raw().as_ref()]);
    let bad: [(&str, Bytes); 6] = [
        ("one bad envelope among good ones", messages::encode([good.raw().as_ref(), &FOUR_ITEMS])),
        ("trailing byte", [packet.as_ref(), &[0x80]].concat().into()),
        ("not a list", Bytes::from_static(&[0x80])),
        ("an envelope itself", good.raw().clone()),
        ("cut short", packet.slice(..packet.len() - 1)),
        ("nothing", Bytes::new()),
    ];
    for ((name, payload), n) in bad.into_iter().zip(1..) {
        a.send(codes::MESSAGES, payload).await;
        a.assert_kept().await;
        assert_eq!(
            server.metric("waku_envelopes_rejected_total{reason=\"invalid_data\"}"),
            f64::from(n),
            "{name}"
        );
    }
    assert_eq!(server.waku.stats().envelopes, 0);
}

/// `spec/waku-mailserver.md` §4.4, §4.14: status updates that are bad change nothing, are counted when undecodable, and
/// the peer stays.
#[tokio::test]
async fn malformed_status_updates() {
    let server = Setup::confirming().start();
    let a = server.full().await;
    let interest = StatusOptions {
        pow_requirement: Some(0.0),
        topics: Some(vec![topic(1)]),
        ..StatusOptions::default()
    };
    let mut b = server.connect(interest).await;
    const INVALID: &str = "waku_envelopes_rejected_total{reason=\"invalid_settings_changed\"}";
    for (payload, n) in [(vec![0x80], 1.0), (vec![], 2.0), (vec![0xc3, 0xc2, 0x02, 0x02], 3.0)] {
        b.send(codes::STATUS_UPDATE, payload).await;
        b.assert_kept().await;
        assert_eq!(server.metric(INVALID), n);
    }
    let partly = StatusOptions {
        pow_requirement: Some(0.5),
        bloom: Some(vec![0; 63]),
        confirmations: Some(true),
        ..StatusOptions::default()
    };
    b.send(codes::STATUS_UPDATE, partly.encode_update(V1)).await;
    b.assert_kept().await;
    assert_eq!(server.metric(INVALID), 3.0, "only decode errors count");
    let strong = sealed(1, NOW + 10, 10, 0.5);
    a.post(&[&valid(2), &on_topic(3, 3), &strong]).await;
    assert_eq!(b.gossip(1).await, [strong.hash()], "the valid option before the bad one is in force");
    b.assert_kept().await;
}

/// `spec/waku-mailserver.md` §9.3 S48, S49: confirmations of others are read and dropped.
#[tokio::test]
async fn s48_s49_malformed_confirmations() {
    let server = Setup::confirming().start();
    let mut a = server.full().await;
    let v32 = hex::decode(V32).unwrap();
    let version_2 = [&[0xe4, 0x02], &v32[2..]].concat();
    let rejected =
        |reason: &str| server.metric(&format!("waku_envelopes_rejected_total{{reason=\"{reason}\"}}"));
    for (code, payload, failed_read, invalid_data) in [
        (codes::MESSAGE_RESPONSE, v32.clone(), 0.0, 0.0),
        (codes::MESSAGE_RESPONSE, version_2, 0.0, 0.0),
        (codes::MESSAGE_RESPONSE, vec![0x80], 1.0, 0.0),
        (codes::MESSAGE_RESPONSE, vec![0xc2, 0x01, 0x80], 1.0, 1.0),
        (codes::BATCH_ACK, [[0x9f].as_slice(), &[7; 31]].concat(), 1.0, 1.0),
        (codes::BATCH_ACK, v32[3..36].to_vec(), 1.0, 1.0),
    ] {
        a.send(code, payload).await;
        a.assert_kept().await;
        assert_eq!((rejected("failed_read"), rejected("invalid_data")), (failed_read, invalid_data));
    }
}

/// `spec/waku-mailserver.md` §9.4 S93: history and completions from a peer that was not asked are ignored, well-formed or
/// not: neither relayed nor archived.
#[tokio::test]
async fn s93_unasked_history() {
    let history = Arc::new(MemoryHistory::new());
    let server = Setup::confirming().with_mailserver(history.clone()).start();
    let (mut a, mut b) = (server.full().await, server.full().await);
    for payload in [messages::encode([on_topic(1, 1).raw().as_ref()]), Bytes::from_static(&[0xff])] {
        a.send(codes::P2P_MESSAGE, payload).await;
    }
    let completion = Completion::Success { request: [1; 32], last: EnvelopeHash::ZERO, cursor: None };
    for payload in [
        completion.encode(),
        Bytes::from_static(&[0x83, 1, 2, 3]),
        // A success of more than 100 bytes, then no string at all.
        [&[0xb8, 101][..], &[1; 101]].concat().into(),
        Bytes::from_static(&[0xc0]),
        Bytes::new(),
    ] {
        a.send(codes::P2P_REQUEST_COMPLETE, payload).await;
    }
    a.assert_kept().await;
    b.assert_kept().await;
    assert_eq!(server.waku.stats().envelopes, 0);
    assert_eq!(archive::History::stats(&*history).await.unwrap().envelopes, 0);
}

/// `spec/waku-mailserver.md` §9.4 S78: neither an envelope nor a list; no answer, kept.
#[tokio::test]
async fn s78_garbage_request() {
    let server = mailserver();
    let mut a = server.full().await;
    for garbage in [vec![], vec![0xde, 0xad, 0xbe, 0xef], vec![0xc0], vec![0xff; 100]] {
        a.send(codes::P2P_REQUEST, garbage).await;
        a.assert_kept().await;
    }
    let id = [7; 32];
    a.send(codes::P2P_REQUEST, request().encode_plain(&id)).await;
    let (_, completion) = answer(&mut a).await;
    assert!(
        matches!(completion, Completion::Success { request, .. } if request == id),
        "garbage has no answer"
    );
}

/// `spec/waku-mailserver.md` §4.14, last line: a request envelope that fails validation is answered by an error
/// completion of its id, and the peer stays.
#[tokio::test]
async fn a_request_envelope_that_fails_validation() {
    let server = mailserver();
    let mut a = server.full().await;
    for (bad, text) in [
        (valid(1), "failed to decrypt p2p request"),
        (form_a(&waku_wire::MessagesRequest { from: 2, to: 1, ..request() }), "query range is invalid"),
        (form_a(&waku_wire::MessagesRequest { limit: 1001, ..request() }), "request is invalid: limit"),
    ] {
        a.send(codes::P2P_REQUEST, bad.raw().clone()).await;
        let (envelopes, completion) = answer(&mut a).await;
        assert!(envelopes.is_empty());
        let Completion::Failure { request, error } = completion else { panic!("{completion:?}") };
        assert_eq!(request, bad.hash().0);
        assert!(error.starts_with(text), "{error}");
        a.assert_kept().await;
    }
}

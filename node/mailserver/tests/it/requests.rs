//! The rows of `spec/waku-mailserver.md` §9.4 that are the mailserver's, each named.

use std::sync::atomic::Ordering;
use std::time::Duration;

use archive::conformance::{envelope, sorted};
use archive::{ArchiveError, History as _, Retention};
use bytes::Bytes;
use enode::NodeKey;
use mailserver::Config;
use waku_wire::{
    Bloom, Completion, Cursor, EnvelopeHash, MessagesRequest, SymmetricKey, Topic, WireEnvelope,
};

use crate::support::{ID, NOW, Server, TOPIC, encrypted, key, peer, plain, request, signed};

/// So many envelopes of the test topic, one a second, in the order of history.
fn series(count: u32, len: usize) -> Vec<WireEnvelope> {
    let envelopes: Vec<WireEnvelope> =
        (0..count).map(|n| envelope(NOW - count + n, TOPIC.0, n, len)).collect();
    let order = sorted(&envelopes);
    order.into_iter().map(|row| WireEnvelope::decode(&row.rlp).unwrap()).collect()
}

fn success(last: &WireEnvelope, more: bool) -> Completion {
    Completion::Success { request: ID, last: last.hash(), cursor: more.then(|| Cursor::of(last)) }
}

/// Asks page after page until a completion without cursor.
async fn all_pages(server: &Server, mut request: MessagesRequest) -> Vec<Vec<WireEnvelope>> {
    let mut pages = Vec::new();
    loop {
        let answer = server.ask(plain(&request)).await;
        pages.push(answer.envelopes());
        match answer.completion() {
            Completion::Success { cursor: Some(cursor), .. } => request.cursor = cursor.0.to_vec(),
            Completion::Success { cursor: None, .. } => return pages,
            Completion::Failure { error, .. } => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn s62_ten_envelopes_by_six() {
    let server = Server::new();
    let stored = series(10, 50);
    server.store(&stored).await;
    let first = server.ask(plain(&MessagesRequest { limit: 6, ..request() })).await;
    assert_eq!(first.envelopes(), stored[..6], "the oldest six, oldest first");
    assert_eq!(*first.completion(), success(&stored[5], true));
    let cursor = Cursor::of(&stored[5]).0.to_vec();
    let second = server.ask(plain(&MessagesRequest { limit: 6, cursor, ..request() })).await;
    assert_eq!(second.envelopes(), stored[6..]);
    assert_eq!(*second.completion(), success(&stored[9], false));
}

#[tokio::test]
async fn s64_s65_limits_on_the_wire() {
    let server = Server::new();
    server.store(&series(1005, 10)).await;
    assert_eq!(server.ask(plain(&MessagesRequest { limit: 0, ..request() })).await.envelopes().len(), 1000);
    for form in [plain(&MessagesRequest { limit: 1001, ..request() }), {
        signed(&MessagesRequest { limit: 1001, ..request() }).raw().clone()
    }] {
        let answer = server.ask(form).await;
        assert_eq!(answer.error(), "request is invalid: limit exceeds the maximum allowed value");
    }
    assert_eq!(server.metric("mailserver_sync_failures_total{type=\"req_invalid\"}"), 2.0);
    assert_eq!(server.metric("mailserver_delivery_failures_total{type=\"validation\"}"), 0.0);
}

#[tokio::test]
async fn s66_s67_inverted_ranges_have_their_own_texts() {
    let server = Server::new();
    let inverted = MessagesRequest { from: 100, to: 99, ..request() };
    let encrypted = server.ask(signed(&inverted).raw().clone()).await;
    assert_eq!(encrypted.error(), "query range is invalid: lower > upper");
    assert_eq!(server.metric("mailserver_delivery_failures_total{type=\"validation\"}"), 1.0);
    assert_eq!(server.metric("mailserver_delivery_attempts_total"), 0.0);
    let plain = server.ask(plain(&inverted)).await;
    assert_eq!(plain.error(), "request is invalid: query range is invalid: lower > upper");
    assert_eq!(server.metric("mailserver_sync_failures_total{type=\"req_invalid\"}"), 1.0);
    assert_eq!(server.metric("mailserver_delivery_attempts_total"), 1.0);
}

#[tokio::test]
async fn s68_an_open_range_reaches_a_minute_ahead() {
    let server = Server::new();
    let stored =
        [envelope(NOW, TOPIC.0, 0, 9), envelope(NOW + 60, TOPIC.0, 0, 9), envelope(NOW + 61, TOPIC.0, 0, 9)];
    server.store(&stored).await;
    for form in [plain(&request()), signed(&request()).raw().clone()] {
        assert_eq!(server.ask(form).await.envelopes(), stored[..2]);
    }
    let saturated = MessagesRequest { to: u32::MAX, ..request() };
    assert_eq!(server.ask(plain(&saturated)).await.envelopes(), stored, "Q25");
}

#[tokio::test]
async fn s69_neither_bloom_nor_topics() {
    let server = Server::new();
    let answer = server.ask(plain(&MessagesRequest { topics: vec![], ..request() })).await;
    assert_eq!(answer.error(), "request is invalid: bloom filter and topics is empty");
}

#[tokio::test]
async fn s70_topics_decide_over_the_bloom() {
    let server = Server::new();
    let stored = series(3, 50);
    server.store(&stored).await;
    for bloom in [vec![0; 64], vec![0xff; 10], Bloom::of_topic(Topic([9, 9, 9, 9])).0.to_vec()] {
        assert_eq!(server.ask(plain(&MessagesRequest { bloom, ..request() })).await.envelopes(), stored);
    }
}

#[tokio::test]
async fn s72_an_unsigned_request() {
    let server = Server::new();
    let answer = server.ask(encrypted(&request().encode(), &key(), None).raw().clone()).await;
    assert_eq!(answer.error(), "check message signature failed: wrong signature of p2p request");
}

#[tokio::test]
async fn s73_s76_any_signer_at_any_time() {
    let server = Server::new();
    let stored = series(1, 50);
    server.store(&stored).await;
    server.now.store(NOW + 10_000_000, std::sync::atomic::Ordering::SeqCst);
    // Signed by a key that is not the peer's, long expired, and sent twice: Q29, Q37.
    let request = signed(&request()).raw().clone();
    for _ in 0..2 {
        let answer = server.ask(request.clone()).await;
        assert_eq!(answer.envelopes(), stored);
        let id = waku_wire::P2pRequest::decode(&request).unwrap().id();
        assert_eq!(
            *answer.completion(),
            Completion::Success { request: id, last: stored[0].hash(), cursor: None }
        );
    }
}

#[tokio::test]
async fn s74_six_or_eight_fields() {
    let server = Server::new();
    // V38 with its last field missing, and with one more.
    for fields in ["c6326401c00a80", "c8326401c00a800101", "80", "c0", "c7326401c00a80", ""] {
        let content = hex::decode(fields).unwrap();
        let request = encrypted(&content, &key(), Some(&NodeKey::generate()));
        let answer = server.ask(request.raw().clone()).await;
        assert!(answer.error().starts_with("failed to decode data: "), "{}", answer.error());
        assert!(answer.error().len() <= 200, "Q39");
    }
    assert_eq!(server.metric("mailserver_delivery_failures_total{type=\"validation\"}"), 6.0);
}

#[tokio::test]
async fn s75_low_pow_of_the_encrypted_form_only() {
    let server = Server::with(Config { minimum_pow: 1e9, ..Config::default() });
    assert_eq!(server.ask(signed(&request()).raw().clone()).await.error(), "PoW too low");
    assert!(server.ask(plain(&request())).await.envelopes().is_empty());
    for minimum_pow in [0.0, -1.0] {
        let server = Server::with(Config { minimum_pow, ..Config::default() });
        assert_eq!(server.ask(signed(&request()).raw().clone()).await.completions.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn s77_the_rate_limit_counts_only_valid_requests() {
    let server = Server::rate_limited(Duration::from_secs(5));
    let invalid = plain(&MessagesRequest { limit: 2000, ..request() });
    assert!(server.ask(invalid.clone()).await.error().starts_with("request is invalid"));
    assert!(matches!(server.ask(plain(&request())).await.completion(), Completion::Success { .. }));
    tokio::time::advance(Duration::from_secs(4)).await;
    assert_eq!(server.ask(plain(&request())).await.error(), "rate limit exceeded");
    assert!(
        server.ask(invalid).await.error().starts_with("request is invalid"),
        "judged before it is limited"
    );
    assert!(matches!(
        server.ask_as(peer(2), plain(&request())).await.completion(),
        Completion::Success { .. }
    ));
    // The refusal did not begin a new wait.
    tokio::time::advance(Duration::from_millis(1001)).await;
    assert!(matches!(server.ask(plain(&request())).await.completion(), Completion::Success { .. }));
    assert_eq!(server.metric("mailserver_delivery_failures_total{type=\"peer_req_limit\"}"), 1.0);
}

#[tokio::test]
async fn s78_garbage_is_not_answered() {
    let server = Server::new();
    for garbage in
        [&b""[..], b"\x80", b"\xc0", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"hello", &[0xc1; 1000]]
    {
        let answer = server.ask(Bytes::copy_from_slice(garbage)).await;
        assert!(answer.raw.is_empty(), "{garbage:?}");
    }
}

#[tokio::test]
async fn s80_ids_of_other_lengths_are_cut_or_padded_on_the_left() {
    let server = Server::new();
    // The plain form with an id of 1 byte: [ "x", 0, 0, 0, "", "", [TOPIC] ].
    let short = hex::decode("cc7880808080 80c5840f010200".replace(' ', "")).unwrap();
    let mut expected = [0; 32];
    expected[31] = b'x';
    let answer = server.ask(short).await;
    assert_eq!(
        *answer.completion(),
        Completion::Success { request: expected, last: EnvelopeHash::ZERO, cursor: None }
    );
}

#[tokio::test]
async fn s81_without_batch_one_envelope_a_packet() {
    let server = Server::new();
    let stored = series(3, 50);
    server.store(&stored).await;
    let answer = server.ask(signed(&MessagesRequest { batch: false, ..request() }).raw().clone()).await;
    assert_eq!(answer.packets, [[stored[0].clone()], [stored[1].clone()], [stored[2].clone()]]);
    assert_eq!(server.metric("mailserver_requests_batched_total"), 0.0);
    let answer = server.ask(signed(&request()).raw().clone()).await;
    assert_eq!(answer.packets, [stored]);
    assert_eq!(server.metric("mailserver_requests_batched_total"), 1.0);
}

#[tokio::test]
async fn s82_packets_stay_below_the_limit() {
    for max_message_size in [4096, 50_000, 1 << 20] {
        let server = Server::with(Config { max_message_size, ..Config::default() });
        let stored = series(700, 1500);
        server.store(&stored).await;
        let answer = server.ask(plain(&request())).await;
        assert_eq!(answer.envelopes(), stored);
        assert!(answer.packets.len() > 8);
        let limit = (max_message_size as usize - 1024).min(128 << 10);
        assert!(answer.raw.iter().all(|packet| packet.len() <= limit));
    }
}

#[tokio::test]
async fn an_envelope_that_fits_no_packet_is_left_out() {
    let server = Server::with(Config { max_message_size: 10_000, ..Config::default() });
    let stored =
        [series(1, 50), vec![envelope(NOW, TOPIC.0, 7, 9500)], vec![envelope(NOW + 1, TOPIC.0, 8, 50)]];
    server.store(&stored.concat()).await;
    for limit in [0, 2] {
        let answer = server.ask(plain(&MessagesRequest { limit, ..request() })).await;
        assert_eq!(answer.envelopes(), [stored[0].clone(), stored[2].clone()].concat());
    }
    assert_eq!(all_pages(&server, MessagesRequest { limit: 1, ..request() }).await.concat().len(), 2);
}

#[tokio::test]
async fn s83_cursors_of_other_lengths_are_ignored() {
    let server = Server::new();
    let stored = series(4, 50);
    server.store(&stored).await;
    for len in [35, 40] {
        let mut cursor = Cursor::of(&stored[2]).0.to_vec();
        cursor.resize(len, 0);
        assert_eq!(server.ask(plain(&MessagesRequest { cursor, ..request() })).await.envelopes(), stored);
    }
}

#[tokio::test]
async fn s84_a_cursor_whose_row_is_pruned_leaves_out_nothing() {
    let server = Server::new();
    let old = envelope(NOW - 3 * 86_400, TOPIC.0, 0, 50);
    let stored = series(4, 50);
    server.store(std::slice::from_ref(&old)).await;
    server.store(&stored).await;
    let policy = Retention { max_age: Some(86_400), max_bytes: None };
    assert_eq!(server.history.inner.evict(policy, NOW).await.unwrap().rows, 1);
    let cursor = Cursor::of(&old).0.to_vec();
    assert_eq!(server.ask(plain(&MessagesRequest { cursor, ..request() })).await.envelopes(), stored);
}

#[tokio::test]
async fn s85_a_short_bloom_is_an_error_and_no_crash() {
    let server = Server::new();
    for len in [1, 10, 63, 65, 5000] {
        let request = MessagesRequest { topics: vec![], bloom: vec![0xff; len], ..request() };
        for form in [plain(&request), signed(&request).raw().clone()] {
            let answer = server.ask(form).await;
            assert!(answer.error().starts_with("request is invalid: bloom filter must have 64 bytes"));
        }
    }
    assert!(matches!(server.ask(plain(&request())).await.completion(), Completion::Success { .. }));
}

#[tokio::test]
async fn s86_a_topic_of_three_bytes_matches_nothing() {
    let server = Server::new();
    server.store(&[envelope(NOW, [1, 2, 3, 0], 1, 50)]).await;
    // [ID, 0, 0, 0, "", "", [010203]]
    let request = [&[0xeb, 0xa0][..], &ID, &[0x80, 0x80, 0x80, 0x80, 0x80, 0xc4, 0x83, 1, 2, 3]].concat();
    let answer = server.ask(request).await;
    assert!(answer.packets.is_empty());
    let expected = Completion::Success { request: ID, last: EnvelopeHash::ZERO, cursor: None };
    assert_eq!(*answer.completion(), expected);
}

#[tokio::test]
async fn s90_blooms_are_those_of_the_network() {
    let server = Server::new();
    let stored = [envelope(NOW, [1, 2, 3, 0], 1, 50), envelope(NOW, [0xcd, 0x42, 0x37, 0x60], 2, 50)];
    server.store(&stored).await;
    // V07: of three bits in one byte the network's clients send only the last.
    let mut bloom = vec![0; 64];
    bloom[0] = 0x08;
    let by_bloom = MessagesRequest { topics: vec![], bloom, ..request() };
    assert_eq!(server.ask(signed(&by_bloom).raw().clone()).await.envelopes(), stored[..1]);
    let full = MessagesRequest { topics: vec![], bloom: vec![0xff; 64], ..request() };
    assert_eq!(server.ask(plain(&full)).await.envelopes().len(), 2);
}

#[tokio::test]
async fn s91_hundreds_of_zero_topics() {
    let server = Server::new();
    let stored = series(2, 50);
    server.store(&stored).await;
    let mut topics = vec![Topic::default(); 200];
    topics.push(TOPIC);
    assert_eq!(server.ask(plain(&MessagesRequest { topics, ..request() })).await.envelopes(), stored);
}

#[tokio::test]
async fn s92_exactly_the_limit_has_a_cursor_and_then_an_empty_page() {
    let server = Server::new();
    let stored = series(5, 50);
    server.store(&stored).await;
    let first = server.ask(plain(&MessagesRequest { limit: 5, ..request() })).await;
    assert_eq!(*first.completion(), success(&stored[4], true));
    let cursor = Cursor::of(&stored[4]).0.to_vec();
    let second = server.ask(plain(&MessagesRequest { limit: 5, cursor, ..request() })).await;
    assert!(second.packets.is_empty());
    assert_eq!(second.raw[0].len(), 66, "64 bytes and their header");
    let expected = Completion::Success { request: ID, last: EnvelopeHash::ZERO, cursor: None };
    assert_eq!(*second.completion(), expected);
}

#[tokio::test]
async fn pages_of_any_size_together_are_the_whole() {
    let server = Server::new();
    // Sizes that make turns end inside pages, and many in one second.
    let envelopes: Vec<WireEnvelope> = (0..1500u32)
        .map(|n| envelope(NOW - n % 97, TOPIC.0, n, if n % 50 == 0 { 60_000 } else { 300 }))
        .collect();
    server.store(&envelopes).await;
    let whole: Vec<Bytes> = sorted(&envelopes).into_iter().map(|row| row.rlp).collect();
    for limit in [7, 100, 999, 1000, 0] {
        let pages = all_pages(&server, MessagesRequest { limit, ..request() }).await;
        let size = if limit == 0 { 1000 } else { limit as usize };
        assert!(pages.iter().rev().skip(1).all(|page| page.len() == size));
        let sent: Vec<Bytes> = pages.concat().iter().map(|envelope| envelope.raw().clone()).collect();
        assert!(sent == whole, "limit {limit}");
    }
}

/// `spec/waku-mailserver.md` §12 Q27: a page that costs too much ends with a cursor, and nothing is left out.
#[tokio::test]
async fn q27_a_page_that_costs_too_much_ends_with_a_cursor() {
    let server = Server::new();
    let stored = series(10, 50);
    server.store(&stored).await;
    server.history.tedious.store(400_000, Ordering::SeqCst);
    let first = server.ask(plain(&request())).await;
    assert_eq!(first.envelopes(), stored[..3], "the third turn was too much");
    assert_eq!(*first.completion(), success(&stored[2], true));
    let pages = all_pages(&server, request()).await;
    assert_eq!(pages.concat(), stored);
    assert_eq!(pages.iter().map(Vec::len).max(), Some(3));
    assert!(server.metric("statusd_history_keys_scanned_total{filter=\"topics\"}") >= 12.0 * 400_000.0);
    assert_eq!(server.metric("statusd_history_envelopes_sent_total{filter=\"topics\"}"), 13.0);
}

#[tokio::test]
async fn q27_a_costly_page_without_envelopes_has_a_cursor_too() {
    let server = Server::new();
    let others: Vec<WireEnvelope> = (0..7).map(|n| envelope(NOW - 100 + n, [9; 4], n, 50)).collect();
    let wanted = series(2, 50);
    server.store(&[others, wanted.clone()].concat()).await;
    server.history.tedious.store(400_000, Ordering::SeqCst);
    let first = server.ask(plain(&request())).await;
    let Completion::Success { last, cursor: Some(_), .. } = first.completion() else { panic!("{first:?}") };
    assert_eq!((first.packets.len(), *last), (0, EnvelopeHash::ZERO));
    assert_eq!(all_pages(&server, request()).await.concat(), wanted);
}

/// Requests cost what they read: who reads much waits, and nobody waits for them.
#[tokio::test(start_paused = true)]
async fn q27_a_source_that_reads_much_waits_and_others_do_not() {
    let server = Server::new();
    let stored = series(1, 50);
    server.store(&stored).await;
    // A second of reading each.
    server.history.tedious.store(2_000_000, Ordering::SeqCst);
    let ask = async |n| {
        let begin = tokio::time::Instant::now();
        assert_eq!(server.ask_as(peer(n), plain(&request())).await.envelopes(), stored);
        begin.elapsed().as_secs()
    };
    let mut waits = Vec::new();
    for _ in 0..30 {
        waits.push(ask(1).await);
    }
    assert_eq!(waits[..11], [0; 11], "ten seconds and more at once");
    assert_eq!(waits[25..], [4; 5], "then a quarter of the time");
    assert_eq!(ask(2).await, 0, "another address");
    assert!(server.metric("statusd_history_requests_delayed_total") > 10.0);
}

#[tokio::test]
async fn q30_a_failing_archive_is_an_error_completion() {
    let server = Server::new();
    server.store(&series(3, 50)).await;
    for (error, text) in [
        (
            ArchiveError::Io("/data/000007.sst: broken".to_owned()),
            "history is not available: archive failure",
        ),
        (ArchiveError::Corrupt("block".to_owned()), "history is not available: archive damaged"),
        (ArchiveError::Closed, "history is not available: shutting down"),
    ] {
        *server.history.failure.lock() = Some(error);
        assert_eq!(server.ask(plain(&request())).await.error(), text, "no paths to peers");
    }
    assert_eq!(server.metric("mailserver_delivery_failures_total{type=\"iterator\"}"), 3.0);
    *server.history.failure.lock() = None;
    assert_eq!(server.ask(plain(&request())).await.envelopes().len(), 3);
}

#[tokio::test]
async fn q22_a_request_to_the_public_key_is_not_decrypted() {
    let server = Server::new();
    let other = SymmetricKey::from_bytes([7; 32]).unwrap();
    let answer =
        server.ask(encrypted(&request().encode(), &other, Some(&NodeKey::generate())).raw().clone()).await;
    assert_eq!(answer.error(), "failed to decrypt p2p request");
}

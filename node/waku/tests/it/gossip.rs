//! `spec/waku-mailserver.md` §9.2.

use std::time::Duration;

use devp2p::DisconnectReason;
use waku_wire::{
    Bloom,
    ProtocolVersion::V1,
    StatusOptions, Topic, codes, messages,
    pow::{self, Pow},
};

use crate::support::{NOW, Setup, of_length, on_topic, sealed, soon, topic, valid};

fn interest(topics: &[Topic]) -> StatusOptions {
    StatusOptions { pow_requirement: Some(0.0), topics: Some(topics.to_vec()), ..StatusOptions::default() }
}

const CACHE_FAILURES: &str = "waku_envelopes_cache_failures_total";

#[tokio::test]
async fn s20_relayed_and_not_sent_back() {
    let server = Setup::confirming().start();
    let (mut a, mut b) = (server.full().await, server.full().await);
    a.assert_kept().await;
    b.assert_kept().await;
    a.post(&[&valid(1)]).await;
    assert_eq!(b.gossip(1).await, [valid(1).hash()]);
    b.post(&[&valid(2)]).await;
    b.confirmation().await;
    a.confirmation().await;
    assert_eq!(a.gossip(1).await, [valid(2).hash()], "its own envelope did not come back first");
    assert_eq!(server.metric("statusd_relay_fan_out_seconds_count "), 2.0, "a packet to each");
    assert_eq!(server.metric("statusd_relay_fan_out_seconds_bucket{le=\"+Inf\"}"), 2.0);
    assert!(server.metric("statusd_relay_fan_out_seconds_sum ") > 0.0);
    b.assert_kept().await;
    assert_eq!(server.metric("waku_envelopes_received_total "), 2.0);
}

#[tokio::test]
async fn s21_the_same_envelope_twice() {
    let server = Setup::confirming().start();
    let (mut a, mut b, mut c) = (server.full().await, server.full().await, server.full().await);
    for client in [&mut a, &mut b, &mut c] {
        client.assert_kept().await;
    }
    assert_eq!(a.confirm(&[&valid(1)]).await, []);
    assert_eq!(b.gossip(1).await, [valid(1).hash()]);
    assert_eq!(b.confirm(&[&valid(1)]).await, []);
    assert_eq!(c.gossip(1).await, [valid(1).hash()]);
    for client in [&mut a, &mut b, &mut c] {
        client.assert_kept().await;
    }
    assert_eq!(server.metric("waku_envelopes_cached_total{cache=\"hit\"}"), 1.0);
    assert_eq!(server.metric("waku_envelopes_cached_total{cache=\"miss\"}"), 1.0);
    assert_eq!(server.metric("waku_envelopes_size_bytes_count"), 1.0);
    assert_eq!(server.metric("waku_envelopes_size_bytes_sum"), 52.0);
    assert_eq!(server.waku.stats().envelopes, 1);
}

/// S22 to S27: what is admitted, with which error record and label.
#[tokio::test]
async fn s22_to_s27_admission() {
    let server = Setup::confirming().start();
    let mut a = server.full().await;
    let at = |n, expiry| of_length(n, topic(1), expiry, 50, 32);
    assert_eq!(a.confirm(&[&at(22, NOW)]).await, []);
    assert_eq!(a.confirm(&[&at(23, NOW - 1), &at(23, NOW - 20)]).await, [], "S23: silent");
    assert_eq!(server.metric(&format!("{CACHE_FAILURES}{{type=\"expired\"}}")), 2.0);
    let old = at(24, NOW - 21);
    assert_eq!(a.confirm(&[&old]).await, [(old.hash(), 21, "very old envelope".to_owned())]);
    assert_eq!(a.confirm(&[&of_length(25, topic(1), NOW + 60, 50, 32)]).await, [], "S25");
    let future = of_length(26, topic(1), NOW + 61, 50, 32);
    assert_eq!(a.confirm(&[&future]).await, [(future.hash(), 21, "envelope from future".to_owned())]);
    let weak = of_length(27, topic(1), NOW + 600, 600, 200_000);
    let pow = Pow::exact(&weak, 0).value();
    assert!(pow < 0.000_002);
    let text = format!("envelope with low PoW received: PoW={pow}, hash=[{}]", weak.hash());
    assert_eq!(a.confirm(&[&weak]).await, [(weak.hash(), 22, text)]);
    let far = of_length(28, topic(1), NOW + 601, 601, 32);
    let [(hash, 22, _)] = &a.confirm(&[&far]).await[..] else { panic!("one record of code 22") };
    assert_eq!(*hash, far.hash());
    for (label, count) in [("in_future", 1.0), ("very_old", 1.0), ("low_pow", 1.0), ("far_expiry", 1.0)] {
        assert_eq!(server.metric(&format!("{CACHE_FAILURES}{{type=\"{label}\"}}")), count, "{label}");
    }
    assert_eq!(server.waku.stats().envelopes, 2);
}

#[tokio::test]
async fn s28_work_for_ttl_but_not_for_ttl_plus_6() {
    let mut setup = Setup::confirming();
    // Between what ttl and ttl + 6 need.
    let e = sealed(1, NOW + 55, 50, 0.01);
    setup.config.min_pow = (Pow::exact(&e, 0).value() + Pow::exact(&e, 6).value()) / 2.0;
    let server = setup.start();
    let mut a = server.full().await;
    let errors = a.confirm(&[&e]).await;
    assert!(errors[0].2.starts_with("envelope with low PoW received"), "{errors:?}");
    server.advance(5);
    assert_eq!(a.confirm(&[&e]).await, []);
}

#[tokio::test]
async fn s29_envelope_over_the_limit_in_a_packet_below_it() {
    let mut setup = Setup::confirming();
    setup.config.max_message_size = 48;
    setup.config.min_pow = 0.0;
    let server = setup.start();
    let mut a = server.full().await;
    let e = of_length(1, topic(1), NOW + 50, 50, 30);
    assert_eq!(messages::encode([e.raw().as_ref()]).len(), 45);
    let text = format!("huge messages are not allowed [{}][50][48]", e.hash());
    assert_eq!(a.confirm(&[&e]).await, [(e.hash(), 22, text)]);
    assert_eq!(server.metric(&format!("{CACHE_FAILURES}{{type=\"oversized\"}}")), 1.0);
}

#[tokio::test]
async fn ops_2_4_a_lower_limit_holds_for_the_sessions_that_are_there() {
    let server = Setup::confirming().start();
    let mut a = server.full().await;
    let big = of_length(1, topic(1), NOW + 50, 50, 3000);
    assert_eq!(a.confirm(&[&big]).await, []);
    server.waku.set_max_message_size(2048).unwrap();
    assert_eq!(server.waku.max_message_size(), 2048);
    assert_eq!(a.confirm(&[&valid(2)]).await, []);
    a.post(&[&of_length(3, topic(1), NOW + 50, 50, 3000)]).await;
    a.assert_ended(DisconnectReason::SubprotocolError).await;
    assert_eq!(server.waku.stats().envelopes, 2);
    server.waku.set_max_message_size(1 << 20).unwrap();
    let mut b = server.full().await;
    assert_eq!(b.gossip(2).await.len(), 2);
    assert_eq!(b.confirm(&[&of_length(3, topic(1), NOW + 50, 50, 3000)]).await, []);
}

#[tokio::test]
async fn s33_s34_s35_interest() {
    let server = Setup::confirming().start();
    let a = server.full().await;
    let mut b = server.connect(interest(&[topic(1)])).await;
    b.assert_kept().await;
    a.post(&[&on_topic(2, 2), &on_topic(1, 1)]).await;
    assert_eq!(b.gossip(1).await, [on_topic(1, 1).hash()], "S33");
    b.send(codes::STATUS_UPDATE, interest(&[]).encode_update(V1)).await;
    b.assert_kept().await;
    a.post(&[&on_topic(3, 1), &on_topic(4, 4)]).await;
    a.post(&[]).await;
    b.assert_kept().await;
    let all = StatusOptions { bloom: Some(Bloom::FULL.0.to_vec()), ..StatusOptions::default() };
    b.send(codes::STATUS_UPDATE, all.encode_update(V1)).await;
    let expected = [(2, 2), (3, 1), (4, 4)].map(|(n, t)| on_topic(n, t).hash());
    assert_eq!(b.gossip(3).await, expected, "S35: what is pooled and not known, in order of arrival");
    b.assert_kept().await;
}

#[tokio::test]
async fn s36_pow_requirement() {
    let server = Setup::confirming().start();
    let a = server.full().await;
    let pow = |value| StatusOptions { pow_requirement: Some(value), ..StatusOptions::default() };
    let mut b = server.connect(pow(0.5)).await;
    let (weak, strong) = (sealed(1, NOW + 10, 10, 0.1), sealed(2, NOW + 10, 10, 0.5));
    let weak_pow = Pow::exact(&weak, 0).value();
    assert!(weak_pow < 0.5 && pow::leading_zeros(&pow::hash(&weak)) > 0);
    a.post(&[&weak, &strong]).await;
    assert_eq!(b.gossip(1).await, [strong.hash()]);
    b.assert_kept().await;
    b.send(codes::STATUS_UPDATE, pow(0.0).encode_update(V1)).await;
    assert_eq!(b.gossip(1).await, [weak.hash()]);
}

#[tokio::test]
async fn s37_bloom_of_v06() {
    let server = Setup::confirming().start();
    let a = server.full().await;
    let v06 = Topic([0x0f, 0x01, 0x02, 0x00]);
    let mut reference = vec![0; 64];
    reference[..2].copy_from_slice(&[0x04, 0x80]);
    let options =
        StatusOptions { pow_requirement: Some(0.0), bloom: Some(reference), ..StatusOptions::default() };
    let mut b = server.connect(options).await;
    let e = of_length(1, v06, NOW + 50, 50, 32);
    a.post(&[&on_topic(2, 2), &e]).await;
    assert_eq!(b.gossip(1).await, [e.hash()]);
}

#[tokio::test]
async fn s38_expired_leaves_the_pool() {
    let server = Setup::confirming().start();
    let mut a = server.full().await;
    a.confirm(&[&of_length(1, topic(1), NOW + 5, 50, 32)]).await;
    server.advance(6);
    let mut late = server.full().await;
    late.assert_kept().await;
    soon(async {
        while server.waku.stats().envelopes > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(server.metric("waku_envelopes_cached_total{cache=\"clear\"}"), 1.0);
    late.assert_kept().await;
}

/// §12 Q18: a backlog larger than a packet comes in packets of at most 128 KiB, and a larger envelope alone.
#[tokio::test]
async fn q18_packets_are_split() {
    let server = Setup::confirming().start();
    let mut a = server.full().await;
    let small: Vec<_> = (0..500).map(|n| of_length(n, topic(1), NOW + 50, 50, 1000)).collect();
    for batch in small.chunks(100) {
        assert_eq!(a.confirm(&batch.iter().collect::<Vec<_>>()).await, []);
    }
    let large = of_length(1000, topic(1), NOW + 2, 2, 200_000);
    assert_eq!(a.confirm(&[&large]).await, []);
    let mut b = server.full().await;
    let mut got = Vec::new();
    let mut packets = 0;
    while got.len() < 501 {
        let (code, payload) = b.recv().await;
        assert_eq!(code, codes::MESSAGES);
        let envelopes = messages::decode(&payload).unwrap();
        assert!(payload.len() <= 128 << 10 || envelopes.len() == 1, "{} bytes", payload.len());
        got.extend(envelopes.iter().map(|e| e.hash()));
        packets += 1;
    }
    let all: Vec<_> = small.iter().chain([&large]).map(|e| e.hash()).collect();
    assert_eq!(got, all);
    assert!(packets < 20, "and not in more packets than needed: {packets}");
}

/// `spec/waku-mailserver.md` §12 Q02, Q18: no packet comes within 1 KiB of the own limit or the network's, and what fits
/// no packet is refused rather than pooled.
#[tokio::test]
async fn q02_q18_packets_keep_below_every_limit() {
    for (own, largest) in [(4096, 3072), (10 << 20, (1 << 20) - 1024)] {
        let mut setup = Setup::confirming();
        setup.config.max_message_size = own;
        setup.config.min_pow = 0.0;
        let server = setup.start();
        let mut a = server.full().await;
        // Five bytes of list header, and some 20 of an envelope around its data.
        let fits = of_length(1, topic(1), NOW + 50, 50, largest - 30);
        let small: Vec<_> = (2..20).map(|n| of_length(n, topic(1), NOW + 50, 50, 500)).collect();
        for e in small.iter().chain([&fits]) {
            assert_eq!(a.confirm(&[e]).await, []);
        }
        let huge = of_length(30, topic(1), NOW + 50, 50, largest);
        let [(hash, 22, text)] = &a.confirm(&[&huge]).await[..] else { panic!("one record of code 22") };
        assert_eq!(*hash, huge.hash());
        assert!(text.starts_with("huge messages are not allowed ["), "{text}");
        let mut b = server.full().await;
        let mut got = 0;
        while got < 19 {
            let (_, payload) = b.recv().await;
            assert!(payload.len() <= largest, "{} of {largest}", payload.len());
            got += messages::decode(&payload).unwrap().len();
        }
        b.assert_kept().await;
    }
}

/// Many peers, many senders: everyone has everything once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everyone_gets_everything_once() {
    let server = Setup::new().start();
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(server.full().await);
    }
    let work = clients.into_iter().zip(0u32..).map(|(mut client, c)| async move {
        for n in 0..50 {
            client.post(&[&valid(1000 * c + 2 * n), &valid(1000 * c + 2 * n + 1)]).await;
        }
        let mut got = client.gossip(700).await;
        got.sort_unstable();
        let mut expected: Vec<_> = (0..8)
            .filter(|other| *other != c)
            .flat_map(|other| (0..100).map(move |n| valid(1000 * other + n).hash()))
            .collect();
        expected.sort_unstable();
        assert_eq!(got, expected);
        client
    });
    let clients = soon(futures::future::join_all(work)).await;
    assert_eq!(server.waku.stats().envelopes, 800);
    drop(clients);
}

/// A packet of very many envelopes is taken in in turns, and is one packet to who sent it.
#[tokio::test]
async fn a_packet_of_thousands() {
    let server = Setup::confirming().start();
    let mut a = server.full().await;
    let mut all = server.full().await;
    let mut some = server.connect(interest(&[topic(2)])).await;
    all.assert_kept().await;
    some.assert_kept().await;
    let sent: Vec<_> = (0..3000).map(|n| of_length(n, topic((n % 3) as u8), NOW + 50, 50, 4)).collect();
    assert_eq!(a.confirm(&sent.iter().collect::<Vec<_>>()).await, []);
    let hashes = |only: Option<Topic>| -> Vec<_> {
        sent.iter().filter(|e| only.is_none_or(|topic| e.topic() == topic)).map(|e| e.hash()).collect()
    };
    assert_eq!(all.gossip(3000).await, hashes(None), "in order");
    assert_eq!(some.gossip(1000).await, hashes(Some(topic(2))));
    a.assert_kept().await;
    assert_eq!(server.metric("waku_envelopes_cached_total{cache=\"miss\"}"), 3000.0);
}

//! `spec/waku-mailserver.md` §9.1.

use std::{sync::Arc, time::Duration};

use archive::memory::MemoryHistory;
use devp2p::DisconnectReason;
use waku_wire::{
    Bloom,
    ProtocolVersion::{self, V0, V1},
    StatusOptions, Topic, codes,
};

use crate::support::{Client, Server, Setup, on_topic, soon, topic, valid};

const V19: &str = "ddca80883ec0c6f7a0b5ed8dc20280c20380c504c3808080c506c3808080";
const V20: &str = "d980d7ca30883ec0c6f7a0b5ed8dc23280c23380c534c3808080";

fn hex(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

/// Says `payload` as its status and gets the server's.
async fn greet(server: &Server, version: ProtocolVersion, payload: Vec<u8>) -> Client {
    let mut client = server.silent(version).await;
    client.send(codes::STATUS, payload).await;
    assert_eq!(client.recv().await.0, codes::STATUS);
    client
}

/// Says `payload` as the first packet, and is disconnected with 0x10.
async fn refused(version: ProtocolVersion, code: u64, payload: Vec<u8>) {
    let server = Setup::new().start();
    let client = server.silent(version).await;
    client.send(code, payload).await;
    client.assert_ended(DisconnectReason::SubprotocolError).await;
    assert_eq!(server.waku.stats().peers, 0);
}

/// Says `payload` as its status, and gets the one of these two envelopes that its interest lets through.
async fn gets(payload: Vec<u8>, expected: &[u8]) {
    let server = Setup::confirming().start();
    let sender = server.full().await;
    let mut client = greet(&server, V1, payload).await;
    client.assert_kept().await;
    sender.post(&[&on_topic(1, 1), &on_topic(2, 2)]).await;
    let wanted: Vec<_> = expected.iter().map(|t| on_topic((*t).into(), *t).hash()).collect();
    assert_eq!(client.gossip(wanted.len()).await, wanted);
    client.assert_kept().await;
}

#[tokio::test]
async fn s01_both_versions_offered() {
    let server = Setup::new().start();
    let mut peer = server.dial(&[("waku", 0), ("waku", 1)]).await.open("waku").unwrap();
    assert_eq!(peer.capability.version, 1);
    let status = soon(peer.recv()).await.unwrap();
    assert_eq!(status.code, codes::STATUS);
    StatusOptions::decode_status(V1, &status.payload).unwrap();
}

#[tokio::test]
async fn s02_only_waku_0() {
    let server = Setup::new().with_mailserver(Arc::new(MemoryHistory::new())).start();
    let mut client = server.silent(V0).await;
    let (code, payload) = client.recv().await;
    assert_eq!((code, hex::encode(payload).as_str()), (codes::STATUS, V20));
    client.send(codes::STATUS, hex("c280c0")).await;
    let sender = server.full().await;
    sender.post(&[&valid(1)]).await;
    let mut got = None;
    while got.is_none() {
        let (code, payload) = client.recv().await;
        assert_eq!(code, codes::MESSAGES);
        got = waku_wire::messages::decode(&payload).unwrap().pop();
    }
    assert_eq!(got.map(|e| e.hash()), Some(valid(1).hash()));
}

/// `spec/waku-mailserver.md` §9.1 S03: no waku in common.
#[tokio::test]
async fn s03_without_waku() {
    let server = Setup::new().start();
    // The server tells a peer that has other things to offer no different from one that has nothing.
    let (mut reader, _writer) = server.dial(&[]).await.split();
    let message = soon(reader.read()).await.unwrap();
    assert_eq!(
        (message.code, DisconnectReason::decode(&message.payload)),
        (1, DisconnectReason::UselessPeer)
    );
}

/// `spec/waku-mailserver.md` §4.14: a status that cannot be decoded.
#[tokio::test]
async fn undecodable_status() {
    for payload in ["", "80", "c1", "c180", "c3c20080", "c2c180"] {
        refused(V1, codes::STATUS, hex(payload)).await;
    }
    for payload in ["", "80", "c0", "c180", "c280c1", "c380c080"] {
        refused(V0, codes::STATUS, hex(payload)).await;
    }
}

#[tokio::test]
async fn s04_gossip_before_status() {
    refused(V1, codes::MESSAGES, hex("c0")).await;
    refused(V1, 50, hex("c0")).await;
}

/// S05: its requirement is 0.001, which these envelopes reach.
#[tokio::test]
async fn s05_empty_options_mean_a_full_node_that_requires_0_001() {
    let server = Setup::confirming().start();
    let sender = server.full().await;
    let mut client = greet(&server, V1, hex("c0")).await;
    let strong = crate::support::sealed(1, crate::support::NOW + 10, 10, 0.001);
    let weak = crate::support::of_length(2, topic(1), crate::support::NOW + 100, 100, 200);
    sender.post(&[&weak, &strong]).await;
    assert_eq!(client.gossip(1).await, [strong.hash()]);
    client.assert_kept().await;
}

#[tokio::test]
async fn s06_v0_status_of_version_1() {
    refused(V0, codes::STATUS, hex("c201c0")).await;
}

#[tokio::test]
async fn s07_v0_shape_in_waku_1() {
    refused(V1, codes::STATUS, hex("c280c0")).await;
}

#[tokio::test]
async fn s08_pow_not_finite_or_negative() {
    for pow in ["7ff8000000000001", "7ff0000000000000", "bff0000000000000"] {
        refused(V1, codes::STATUS, hex(&format!("cbca8088{pow}"))).await;
    }
}

fn options(options: StatusOptions) -> Vec<u8> {
    StatusOptions { pow_requirement: Some(0.0), ..options }.encode_status(V1)
}

#[tokio::test]
async fn s09_bloom_of_63_bytes() {
    refused(
        V1,
        codes::STATUS,
        options(StatusOptions { bloom: Some(vec![0; 63]), ..StatusOptions::default() }),
    )
    .await;
}

#[tokio::test]
async fn s10_bloom_of_63_bytes_with_topics() {
    let both =
        StatusOptions { bloom: Some(vec![0; 63]), topics: Some(vec![topic(2)]), ..StatusOptions::default() };
    gets(options(both), &[2]).await;
}

#[tokio::test]
async fn s11_bloom_of_0_bytes() {
    gets(options(StatusOptions { bloom: Some(vec![]), ..StatusOptions::default() }), &[1, 2]).await;
}

#[tokio::test]
async fn a_bloom_filter_is_respected() {
    let bloom = Bloom::of_topic(topic(2)).0.to_vec();
    gets(options(StatusOptions { bloom: Some(bloom), ..StatusOptions::default() }), &[2]).await;
}

#[tokio::test]
async fn s12_ten_thousand_topics() {
    let of = |count: u32| {
        let topics = (0..count - 1).map(|n| Topic(n.to_be_bytes())).chain([topic(1)]).collect();
        options(StatusOptions { topics: Some(topics), ..StatusOptions::default() })
    };
    refused(V1, codes::STATUS, of(10_001)).await;
    gets(of(10_000), &[1]).await;
}

/// S13, S14: an unknown key behind or before a topic set.
#[tokio::test]
async fn s13_s14_unknown_keys() {
    let pow = "c28080";
    let topics = format!("c705c584{}", hex::encode(topic(1).0));
    for list in [format!("{pow}{topics}c2630a"), format!("c2630a{pow}{topics}")] {
        let content = hex(&list);
        let mut payload = vec![0xc0 + u8::try_from(content.len()).unwrap()];
        payload.extend(content);
        gets(payload, &[1]).await;
    }
}

#[tokio::test]
async fn s15_light_node_2() {
    refused(V1, codes::STATUS, hex("c3c20202")).await;
}

#[tokio::test]
async fn s16_no_status_at_all() {
    let mut setup = Setup::new();
    setup.config.handshake_timeout = Duration::from_millis(200);
    let server = setup.start();
    let client = server.silent(V1).await;
    client.assert_ended(DisconnectReason::SubprotocolError).await;
}

/// `spec/waku-mailserver.md` §12 Q17: slow but honest peers have their time.
#[test]
fn q17_default_handshake_timeout() {
    let config = waku::Config::new(Arc::new(|| 0));
    assert!(config.handshake_timeout >= Duration::from_secs(30));
}

#[tokio::test]
async fn s17_a_second_status_is_ignored() {
    let server = Setup::confirming().start();
    let mut client = server.full().await;
    client.send(codes::STATUS, hex("c3c20202")).await;
    client
        .send(codes::STATUS, options(StatusOptions { topics: Some(vec![]), ..StatusOptions::default() }))
        .await;
    client.assert_kept().await;
    let sender = server.full().await;
    sender.post(&[&valid(1)]).await;
    assert_eq!(client.gossip(1).await, [valid(1).hash()], "its settings are as before");
}

#[tokio::test]
async fn s18_status_of_a_default_mailserver() {
    let server = Setup::new().with_mailserver(Arc::new(MemoryHistory::new())).start();
    let (code, payload) = server.silent(V1).await.recv().await;
    assert_eq!((code, hex::encode(payload).as_str()), (codes::STATUS, V19));
}

#[tokio::test]
async fn a_peer_that_leaves_is_forgotten() {
    let server = Setup::confirming().start();
    let mut client = server.full().await;
    client.assert_kept().await;
    assert_eq!(server.waku.stats().peers, 1);
    client.sender.disconnect(DisconnectReason::Requested);
    while soon(client.peer.recv()).await.is_some() {}
    soon(async {
        while server.waku.stats().peers > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

//! Light clients, this node and its peers (`spec/waku-mailserver.md` §2.11).

use waku_wire::{
    ProtocolVersion::{V0, V1},
    StatusOptions,
};

use crate::support::{Setup, valid};

fn light() -> Setup {
    let mut setup = Setup::confirming();
    setup.config.light_client = true;
    setup
}

/// `spec/waku-mailserver.md` §12 Q12: a light client forwards nothing. It wants nothing either, and says so of each
/// envelope without ending the session.
#[tokio::test]
async fn q12_a_light_client_forwards_nothing() {
    let server = light().start();
    let (mut a, mut b) = (server.full().await, server.full().await);
    b.assert_kept().await;
    let text = "envelope does not match bloom filter".to_owned();
    assert_eq!(a.confirm(&[&valid(1)]).await, [(valid(1).hash(), 22, text)]);
    b.assert_kept().await;
    assert_eq!(server.waku.stats().envelopes, 0);
    assert_eq!(server.metric("waku_envelopes_cache_failures_total{type=\"no_bloom_match\"}"), 1.0);
}

/// `spec/waku-mailserver.md` §11 TestTwoLightPeerHandshakeRestrictionOff, TestHandshakeWithOldVersionWithoutLightModeFlag:
/// statusd restricts no light peers, and a status need not say whether its sender is one.
#[tokio::test]
async fn light_peers_are_taken_by_light_and_by_other_nodes() {
    for setup in [light(), Setup::confirming()] {
        let server = setup.start();
        for (version, light_node) in [(V0, Some(true)), (V1, Some(true)), (V0, None), (V1, Some(false))] {
            let status = StatusOptions { light_node, ..StatusOptions::default() };
            server.connect_by(version, status).await.assert_kept().await;
        }
    }
}

/// `spec/waku-mailserver.md` §2.11, §4.5: a light peer is sent what it asks for like any other, and nothing for a filter
/// of zeros.
#[tokio::test]
async fn light_peers_get_what_they_ask_for() {
    let server = Setup::confirming().start();
    let light = |bloom| StatusOptions {
        pow_requirement: Some(0.0),
        light_node: Some(true),
        bloom,
        ..StatusOptions::default()
    };
    let mut all = server.connect(light(None)).await;
    let mut none = server.connect(light(Some(vec![0; 64]))).await;
    all.assert_kept().await;
    none.assert_kept().await;
    assert_eq!(server.full().await.confirm(&[&valid(1)]).await, []);
    assert_eq!(all.gossip(1).await, [valid(1).hash()]);
    none.assert_kept().await;
}

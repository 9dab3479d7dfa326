//! `spec/waku-mailserver.md` §4.13, §9.5: limits on what peers send.

use std::collections::HashSet;

use devp2p::DisconnectReason;
use enode::NodeKey;
use waku::{Limits, Rates};
use waku_wire::{ProtocolVersion, RateLimits, StatusOptions, codes};

use crate::support::{Setup, valid};

fn limited(limits: Limits) -> Setup {
    let mut setup = Setup::confirming();
    setup.config.limits = Some(limits);
    setup
}

/// One packet a second of a prefix, and as many of a peer.
fn strict(tolerance: u32) -> Limits {
    let one = Rates { packets: 1, bytes: 0 };
    Limits { source: one, peer: one, tolerance, ..Limits::default() }
}

#[tokio::test]
async fn s95_what_exceeds_the_limits_is_counted_and_taken_in() {
    let source = Rates { packets: 10, bytes: 0 };
    let server = limited(Limits { source, ..Limits::default() }).start();
    let mut a = server.full().await;
    for n in 0..100 {
        a.post(&[&valid(n)]).await;
    }
    for _ in 0..100 {
        assert_eq!(a.confirmation().await.errors, []);
    }
    assert_eq!(server.waku.stats().envelopes, 100);
    assert_eq!(server.metric("waku_rate_limits_processed_total"), 100.0);
    // As many are within the limit as seconds passed, ten times.
    let exceeded = server.metric("waku_rate_limits_exceeded_total{type=\"ip\"}");
    assert!(exceeded > 50.0 && exceeded <= 90.0, "{exceeded}");
    assert_eq!(server.metric("waku_rate_limits_exceeded_total{type=\"peer_id\"}"), 0.0);
}

#[tokio::test]
async fn s96_who_exceeds_them_too_often_is_disconnected() {
    let server = limited(strict(1)).start();
    let a = server.full().await;
    for _ in 0..2 {
        a.send(codes::STATUS_UPDATE, vec![0xc0]).await;
    }
    a.assert_ended(DisconnectReason::SubprotocolError).await;
}

#[tokio::test]
async fn s97_an_exempt_peer_is_never_limited() {
    let key = NodeKey::generate();
    let exempt_ids = HashSet::from([key.node_id()]);
    let server = limited(Limits { exempt_ids, ..strict(1) }).start();
    let mut a = server.connect_as(&key, StatusOptions::default()).await;
    for _ in 0..100 {
        a.assert_kept().await;
    }
    assert_eq!(server.metric("waku_rate_limits_processed_total"), 0.0);
}

/// `spec/waku-mailserver.md` §4.13, §9.5 S98: changed limits are announced to newcomers and hold for everybody.
#[tokio::test]
async fn limits_are_changed_while_peers_are_connected() {
    let server = Setup::confirming().start();
    let mut a = server.full().await;
    a.assert_kept().await;
    server.waku.set_limits(Some(Limits { source: Rates::default(), ..strict(1) }));
    let (_, status) = server.silent(ProtocolVersion::V1).await.recv().await;
    let status = StatusOptions::decode_status(ProtocolVersion::V1, &status).unwrap();
    assert_eq!(status.packet_limits, Some(RateLimits { ip: 0, peer: 1, topic: 0 }));
    a.assert_kept().await;
    a.send(codes::STATUS_UPDATE, vec![0xc0]).await;
    a.assert_ended(DisconnectReason::SubprotocolError).await;
}

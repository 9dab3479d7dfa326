//! Settings that change while the node runs, and envelopes of its own (`spec/waku-mailserver.md` §2.9, §5.2).

use std::sync::Arc;

use archive::{History as _, memory::MemoryHistory};
use relay::Rejection;
use waku::{PostError, SettingError};
use waku_wire::{
    Bloom,
    ProtocolVersion::{V0, V1},
    StatusOptions, codes,
    pow::Pow,
};

use crate::support::{NOW, Setup, of_length, on_topic, sealed, topic, valid};

/// `spec/waku-mailserver.md` §2.9, §11 TestCustomization, TestSimulationBloomFilter: peers of both versions are told, newcomers
/// too, and envelopes are judged by it.
#[tokio::test]
async fn a_changed_requirement_is_told_and_in_force() {
    let mut setup = Setup::confirming();
    let weak = valid(1);
    setup.config.min_pow = Pow::exact(&weak, 0).value() * 2.0;
    let server = setup.start();
    let everything = || StatusOptions { pow_requirement: Some(0.0), ..StatusOptions::default() };
    let (mut v0, mut v1) =
        (server.connect_by(V0, everything()).await, server.connect_by(V1, everything()).await);
    v0.assert_kept().await;
    let [(hash, 22, text)] = &v1.confirm(&[&weak]).await[..] else { panic!("one record of code 22") };
    assert_eq!(*hash, weak.hash());
    assert!(text.starts_with("envelope with low PoW received"), "{text}");
    server.waku.set_min_pow(0.000_001).unwrap();
    assert_eq!(server.waku.min_pow(), 0.000_001);
    for (client, version) in [(&mut v0, V0), (&mut v1, V1)] {
        let (code, payload) = client.recv().await;
        let update = StatusOptions::decode_update(version, &payload).unwrap();
        assert_eq!(code, codes::STATUS_UPDATE);
        assert_eq!(
            update,
            StatusOptions { pow_requirement: Some(0.000_001), ..StatusOptions::default() },
            "and nothing else"
        );
    }
    assert_eq!(v1.confirm(&[&weak]).await, []);
    assert_eq!(v0.gossip(1).await, [weak.hash()]);
    let (_, status) = server.silent(V1).await.recv().await;
    assert_eq!(StatusOptions::decode_status(V1, &status).unwrap().pow_requirement, Some(0.000_001));
    assert!(matches!(server.waku.set_min_pow(-1.0), Err(SettingError::Pow(_))));
}

/// `spec/waku-mailserver.md` §2.9, §12 Q08: a filter is told; who takes in everything goes on to.
#[tokio::test]
async fn a_changed_filter_is_told() {
    let server = Setup::confirming().start();
    let mut a = server.full().await;
    a.assert_kept().await;
    let bloom = Bloom::of_topic(topic(1));
    server.waku.set_bloom(bloom).unwrap();
    let (code, payload) = a.recv().await;
    let update = StatusOptions::decode_update(V1, &payload).unwrap();
    assert_eq!((code, update.bloom, update.topics), (codes::STATUS_UPDATE, Some(bloom.0.to_vec()), None));
    assert_eq!(a.confirm(&[&on_topic(1, 1), &on_topic(2, 2)]).await, [], "the other is tolerated for 10 s");
    let mailserver = Setup::confirming().with_mailserver(Arc::new(MemoryHistory::new())).start();
    assert_eq!(mailserver.waku.set_bloom(bloom), Err(SettingError::TakesEverything));
}

/// `spec/waku-mailserver.md` §2.7, §5.2: relayed to all, archived, counted.
#[tokio::test]
async fn own_envelopes_are_relayed_and_archived() {
    let history = Arc::new(MemoryHistory::new());
    let server = Setup::confirming().with_mailserver(history.clone()).start();
    let (mut a, mut b) = (server.full().await, server.full().await);
    a.assert_kept().await;
    b.assert_kept().await;
    server.waku.post(valid(1)).await.unwrap();
    assert_eq!(history.stats().await.unwrap().envelopes, 1);
    for client in [&mut a, &mut b] {
        assert_eq!(client.gossip(1).await, [valid(1).hash()]);
    }
    server.waku.post(valid(1)).await.unwrap();
    a.assert_kept().await;
    assert_eq!(server.metric("waku_envelopes_cached_total{cache=\"miss\"}"), 1.0);
    assert_eq!(server.metric("waku_envelopes_cached_total{cache=\"hit\"}"), 1.0);
    let old = of_length(2, topic(1), NOW - 21, 50, 32);
    assert_eq!(server.waku.post(old).await, Err(PostError::Rejected(Rejection::VeryOld)));
    let ancient = of_length(3, topic(1), NOW + 10, 3 * 86_400, 4);
    server.waku.set_min_pow(0.0).unwrap();
    let not_archived = server.waku.post(ancient).await.unwrap_err();
    assert_eq!(not_archived.to_string(), "not archived: too old");
    history.close().await.unwrap();
    assert!(matches!(server.waku.post(valid(4)).await, Err(PostError::NotArchived(_))));
}

/// `spec/waku-mailserver.md` §2.11: a light client, which takes nothing in, posts like any other node.
#[tokio::test]
async fn a_light_client_posts() {
    let mut setup = Setup::confirming();
    setup.config.light_client = true;
    let server = setup.start();
    let mut a = server.full().await;
    a.assert_kept().await;
    let own = sealed(1, NOW + 10, 10, 0.001);
    server.waku.post(own.clone()).await.unwrap();
    assert_eq!(a.gossip(1).await, [own.hash()]);
}

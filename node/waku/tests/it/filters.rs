//! Local filters of a running node (`spec/waku-mailserver.md` §3.7, §2.9, §2.11).

use waku::{Filter, FilterId, FilterKey};
use waku_wire::{
    Envelope,
    ProtocolVersion::V1,
    StatusOptions, SymmetricKey, Topic, WireEnvelope, codes,
    payload::{Padding, build, encrypt_symmetric},
};

use crate::support::{Client, NOW, Server, Setup, on_topic, topic};

fn key() -> SymmetricKey {
    SymmetricKey::from_bytes([5; 32]).unwrap()
}

/// A filter for what [`secret`] makes.
pub(crate) fn filter(allow_p2p: bool) -> Filter {
    let key = FilterKey::Symmetric(key());
    Filter { key, source: None, topics: vec![topic(1)], min_pow: 0.0, allow_p2p }
}

/// An encrypted text that lives 50 s.
pub(crate) fn secret(text: &str, expiry: u32) -> WireEnvelope {
    let plain = build(text.as_bytes(), Padding::Random, None).unwrap();
    let data = encrypt_symmetric(&plain, &key()).unwrap().into();
    Envelope { expiry, ttl: 50, topic: topic(1), data, nonce: 0 }.encode().unwrap()
}

/// What a filter has found.
pub(crate) fn texts(server: &Server, id: FilterId) -> Vec<String> {
    let messages = server.waku.filter_messages(id).unwrap();
    messages.into_iter().map(|message| String::from_utf8(message.payload.payload).unwrap()).collect()
}

/// The topics of the status update that comes next.
async fn asked(client: &mut Client) -> Option<Vec<Topic>> {
    let (code, payload) = client.recv().await;
    assert_eq!(code, codes::STATUS_UPDATE);
    StatusOptions::decode_update(V1, &payload).unwrap().topics
}

/// `spec/waku-mailserver.md` §2.7 step 7, §11 TestSymmetricSendCycle: gossip and own envelopes, each once; the relay takes in
/// everything else as before (§12 Q08).
#[tokio::test]
async fn filters_find_gossip_and_own_envelopes() {
    let server = Setup::confirming().start();
    let mut a = server.full().await;
    let ids = [filter(false), filter(true)].map(|filter| server.waku.install_filter(filter).unwrap());
    let gossip = secret("gossip", NOW + 50);
    assert_eq!(a.confirm(&[&gossip, &on_topic(2, 2)]).await, []);
    assert_eq!(a.confirm(&[&gossip]).await, []);
    server.waku.post(secret("own", NOW + 50)).await.unwrap();
    assert_eq!(ids.map(|id| texts(&server, id)), [["gossip", "own"], ["gossip", "own"]]);
    assert_eq!(server.waku.stats().envelopes, 3);
    server.waku.uninstall_filter(ids[0]).unwrap();
    assert!(server.waku.filter_messages(ids[0]).is_err());
}

/// `spec/waku-mailserver.md` §2.9, §11 TestTopicInterest, §12 Q10, Q12: a light client asks for the topics of its filters, as
/// long as they are there, and forwards nothing of what it gets.
#[tokio::test]
async fn q10_q12_a_light_client_with_filters() {
    let mut setup = Setup::confirming();
    setup.config.light_client = true;
    let server = setup.start();
    let (mut a, mut b) = (server.full().await, server.full().await);
    a.assert_kept().await;
    b.assert_kept().await;
    let id = server.waku.install_filter(filter(false)).unwrap();
    for client in [&mut a, &mut b] {
        assert_eq!(asked(client).await, Some(vec![topic(1)]));
    }
    let text = "envelope does not match topic interest".to_owned();
    let unwanted = on_topic(2, 2);
    assert_eq!(a.confirm(&[&unwanted, &secret("one", NOW + 50)]).await, [(unwanted.hash(), 22, text)]);
    assert_eq!(texts(&server, id), ["one"]);
    b.assert_kept().await;
    let newcomer = server.silent(V1).await.recv().await.1;
    assert_eq!(StatusOptions::decode_status(V1, &newcomer).unwrap().topics, Some(vec![topic(1)]));
    server.waku.uninstall_filter(id).unwrap();
    for client in [&mut a, &mut b] {
        assert_eq!(asked(client).await, Some(vec![]));
    }
}

/// `spec/waku-mailserver.md` §2.11, §11 TestFullNode: made light and back again at run time; a full node stays one.
#[tokio::test]
async fn light_at_run_time() {
    let server = Setup::confirming().start();
    let (mut a, mut b) = (server.full().await, server.full().await);
    a.assert_kept().await;
    b.assert_kept().await;
    server.waku.set_light_client(true).unwrap();
    for client in [&mut a, &mut b] {
        assert_eq!(asked(client).await, Some(vec![]));
    }
    assert_eq!(a.confirm(&[&on_topic(1, 1)]).await, [], "tolerated for 10 s");
    b.assert_kept().await;
    server.waku.set_light_client(false).unwrap();
    for client in [&mut a, &mut b] {
        let (_, payload) = client.recv().await;
        let update = StatusOptions::decode_update(V1, &payload).unwrap();
        assert_eq!((update.bloom, update.topics), (Some(vec![0xff; 64]), None));
    }
    assert_eq!(a.confirm(&[&on_topic(2, 2)]).await, []);
    assert_eq!(b.gossip(1).await, [on_topic(2, 2).hash()]);
    let mut full = Setup::confirming();
    full.config.full_node = true;
    assert!(full.start().waku.set_light_client(true).is_err());
}

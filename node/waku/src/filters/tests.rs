//! What the reference's tests of filters check (`spec/waku-mailserver.md` §11, `waku/common/filter_test.go`).

use bytes::Bytes;
use waku_wire::{
    Envelope,
    payload::{Padding, build, encrypt_asymmetric, encrypt_symmetric},
};

use super::*;

const TOPIC: Topic = Topic([1, 2, 3, 4]);

fn shared(n: u8) -> SymmetricKey {
    SymmetricKey::from_bytes([n; 32]).unwrap()
}

fn filter(key: FilterKey) -> Filter {
    Filter { key, source: None, topics: vec![TOPIC], min_pow: 0.0, allow_p2p: false }
}

fn symmetric(n: u8) -> Filter {
    filter(FilterKey::Symmetric(shared(n)))
}

fn envelope(topic: Topic, data: Vec<u8>) -> WireEnvelope {
    Envelope { expiry: 1_700_000_050, ttl: 50, topic, data: Bytes::from(data), nonce: 0 }.encode().unwrap()
}

/// Of a text for a shared key, signed or not.
fn sealed(text: &str, topic: Topic, key: &SymmetricKey, signer: Option<&NodeKey>) -> WireEnvelope {
    envelope(
        topic,
        encrypt_symmetric(&build(text.as_bytes(), Padding::Random, signer).unwrap(), key).unwrap(),
    )
}

fn offer(filters: &Filters, envelope: &WireEnvelope, p2p: bool) {
    filters.offer(envelope, Pow::at_least(envelope, 0), p2p);
}

/// The texts found since the last call.
fn found(filters: &Filters, id: FilterId) -> Vec<String> {
    let messages = filters.take(id).unwrap();
    messages.into_iter().map(|message| String::from_utf8(message.payload.payload).unwrap()).collect()
}

/// `spec/waku-mailserver.md` §11 TestInstallFilters, TestInstallIdenticalFilters: identical ones are two.
#[test]
fn installed_and_removed() {
    let filters = Filters::default();
    let ids = [(); 2].map(|()| filters.install(symmetric(1)).unwrap());
    assert_ne!(ids[0], ids[1]);
    assert_eq!(ids[0].to_string().parse(), Ok(ids[0]));
    assert_eq!("0x12".parse::<FilterId>(), Err(FilterError::Unknown));
    offer(&filters, &sealed("one", TOPIC, &shared(1), None), false);
    assert_eq!([found(&filters, ids[0]), found(&filters, ids[1])], [["one"], ["one"]]);
    filters.uninstall(ids[0]).unwrap();
    assert_eq!(filters.uninstall(ids[0]), Err(FilterError::Unknown));
    assert_eq!(filters.take(ids[0]), Err(FilterError::Unknown));
    offer(&filters, &sealed("two", TOPIC, &shared(1), None), false);
    assert_eq!(found(&filters, ids[1]), ["two"]);
}

/// `spec/waku-mailserver.md` §11 TestMatchEnvelope, TestMatchMessageSym, TestVariableTopics,
/// TestMultipleTopicCopyInNewMessageFilter.
#[test]
fn topic_key_and_source_must_match() {
    let filters = Filters::default();
    let signer = NodeKey::generate();
    let of = |topics: &[Topic], source| Filter { topics: topics.to_vec(), source, ..symmetric(1) };
    let other = Topic([4, 3, 2, 1]);
    let one = filters.install(of(&[TOPIC], None)).unwrap();
    let both = filters.install(of(&[other, TOPIC, other], None)).unwrap();
    let any = filters.install(of(&[], None)).unwrap();
    let from = filters.install(of(&[TOPIC], Some(signer.public_key()))).unwrap();
    for (text, topic, key, signer) in [
        ("unsigned", TOPIC, 1, None),
        ("signed", TOPIC, 1, Some(&signer)),
        ("by another", TOPIC, 1, Some(&NodeKey::generate())),
        ("other topic", other, 1, None),
        ("third topic", Topic([9; 4]), 1, None),
        ("other key", TOPIC, 2, None),
    ] {
        offer(&filters, &sealed(text, topic, &shared(key), signer), false);
    }
    assert_eq!(found(&filters, one), ["unsigned", "signed", "by another"]);
    assert_eq!(found(&filters, both), ["unsigned", "signed", "by another", "other topic"]);
    assert_eq!(found(&filters, any), ["unsigned", "signed", "by another", "other topic", "third topic"]);
    assert_eq!(found(&filters, from), ["signed"]);
}

/// `spec/waku-mailserver.md` §11 TestMatchMessageAsym, TestEnvelopeOpenAcceptsOnlyOneKeyTypeInFilter, §12 Q15: every key is
/// tried, also after another has opened the envelope, and only as its own kind.
#[test]
fn q15_each_key_is_tried() {
    let filters = Filters::default();
    let recipient = NodeKey::generate();
    let asymmetric = filters.install(filter(FilterKey::Asymmetric(recipient.clone()))).unwrap();
    let others = [symmetric(1), symmetric(2), filter(FilterKey::Asymmetric(NodeKey::generate()))]
        .map(|filter| filters.install(filter).unwrap());
    let plain = build(b"to you", Padding::Random, None).unwrap();
    let sent = envelope(TOPIC, encrypt_asymmetric(&plain, &recipient.public_key()).unwrap());
    offer(&filters, &sent, false);
    let message = filters.take(asymmetric).unwrap().remove(0);
    assert_eq!(
        (message.payload.payload, message.recipient),
        (b"to you".to_vec(), Some(recipient.public_key()))
    );
    assert_eq!((message.envelope, message.p2p), (sent, false));
    offer(&filters, &sealed("second key", TOPIC, &shared(2), None), false);
    assert_eq!(others.map(|id| found(&filters, id).len()), [0, 1, 0]);
    assert!(found(&filters, asymmetric).is_empty());
}

/// `spec/waku-mailserver.md` §11 TestWatchers, §3.7: the same envelope once until polled, and again after it.
#[test]
fn each_envelope_once_until_polled() {
    let filters = Filters::default();
    let id = filters.install(symmetric(1)).unwrap();
    let sent = sealed("one", TOPIC, &shared(1), None);
    offer(&filters, &sent, false);
    offer(&filters, &sent, false);
    assert_eq!(found(&filters, id), ["one"]);
    assert!(found(&filters, id).is_empty());
    offer(&filters, &sent, false);
    assert_eq!(found(&filters, id), ["one"]);
}

/// `spec/waku-mailserver.md` §3.7, §12 Q14: only who allows it gets what came as history, and by its real work.
#[test]
fn q14_history_has_its_work() {
    let filters = Filters::default();
    let sent = sealed("one", TOPIC, &shared(1), None);
    let pow = Pow::exact(&sent, 0).value();
    let of = |min_pow, allow_p2p| filters.install(Filter { min_pow, allow_p2p, ..symmetric(1) }).unwrap();
    let ids = [of(0.0, false), of(pow, true), of(pow * 1.01, true)];
    offer(&filters, &sent, true);
    assert_eq!(ids.map(|id| filters.take(id).unwrap().len()), [0, 1, 0]);
    offer(&filters, &sent, false);
    let found = filters.take(ids[1]).unwrap().remove(0);
    assert_eq!((found.pow, found.p2p), (pow, false));
}

/// `spec/waku-mailserver.md` §11 TestTopicInterest, §12 Q10: what is wanted grows and shrinks with what is installed.
#[test]
fn q10_wanted_topics() {
    let filters = Filters::default();
    let topics = |from: u8| (from..from + 8).map(|n| Topic([n; 4])).collect::<Vec<_>>();
    let wanted = |filters: &Filters| match filters.wanted() {
        Wanted::Topics(topics) => Some(topics.len()),
        Wanted::Everything => None,
    };
    assert_eq!(wanted(&filters), Some(0));
    let first = filters.install(Filter { topics: topics(0), ..symmetric(1) }).unwrap();
    assert_eq!(wanted(&filters), Some(8));
    filters.install(Filter { topics: topics(8), ..symmetric(1) }).unwrap();
    assert_eq!(wanted(&filters), Some(16));
    let any = filters.install(Filter { topics: vec![], ..symmetric(1) }).unwrap();
    assert_eq!(wanted(&filters), None);
    filters.uninstall(any).unwrap();
    filters.uninstall(first).unwrap();
    assert_eq!(filters.wanted(), Wanted::Topics(topics(8).into_iter().collect()));
}

#[test]
fn filters_topics_and_what_waits_are_bounded() {
    let filters = Filters::default();
    let many = (0..10_001u32).map(|n| Topic(n.to_be_bytes())).collect();
    let refused = filters.install(Filter { topics: many, ..symmetric(1) });
    assert_eq!(refused, Err(FilterError::TooManyTopics(10_001)));
    let ids: Vec<_> = (0..1000).map(|_| filters.install(symmetric(1)).unwrap()).collect();
    assert_eq!(filters.install(symmetric(1)), Err(FilterError::TooMany));
    // 1000 times 70 KB is more than may wait.
    let large = sealed(&"x".repeat(35_000), TOPIC, &shared(1), None);
    offer(&filters, &large, false);
    assert!(filters.inner.lock().waiting_bytes <= MAX_WAITING_BYTES);
    let counts: Vec<_> = ids.iter().map(|id| filters.take(*id).unwrap().len()).collect();
    assert!(counts.contains(&1) && counts.contains(&0));
    assert_eq!(filters.inner.lock().waiting_bytes, 0);
    for id in ids {
        filters.uninstall(id).unwrap();
    }
    let inner = filters.inner.lock();
    assert!(inner.by_topic.is_empty() && inner.of_any_topic.is_empty());
}

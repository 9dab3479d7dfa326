//! Fan-out, interest and wake-ups: the rows of `spec/waku-mailserver.md` §9.2 that the core decides.

use relay::{Config, Drained, PeerSlot, Prepared, RelayCore, SourceId, Verdict};
use waku_wire::{Bloom, EnvelopeHash, PeerInterest, Topic, WireEnvelope, pow::Pow};

use super::{NOW, drain_all, envelope, expire_all, prepared, topic};

const PACKET: usize = 128 << 10;

fn core() -> RelayCore {
    RelayCore::new(Config::default())
}

/// Adds a peer and drains it, so that it is told of what comes next.
fn add(core: &mut RelayCore, interest: PeerInterest) -> PeerSlot {
    let slot = core.add_peer(SourceId(1), interest, 0.0);
    drain(core, slot);
    slot
}

fn drain(core: &mut RelayCore, slot: PeerSlot) -> Vec<EnvelopeHash> {
    drain_all(core, slot, NOW, PACKET)
}

fn post(core: &mut RelayCore, from: PeerSlot, envelopes: &[&WireEnvelope]) -> Vec<PeerSlot> {
    let batch: Vec<Prepared> = envelopes.iter().map(|e| prepared(e)).collect();
    let outcome = core.ingest(Some(from), &batch);
    assert!(outcome.verdicts.iter().all(|v| *v == Verdict::New), "{:?}", outcome.verdicts);
    outcome.woken
}

fn hashes(envelopes: &[WireEnvelope]) -> Vec<EnvelopeHash> {
    envelopes.iter().map(WireEnvelope::hash).collect()
}

#[test]
fn s20_relayed_and_not_sent_back() {
    let mut core = core();
    let (a, b) = (add(&mut core, PeerInterest::Full), add(&mut core, PeerInterest::Full));
    let e = envelope(1, topic(1), NOW + 50, 10);
    assert_eq!(post(&mut core, a, &[&e]), [b]);
    assert_eq!(drain(&mut core, b), [e.hash()]);
    assert!(drain(&mut core, a).is_empty());
}

#[test]
fn s21_twice_is_pooled_and_relayed_once() {
    let mut core = core();
    let [a, b, c] = [(); 3].map(|()| add(&mut core, PeerInterest::Full));
    let e = envelope(1, topic(1), NOW + 50, 10);
    post(&mut core, a, &[&e]);
    let again = core.ingest(Some(b), &[prepared(&e), prepared(&e)]);
    assert_eq!(again.verdicts, [Verdict::Duplicate { archived: false }; 2]);
    assert!(again.woken.is_empty());
    assert_eq!(core.stats().envelopes, 1);
    assert!(drain(&mut core, b).is_empty(), "b has it: it sent it");
    assert_eq!(drain(&mut core, c), [e.hash()]);
    assert!(drain(&mut core, c).is_empty());
}

#[test]
fn duplicates_say_whether_the_archive_has_them() {
    let mut core = core();
    let a = add(&mut core, PeerInterest::Full);
    let e = envelope(1, topic(1), NOW + 50, 10);
    post(&mut core, a, &[&e]);
    core.set_archived([&e.hash(), &EnvelopeHash::ZERO]);
    assert_eq!(core.ingest(None, &[prepared(&e)]).verdicts, [Verdict::Duplicate { archived: true }]);
}

#[test]
fn s33_only_announced_topics() {
    let mut core = core();
    let a = add(&mut core, PeerInterest::Full);
    let one = add(&mut core, PeerInterest::topics(vec![topic(1)]));
    let (t, u) = (envelope(1, topic(1), NOW + 50, 10), envelope(2, topic(2), NOW + 50, 10));
    assert!(post(&mut core, a, &[&u]).is_empty(), "a peer without interest is not woken");
    assert_eq!(post(&mut core, a, &[&t]), [one]);
    assert_eq!(drain(&mut core, one), [t.hash()]);
}

#[test]
fn s34_s35_no_topics_then_full() {
    let mut core = core();
    let a = add(&mut core, PeerInterest::Full);
    let b = add(&mut core, PeerInterest::topics(vec![]));
    let envelopes: Vec<_> = (0..3).map(|n| envelope(n, topic(1), NOW + 50, 10)).collect();
    assert!(post(&mut core, a, &envelopes.iter().collect::<Vec<_>>()).is_empty());
    assert!(drain(&mut core, b).is_empty());
    assert!(core.update_interest(b, PeerInterest::bloom(Bloom::FULL), 0.0));
    assert_eq!(drain(&mut core, b), hashes(&envelopes));
}

#[test]
fn s36_after_the_update_it_is_sent() {
    let mut core = core();
    let a = add(&mut core, PeerInterest::Full);
    let e = envelope(1, topic(1), NOW + 50, 10);
    let pow = Pow::exact(&e, 0).value();
    let b = core.add_peer(SourceId(2), PeerInterest::topics(vec![topic(1)]), pow * 1.5);
    assert!(drain(&mut core, b).is_empty());
    post(&mut core, a, &[&e]);
    assert!(drain(&mut core, b).is_empty(), "an inexact proof of work is looked up, not trusted");
    assert!(core.update_interest(b, PeerInterest::topics(vec![topic(1)]), pow));
    assert_eq!(drain(&mut core, b), [e.hash()]);
}

#[test]
fn s37_reference_bloom_of_v06() {
    let mut core = core();
    let a = add(&mut core, PeerInterest::Full);
    let v06 = Topic([0x0f, 0x01, 0x02, 0x00]);
    let b = add(&mut core, PeerInterest::bloom(Bloom::of_topic(v06)));
    let (e, other) = (envelope(1, v06, NOW + 50, 10), envelope(2, topic(99), NOW + 50, 10));
    assert_eq!(post(&mut core, a, &[&other, &e]), [b]);
    assert_eq!(drain(&mut core, b), [e.hash()]);
}

#[test]
fn s38_expired_is_not_sent_and_is_removed() {
    let mut core = core();
    let a = add(&mut core, PeerInterest::Full);
    let b = add(&mut core, PeerInterest::Full);
    let e = envelope(1, topic(1), NOW + 5, 10);
    post(&mut core, a, &[&e]);
    assert!(drain_all(&mut core, b, NOW + 6, PACKET).is_empty());
    assert_eq!(expire_all(&mut core, NOW + 5), 0, "expiry now is still valid");
    assert_eq!(expire_all(&mut core, NOW + 6), 1);
    assert_eq!((core.stats().envelopes, core.stats().bytes, core.stats().remembered), (0, 0, 1));
    expire_all(&mut core, NOW + 5 + 21);
    assert_eq!(core.stats().remembered, 1);
    expire_all(&mut core, NOW + 5 + 22);
    assert_eq!(core.stats().remembered, 0);
}

#[test]
fn a_newcomer_gets_the_matching_pool() {
    let mut core = core();
    let a = add(&mut core, PeerInterest::Full);
    let envelopes: Vec<_> = (0..200u8).map(|n| envelope(n.into(), topic(n % 4), NOW + 50, 10)).collect();
    post(&mut core, a, &envelopes.iter().collect::<Vec<_>>());
    let all = core.add_peer(SourceId(2), PeerInterest::Full, 0.0);
    assert_eq!(drain(&mut core, all), hashes(&envelopes));
    let of_topic_1: Vec<_> =
        envelopes.iter().filter(|e| e.topic() == topic(1)).map(WireEnvelope::hash).collect();
    for interest in [
        PeerInterest::topics(vec![topic(1)]),
        PeerInterest::bloom(Bloom::of_topic(topic(1))),
        PeerInterest::topics((0..300u32).map(|n| Topic(n.to_be_bytes())).chain([topic(1)]).collect()),
    ] {
        let some = core.add_peer(SourceId(2), interest, 0.0);
        assert_eq!(drain(&mut core, some), of_topic_1);
    }
}

/// Widening gives what is new to the peer and nothing twice; narrowing takes back what was queued.
#[test]
fn widening_and_narrowing() {
    let mut core = core();
    let a = add(&mut core, PeerInterest::Full);
    let b = add(&mut core, PeerInterest::topics(vec![topic(1)]));
    let [e1, e2, e3] = [1, 2, 3].map(|n| envelope(n.into(), topic(n), NOW + 50, 10));
    post(&mut core, a, &[&e1, &e2, &e3]);
    assert_eq!(drain(&mut core, b), [e1.hash()]);
    assert!(core.update_interest(b, PeerInterest::topics(vec![topic(1), topic(2)]), 0.0));
    assert_eq!(drain(&mut core, b), [e2.hash()]);
    let e4 = envelope(4, topic(2), NOW + 50, 10);
    let e5 = envelope(5, topic(1), NOW + 50, 10);
    post(&mut core, a, &[&e4, &e5]);
    assert!(!core.update_interest(b, PeerInterest::topics(vec![topic(1)]), 0.0), "narrower: nothing new");
    assert_eq!(drain(&mut core, b), [e5.hash()]);
}

/// A peer is named once until it has heard that there is nothing more.
#[test]
fn wake_ups_are_not_repeated() {
    let mut core = core();
    let a = add(&mut core, PeerInterest::Full);
    let b = add(&mut core, PeerInterest::Full);
    let c = add(&mut core, PeerInterest::topics(vec![topic(1)]));
    let e = |n| envelope(n, topic(1), NOW + 50, 10);
    let mut woken = post(&mut core, a, &[&e(1), &e(2)]);
    woken.sort_unstable();
    assert_eq!(woken, [b, c]);
    assert!(post(&mut core, a, &[&e(3)]).is_empty());
    assert_eq!(drain(&mut core, b).len(), 3);
    assert_eq!(post(&mut core, a, &[&e(4)]), [b], "c has not drained");
}

/// Peers that get the same envelopes share one encoded payload.
#[test]
fn one_encoding_for_many_peers() {
    let mut core = core();
    let a = add(&mut core, PeerInterest::Full);
    let peers = [(); 5].map(|()| add(&mut core, PeerInterest::Full));
    let narrow = add(&mut core, PeerInterest::topics(vec![topic(1)]));
    let envelopes: Vec<_> = (0..20).map(|n| envelope(n, topic(1), NOW + 50, 300)).collect();
    post(&mut core, a, &envelopes.iter().collect::<Vec<_>>());
    let payloads: Vec<_> = peers
        .iter()
        .chain([&narrow])
        .map(|slot| match core.drain(*slot, NOW, PACKET) {
            Drained::Packet(packet) => packet.payload,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(payloads.iter().all(|p| p.as_ptr() == payloads[0].as_ptr()));
}

/// `spec/waku-mailserver.md` §12 Q12: remembered as long as any other, and given to nobody.
#[test]
fn q12_what_is_remembered_is_not_relayed() {
    let mut core = core();
    let b = add(&mut core, PeerInterest::Full);
    let e = envelope(1, topic(1), NOW + 5, 10);
    assert_eq!(
        core.remember(&[prepared(&e), prepared(&e)]),
        [Verdict::New, Verdict::Duplicate { archived: false }]
    );
    assert!(drain(&mut core, b).is_empty());
    assert_eq!((core.stats().envelopes, core.stats().remembered), (0, 1));
    assert_eq!(core.ingest(None, &[prepared(&e)]).verdicts, [Verdict::Duplicate { archived: false }]);
    expire_all(&mut core, NOW + 5 + 22);
    assert_eq!(core.stats().remembered, 0);
}

/// The pool does not keep the packet that an envelope came in.
#[test]
fn pooled_envelopes_are_copied_out_of_their_packet() {
    let mut core = core();
    let a = add(&mut core, PeerInterest::Full);
    let e = envelope(1, topic(1), NOW + 50, 10);
    let mut packet = waku_wire::messages::encode([e.raw().as_ref()]);
    let inside = waku_wire::messages::decode(&packet).unwrap().remove(0);
    post(&mut core, a, &[&inside]);
    drop((inside, e));
    packet = packet.try_into_mut().expect("nobody else holds the packet").freeze();
    assert_eq!(core.stats().bytes + 1, packet.len());
}

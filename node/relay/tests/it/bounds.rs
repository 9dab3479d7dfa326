//! Memory bounds: caps of the pool, slow peers, packets, slots.

use relay::{Config, Drained, Prepared, Rejection, RelayCore, SourceId, Verdict};
use waku_wire::{EnvelopeHash, PeerInterest, WireEnvelope};

use super::{NOW, drain_all, envelope, expire_all, prepared, topic};

fn batch(envelopes: &[WireEnvelope]) -> Vec<Prepared> {
    envelopes.iter().map(prepared).collect()
}

fn hashes(envelopes: &[WireEnvelope]) -> Vec<EnvelopeHash> {
    envelopes.iter().map(WireEnvelope::hash).collect()
}

/// Latest expiry first.
#[test]
fn over_the_count_cap_the_latest_expiry_goes_first() {
    let mut core = RelayCore::new(Config { max_envelopes: 3, ..Config::default() });
    let a = core.add_peer(SourceId(1), PeerInterest::Full, 0.0);
    let e: Vec<_> = [30, 10, 20].iter().map(|s| envelope(*s, topic(1), NOW + s, 10)).collect();
    core.ingest(Some(a), &batch(&e));
    let later = envelope(40, topic(1), NOW + 40, 10);
    assert_eq!(
        core.ingest(Some(a), &batch(std::slice::from_ref(&later))).verdicts,
        [Verdict::Rejected(Rejection::PoolFull)]
    );
    assert!(!core.contains(&later.hash()));
    let sooner = envelope(5, topic(1), NOW + 5, 10);
    assert_eq!(core.ingest(Some(a), &batch(std::slice::from_ref(&sooner))).verdicts, [Verdict::New]);
    assert!(!core.contains(&e[0].hash()), "that of +30 s went");
    assert_eq!(core.stats().envelopes, 3);
    let again = core.ingest(Some(a), &batch(&e[..1])).verdicts;
    assert_eq!(again, [Verdict::Duplicate { archived: false }], "evicted, but remembered");
}

/// Then most bytes per source.
#[test]
fn among_equal_expiry_the_source_with_most_bytes_pays() {
    let mut core = RelayCore::new(Config { max_bytes: 4000, ..Config::default() });
    let heavy = core.add_peer(SourceId(1), PeerInterest::Full, 0.0);
    let light = core.add_peer(SourceId(2), PeerInterest::Full, 0.0);
    let of_heavy: Vec<_> = (0..3).map(|n| envelope(n, topic(1), NOW + 50, 1000)).collect();
    let of_light: Vec<_> = (10..12).map(|n| envelope(n, topic(1), NOW + 50, 800)).collect();
    core.ingest(Some(heavy), &batch(&of_heavy));
    assert_eq!(core.ingest(Some(light), &batch(&of_light)).verdicts, [Verdict::New; 2]);
    assert_eq!(of_heavy.iter().filter(|e| core.contains(&e.hash())).count(), 2);
    assert!(core.stats().bytes <= 4000);
    let more = envelope(3, topic(1), NOW + 50, 1000);
    assert_eq!(core.ingest(Some(heavy), &batch(&[more])).verdicts, [Verdict::Rejected(Rejection::PoolFull)]);
}

/// However many sources there are, what expires last goes first, and the caps hold.
#[test]
fn thousands_of_sources_pay_in_turn() {
    let mut core = RelayCore::new(Config { max_envelopes: 1000, ..Config::default() });
    let mut taken = 0;
    for n in 0..5000 {
        let slot = core.add_peer(SourceId(u64::from(n)), PeerInterest::Full, 0.0);
        let mut verdicts = core.ingest(Some(slot), &batch(&[envelope(n, topic(1), NOW + 50, 10)])).verdicts;
        taken += u32::from(verdicts.remove(0) == Verdict::New);
        core.remove_peer(slot);
    }
    assert_eq!((taken, core.stats().envelopes), (1000, 1000), "equal ones do not push each other out");
    let sooner: Vec<_> = (5000..5900).map(|n| envelope(n, topic(1), NOW + 40, 10)).collect();
    assert_eq!(core.ingest(None, &batch(&sooner)).verdicts, [Verdict::New; 900]);
    assert_eq!(core.stats().envelopes, 1000);
    assert!(sooner.iter().all(|e| core.contains(&e.hash())));
}

#[test]
fn an_envelope_larger_than_the_pool_or_a_packet_is_refused() {
    let mut core = RelayCore::new(Config { max_bytes: 1000, max_packet: 5000, ..Config::default() });
    let verdict = |core: &mut RelayCore, length| {
        core.ingest(None, &batch(&[envelope(1, topic(1), NOW + 50, length)])).verdicts.remove(0)
    };
    assert_eq!(verdict(&mut core, 2000), Verdict::Rejected(Rejection::PoolFull));
    assert!(matches!(verdict(&mut core, 5000), Verdict::Rejected(Rejection::Oversized { .. })));
}

/// A slow narrow peer gives up its queue, and still gets everything unexpired, in order.
#[test]
fn overflow_becomes_a_scan_and_loses_nothing() {
    let mut core = RelayCore::new(Config::default());
    let a = core.add_peer(SourceId(1), PeerInterest::Full, 0.0);
    let slow = core.add_peer(SourceId(2), PeerInterest::topics(vec![topic(1)]), 0.0);
    drain_all(&mut core, slow, NOW, 1000);
    let e: Vec<_> = (0..1000).map(|n| envelope(n, topic(u8::from(n % 2 == 0)), NOW + 50, 10)).collect();
    for packet in e.chunks(7) {
        core.ingest(Some(a), &batch(packet));
    }
    let wanted: Vec<_> = e.iter().filter(|e| e.topic() == topic(1)).map(WireEnvelope::hash).collect();
    assert_eq!(drain_all(&mut core, slow, NOW, 1000), wanted);
    let more = envelope(5000, topic(1), NOW + 50, 10);
    assert_eq!(core.ingest(Some(a), &batch(std::slice::from_ref(&more))).woken, [slow]);
    assert_eq!(drain_all(&mut core, slow, NOW, 1000), [more.hash()]);
}

/// A search that finds nothing for long lets go of the lock in between.
#[test]
fn long_searches_come_in_turns() {
    let mut core = RelayCore::new(Config::default());
    let e: Vec<_> = (0..10_000).map(|n| envelope(n, topic(u8::from(n == 9_999)), NOW + 50, 10)).collect();
    core.ingest(None, &batch(&e));
    let slot = core.add_peer(SourceId(1), PeerInterest::topics(vec![topic(1)]), 0.0);
    assert_eq!(core.drain(slot, NOW, 1000), Drained::Again);
    assert_eq!(core.drain(slot, NOW, 1000), Drained::Again);
    assert_eq!(drain_all(&mut core, slot, NOW, 1000), [e[9_999].hash()]);
}

#[test]
fn a_packet_keeps_its_limit_unless_one_envelope_alone_exceeds_it() {
    let mut core = RelayCore::new(Config::default());
    let e = [10, 500, 3000, 10].map(|length| envelope(1000 + length, topic(1), NOW + 50, length as usize));
    let e: Vec<_> = e
        .into_iter()
        .enumerate()
        .map(|(n, e)| if n == 3 { envelope(7, topic(1), NOW + 50, 10) } else { e })
        .collect();
    core.ingest(None, &batch(&e));
    let slot = core.add_peer(SourceId(1), PeerInterest::Full, 0.0);
    let mut sizes = Vec::new();
    while let Drained::Packet(packet) = core.drain(slot, NOW, 1000) {
        sizes.push((packet.envelopes, packet.payload.len() > 1000));
    }
    assert_eq!(sizes, [(2, false), (1, true), (1, false)]);
}

/// `spec/waku-mailserver.md` §12 Q18: whatever the caller allows, a packet keeps the limit that receivers have.
#[test]
fn q18_a_packet_never_exceeds_what_receivers_take() {
    let mut core = RelayCore::new(Config { max_packet: 3000, ..Config::default() });
    let e: Vec<_> = (0..100).map(|n| envelope(n, topic(1), NOW + 50, 200)).collect();
    core.ingest(None, &batch(&e));
    let slot = core.add_peer(SourceId(1), PeerInterest::Full, 0.0);
    let (mut packets, mut got) = (0, 0);
    while let Drained::Packet(packet) = core.drain(slot, NOW, usize::MAX) {
        assert!(packet.payload.len() <= 3000, "{}", packet.payload.len());
        (packets, got) = (packets + 1, got + packet.envelopes);
    }
    assert_eq!((packets, got), (8, 100), "13 of 216 bytes each");
}

/// A slot is used again only when no envelope names its former owner as holder.
#[test]
fn a_newcomer_in_an_old_slot_gets_everything() {
    let mut core = RelayCore::new(Config::default());
    let e: Vec<_> = (0..10).map(|n| envelope(n, topic(1), NOW + 50, 10)).collect();
    core.ingest(None, &batch(&e));
    let mut highest = 0;
    for _ in 0..1000 {
        let slot = core.add_peer(SourceId(1), PeerInterest::Full, 0.0);
        highest = highest.max(slot.index());
        assert_eq!(drain_all(&mut core, slot, NOW, 1000), hashes(&e));
        core.remove_peer(slot);
    }
    assert!(highest <= 64, "slots are used again: {highest}");
    assert_eq!(core.stats().peers, 0);
}

/// Long-lived envelopes do not keep the places of short-lived ones that came after.
#[test]
fn many_generations_leave_no_trace() {
    let mut core = RelayCore::new(Config::default());
    let keep = envelope(u32::MAX, topic(1), NOW + 500, 10);
    core.ingest(None, &batch(std::slice::from_ref(&keep)));
    for second in 0..400 {
        let e: Vec<_> = (0..50).map(|n| envelope(second * 50 + n, topic(1), NOW + second, 10)).collect();
        core.ingest(None, &batch(&e));
        expire_all(&mut core, NOW + second + 1);
    }
    let slot = core.add_peer(SourceId(1), PeerInterest::Full, 0.0);
    assert_eq!(drain_all(&mut core, slot, NOW + 400, 1000), [keep.hash()]);
    assert_eq!(core.stats().envelopes, 1);
    assert!(core.stats().remembered <= 50 * 23 + 1, "{:?}", core.stats());
}

/// Expiry of very many at once comes in turns.
#[test]
fn expiry_comes_in_turns() {
    let mut core = RelayCore::new(Config::default());
    let e: Vec<_> = (0..5000).map(|n| envelope(n, topic(1), NOW + n % 3, 10)).collect();
    core.ingest(None, &batch(&e));
    let first = core.expire(NOW + 10);
    assert!(first.again && first.envelopes < 5000, "{first:?}");
    assert_eq!(first.envelopes + expire_all(&mut core, NOW + 10), 5000);
    assert_eq!((core.stats().envelopes, core.stats().remembered), (0, 5000));
    expire_all(&mut core, NOW + 2 + 22);
    assert_eq!(core.stats().remembered, 0);
}

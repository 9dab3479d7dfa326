//! What the core alone costs: `cargo run --release -p relay --example fanout`. Prints ns per delivery, and per envelope
//! when most peers want something else. Codecs and admission are counted apart; no socket is involved.

use std::{hint::black_box, time::Instant};

use bytes::Bytes;
use relay::{Admission, Config, Drained, Prepared, RelayCore, SourceId};
use waku_wire::{Bloom, Envelope, PeerInterest, Topic, messages};

const NOW: u32 = 1_700_000_000;
const ROUNDS: u32 = 2000;
const BATCH: u32 = 20;
/// Neither asked of envelopes nor by peers: none is sealed.
const POW: f64 = 0.0;

fn topic(n: u32) -> Topic {
    Topic(n.wrapping_mul(0x9e37_79b9).to_be_bytes())
}

fn packets(topics: u32) -> Vec<Bytes> {
    let packet = |round: u32| {
        let raw: Vec<_> = (0..BATCH)
            .filter_map(|n| {
                let n = round * BATCH + n;
                let mut data = n.to_be_bytes().to_vec();
                data.resize(320, 0xab);
                let topic = topic(n % topics);
                Envelope { expiry: NOW + 50, ttl: 50, topic, data: data.into(), nonce: 0 }.encode().ok()
            })
            .collect();
        messages::encode(raw.iter().map(|e| e.raw().as_ref()))
    };
    (0..ROUNDS).map(packet).collect()
}

fn prepare(packet: &Bytes) -> Vec<Prepared> {
    let envelopes = messages::decode(packet).unwrap_or_default();
    let admission = Admission::default();
    envelopes
        .into_iter()
        .filter_map(|envelope| Some(Prepared { pow: admission.check(NOW, &envelope, POW).ok()?, envelope }))
        .collect()
}

fn run(name: &str, interests: &[PeerInterest]) {
    let batches: Vec<_> = packets(1000).iter().map(prepare).collect();
    let mut core = RelayCore::new(Config::default());
    let slots: Vec<_> = interests.iter().map(|i| core.add_peer(SourceId(1), i.clone(), POW)).collect();
    for slot in &slots {
        while core.drain(*slot, NOW, 128 << 10) != Drained::Nothing {}
    }
    let begin = Instant::now();
    let (mut delivered, mut packets) = (0, 0);
    for batch in &batches {
        for slot in core.ingest(None, batch).woken {
            while let Drained::Packet(packet) = core.drain(slot, NOW, 128 << 10) {
                delivered += packet.envelopes;
                packets += 1;
                black_box(packet.payload);
            }
        }
    }
    let ns = begin.elapsed().as_nanos();
    let envelopes = u128::from(ROUNDS * BATCH);
    println!(
        "{name:44} {:6} ns/envelope {:6} ns/delivery  {delivered} deliveries in {packets} packets",
        ns / envelopes,
        ns / delivered.max(1) as u128
    );
}

fn main() {
    let raw = packets(1000);
    let begin = Instant::now();
    for packet in &raw {
        black_box(prepare(packet));
    }
    println!(
        "{:44} {:6} ns/envelope",
        "decode, hash, admission",
        begin.elapsed().as_nanos() / u128::from(ROUNDS * BATCH)
    );
    let full = |n: usize| vec![PeerInterest::Full; n];
    run("10 full peers", &full(10));
    run("50 full peers", &full(50));
    let elsewhere = |n: u32| PeerInterest::topics((0..20).map(|t| topic(1_000_000 + n * 20 + t)).collect());
    run("10 full among 500 with other topics", &[full(10), (0..490).map(elsewhere).collect()].concat());
    run("10 full among 1000 with other topics", &[full(10), (0..990).map(elsewhere).collect()].concat());
    let bloom = |n: u32| PeerInterest::bloom(Bloom::of_topics((0..5).map(|t| topic(2_000_000 + n * 5 + t))));
    run("10 full among 1000 with other filters", &[full(10), (0..990).map(bloom).collect()].concat());
    let some = |n: u32| PeerInterest::topics((0..20).map(|t| topic(n * 20 + t)).collect());
    run("50 peers of 20 topics each of 1000", &(0..50).map(some).collect::<Vec<_>>());
}

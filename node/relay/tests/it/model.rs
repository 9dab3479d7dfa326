//! Random histories against a model that looks at everything every time.
//!
//! After a peer is drained it has every pooled, unexpired envelope that it wants and did not send; it gets none twice,
//! none that it sent, none that it does not want; and a peer with something to get has always been told.

use std::collections::{HashMap, HashSet};

use proptest::{collection::vec, prelude::*};
use relay::{Config, Drained, PeerSlot, Prepared, RelayCore, SourceId, Verdict};
use waku_wire::{Bloom, EnvelopeHash, PeerInterest, Topic, WireEnvelope, messages, pow::Pow};

use super::{NOW, envelope, expire_all, topic};

#[derive(Debug, Clone)]
enum Op {
    Add { source: u64, interest: PeerInterest, pow: f64 },
    Remove { peer: prop::sample::Index },
    Update { peer: prop::sample::Index, interest: PeerInterest, pow: f64 },
    Ingest { from: Option<prop::sample::Index>, batch: Vec<(u32, u8, u32, usize)> },
    Drain { peer: prop::sample::Index, packets: usize, max_bytes: usize },
    Tick { seconds: u32 },
}

fn interest() -> impl Strategy<Value = PeerInterest> {
    prop_oneof![
        3 => Just(PeerInterest::Full),
        3 => vec(0..6u8, 0..4).prop_map(|t| PeerInterest::topics(t.into_iter().map(topic).collect())),
        2 => vec(0..6u8, 0..3).prop_map(|t| PeerInterest::bloom(Bloom::of_topics(t.into_iter().map(topic)))),
        1 => (0..6u8).prop_map(|t| {
            PeerInterest::topics((0..400u32).map(|n| Topic(n.to_be_bytes())).chain([topic(t)]).collect())
        }),
    ]
}

/// Requirements about the proof of work that these envelopes have.
fn requirement() -> impl Strategy<Value = f64> {
    prop_oneof![4 => Just(0.0), 1 => 0.0001f64..0.002]
}

fn op() -> impl Strategy<Value = Op> {
    let index = || any::<prop::sample::Index>();
    let batch = vec((0..3000u32, 0..6u8, 1..40u32, prop_oneof![9 => 4..60usize, 1 => 500..1500usize]), 0..60);
    prop_oneof![
        2 => (0..3u64, interest(), requirement()).prop_map(|(source, interest, pow)| Op::Add { source, interest, pow }),
        1 => index().prop_map(|peer| Op::Remove { peer }),
        2 => (index(), interest(), requirement())
            .prop_map(|(peer, interest, pow)| Op::Update { peer, interest, pow }),
        6 => (proptest::option::weighted(0.9, index()), batch).prop_map(|(from, batch)| Op::Ingest { from, batch }),
        6 => (index(), 1..6usize, 200..3000usize)
            .prop_map(|(peer, packets, max_bytes)| Op::Drain { peer, packets, max_bytes }),
        1 => (1..15u32).prop_map(|seconds| Op::Tick { seconds }),
    ]
}

struct ModelPeer {
    slot: PeerSlot,
    interest: PeerInterest,
    pow: f64,
    /// Got or sent.
    has: HashSet<EnvelopeHash>,
    awake: bool,
}

struct Model {
    core: RelayCore,
    now: u32,
    peers: Vec<ModelPeer>,
    ever: HashMap<EnvelopeHash, WireEnvelope>,
}

impl Model {
    fn wants(&self, peer: &ModelPeer, e: &WireEnvelope) -> bool {
        peer.interest.wants(e.topic()) && Pow::exact(e, 0).value() >= peer.pow
    }

    /// What a peer still has to get.
    fn pending(&self, peer: &ModelPeer) -> HashSet<EnvelopeHash> {
        self.ever
            .values()
            .filter(|e| e.expiry() >= self.now && self.core.contains(&e.hash()))
            .filter(|e| !peer.has.contains(&e.hash()) && self.wants(peer, e))
            .map(WireEnvelope::hash)
            .collect()
    }

    fn pick(&self, index: &prop::sample::Index) -> Option<usize> {
        (!self.peers.is_empty()).then(|| index.index(self.peers.len()))
    }

    /// Drains until told that there is nothing, or so many packets.
    fn drain(&mut self, at: usize, packets: usize, max_bytes: usize) {
        let mut taken = 0;
        while taken < packets {
            let slot = self.peers[at].slot;
            match self.core.drain(slot, self.now, max_bytes) {
                Drained::Again => continue,
                Drained::Nothing => {
                    self.peers[at].awake = false;
                    let left = self.pending(&self.peers[at]);
                    assert!(left.is_empty(), "nothing more, but {} pending", left.len());
                    return;
                }
                Drained::Packet(packet) => {
                    assert!(packet.payload.len() <= max_bytes || packet.envelopes == 1);
                    for e in messages::decode(&packet.payload).unwrap() {
                        assert!(e.expiry() >= self.now, "expired");
                        assert!(self.wants(&self.peers[at], &e), "unwanted");
                        assert!(self.peers[at].has.insert(e.hash()), "twice, or sent back");
                    }
                }
            }
            taken += 1;
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Add { source, interest, pow } => {
                let slot = self.core.add_peer(SourceId(source), interest.clone(), pow);
                self.peers.push(ModelPeer { slot, interest, pow, has: HashSet::new(), awake: true });
            }
            Op::Remove { peer } => {
                if let Some(at) = self.pick(&peer) {
                    let gone = self.peers.swap_remove(at);
                    self.core.remove_peer(gone.slot);
                }
            }
            Op::Update { peer, interest, pow } => {
                if let Some(at) = self.pick(&peer) {
                    let peer = &mut self.peers[at];
                    peer.awake |= self.core.update_interest(peer.slot, interest.clone(), pow);
                    (peer.interest, peer.pow) = (interest, pow);
                }
            }
            Op::Ingest { from, batch } => self.ingest(from.and_then(|index| self.pick(&index)), &batch),
            Op::Drain { peer, packets, max_bytes } => {
                if let Some(at) = self.pick(&peer)
                    && self.peers[at].awake
                {
                    self.drain(at, packets, max_bytes);
                }
            }
            Op::Tick { seconds } => {
                self.now += seconds;
                expire_all(&mut self.core, self.now);
            }
        }
        for peer in &self.peers {
            assert!(peer.awake || self.pending(peer).is_empty(), "not told of what it is to get");
        }
    }

    fn ingest(&mut self, from: Option<usize>, batch: &[(u32, u8, u32, usize)]) {
        let envelopes: Vec<_> = batch
            .iter()
            .map(|(n, t, life, length)| envelope(*n, topic(*t), self.now + life, *length))
            .collect();
        let prepared: Vec<_> = envelopes
            .iter()
            .map(|e| Prepared {
                envelope: e.clone(),
                pow: Pow::settle(e, 0, self.core.highest_requirement()),
            })
            .collect();
        let outcome = self.core.ingest(from.map(|at| self.peers[at].slot), &prepared);
        assert_eq!(outcome.verdicts.len(), envelopes.len());
        for (e, verdict) in envelopes.into_iter().zip(outcome.verdicts) {
            let known = self.ever.contains_key(&e.hash());
            match verdict {
                Verdict::New => assert!(!known, "new, but seen before"),
                Verdict::Duplicate { .. } => assert!(known, "duplicate, but never seen"),
                Verdict::Rejected(_) => continue,
            }
            if let Some(at) = from {
                self.peers[at].has.insert(e.hash());
            }
            self.ever.insert(e.hash(), e);
        }
        for slot in outcome.woken {
            let peer = self.peers.iter_mut().find(|peer| peer.slot == slot).expect("a woken peer is there");
            assert!(!std::mem::replace(&mut peer.awake, true), "told twice");
        }
    }
}

fn run(config: Config, ops: Vec<Op>) {
    let mut model = Model { core: RelayCore::new(config), now: NOW, peers: Vec::new(), ever: HashMap::new() };
    for op in ops {
        model.apply(op);
        assert!(model.core.stats().envelopes <= config.max_envelopes);
        assert!(model.core.stats().bytes <= config.max_bytes);
    }
    for at in 0..model.peers.len() {
        model.drain(at, usize::MAX, 1000);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_model(ops in vec(op(), 1..60)) {
        run(Config::default(), ops);
    }

    /// With small caps, so that eviction, rejection and approximated interest happen all the time. `max_topics` stays
    /// large: approximation sends more than wanted, which the model forbids.
    #[test]
    fn agrees_with_the_model_while_evicting(ops in vec(op(), 1..60), max_envelopes in 5..60usize, max_bytes in 500..6000usize) {
        run(Config { max_envelopes, max_bytes, ..Config::default() }, ops);
    }
}

//! What a hostile sender can make a node hold and send.

use rand::{Rng as _, RngCore as _, SeedableRng as _, rngs::StdRng};

use crate::{
    replay::Station,
    wire::{self, Peer, bytes, topics, uint},
};

/// Nodes remembered at most (the crate's list of caps).
const MAX_NODES: usize = 2048;
/// Entries of topics at most.
const MAX_ENTRIES: usize = 10_000;

/// Pings of ever new identities at ever new addresses: bounded, and a good newcomer gets in as soon as it is over.
#[test]
fn strangers_that_never_prove_themselves() {
    let mut station = Station::new(Vec::new());
    let friend = Peer::new(1);
    station.prove(&friend, &[]);
    let mut answered = 0;
    for number in 100..6_100 {
        let peer = Peer::new(number);
        answered += station.take(peer.at, &peer.ping(station.at, &["a", "b", "c"]).0).len();
    }
    let stats = station.core.stats();
    assert_eq!(stats.nodes, MAX_NODES);
    assert_eq!(stats.full, 6_000 - (MAX_NODES as u64 - 1));
    assert!(answered <= 2 * MAX_NODES, "{answered}");
    assert_eq!(stats.topics, 0, "asking for a ticket makes no topic");
    station.wait(1_000);
    assert!(station.core.stats().nodes < 20, "{}", station.core.stats().nodes);
    station.prove(&Peer::new(2), &[]);
    assert_eq!(station.core.stats().table, 2);
}

/// Identities that do prove themselves, each with a topic of its own: bounded too.
#[test]
fn proven_identities_with_topics_of_their_own() {
    let mut station = Station::new(Vec::new());
    let peers: Vec<(Peer, String)> =
        (0..4_000).map(|number| (Peer::new(1_000 + number), format!("flood {number}"))).collect();
    let tickets: Vec<Vec<u8>> =
        peers.iter().map(|(peer, name)| station.prove(peer, &[name.as_str()]).raw).collect();
    assert_eq!(station.core.stats().nodes, MAX_NODES);
    station.wait(60_000);
    for ((peer, name), ticket) in peers.iter().zip(tickets) {
        station.prove(peer, &[]);
        let fields = vec![topics(&[name.as_str()]), uint(0), bytes(ticket)];
        station.take(peer.at, &peer.seal(wire::TOPIC_REGISTER, fields).0);
    }
    let stats = station.core.stats();
    assert!(stats.nodes <= MAX_NODES && stats.topic_entries <= MAX_ENTRIES, "{stats:?}");
    assert_eq!((stats.topics, stats.topic_entries), (4_000, 4_000), "below the cap all are listed");
}

/// Bytes at random, alone and behind a good prefix and signature: nothing is remembered, nothing is sent.
#[test]
fn noise() {
    let (mut station, peer, mut rng) = (Station::new(Vec::new()), Peer::new(1), StdRng::from_seed([6; 32]));
    station.prove(&peer, &[]);
    let before = station.core.stats().nodes;
    for round in 0..20_000_u32 {
        let mut packet = vec![0; rng.random_range(0..1280)];
        rng.fill_bytes(&mut packet);
        if round % 2 == 0 && packet.len() >= 22 {
            packet[..22].copy_from_slice(b"temporary discovery v5");
        }
        assert!(station.take(peer.at, &packet).is_empty());
    }
    // Good packets with one byte changed recover to other keys, or to none.
    let good = [
        peer.ping(station.at, &["whisper"]).0,
        peer.seal(wire::TOPIC_QUERY, vec![bytes("whisper"), uint(0)]).0,
        peer.seal(wire::FIND_NODE, vec![bytes([7; 64]), uint(0)]).0,
    ];
    for packet in good {
        for at in 22..packet.len() {
            let mut packet = packet.clone();
            packet[at] ^= 1 << rng.random_range(0..8);
            station.take(peer.at, &packet);
        }
    }
    station.wait(2_000);
    assert_eq!(station.core.stats().nodes, before);
}

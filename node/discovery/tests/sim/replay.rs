//! One core as another implementation sees it: every packet by its bytes, its time and its effect.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use discovery::{Core, CoreConfig, Node};
use enode::{NodeKey, PublicKey, keccak256};

use crate::wire::{self, Packet, Peer, Rlp, bytes, endpoint, topics, uint};

/// A core with a clock, in milliseconds.
pub(crate) struct Station {
    pub(crate) core: Core,
    pub(crate) at: SocketAddr,
    key: PublicKey,
    start: Instant,
    elapsed: u64,
}

impl Station {
    pub(crate) fn new(boot_nodes: Vec<Node>) -> Self {
        let key = NodeKey::from_bytes(&[9; 32]).unwrap();
        let (start, public) = (Instant::now(), key.public_key());
        let at: SocketAddr = ([20, 1, 2, 3], 30303).into();
        let config =
            CoreConfig { key, bound: at, tcp: 0, advertised: None, boot_nodes, unix_s: 1_700_000_000 };
        Self { core: Core::new(config, [5; 32], start), at, key: public, start, elapsed: 0 }
    }

    pub(crate) fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.elapsed)
    }

    /// Everything it sent, with the destination.
    pub(crate) fn sent(&mut self) -> Vec<(SocketAddr, Packet)> {
        let sent: Vec<_> = std::iter::from_fn(|| self.core.poll_transmit()).collect();
        sent.into_iter()
            .map(|transmit| {
                let packet = wire::open(&transmit.bytes);
                assert_eq!(packet.from, self.key);
                (transmit.to, packet)
            })
            .collect()
    }

    pub(crate) fn take(&mut self, from: SocketAddr, packet: &[u8]) -> Vec<(SocketAddr, Packet)> {
        let now = self.now();
        self.core.handle_datagram(now, from, packet);
        self.sent()
    }

    pub(crate) fn wait(&mut self, millis: u64) -> Vec<(SocketAddr, Packet)> {
        let end = self.elapsed + millis;
        let mut sent = Vec::new();
        while let Some(due) = self.core.poll_timeout().map(|due| due.saturating_duration_since(self.start))
            && due.as_millis() < u128::from(end)
        {
            self.elapsed = self.elapsed.max(u64::try_from(due.as_micros().div_ceil(1000)).unwrap());
            let now = self.now();
            self.core.handle_timeout(now);
            sent.extend(self.sent());
        }
        self.elapsed = end;
        let now = self.now();
        self.core.handle_timeout(now);
        sent.extend(self.sent());
        sent
    }

    /// The whole proof from a stranger's side; the pong to its ping.
    pub(crate) fn prove(&mut self, peer: &Peer, names: &[&str]) -> Packet {
        let (ping, hash) = peer.ping(self.at, names);
        let answers = self.take(peer.at, &ping);
        let pong = answers
            .iter()
            .find(|(to, packet)| *to == peer.at && packet.kind == wire::PONG)
            .expect("a pong")
            .1
            .clone();
        assert_eq!(pong.fields[1].bytes(), hash);
        let ping = answers.iter().find(|(to, packet)| *to == peer.at && packet.kind == wire::PING);
        if let Some((_, back)) = ping {
            self.take(peer.at, &peer.pong(self.at, back));
        }
        pong
    }
}

fn only(sent: Vec<(SocketAddr, Packet)>, to: SocketAddr, kind: u8) -> Packet {
    let mut of: Vec<_> = sent.into_iter().filter(|(at, packet)| *at == to && packet.kind == kind).collect();
    assert_eq!(of.len(), 1, "one packet {kind} to {to}: {of:?}");
    of.remove(0).1
}

/// §6.2, §6.5: a ping brings a pong and, from a stranger, a ping; what each of them says.
#[test]
fn section_6_5_endpoint_proof() {
    let (mut station, peer) = (Station::new(Vec::new()), Peer::new(1));
    let (ping, hash) = peer.ping(station.at, &["whisper", "whispermail"]);
    let sent = station.take(peer.at, &ping);
    assert_eq!(sent.len(), 2);
    let pong = only(sent.clone(), peer.at, wire::PONG);
    assert_eq!(pong.fields.len(), 6);
    assert_eq!(pong.fields[0], endpoint(peer.at));
    assert_eq!(pong.fields[1], bytes(hash));
    assert_eq!(pong.fields[3], bytes(keccak256(&topics(&["whisper", "whispermail"]).encode())));
    assert_eq!((pong.fields[4].uint(), &pong.fields[5]), (1, &Rlp::List(vec![uint(60), uint(60)])));
    let back = only(sent, peer.at, wire::PING);
    assert_eq!(back.fields.len(), 5);
    assert_eq!(
        (back.fields[0].uint(), &back.fields[1], &back.fields[2]),
        (4, &endpoint(station.at), &endpoint(peer.at))
    );
    assert_eq!(back.fields[4], topics(&[]));

    // Not proven yet: no answer. A pong with another token proves nothing.
    let find = peer.seal(wire::FIND_NODE_HASH, vec![bytes([3; 32]), uint(0)]).0;
    let wrong = Packet { hash: [1; 32], ..back.clone() };
    assert!(station.take(peer.at, &peer.pong(station.at, &wrong)).is_empty());
    let query = peer.seal(wire::TOPIC_QUERY, vec![bytes("whisper"), uint(0)]);
    assert!(station.take(peer.at, &query.0).is_empty());
    station.take(peer.at, &peer.pong(station.at, &back));
    let nodes = only(station.take(peer.at, &query.0), peer.at, wire::TOPIC_NODES);
    assert_eq!(nodes.fields, [bytes(query.1), Rlp::List(Vec::new())]);
    // §6.6: the only node of the table is who asks; it is a node like others.
    let neighbors = only(station.take(peer.at, &find), peer.at, wire::NEIGHBORS);
    assert_eq!(neighbors.fields[0].items().len(), 1);
}

/// §6.6: findnode by key and by hash, the 16 closest, in packets of 12.
#[test]
fn section_6_6_sixteen_closest_in_packets_of_twelve() {
    let mut station = Station::new(Vec::new());
    let peers: Vec<Peer> = (1..=20).map(Peer::new).collect();
    for peer in &peers {
        station.prove(peer, &[]);
    }
    let asker = &peers[0];
    let target = Peer::new(99).key.public_key();
    let want = target.node_id().0;
    let by_key = (wire::FIND_NODE, bytes(target.as_bytes()));
    let by_hash = (wire::FIND_NODE_HASH, bytes(want));
    for (kind, target) in [by_key, by_hash] {
        let sent = station.take(asker.at, &asker.seal(kind, vec![target, uint(0)]).0);
        let counts: Vec<usize> = sent.iter().map(|(_, packet)| packet.fields[0].items().len()).collect();
        let distance =
            |key: &PublicKey| -> Vec<u8> { key.node_id().0.iter().zip(want).map(|(a, b)| a ^ b).collect() };
        let mut all: Vec<PublicKey> = peers.iter().map(|peer| peer.key.public_key()).collect();
        all.sort_by_key(distance);
        let mut got: Vec<Vec<u8>> = Vec::new();
        for (_, packet) in &sent {
            assert_eq!(packet.kind, wire::NEIGHBORS);
            for node in packet.fields[0].items() {
                assert_eq!(node.items().len(), 4);
                got.push(node.items()[3].bytes().to_vec());
            }
        }
        // Full buckets keep some of the twenty as replacements, which are not named.
        let named = station.core.table();
        let want: Vec<Vec<u8>> = all
            .iter()
            .filter(|key| named.iter().any(|node| node.key == **key))
            .take(16)
            .map(|key| key.as_bytes().to_vec())
            .collect();
        assert_eq!(counts.iter().sum::<usize>(), want.len());
        assert!(
            counts.iter().all(|count| *count <= 12) && counts.len() == want.len().div_ceil(12),
            "{counts:?}"
        );
        got.sort();
        let mut want = want;
        want.sort();
        assert_eq!(got, want);
    }
}

/// §6.7, §6.8: a ticket, its wait, the registration, and who is told of it.
#[test]
fn section_6_7_registration() {
    let (mut station, peer, other) = (Station::new(Vec::new()), Peer::new(1), Peer::new(2));
    let pong = station.prove(&peer, &["other", "whispermail"]);
    station.prove(&other, &[]);
    let register = |peer: &Peer, names: &[&str], index, pong: &[u8]| {
        peer.seal(wire::TOPIC_REGISTER, vec![topics(names), uint(index), bytes(pong)]).0
    };
    let listed = |station: &mut Station| {
        let query = other.seal(wire::TOPIC_QUERY, vec![bytes("whispermail"), uint(0)]);
        let nodes = only(station.take(other.at, &query.0), other.at, wire::TOPIC_NODES);
        assert_eq!(nodes.fields[0], bytes(query.1));
        nodes.fields[1].items().to_vec()
    };
    let names = ["other", "whispermail"];
    station.wait(58_000);
    station.take(peer.at, &register(&peer, &names, 1, &pong.raw));
    assert_eq!(listed(&mut station), [], "two seconds early");

    // The serial of that ticket is used; the same ticket may be used again in its time.
    station.wait(2_000);
    station.take(peer.at, &register(&peer, &["whispermail", "other"], 0, &pong.raw));
    station.take(peer.at, &register(&peer, &names, 2, &pong.raw));
    let forged = peer.seal(wire::PONG, pong.fields.clone()).0;
    station.take(peer.at, &register(&peer, &names, 1, &forged));
    assert_eq!(listed(&mut station), [], "other topics, no such index, no ticket of the registrar");
    station.take(peer.at, &register(&peer, &names, 1, &pong.raw));
    let want = [bytes([30, 0, 0, 1]), uint(30303), uint(30303), bytes(peer.key.public_key().as_bytes())];
    assert_eq!(listed(&mut station), [Rlp::List(want.to_vec())]);
    station.wait(3_600_000);
    station.prove(&other, &[]);
    assert_eq!(listed(&mut station), [], "an hour later");
}

/// §6.8: who registers a topic itself names itself.
#[test]
fn section_6_8_a_registrant_names_itself() {
    let (mut station, peer) = (Station::new(Vec::new()), Peer::new(1));
    let now = station.now();
    station.core.register(now, "whisper".parse().unwrap()).unwrap();
    station.prove(&peer, &[]);
    let query = peer.seal(wire::TOPIC_QUERY, vec![bytes("whisper"), uint(0)]).0;
    let nodes = only(station.take(peer.at, &query), peer.at, wire::TOPIC_NODES);
    let me = &nodes.fields[1].items()[0];
    assert_eq!(me.items()[3].bytes(), NodeKey::from_bytes(&[9; 32]).unwrap().public_key().as_bytes());
}

/// §6.1: whatever is no packet, and whatever decodes to none, is dropped without a word.
#[test]
fn section_6_1_what_is_no_packet_is_dropped() {
    let (mut station, peer) = (Station::new(Vec::new()), Peer::new(1));
    let (ping, _) = peer.ping(station.at, &[]);
    let dropped = |station: &mut Station, packet: &[u8]| {
        assert!(station.take(peer.at, packet).is_empty(), "{}", hex::encode(packet));
    };
    for len in 0..ping.len().min(96) {
        dropped(&mut station, &ping[..len]);
    }
    let mut other_prefix = ping.clone();
    other_prefix[21] = b'6';
    dropped(&mut station, &other_prefix);
    for kind in [0, 9, 255] {
        dropped(&mut station, &peer.seal(kind, vec![uint(4)]).0);
    }
    // A ping as discovery v4 has it, without topics.
    let v4 = vec![uint(4), endpoint(peer.at), endpoint(station.at), uint(0)];
    dropped(&mut station, &peer.seal(wire::PING, v4.clone()).0);
    // §6.2: more elements are accepted in a ping.
    let mut longer = v4;
    longer.extend([topics(&[]), uint(7), topics(&["x"])]);
    assert_eq!(station.take(peer.at, &peer.seal(wire::PING, longer).0).len(), 2);
}

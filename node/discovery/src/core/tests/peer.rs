//! A peer that says what a test wants, and a core with a clock that a test moves.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use enode::{NodeId, NodeKey};

use crate::{
    Core, CoreConfig, Event, Node, Topic,
    packet::{Packet, Ping, Pong, Received, Unverified, WireEndpoint, topic_hash},
    proof::State,
};

/// Unix time at the start of each test's core.
pub(super) const UNIX_S: u64 = 1_700_000_000;

pub(super) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(super) fn topic(text: &str) -> Topic {
    text.parse().unwrap()
}

/// The key of peer `n`.
pub(super) fn key(n: u16) -> NodeKey {
    let mut bytes = [1; 32];
    bytes[..2].copy_from_slice(&n.to_be_bytes());
    NodeKey::from_bytes(&bytes).unwrap()
}

pub(super) fn config(n: u16, bound: &str, boot_nodes: Vec<Node>) -> CoreConfig {
    CoreConfig { key: key(n), bound: address(bound), tcp: 0, advertised: None, boot_nodes, unix_s: UNIX_S }
}

/// A core under test and its time.
pub(super) struct Bench {
    pub(super) core: Core,
    pub(super) now: Instant,
}

impl Bench {
    /// A core with key 0 at 10.0.0.1.
    pub(super) fn new(boot_nodes: Vec<Node>) -> Self {
        let now = Instant::now();
        Self { core: Core::new(config(0, "10.0.0.1:30303", boot_nodes), [7; 32], now), now }
    }

    /// Lets time pass, with every deadline in it at its time.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.core.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.core.handle_timeout(self.now);
        }
        self.now = until;
    }

    /// Lets time pass in which these peers answer every ping.
    pub(super) fn pass_with(&mut self, time: Duration, peers: &[&Peer]) {
        let until = self.now + time;
        while self.now < until {
            self.pass(Duration::from_millis(100));
            for (to, received) in self.sent() {
                let peer = peers.iter().find(|peer| peer.at == to);
                if let (Some(peer), Packet::Ping(_)) = (peer, &received.packet) {
                    self.hear(peer, &peer.pong(&received, vec![]));
                }
            }
        }
    }

    /// What was sent since the last call.
    pub(super) fn sent(&mut self) -> Vec<(SocketAddr, Received)> {
        std::iter::from_fn(|| self.core.poll_transmit())
            .map(|transmit| (transmit.to, Unverified::parse(&transmit.bytes).unwrap().verify().unwrap()))
            .collect()
    }

    /// The same without the senders.
    pub(super) fn packets(&mut self) -> Vec<Packet> {
        self.sent().into_iter().map(|(_, received)| received.packet).collect()
    }

    pub(super) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.core.poll_event()).collect()
    }

    pub(super) fn state(&self, id: &NodeId) -> Option<State> {
        self.core.nodes.get(id).map(crate::nodes::Entry::state)
    }

    /// Takes `packet` from `peer`; its hash.
    pub(super) fn hear(&mut self, peer: &Peer, packet: &Packet) -> [u8; 32] {
        self.hear_at(peer, peer.at, packet)
    }

    /// The same from another address.
    pub(super) fn hear_at(&mut self, peer: &Peer, from: SocketAddr, packet: &Packet) -> [u8; 32] {
        let sealed = packet.seal(&peer.key);
        self.core.handle_datagram(self.now, from, &sealed.bytes);
        sealed.hash
    }

    /// Proves `peer` in both directions and forgets what was said.
    pub(super) fn prove(&mut self, peer: &Peer) {
        self.hear(peer, &peer.ping(vec![]));
        self.answer_pings(peer);
        assert_eq!(self.state(&peer.id()), Some(State::Known));
    }

    /// Answers every ping to `peer` among what was sent; how many.
    pub(super) fn answer_pings(&mut self, peer: &Peer) -> usize {
        let pings: Vec<_> = self
            .sent()
            .into_iter()
            .filter(|(to, received)| *to == peer.at && matches!(received.packet, Packet::Ping(_)))
            .collect();
        for (_, ping) in &pings {
            self.hear(peer, &peer.pong(ping, vec![]));
        }
        pings.len()
    }
}

/// Somebody else.
pub(super) struct Peer {
    pub(super) key: NodeKey,
    pub(super) at: SocketAddr,
}

impl Peer {
    /// Peer `n`, from 1, at an address of its own in 10.0.0.0/8.
    pub(super) fn new(n: u16) -> Self {
        let [high, low] = n.to_be_bytes();
        Self { key: key(n), at: SocketAddr::from(([10, 1, high, low], 30303)) }
    }

    pub(super) fn id(&self) -> NodeId {
        self.key.node_id()
    }

    pub(super) fn node(&self) -> Node {
        Node::new(self.key.public_key(), self.at.ip(), self.at.port(), self.at.port())
    }

    fn endpoint(&self) -> WireEndpoint {
        WireEndpoint { ip: Some(self.at.ip()), udp: self.at.port(), tcp: self.at.port() }
    }

    pub(super) fn ping(&self, topics: Vec<Topic>) -> Packet {
        let (from, to) = (self.endpoint(), self.endpoint());
        Packet::Ping(Ping { version: 4, from, to, expiration: 0, topics })
    }

    /// The answer to a ping that was received.
    pub(super) fn pong(&self, ping: &Received, waits: Vec<u32>) -> Packet {
        let Packet::Ping(Ping { topics, .. }) = &ping.packet else { panic!("no ping: {ping:?}") };
        Packet::Pong(Pong {
            to: self.endpoint(),
            token: ping.hash,
            issued: 77,
            topic_hash: topic_hash(topics),
            serial: 1,
            waits,
        })
    }
}

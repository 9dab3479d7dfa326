//! The one state machine. [`Core`] is told of datagrams and of the time, and says what to send, what it found and when it
//! wants to be told of the time again.
//!
//! Owns the nodes, the table, the lookups and the timers, and composes the registrar and the topic client. Must never do
//! I/O, read a clock or draw randomness but from its seed. Files: [`proving`] endpoint proof, [`finding`] finds and
//! lookups, [`topics`] tickets and topic queries, [`refreshing`] what happens by time alone.
//! Facts: `spec/devp2p.md` §6.

mod finding;
mod proving;
mod refreshing;
#[cfg(test)]
mod tests;
mod topics;

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use enode::{Endpoint, NodeId, NodeKey};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use self::{
    finding::{Purpose, Running},
    refreshing::Refresh,
    topics::PendingQuery,
};
use crate::{
    Node, Topic, address,
    nodes::Nodes,
    packet::{MAX_PACKET, Packet, Received, Unverified, WireEndpoint},
    stats::Stats,
    table::Table,
    timers::{Timer, Timers},
    topics::{Registrar, TooManyTopics, TopicClient},
};

/// How long an answer may take (`spec/devp2p.md` §6.4).
pub(crate) const REPLY_TIMEOUT: Duration = Duration::from_millis(500);
/// Seconds until the expiration that packets say (`spec/devp2p.md` §6.4). Nobody checks it.
const EXPIRATION_S: u64 = 20;
/// Packets that wait to be sent at most.
const MAX_TRANSMITS: usize = 1024;
/// Events that wait to be polled at most.
const MAX_EVENTS: usize = 1024;

/// Names a running lookup.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct LookupKey(pub(crate) u64);

/// Settings of a [`Core`].
#[derive(Clone, Debug)]
pub struct CoreConfig {
    /// The node's identity.
    pub key: NodeKey,
    /// What the socket is bound to; the IP may be unspecified.
    pub bound: SocketAddr,
    /// RLPx port to tell others, 0 for the same as UDP. Other implementations take it to be the same.
    pub tcp: u16,
    /// Where the node is reached from outside; `None` while that is not known.
    pub advertised: Option<Endpoint>,
    /// The only nodes that are asked without having been heard of.
    pub boot_nodes: Vec<Node>,
    /// Unix time when the core is made, seconds.
    pub unix_s: u64,
}

/// A datagram to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transmit {
    /// Where to.
    pub to: SocketAddr,
    /// At most [`MAX_PACKET`] bytes.
    pub bytes: Vec<u8>,
}

/// What a [`Core`] found out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The first refresh found nodes: from now on searches run.
    TableReady,
    /// A node says that it registers this topic, or another says so of it. Nothing is proven: dial it to see. The same
    /// node is reported as often as it is named.
    Found {
        /// What was searched.
        topic: Topic,
        /// Who was named.
        node: Node,
    },
}

/// The protocol without I/O. Call [`poll_transmit`](Self::poll_transmit), [`poll_event`](Self::poll_event) and
/// [`poll_timeout`](Self::poll_timeout) after each call that changes it.
pub struct Core {
    config: CoreConfig,
    id: NodeId,
    started: Instant,
    rng: StdRng,
    nodes: Nodes,
    table: Table,
    timers: Timers,
    lookups: HashMap<LookupKey, Running>,
    next_lookup: u64,
    /// Lookups that may be able to go on.
    stirred: VecDeque<LookupKey>,
    queries: HashMap<(NodeId, [u8; 32]), PendingQuery>,
    refresh: Refresh,
    registrar: Registrar,
    client: TopicClient,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
    stats: Stats,
}

impl Core {
    /// A core that begins to look for its boot nodes at `now`. The same seed and inputs give the same outputs.
    #[must_use]
    pub fn new(config: CoreConfig, rng_seed: [u8; 32], now: Instant) -> Self {
        let id = config.key.node_id();
        let mut rng = StdRng::from_seed(rng_seed);
        let mut core = Self {
            id,
            started: now,
            nodes: Nodes::default(),
            table: Table::new(id),
            timers: Timers::default(),
            lookups: HashMap::new(),
            next_lookup: 0,
            stirred: VecDeque::new(),
            queries: HashMap::new(),
            refresh: Refresh::new(now),
            registrar: Registrar::new(rng.random()),
            client: TopicClient::new(id, rng.random(), now),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            stats: Stats::default(),
            rng,
            config,
        };
        core.schedule(now);
        core
    }

    /// Takes a datagram, whatever is in it.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        match Unverified::parse(bytes).and_then(Unverified::verify) {
            Ok(received) => self.handle_received(now, from, received),
            Err(_) => self.stats.malformed += 1,
        }
    }

    /// Takes a packet whose sender is recovered.
    pub(crate) fn handle_received(&mut self, now: Instant, from: SocketAddr, received: Received) {
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let sender = received.from.node_id();
        if sender == self.id || !address::is_reachable(from.ip(), from.port()) {
            return;
        }
        self.stats.received.count(received.packet.kind());
        match received.packet {
            Packet::Ping(ping) => self.on_ping(now, from, received.from, ping, received.hash),
            Packet::Pong(pong) => self.on_pong(now, sender, pong, received.bytes),
            query_or_answer => {
                if !self.nodes.get(&sender).is_some_and(|entry| entry.is_proven_at(from)) {
                    self.stats.unproven += 1;
                    self.on_other_address(now, sender, from, 0);
                } else {
                    self.heard(now, &sender);
                    match query_or_answer {
                        Packet::FindNode { target, .. } => {
                            self.on_find(now, sender, &enode::keccak256(&target));
                        }
                        Packet::FindNodeHash { target, .. } => self.on_find(now, sender, &target),
                        Packet::Neighbors { nodes, .. } => self.on_neighbors(now, sender, &nodes),
                        Packet::TopicRegister { topics, index, .. } => {
                            self.on_register(now, sender, &topics, index, received.ticket);
                        }
                        Packet::TopicQuery { topic, .. } => {
                            self.on_query(now, sender, &topic, received.hash);
                        }
                        Packet::TopicNodes { echo, nodes } => {
                            self.on_topic_nodes(now, sender, echo, &nodes);
                        }
                        Packet::Ping(_) | Packet::Pong(_) => {}
                    }
                }
            }
        }
        self.settle(now);
    }

    /// Does what is due. To be called when [`poll_timeout`](Self::poll_timeout) is over; never harmful.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, timer)) = self.timers.pop_due(now) {
            match timer {
                Timer::Ping(id) => self.on_ping_timeout(now, at, id),
                Timer::Wait(id) => self.on_wait_over(now, at, id),
                Timer::Find(id) => self.on_find_timeout(now, at, id),
                Timer::Query(id, hash) => self.on_query_timeout(now, at, id, hash),
                Timer::Refresh => self.on_refresh(now, at),
                Timer::Revalidate => self.on_revalidate(now),
                Timer::Sweep => self.on_sweep(now),
            }
        }
        if self.client.poll_timeout().is_some_and(|at| at <= now) {
            self.client.handle_timeout(now);
        }
        self.settle(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.timers.first(), self.client.poll_timeout()].into_iter().flatten().min()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Registers this node under `topic` from now on.
    ///
    /// # Errors
    /// [`TooManyTopics`].
    pub fn register(&mut self, now: Instant, topic: Topic) -> Result<(), TooManyTopics> {
        self.client.register(now, topic)?;
        self.settle(now);
        Ok(())
    }

    /// Ends a registration; entries at registrars expire within the hour.
    pub fn unregister(&mut self, topic: &Topic) {
        self.client.unregister(topic);
    }

    /// Searches nodes of `topic`, a lookup each `period`; again changes the period.
    ///
    /// # Errors
    /// [`TooManyTopics`].
    pub fn search(&mut self, now: Instant, topic: Topic, period: Duration) -> Result<(), TooManyTopics> {
        self.client.search(now, topic, period)?;
        self.settle(now);
        Ok(())
    }

    /// Ends a search.
    pub fn stop_search(&mut self, topic: &Topic) {
        self.client.stop_search(topic);
    }

    /// Changes where the node says that it is reached from outside.
    pub fn set_advertised(&mut self, advertised: Option<Endpoint>) {
        self.config.advertised = advertised;
    }

    /// Whether some node is proven at this address: its packets come before those of strangers.
    #[must_use]
    pub fn is_proven(&self, ip: IpAddr) -> bool {
        self.nodes.is_proven(ip.to_canonical())
    }

    /// The nodes of the table: proven, and alive when last asked.
    #[must_use]
    pub fn table(&self) -> Vec<Node> {
        self.table.iter().filter_map(|id| self.nodes.get(id)).map(|entry| entry.node).collect()
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let (topics, topic_entries) = self.registrar.len();
        Stats { nodes: self.nodes.len(), table: self.table.len(), topics, topic_entries, ..self.stats }
    }

    /// This node as others are told of it.
    fn local(&self) -> Node {
        let bound = self.config.bound;
        let tcp = if self.config.tcp == 0 { bound.port() } else { self.config.tcp };
        let at = self.config.advertised.unwrap_or(Endpoint { ip: bound.ip(), tcp, udp: bound.port() });
        let udp = if at.udp == 0 { bound.port() } else { at.udp };
        let tcp = if at.tcp == 0 { tcp } else { at.tcp };
        // Not folded: a wildcard IPv6 address is said with its 16 bytes.
        Node { key: self.config.key.public_key(), id: self.id, ip: at.ip, udp, tcp }
    }

    fn local_endpoint(&self) -> WireEndpoint {
        let Node { ip, udp, tcp, .. } = self.local();
        WireEndpoint { ip: Some(ip), udp, tcp }
    }

    /// This node's ticket clock, seconds: never goes back, and after a restart goes on from the Unix time, so that old
    /// tickets stay old.
    fn clock_s(&self, now: Instant) -> u64 {
        self.config.unix_s + now.saturating_duration_since(self.started).as_secs()
    }

    /// The expiration of packets that say one.
    fn expiration(&self, now: Instant) -> u64 {
        self.clock_s(now) + EXPIRATION_S
    }

    fn heard(&mut self, now: Instant, id: &NodeId) {
        if let Some(entry) = self.nodes.get_mut(id) {
            entry.heard = now;
        }
    }

    /// Signs and queues a packet; its hash, or `None` if it would be too long or too many wait.
    fn send(&mut self, to: SocketAddr, packet: &Packet) -> Option<[u8; 32]> {
        if self.transmits.len() >= MAX_TRANSMITS {
            self.stats.send_overflow += 1;
            return None;
        }
        let sealed = packet.seal(&self.config.key);
        if sealed.bytes.len() > MAX_PACKET {
            return None;
        }
        self.stats.sent.count(packet.kind());
        self.transmits.push_back(Transmit { to, bytes: sealed.bytes });
        Some(sealed.hash)
    }

    fn emit(&mut self, event: Event) {
        if self.events.len() < MAX_EVENTS {
            self.events.push_back(event);
        }
    }

    /// Lets lookups go on and does what the topic client wants, until both wait for answers or for time.
    fn settle(&mut self, now: Instant) {
        loop {
            if let Some(key) = self.stirred.pop_front() {
                self.go_on(now, key);
            } else if let Some(action) = self.client.poll_action() {
                self.act(now, action);
            } else {
                return;
            }
        }
    }
}

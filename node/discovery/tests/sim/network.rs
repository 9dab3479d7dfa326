//! The simulated network. One seed decides everything: keys, latencies, losses, the cores' randomness.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap},
    net::SocketAddr,
    time::{Duration, Instant},
};

use discovery::{Core, CoreConfig, Event, Node, Topic};
use enode::{NodeId, NodeKey};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

/// Between a datagram's departure and its arrival.
const LATENCY_MS: std::ops::RangeInclusive<u64> = 10..=120;

pub(crate) fn topic(text: &str) -> Topic {
    text.parse().unwrap()
}

/// In order of arrival; equal times in order of departure.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Datagram {
    arrives: Instant,
    order: u64,
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

struct Member {
    core: Core,
    node: Node,
    timer: Option<Instant>,
    alive: bool,
    /// When each node was found first, per topic.
    found: BTreeMap<Topic, BTreeMap<NodeId, Duration>>,
}

pub(crate) struct Network {
    rng: StdRng,
    loss: f64,
    start: Instant,
    now: Instant,
    members: Vec<Member>,
    by_address: HashMap<SocketAddr, usize>,
    datagrams: BinaryHeap<Reverse<Datagram>>,
    departed: u64,
    timers: BTreeSet<(Instant, usize)>,
}

impl Network {
    /// `loss`: which part of all datagrams never arrives.
    pub(crate) fn new(seed: u8, loss: f64) -> Self {
        let start = Instant::now();
        Self {
            rng: StdRng::from_seed([seed; 32]),
            loss,
            start,
            now: start,
            members: Vec::new(),
            by_address: HashMap::new(),
            datagrams: BinaryHeap::new(),
            departed: 0,
            timers: BTreeSet::new(),
        }
    }

    /// A node joins that knows nobody but these.
    pub(crate) fn join(&mut self, boot_nodes: &[Node]) -> usize {
        let index = self.members.len();
        let key = loop {
            if let Ok(key) = NodeKey::from_bytes(&self.rng.random()) {
                break key;
            }
        };
        let host = u8::try_from(index % 250).unwrap();
        let net = u8::try_from(index / 250).unwrap();
        let bound: SocketAddr = ([20, net, host, 7], 30303).into();
        let node = Node::new(key.public_key(), bound.ip(), bound.port(), bound.port());
        let config = CoreConfig {
            key,
            bound,
            tcp: 0,
            advertised: None,
            boot_nodes: boot_nodes.to_vec(),
            unix_s: 1_700_000_000,
        };
        let core = Core::new(config, self.rng.random(), self.now);
        self.by_address.insert(bound, index);
        self.members.push(Member { core, node, timer: None, alive: true, found: BTreeMap::new() });
        self.settle(index);
        index
    }

    /// This many nodes join, a few a second, all by the first.
    pub(crate) fn populate(&mut self, count: usize) {
        let boot = self.join(&[]);
        let boot = [self.node(boot)];
        for _ in 1..count {
            self.run(Duration::from_millis(100));
            self.join(&boot);
        }
    }

    pub(crate) fn register(&mut self, index: usize, name: &str) {
        self.members[index].core.register(self.now, topic(name)).unwrap();
        self.settle(index);
    }

    pub(crate) fn search(&mut self, index: usize, name: &str, period: Duration) {
        self.members[index].core.search(self.now, topic(name), period).unwrap();
        self.settle(index);
    }

    /// The node is gone without a word.
    pub(crate) fn kill(&mut self, index: usize) {
        self.members[index].alive = false;
        if let Some(timer) = self.members[index].timer.take() {
            self.timers.remove(&(timer, index));
        }
    }

    pub(crate) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let timer = self.timers.first().map(|(at, _)| *at);
            let arrival = self.datagrams.peek().map(|Reverse(datagram)| datagram.arrives);
            let Some(next) = [timer, arrival].into_iter().flatten().min().filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            if arrival == Some(next) {
                if let Some(Reverse(datagram)) = self.datagrams.pop() {
                    self.deliver(&datagram);
                }
            } else if let Some((_, index)) = self.timers.pop_first() {
                self.members[index].timer = None;
                self.members[index].core.handle_timeout(self.now);
                self.settle(index);
            }
        }
        self.now = end;
    }

    fn deliver(&mut self, datagram: &Datagram) {
        let Some(index) = self.by_address.get(&datagram.to).copied() else { return };
        if self.members[index].alive {
            self.members[index].core.handle_datagram(self.now, datagram.from, &datagram.bytes);
            self.settle(index);
        }
    }

    /// Takes what a core wants sent, what it found, and its next time.
    fn settle(&mut self, index: usize) {
        let member = &mut self.members[index];
        while let Some(transmit) = member.core.poll_transmit() {
            self.departed += 1;
            let latency = Duration::from_millis(self.rng.random_range(LATENCY_MS));
            if !self.rng.random_bool(self.loss) {
                let (arrives, from) = (self.now + latency, member.node.socket());
                let (order, to, bytes) = (self.departed, transmit.to, transmit.bytes);
                self.datagrams.push(Reverse(Datagram { arrives, order, from, to, bytes }));
            }
        }
        while let Some(event) = member.core.poll_event() {
            if let Event::Found { topic, node } = event {
                let since = self.now - self.start;
                member.found.entry(topic).or_default().entry(node.id).or_insert(since);
            }
        }
        let timer = member.core.poll_timeout();
        if timer != member.timer {
            if let Some(old) = member.timer {
                self.timers.remove(&(old, index));
            }
            self.timers.extend(timer.map(|timer| (timer, index)));
            member.timer = timer;
        }
    }

    pub(crate) fn node(&self, index: usize) -> Node {
        self.members[index].node
    }

    pub(crate) fn core(&self, index: usize) -> &Core {
        &self.members[index].core
    }

    /// Members that are there.
    pub(crate) fn alive(&self) -> impl Iterator<Item = usize> {
        self.members.iter().enumerate().filter(|(_, member)| member.alive).map(|(index, _)| index)
    }

    /// How long after the start `who` found `whom` under `name`.
    pub(crate) fn found(&self, who: usize, name: &str, whom: usize) -> Option<Duration> {
        self.members[who].found.get(name)?.get(&self.members[whom].node.id).copied()
    }

    /// Since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    /// Datagrams sent so far, those included that were lost.
    pub(crate) fn departed(&self) -> u64 {
        self.departed
    }
}

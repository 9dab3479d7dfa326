//! The peer pool: turns nodes that discovery found into peers, a few of each wanted topic.
//!
//! Pure: takes what was found and which peers came and went, gives [`PoolAction`]s; no sockets, no clock, no files. Its
//! owner keeps the peers that were added here apart from those of its configuration, so that a `RemovePeer` takes back
//! what `AddPeer` gave and nothing else.
//!
//! ```text
//! discovery ─► found ─► pending ─► AddPeer ─► peer_added ─► connected ─► peer_dropped ─► forgotten, next of the queue
//! ```
//!
//! What differs from the reference, whose pool keeps nodes that are gone: a peer that is not there [`DIAL_PATIENCE`] after
//! it was added is taken back and left alone for [`REST`], cached or not; what nobody has seen for an hour is forgotten;
//! overflow never takes a peer that is being dialled; the delay until a search stops is a timer; changed limits count
//! everywhere; a peer that another topic wants is not removed; a mailserver counts once, and the search for them ends
//! when Max are verified, not sooner. Facts: `spec/devp2p.md` §4.
//!
//! A topic holds 2 × Max pending, Max and what is being dismissed connected, Max cached; besides there are the ids of all
//! peers of the server and [`MAX_RESTING`] ids that rest.

mod limits;
mod topic;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    time::{Duration, Instant},
};

use enode::NodeId;

pub use limits::{Limits, LimitsError, MAX_WANTED, WHISPER, WHISPERMAIL};
use topic::TopicPool;

use crate::{Node, Topic};

/// Search period while too few peers of a topic are connected.
pub const FAST_PERIOD: Duration = Duration::from_secs(3);
/// Search period otherwise.
pub const SLOW_PERIOD: Duration = Duration::from_secs(30);
/// A search is fast this long at most.
const MAX_FAST: Duration = Duration::from_secs(30);
/// Discovery that may stop does so this long after each start.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(180);
/// From Max reached to the end of a search, once per search.
const STOP_DELAY: Duration = Duration::from_secs(10);
/// A node not seen for longer is not dialled.
const VALIDITY: Duration = Duration::from_secs(3600);
/// From a failed start of discovery to the next.
const START_RETRY: Duration = Duration::from_secs(2);
/// Cached peers that a search starts with.
const CACHED_AT_START: usize = 5;
/// How long a peer may take to connect: a dial, its 35 s pause (`spec/devp2p.md` §3.4) and another.
const DIAL_PATIENCE: Duration = Duration::from_secs(60);
/// How long a node that did not connect is left alone.
const REST: Duration = Duration::from_secs(600);
/// Nodes left alone at once; the one that rested longest is let go.
const MAX_RESTING: usize = 256;

/// What the pool wants done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PoolAction {
    /// Start discovery; report `discovery_started` or `discovery_failed`.
    StartDiscovery,
    /// Stop discovery.
    StopDiscovery,
    /// Search `topic` every `period` from now on.
    Search {
        /// What to search.
        topic: Topic,
        /// How often.
        period: Duration,
    },
    /// Search it no more.
    StopSearch(Topic),
    /// Keep a connection to this node.
    AddPeer(Node),
    /// No more keep it, and disconnect.
    RemovePeer(NodeId),
    /// `cached` of this topic changed: keep the list for the next start.
    CacheChanged(Topic),
    /// A trusted mailserver is connected: its identity is proven (§4.5).
    MailserverFound(NodeId),
}

/// The topic is not among the required ones.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("topic not found: {0} is not a required topic of this node")]
pub struct UnknownTopic(pub Topic);

/// A topic of which peers are wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its name; [`WHISPERMAIL`] is special: its peers are verified and let go (§4.5).
    pub topic: Topic,
    /// How many.
    pub limits: Limits,
    /// What [`Pool::cached`] gave in an earlier life, newest first.
    pub cached: Vec<Node>,
}

/// How the pool behaves.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// This node.
    pub local: NodeId,
    /// The required topics (§4.1). A topic named twice counts once.
    pub wanted: Vec<Wanted>,
    /// Discovery may stop when no topic needs it: true iff this node registers no topic (§4.1).
    pub allow_stop: bool,
    /// Mailservers whose ids are trusted.
    pub trusted_mailservers: HashSet<NodeId>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Discovery {
    Stopped,
    Starting { retry_at: Option<Instant> },
    Running { since: Instant },
}

/// The peers of every required topic.
pub struct Pool {
    local: NodeId,
    allow_stop: bool,
    trusted: HashSet<NodeId>,
    verified: HashSet<NodeId>,
    topics: BTreeMap<Topic, TopicPool>,
    discovery: Discovery,
    /// Topics whose search starts with discovery.
    to_start: BTreeSet<Topic>,
    /// Every peer of the server.
    peers: HashSet<NodeId>,
    /// Nodes that are left alone, by the end of their rest.
    resting: VecDeque<(Instant, NodeId)>,
    actions: VecDeque<PoolAction>,
}

impl Pool {
    /// A pool that does nothing before `start`.
    #[must_use]
    pub fn new(config: PoolConfig) -> Self {
        let topics = config.wanted.into_iter().map(|wanted| (wanted.topic.clone(), TopicPool::new(wanted)));
        Self {
            local: config.local,
            allow_stop: config.allow_stop,
            trusted: config.trusted_mailservers,
            verified: HashSet::new(),
            topics: topics.collect(),
            discovery: Discovery::Stopped,
            to_start: BTreeSet::new(),
            peers: HashSet::new(),
            resting: VecDeque::new(),
            actions: VecDeque::new(),
        }
    }

    /// Starts discovery and, when that runs, the search of every topic.
    pub fn start(&mut self) {
        self.to_start = self.topics.keys().cloned().collect();
        self.start_discovery();
    }

    /// Discovery runs.
    pub fn discovery_started(&mut self, now: Instant) {
        self.discovery = Discovery::Running { since: now };
        for topic in std::mem::take(&mut self.to_start) {
            self.start_search(now, &topic);
        }
    }

    /// Discovery did not start; it is tried again in 2 s.
    pub fn discovery_failed(&mut self, now: Instant) {
        self.discovery = Discovery::Starting { retry_at: Some(now + START_RETRY) };
    }

    /// Discovery found `node` under `topic`.
    pub fn found(&mut self, now: Instant, topic: &Topic, node: Node) {
        let known = node.id == self.local || self.resting.iter().any(|(_, resting)| *resting == node.id);
        let Some(pool) = self.topics.get_mut(topic).filter(|_| !known) else { return };
        if pool.verifies && self.verified.contains(&node.id) {
            return;
        }
        // A peer that is there by other means never becomes one of this topic's.
        if pool.is_connected(&node.id) || !self.peers.contains(&node.id) {
            pool.found(now, node);
            self.dial(now, topic);
        }
    }

    /// The server has a new peer, dialled or not.
    pub fn peer_added(&mut self, now: Instant, id: NodeId) {
        self.peers.insert(id);
        let topics: Vec<Topic> = self.topics.keys().cloned().collect();
        for topic in &topics {
            let Some(pool) = self.topics.get_mut(topic) else { continue };
            if pool.verifies {
                self.verify(topic, id);
                continue;
            }
            let Some(connected) = pool.connect(id) else { continue };
            if connected.is_too_many {
                self.remove_peer(id);
            } else {
                self.actions.push_back(PoolAction::CacheChanged(topic.clone()));
                self.set_mode(now, topic);
            }
        }
        self.stop_what_is_full(now, true);
    }

    /// The server lost a peer.
    pub fn peer_dropped(&mut self, now: Instant, id: NodeId) {
        self.peers.remove(&id);
        let topics: Vec<Topic> = self.topics.keys().cloned().collect();
        for topic in &topics {
            let Some(pool) = self.topics.get_mut(topic) else { continue };
            let Some(dropped) = pool.disconnect(&id) else { continue };
            if dropped.was_dismissed {
                continue;
            }
            if pool.uncache(&id) {
                self.actions.push_back(PoolAction::CacheChanged(topic.clone()));
            }
            self.remove_peer(id);
            self.set_mode(now, topic);
            self.dial_next(now, topic);
        }
        let lacking = self.topics.iter().filter(|(_, pool)| pool.lacks() && !pool.is_searching());
        let lacking: Vec<Topic> = lacking.map(|(topic, _)| topic.clone()).collect();
        self.restart(now, lacking);
    }

    /// Changes how many peers of a topic are wanted, and starts discovery if it was stopped (`peer_discover`, §4.3).
    ///
    /// # Errors
    /// When the topic is not among the required ones.
    pub fn set_limits(&mut self, now: Instant, topic: &Topic, limits: Limits) -> Result<(), UnknownTopic> {
        let Some(pool) = self.topics.get_mut(topic) else { return Err(UnknownTopic(topic.clone())) };
        pool.limits = limits;
        let (lacks, searching) = (pool.lacks(), pool.is_searching());
        if lacks && !searching {
            self.restart(now, vec![topic.clone()]);
        } else if self.discovery == Discovery::Stopped {
            self.start();
        }
        self.set_mode(now, topic);
        self.dial(now, topic);
        Ok(())
    }

    /// The peers of a topic to remember for the next start, newest first; at most its Max at creation.
    #[must_use]
    pub fn cached(&self, topic: &Topic) -> &[Node] {
        self.topics.get(topic).map_or(&[], |pool| &pool.cache)
    }

    /// How many (pending, connected) nodes a topic has.
    #[must_use]
    pub fn len(&self, topic: &Topic) -> (usize, usize) {
        self.topics.get(topic).map_or((0, 0), TopicPool::len)
    }

    /// When `handle_timeout` is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let (discovery, may_stop) = match self.discovery {
            Discovery::Starting { retry_at } => (retry_at, false),
            Discovery::Running { since } if self.allow_stop => (Some(since + DISCOVERY_TIMEOUT), true),
            _ => (None, false),
        };
        let rest = self.resting.front().map(|(until, _)| *until);
        let topics = self.topics.values().filter_map(|pool| pool.poll_timeout(may_stop));
        topics.chain(discovery).chain(rest).min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Discovery::Starting { retry_at: Some(at) } = self.discovery
            && at <= now
        {
            self.start_discovery();
        }
        while self.resting.front().is_some_and(|(until, _)| *until <= now) {
            self.resting.pop_front();
        }
        let topics: Vec<Topic> = self.topics.keys().cloned().collect();
        for topic in &topics {
            self.forget_vanished(now, topic);
            if let Some(pool) = self.topics.get_mut(topic)
                && pool.end_fast(now)
            {
                self.actions.push_back(PoolAction::Search { topic: topic.clone(), period: SLOW_PERIOD });
            }
        }
        self.stop_what_is_full(now, false);
        if let Discovery::Running { since } = self.discovery
            && self.allow_stop
            && now >= since + DISCOVERY_TIMEOUT
        {
            self.stop_discovery();
        }
    }

    /// What to do next.
    pub fn poll_action(&mut self) -> Option<PoolAction> {
        self.actions.pop_front()
    }

    fn start_discovery(&mut self) {
        self.discovery = Discovery::Starting { retry_at: None };
        self.actions.push_back(PoolAction::StartDiscovery);
    }

    fn stop_discovery(&mut self) {
        for (topic, pool) in &mut self.topics {
            if pool.stop_search() {
                self.actions.push_back(PoolAction::StopSearch(topic.clone()));
            }
        }
        self.discovery = Discovery::Stopped;
        self.actions.push_back(PoolAction::StopDiscovery);
    }

    /// Searches these topics again, with discovery if it is stopped.
    fn restart(&mut self, now: Instant, topics: Vec<Topic>) {
        if topics.is_empty() {
            return;
        }
        match self.discovery {
            Discovery::Running { .. } => topics.iter().for_each(|topic| self.start_search(now, topic)),
            Discovery::Starting { .. } => self.to_start.extend(topics),
            Discovery::Stopped => {
                self.to_start.extend(topics);
                self.start_discovery();
            }
        }
    }

    fn start_search(&mut self, now: Instant, topic: &Topic) {
        let Some(pool) = self.topics.get_mut(topic) else { return };
        pool.start_search(now);
        self.actions.push_back(PoolAction::Search { topic: topic.clone(), period: FAST_PERIOD });
        let cached: Vec<Node> = pool.cache.iter().take(CACHED_AT_START).copied().collect();
        for node in cached {
            self.found(now, topic, node);
        }
    }

    /// Fast below Min, else slow.
    fn set_mode(&mut self, now: Instant, topic: &Topic) {
        if let Some(period) = self.topics.get_mut(topic).and_then(|pool| pool.set_mode(now)) {
            self.actions.push_back(PoolAction::Search { topic: topic.clone(), period });
        }
    }

    /// Adds what is pending while fewer than Max are connected.
    fn dial(&mut self, now: Instant, topic: &Topic) {
        if let Some(pool) = self.topics.get_mut(topic) {
            self.actions.extend(pool.dial(now, usize::MAX).into_iter().map(PoolAction::AddPeer));
        }
    }

    /// Adds the one of the queue that was seen last.
    fn dial_next(&mut self, now: Instant, topic: &Topic) {
        if let Some(pool) = self.topics.get_mut(topic) {
            self.actions.extend(pool.dial(now, 1).into_iter().map(PoolAction::AddPeer));
        }
    }

    /// A peer is there: is it a trusted mailserver? Whoever it is, it is not kept for this topic (§4.5).
    fn verify(&mut self, topic: &Topic, id: NodeId) {
        let Some(pool) = self.topics.get_mut(topic) else { return };
        let ours = pool.take(&id);
        if self.trusted.contains(&id) {
            if self.verified.insert(id) {
                pool.limits = pool.limits.less_one();
            }
            if let Some(node) = ours {
                pool.cache(node);
                self.actions.push_back(PoolAction::CacheChanged(topic.clone()));
            }
            self.actions.push_back(PoolAction::MailserverFound(id));
        } else if ours.is_some() && pool.uncache(&id) {
            self.actions.push_back(PoolAction::CacheChanged(topic.clone()));
        }
        if ours.is_some() {
            self.remove_peer(id);
        }
    }

    /// Takes back what `AddPeer` gave, unless another topic wants it too.
    fn remove_peer(&mut self, id: NodeId) {
        if !self.topics.values().any(|pool| pool.wants(&id)) {
            self.actions.push_back(PoolAction::RemovePeer(id));
        }
    }

    /// Takes back peers that did not come, and forgets nodes that were not seen for long.
    fn forget_vanished(&mut self, now: Instant, topic: &Topic) {
        let Some(pool) = self.topics.get_mut(topic) else { return };
        let vanished = pool.take_vanished(now);
        let uncached = vanished.iter().filter(|id| pool.uncache(id)).count();
        if uncached > 0 {
            self.actions.push_back(PoolAction::CacheChanged(topic.clone()));
        }
        for id in vanished {
            if self.resting.len() >= MAX_RESTING {
                self.resting.pop_front();
            }
            self.resting.push_back((now + REST, id));
            self.remove_peer(id);
        }
        self.dial(now, topic);
    }

    /// Where discovery may stop: ends searches that have what they want, then discovery itself.
    fn stop_what_is_full(&mut self, now: Instant, added: bool) {
        if !self.allow_stop || !matches!(self.discovery, Discovery::Running { .. }) {
            return;
        }
        let mut stopped = added;
        for (topic, pool) in &mut self.topics {
            if pool.stop_if_full(now, added) {
                stopped = true;
                self.actions.push_back(PoolAction::StopSearch(topic.clone()));
            }
        }
        if stopped && !self.topics.values().any(TopicPool::is_searching) {
            self.stop_discovery();
        }
    }
}

#[cfg(test)]
mod tests;

//! The client's side: registers this node's topics where they will be looked for, and searches for others.
//!
//! Each topic has a [`Radius`]; both loops look up targets that it gives. Registration pings the nodes found, keeps some
//! of the tickets that come back, and uses each when its wait is over; a search asks the nodes found.
//! Must never hold more than its caps; must never wait for an answer that does not come.
//!
//! What differs from the reference does not show in a packet. It registers only once the radius is known, which takes
//! minutes; here the first lookup of both loops and every fifth is a regular one, at the centre until more is known. It
//! asks what is nearer to the target than a least radius, which one node that answers each minute can draw together to
//! itself; here the closest few that were not asked lately are asked, so that all nodes around a topic are asked in turns
//! and a lookup does not use up the credit for tickets. It looks up without a pause until it has its tickets; here the
//! pause doubles while lookups bring nothing, so that a node in a small network is quiet.
//! Facts: `spec/devp2p.md` §6.9.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::{Duration, Instant},
};

use bytes::Bytes;
use enode::NodeId;
use rand::{SeedableRng as _, rngs::StdRng};

use super::{
    Action, LookupId, exponential,
    pacing::Pacing,
    radius::{Radius, TIME_CONSTANT, Target},
    recent::Recent,
};
use crate::{Node, Topic};

/// Topics that a node registers, and topics that it searches, at most. All registered ones are in every registration,
/// with a pong, and a packet has 1280 bytes.
const MAX_TOPICS: usize = 12;
/// Tickets held at once.
const MAX_TICKETS: usize = 1024;
/// Nodes remembered that were pinged for a ticket, and of those that were asked for a topic.
const MAX_REMEMBERED: usize = 4096;
/// Pause between two lookups of the registration loop.
const LOOKUP_PAUSE: Duration = Duration::from_millis(100);
/// The same after lookups that brought nothing new, at most.
const MAX_LOOKUP_PAUSE: Duration = Duration::from_secs(10);
/// The registration loop looks again at least this often.
const IDLE_PAUSE: Duration = Duration::from_secs(40);
/// Radius lookups of a topic in a row; then comes a regular one.
const MAX_RADIUS_LOOKUPS: u8 = 4;
/// Nodes of one lookup that are pinged or asked at most, the closest that need be.
const MAX_ASKED: usize = 8;
/// Search lookups at once, of all topics together.
const MAX_SEARCH_LOOKUPS: usize = 5;
/// Kept tickets: one every step, with a credit.
const COLLECT_STEP: Duration = Duration::from_secs(30);
const COLLECT_CREDIT: u32 = 10;
/// Used tickets: one every step, with a credit.
const USE_STEP: Duration = Duration::from_secs(60);
const USE_CREDIT: u32 = 5;
/// A ticket of at most this wait is always kept, seconds.
const KEEP_WAIT_S: f64 = 600.0;
/// Above it with probability falling to 1/e in this, seconds.
const KEEP_TAIL_S: f64 = 300.0;
/// Cap of the random factor of [`KEEP_TAIL_S`].
const MAX_KEEP_FACTOR: f64 = 10.0;
/// A node is asked for the same topic once in this.
const QUERY_INTERVAL: Duration = Duration::from_secs(60);
/// The same when it could not be asked or did not answer.
const QUERY_RETRY: Duration = Duration::from_secs(3);

/// A node has no room for more topics.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a node registers at most {MAX_TOPICS} topics and searches at most {MAX_TOPICS}; name fewer")]
pub struct TooManyTopics;

/// One topic that is being registered.
struct Registration {
    topic: Topic,
    radius_lookups: u8,
    collect: Pacing,
    used: Pacing,
}

/// One topic that is being searched.
struct Search {
    period: Duration,
    due: Instant,
    radius_lookups: u8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Register,
    Search,
}

/// A lookup that is under way.
struct Lookup {
    topic: Topic,
    target: Target,
    purpose: Purpose,
}

/// A node was pinged for a ticket: what to count it for.
struct Pinged {
    topic: Topic,
    target: Target,
    /// Whether the pong is still to come.
    open: bool,
}

/// A node was asked for a topic.
struct Queried {
    target: Target,
    /// Whether the answer is still to come.
    open: bool,
    /// When it may be asked again.
    again: Instant,
}

struct Ticket {
    /// What it is kept for.
    topic: Topic,
    topics: Vec<Topic>,
    index: usize,
    pong: Bytes,
    usable: Instant,
}

/// The client's side: registers this node's topics and searches for others.
pub(crate) struct TopicClient {
    local: NodeId,
    rng: StdRng,
    ready: bool,
    radii: BTreeMap<Topic, Radius>,
    /// Round robin: the first is next.
    registrations: VecDeque<Registration>,
    /// When the registration loop looks again.
    collect_at: Instant,
    pause: Duration,
    searches: BTreeMap<Topic, Search>,
    lookups: HashMap<LookupId, Lookup>,
    lookup_count: u64,
    pinged: Recent<NodeId, Pinged>,
    queried: Recent<(NodeId, Topic), Queried>,
    /// A node gives one ticket at a time.
    tickets: BTreeMap<NodeId, Ticket>,
    actions: VecDeque<Action>,
}

impl TopicClient {
    pub(crate) fn new(local: NodeId, seed: [u8; 32], now: Instant) -> Self {
        Self {
            local,
            rng: StdRng::from_seed(seed),
            ready: false,
            radii: BTreeMap::new(),
            registrations: VecDeque::new(),
            collect_at: now,
            pause: LOOKUP_PAUSE,
            searches: BTreeMap::new(),
            lookups: HashMap::new(),
            lookup_count: 0,
            pinged: Recent::new(MAX_REMEMBERED),
            queried: Recent::new(MAX_REMEMBERED),
            tickets: BTreeMap::new(),
            actions: VecDeque::new(),
        }
    }

    /// Registers this node under `topic` until `unregister`.
    ///
    /// # Errors
    /// When [`MAX_TOPICS`] others are registered.
    pub(crate) fn register(&mut self, now: Instant, topic: Topic) -> Result<(), TooManyTopics> {
        if self.registered().any(|registered| *registered == topic) {
            return Ok(());
        }
        if self.registrations.len() >= MAX_TOPICS {
            return Err(TooManyTopics);
        }
        self.radii.entry(topic.clone()).or_insert_with_key(|topic| Radius::new(now, topic));
        self.registrations.push_front(Registration {
            topic,
            radius_lookups: MAX_RADIUS_LOOKUPS,
            collect: Pacing::new(COLLECT_STEP, COLLECT_CREDIT),
            used: Pacing::new(USE_STEP, USE_CREDIT),
        });
        self.pause = LOOKUP_PAUSE;
        self.collect_at = now + LOOKUP_PAUSE;
        Ok(())
    }

    pub(crate) fn unregister(&mut self, topic: &Topic) {
        self.registrations.retain(|registration| registration.topic != *topic);
        self.tickets.retain(|_, ticket| ticket.topic != *topic);
        self.drop_unused(topic);
    }

    /// Every topic that is being registered, for pings and for answers to queries.
    pub(crate) fn registered(&self) -> impl Iterator<Item = &Topic> {
        self.registrations.iter().map(|registration| &registration.topic)
    }

    /// Searches `topic` every `period` until `stop_search`; of a running search it changes the period.
    ///
    /// # Errors
    /// When [`MAX_TOPICS`] others are searched.
    pub(crate) fn search(
        &mut self,
        now: Instant,
        topic: Topic,
        period: Duration,
    ) -> Result<(), TooManyTopics> {
        if let Some(search) = self.searches.get_mut(&topic) {
            search.period = period;
            search.due = search.due.min(now + period);
            return Ok(());
        }
        if self.searches.len() >= MAX_TOPICS {
            return Err(TooManyTopics);
        }
        self.radii.entry(topic.clone()).or_insert_with_key(|topic| Radius::new(now, topic));
        self.searches.insert(topic, Search { period, due: now, radius_lookups: MAX_RADIUS_LOOKUPS });
        Ok(())
    }

    pub(crate) fn stop_search(&mut self, topic: &Topic) {
        self.searches.remove(topic);
        self.queried.retain(|(_, queried), _| queried != topic);
        self.drop_unused(topic);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let collect = self.may_collect().then_some(self.collect_at);
        let search =
            self.may_search().then(|| self.searches.values().map(|search| search.due).min()).flatten();
        let ticket = self.tickets.values().map(|ticket| ticket.usable).min();
        [collect, search, ticket].into_iter().flatten().min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.use_tickets(now);
        if self.may_collect() && self.collect_at <= now {
            self.collect(now);
        }
        while self.may_search()
            && let Some(topic) =
                self.searches.iter().find(|(_, s)| s.due <= now).map(|(topic, _)| topic.clone())
        {
            self.search_once(now, topic);
        }
    }

    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The table has proven nodes: searches and registrations may start.
    pub(crate) fn table_ready(&mut self, now: Instant) {
        self.ready = true;
        self.collect_at = now + LOOKUP_PAUSE;
    }

    /// A lookup that this client asked for is over; `nodes` are the closest that answered or were named, closest first.
    pub(crate) fn lookup_finished(&mut self, now: Instant, id: LookupId, nodes: &[Node]) {
        let Some(lookup) = self.lookups.remove(&id) else { return };
        if lookup.purpose == Purpose::Register {
            self.collect_at = now + self.pause;
            self.pause = (self.pause * 2).min(MAX_LOOKUP_PAUSE);
        }
        let Some(radius) = self.radii.get_mut(&lookup.topic) else { return };
        radius.looked_up(now, &lookup.target);
        let mut asked = 0;
        for node in nodes.iter().filter(|node| node.id != self.local).copied().collect::<Vec<_>>() {
            let asks = match lookup.purpose {
                Purpose::Register => self.ask_for_ticket(now, &lookup, node),
                Purpose::Search => self.ask_for_nodes(now, &lookup, node),
            };
            asked += usize::from(asks);
            if asked >= MAX_ASKED {
                break;
            }
        }
    }

    /// A pong answered a ping that carried `topics`; `pong` is the raw packet. Tickets that nobody asked for are let go.
    pub(crate) fn ticket(&mut self, now: Instant, from: &Node, topics: &[Topic], waits: &[u32], pong: Bytes) {
        let Some(asked) = self.pinged.get_mut(&from.id).filter(|asked| asked.open) else { return };
        asked.open = false;
        let (topic, target) = (asked.topic.clone(), asked.target);
        for (topic, wait) in topics.iter().zip(waits) {
            if let Some(radius) = self.radii.get_mut(topic) {
                radius.sample_wait(now, &target.hash, &from.id, *wait);
            }
        }
        if target.bucket.is_some() {
            self.look_again_soon(now);
            return;
        }
        if self.tickets.contains_key(&from.id) || self.tickets.len() >= MAX_TICKETS {
            return;
        }
        let found = topics.iter().zip(waits).enumerate().find(|(_, (ticketed, _))| **ticketed == topic);
        let Some((index, (_, wait))) = found else { return };
        let Some(registration) = self.registrations.iter_mut().find(|r| r.topic == topic) else { return };
        let keep = KEEP_WAIT_S + KEEP_TAIL_S * exponential(&mut self.rng, MAX_KEEP_FACTOR);
        if f64::from(*wait) >= keep {
            return;
        }
        registration.collect.spend(now);
        let usable = now + Duration::from_secs(u64::from(*wait));
        self.tickets.insert(from.id, Ticket { topic, topics: topics.to_vec(), index, pong, usable });
        self.look_again_soon(now);
    }

    pub(crate) fn query_answered(&mut self, now: Instant, from: &Node, topic: &Topic, nodes: &[Node]) {
        let key = (from.id, topic.clone());
        if let Some(asked) = self.queried.get_mut(&key).filter(|asked| asked.open) {
            asked.open = false;
            let target = asked.target;
            if let Some(radius) = self.radii.get_mut(topic) {
                radius.sample_answer(now, &target.hash, &from.id, !nodes.is_empty());
            }
        }
    }

    pub(crate) fn query_failed(&mut self, now: Instant, from: &Node, topic: &Topic) {
        if let Some(asked) = self.queried.get_mut(&(from.id, topic.clone())) {
            asked.open = false;
            asked.again = now + QUERY_RETRY;
        }
    }

    /// The last lookup brought something; there may be more.
    fn look_again_soon(&mut self, now: Instant) {
        self.pause = LOOKUP_PAUSE;
        self.collect_at = self.collect_at.min(now + LOOKUP_PAUSE);
    }

    fn may_collect(&self) -> bool {
        let looking = || self.lookups.values().any(|lookup| lookup.purpose == Purpose::Register);
        self.ready && !self.registrations.is_empty() && !looking()
    }

    fn may_search(&self) -> bool {
        let looking = self.lookups.values().filter(|lookup| lookup.purpose == Purpose::Search).count();
        self.ready && looking < MAX_SEARCH_LOOKUPS
    }

    /// Looks up where the next topic in turn may be registered, or waits until one may be.
    fn collect(&mut self, now: Instant) {
        self.forget_old(now);
        let may = self.registrations.iter().position(|registration| registration.collect.next(now) <= now);
        let Some(place) = may else {
            let next = self.registrations.iter().map(|registration| registration.collect.next(now)).min();
            self.collect_at = next.map_or(now + IDLE_PAUSE, |next| next.min(now + IDLE_PAUSE));
            return;
        };
        self.registrations.rotate_left(place);
        let Some(mut registration) = self.registrations.pop_front() else { return };
        let topic = registration.topic.clone();
        self.look_up(now, topic, Purpose::Register, &mut registration.radius_lookups);
        self.registrations.push_back(registration);
    }

    fn search_once(&mut self, now: Instant, topic: Topic) {
        self.forget_old(now);
        let Some(search) = self.searches.get_mut(&topic) else { return };
        search.due = now + search.period;
        let mut radius_lookups = search.radius_lookups;
        self.look_up(now, topic.clone(), Purpose::Search, &mut radius_lookups);
        if let Some(search) = self.searches.get_mut(&topic) {
            search.radius_lookups = radius_lookups;
        }
    }

    fn look_up(&mut self, now: Instant, topic: Topic, purpose: Purpose, radius_lookups: &mut u8) {
        let Some(radius) = self.radii.get_mut(&topic) else { return };
        let target = radius.next_target(now, &mut self.rng, *radius_lookups >= MAX_RADIUS_LOOKUPS);
        *radius_lookups = if target.bucket.is_some() { *radius_lookups + 1 } else { 0 };
        self.lookup_count += 1;
        let id = LookupId(self.lookup_count);
        self.lookups.insert(id, Lookup { topic, target, purpose });
        self.actions.push_back(Action::Lookup { id, target: target.hash });
    }

    /// Pings `node` for a ticket: to learn about the radius once in its time constant, else when there is none from it.
    /// Whether it did.
    fn ask_for_ticket(&mut self, now: Instant, lookup: &Lookup, node: Node) -> bool {
        let needless = match lookup.target.bucket {
            Some(_) => self.pinged.get_mut(&node.id).is_some(),
            None => self.tickets.contains_key(&node.id),
        };
        if needless {
            return false;
        }
        let pinged = Pinged { topic: lookup.topic.clone(), target: lookup.target, open: true };
        self.pinged.insert(now, node.id, pinged);
        self.actions.push_back(Action::Ping { node });
        true
    }

    /// Asks `node` for nodes of the topic, unless it was asked lately. Whether it did.
    fn ask_for_nodes(&mut self, now: Instant, lookup: &Lookup, node: Node) -> bool {
        if !self.searches.contains_key(&lookup.topic) {
            return false;
        }
        let key = (node.id, lookup.topic.clone());
        if self.queried.get_mut(&key).is_some_and(|asked| asked.open || now < asked.again) {
            return false;
        }
        let queried = Queried { target: lookup.target, open: true, again: now + QUERY_INTERVAL };
        self.queried.insert(now, key, queried);
        self.actions.push_back(Action::Query { to: node, topic: lookup.topic.clone() });
        true
    }

    /// Uses what is due; drops what is due before its topic may be registered again.
    fn use_tickets(&mut self, now: Instant) {
        let mut due: Vec<(Instant, NodeId)> =
            self.tickets.iter().filter(|(_, t)| t.usable <= now).map(|(id, t)| (t.usable, *id)).collect();
        due.sort_unstable();
        for (_, to) in due {
            let Some(Ticket { topic, topics, index, pong, usable }) = self.tickets.remove(&to) else {
                continue;
            };
            let Some(registration) = self.registrations.iter_mut().find(|r| r.topic == topic) else {
                continue;
            };
            if registration.used.next(usable) <= usable {
                registration.used.spend(usable);
                self.actions.push_back(Action::Register { to, topics, index, pong });
            }
        }
    }

    fn forget_old(&mut self, now: Instant) {
        if let Some(than) = now.checked_sub(TIME_CONSTANT) {
            self.pinged.remove_older(than);
        }
        if let Some(than) = now.checked_sub(QUERY_INTERVAL) {
            self.queried.remove_older(than);
        }
    }

    /// Without a search or a registration nothing is to be known of a topic.
    fn drop_unused(&mut self, topic: &Topic) {
        if !self.searches.contains_key(topic) && !self.registered().any(|registered| registered == topic) {
            self.radii.remove(topic);
        }
    }
}

#[cfg(test)]
mod tests;

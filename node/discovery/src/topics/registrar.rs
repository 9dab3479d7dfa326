//! The registrar's side: who is listed under which topic, and the bookkeeping of used tickets.
//!
//! Must never hold more than its caps, whatever tickets come back: each list drops its oldest. Never checks a signature;
//! that a ticket is ours is the caller's check. Facts: `spec/devp2p.md` §6.7, §6.8.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    time::{Duration, Instant},
};

use enode::NodeId;
use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use super::{exponential, wait::WaitControl};
use crate::{Node, Topic};

/// Entries under one topic; the oldest makes room.
const MAX_ENTRIES_PER_TOPIC: usize = 50;
/// Entries in all; the oldest of the least recently requested topic makes room.
const MAX_ENTRIES: usize = 10_000;
/// Topics in all, those included that are empty and whose wait has not come down yet; the least recently requested
/// makes room. The reference has no such cap.
const MAX_TOPICS: usize = 10_000;
/// Senders whose used tickets are remembered; the one that may soonest register again makes room.
const MAX_SENDERS: usize = 10_000;
/// How long an entry is listed.
const ENTRY_LIFETIME: Duration = Duration::from_secs(3600);
/// At most this often everything is looked through for what has expired.
const COLLECT_INTERVAL: Duration = Duration::from_secs(60);
/// How much before its time a ticket may be used, seconds of the ticket clock.
const WINDOW_EARLY_S: u64 = 1;
/// How much after its time a ticket may be used, seconds of the ticket clock.
const WINDOW_LATE_S: u64 = 11;
/// Mean time after the use of a new ticket in which its sender may not use another new one.
const NO_REGISTRATION: Duration = Duration::from_secs(600);
/// Cap of the random factor of [`NO_REGISTRATION`].
const MAX_FACTOR: f64 = 100.0;

/// Why a registration was refused. No reply is sent; for logs and metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// The index names no topic of the ticket.
    #[error("the ticket has no such topic")]
    Index,
    /// The sender used a later ticket before.
    #[error("the sender used a later ticket before")]
    OldSerial,
    /// The sender used another ticket a short while ago.
    #[error("the sender used another ticket a short while ago")]
    NoRegistrationTime,
    /// Used too early.
    #[error("the ticket's wait period is not over")]
    TooEarly,
    /// Used too late.
    #[error("the ticket's time is over")]
    TooLate,
}

struct Entry {
    node: Node,
    expires: Instant,
}

#[derive(Default)]
struct Listed {
    /// In order of arrival.
    entries: VecDeque<Entry>,
    wait: WaitControl,
    /// Value of the request counter when it was last asked for, or made.
    requested: u64,
}

struct Sender {
    /// Serial of the last ticket used.
    used: u32,
    /// No other ticket before then.
    barred_until: Instant,
}

/// The registrar's side: entries per topic, wait periods, the bookkeeping of used tickets.
pub(crate) struct Registrar {
    rng: StdRng,
    topics: HashMap<Topic, Listed>,
    /// Least recently requested first.
    by_request: BTreeSet<(u64, Topic)>,
    requests: u64,
    /// A node is listed under one topic at a time.
    listed_under: HashMap<NodeId, Topic>,
    senders: HashMap<NodeId, Sender>,
    by_bar: BTreeSet<(Instant, NodeId)>,
    collected: Option<Instant>,
}

impl Registrar {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self {
            rng: StdRng::from_seed(seed),
            topics: HashMap::new(),
            by_request: BTreeSet::new(),
            requests: 0,
            listed_under: HashMap::new(),
            senders: HashMap::new(),
            by_bar: BTreeSet::new(),
            collected: None,
        }
    }

    /// The wait period of each of `topics`, seconds, for a pong.
    pub(crate) fn wait_periods(&mut self, now: Instant, topics: &[Topic]) -> Vec<u32> {
        self.collect(now);
        let wait = |topic: &Topic| {
            self.topics.get(topic).map_or(WaitControl::default().period_s(), |t| t.wait.period_s())
        };
        topics.iter().map(wait).collect()
    }

    /// Uses a ticket that the caller verified as ours: signature, topic hash, index < topics.len() and
    /// waits.len() == topics.len(). `now_s` is this node's ticket clock (whole seconds), `issued_s` the ticket's.
    ///
    /// # Errors
    /// The first of the acceptance rules of §6.7 that does not hold.
    #[expect(clippy::too_many_arguments, reason = "a ticket's fields, once")]
    pub(crate) fn register(
        &mut self,
        now: Instant,
        now_s: u64,
        sender: &Node,
        topics: &[Topic],
        index: usize,
        serial: u32,
        issued_s: u64,
        waits: &[u32],
    ) -> Result<(), Refused> {
        let (Some(topic), Some(wait)) = (topics.get(index), waits.get(index)) else {
            return Err(Refused::Index);
        };
        self.collect(now);
        self.use_serial(now, sender.id, serial)?;
        let due = issued_s.saturating_add(u64::from(*wait));
        if due.saturating_sub(now_s) > WINDOW_EARLY_S {
            return Err(Refused::TooEarly);
        }
        if now_s.saturating_sub(due) > WINDOW_LATE_S {
            return Err(Refused::TooLate);
        }
        self.list(now, topic, sender);
        Ok(())
    }

    /// The nodes listed under `topic`, in random order; the caller filters and cuts.
    pub(crate) fn entries(&mut self, now: Instant, topic: &Topic) -> Vec<Node> {
        self.collect(now);
        let Some(listed) = self.topics.get_mut(topic) else { return Vec::new() };
        self.by_request.remove(&(listed.requested, topic.clone()));
        self.requests += 1;
        listed.requested = self.requests;
        self.by_request.insert((listed.requested, topic.clone()));
        let live = listed.entries.iter().filter(|entry| entry.expires > now);
        let mut nodes: Vec<Node> = live.map(|entry| entry.node).collect();
        nodes.shuffle(&mut self.rng);
        nodes
    }

    /// The last serial that `sender` used, 0 if none is remembered: Core's counter of a node that it forgot goes on from
    /// there, so that a returning node's new tickets are never below its used ones.
    pub(crate) fn last_serial(&self, sender: &NodeId) -> u32 {
        self.senders.get(sender).map_or(0, |sender| sender.used)
    }

    /// How many (topics, entries) are held, for metrics.
    pub(crate) fn len(&self) -> (usize, usize) {
        (self.topics.len(), self.listed_under.len())
    }

    /// Serial rules; a new serial counts as used even when its ticket then turns out to be early or late.
    fn use_serial(&mut self, now: Instant, id: NodeId, serial: u32) -> Result<(), Refused> {
        if let Some(sender) = self.senders.get(&id) {
            if serial < sender.used {
                return Err(Refused::OldSerial);
            }
            if serial == sender.used {
                return Ok(());
            }
            if now < sender.barred_until {
                return Err(Refused::NoRegistrationTime);
            }
            self.by_bar.remove(&(sender.barred_until, id));
        } else if self.senders.len() >= MAX_SENDERS
            && let Some((_, soonest)) = self.by_bar.pop_first()
        {
            self.senders.remove(&soonest);
        }
        let barred_until = now + NO_REGISTRATION.mul_f64(exponential(&mut self.rng, MAX_FACTOR));
        self.senders.insert(id, Sender { used: serial, barred_until });
        self.by_bar.insert((barred_until, id));
        Ok(())
    }

    fn list(&mut self, now: Instant, topic: &Topic, node: &Node) {
        let expires = now + ENTRY_LIFETIME;
        let under = self.listed_under.get(&node.id).cloned();
        if under.as_ref() == Some(topic) {
            // Listed again: it lives longer but keeps its place, and does not make others wait.
            let entries = self.topics.get_mut(topic).map(|listed| &mut listed.entries);
            if let Some(entry) = entries.into_iter().flatten().find(|entry| entry.node.id == node.id) {
                *entry = Entry { node: *node, expires };
            }
            return;
        }
        if let Some(other) = under {
            self.unlist(now, &other, &node.id);
        }
        if self.topics.get(topic).is_some_and(|listed| listed.entries.len() >= MAX_ENTRIES_PER_TOPIC) {
            self.unlist_oldest(now, topic);
        }
        if self.listed_under.len() >= MAX_ENTRIES {
            let has_entries =
                |of: &&Topic| self.topics.get(*of).is_some_and(|listed| !listed.entries.is_empty());
            if let Some(least) = self.by_request.iter().map(|(_, of)| of).find(has_entries).cloned() {
                self.unlist_oldest(now, &least);
            }
        }
        if !self.topics.contains_key(topic) {
            if self.topics.len() >= MAX_TOPICS
                && let Some((_, least)) = self.by_request.first().cloned()
            {
                self.forget_topic(&least);
            }
            self.topics.insert(topic.clone(), Listed { requested: self.requests, ..Listed::default() });
            self.by_request.insert((self.requests, topic.clone()));
        }
        if let Some(listed) = self.topics.get_mut(topic) {
            listed.wait.registered(now);
            listed.entries.push_back(Entry { node: *node, expires });
            self.listed_under.insert(node.id, topic.clone());
        }
    }

    fn unlist_oldest(&mut self, now: Instant, topic: &Topic) {
        let oldest =
            self.topics.get(topic).and_then(|listed| listed.entries.front()).map(|entry| entry.node.id);
        if let Some(oldest) = oldest {
            self.unlist(now, topic, &oldest);
        }
    }

    fn unlist(&mut self, now: Instant, topic: &Topic, id: &NodeId) {
        self.listed_under.remove(id);
        if let Some(listed) = self.topics.get_mut(topic) {
            listed.entries.retain(|entry| entry.node.id != *id);
            if listed.entries.is_empty() && listed.wait.is_at_rest(now) {
                self.forget_topic(topic);
            }
        }
    }

    fn forget_topic(&mut self, topic: &Topic) {
        if let Some(listed) = self.topics.remove(topic) {
            self.by_request.remove(&(listed.requested, topic.clone()));
            for entry in listed.entries {
                self.listed_under.remove(&entry.node.id);
            }
        }
    }

    /// Forgets what has expired; does nothing when it did so a short while ago.
    pub(crate) fn collect(&mut self, now: Instant) {
        if self.collected.is_some_and(|last| now.saturating_duration_since(last) < COLLECT_INTERVAL) {
            return;
        }
        self.collected = Some(now);
        for listed in self.topics.values_mut() {
            let gone = listed.entries.iter().filter(|entry| entry.expires <= now);
            for entry in gone {
                self.listed_under.remove(&entry.node.id);
            }
            listed.entries.retain(|entry| entry.expires > now);
        }
        let done = |listed: &Listed| listed.entries.is_empty() && listed.wait.is_at_rest(now);
        let over: Vec<Topic> =
            self.topics.iter().filter(|(_, t)| done(t)).map(|(topic, _)| topic.clone()).collect();
        for topic in over {
            self.forget_topic(&topic);
        }
        let (senders, listed_under) = (&mut self.senders, &self.listed_under);
        self.by_bar.retain(|(until, id)| {
            let keep = *until > now || listed_under.contains_key(id);
            if !keep {
                senders.remove(id);
            }
            keep
        });
    }
}

#[cfg(test)]
mod tests;

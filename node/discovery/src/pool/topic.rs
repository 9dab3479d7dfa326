//! The nodes of one topic: pending, connected, cached, and how it is searched. Facts: `spec/devp2p.md` §4.3.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use enode::NodeId;

use super::{
    DIAL_PATIENCE, FAST_PERIOD, Limits, MAX_FAST, SLOW_PERIOD, STOP_DELAY, VALIDITY, WHISPERMAIL, Wanted,
};
use crate::Node;

/// Found, and not connected.
struct Pending {
    node: Node,
    seen: Instant,
    /// When it was given to the server; `None` waits in the queue.
    dialled: Option<Instant>,
}

struct Connected {
    node: Node,
    seen: Instant,
    /// One too many: the server was told to remove it.
    dismissed: bool,
}

#[derive(Default)]
struct Search {
    /// End of the fast mode; `None` in slow mode.
    fast_until: Option<Instant>,
    /// When it stops, once Max was reached.
    stop_at: Option<Instant>,
}

/// What became of a peer that came.
pub(super) struct Came {
    pub(super) is_too_many: bool,
}

/// What a peer was that left.
pub(super) struct Left {
    pub(super) was_dismissed: bool,
}

pub(super) struct TopicPool {
    pub(super) limits: Limits,
    /// Its peers are verified and let go (§4.5).
    pub(super) verifies: bool,
    /// Newest first.
    pub(super) cache: Vec<Node>,
    max_cached: usize,
    pending: BTreeMap<NodeId, Pending>,
    connected: BTreeMap<NodeId, Connected>,
    search: Option<Search>,
}

impl TopicPool {
    pub(super) fn new(wanted: Wanted) -> Self {
        let Wanted { topic, limits, mut cached } = wanted;
        cached.truncate(limits.max);
        Self {
            limits,
            verifies: topic.as_str() == WHISPERMAIL,
            cache: cached,
            max_cached: limits.max,
            pending: BTreeMap::new(),
            connected: BTreeMap::new(),
            search: None,
        }
    }

    /// (pending, connected).
    pub(super) fn len(&self) -> (usize, usize) {
        (self.pending.len(), self.kept())
    }

    pub(super) fn is_connected(&self, id: &NodeId) -> bool {
        self.connected.contains_key(id)
    }

    /// Whether this topic holds a peer at the server.
    pub(super) fn wants(&self, id: &NodeId) -> bool {
        let connected = self.connected.get(id).is_some_and(|connected| !connected.dismissed);
        connected || self.pending.get(id).is_some_and(|pending| pending.dialled.is_some())
    }

    /// Fewer than Min; of mailservers, not all verified.
    pub(super) fn lacks(&self) -> bool {
        self.kept() < self.limits.min
    }

    fn is_full(&self) -> bool {
        if self.verifies { self.limits.max == 0 } else { self.kept() >= self.limits.max }
    }

    /// Connected and not dismissed.
    fn kept(&self) -> usize {
        self.connected.values().filter(|connected| !connected.dismissed).count()
    }

    /// Remembers that a node was seen. When there is no room, the one of the queue that was seen longest ago makes some;
    /// if all are being dialled, the new one is let go.
    pub(super) fn found(&mut self, now: Instant, node: Node) {
        if let Some(connected) = self.connected.get_mut(&node.id) {
            connected.seen = now;
            return;
        }
        if let Some(pending) = self.pending.get_mut(&node.id) {
            pending.seen = now;
            if pending.dialled.is_none() {
                pending.node = node;
            }
            return;
        }
        let room = self.limits.max * 2;
        if self.pending.len() >= room {
            let queue = self.pending.iter().filter(|(_, pending)| pending.dialled.is_none());
            let Some(oldest) = queue.min_by_key(|(_, pending)| pending.seen).map(|(id, _)| *id) else {
                return;
            };
            self.pending.remove(&oldest);
        }
        if self.pending.len() < room {
            self.pending.insert(node.id, Pending { node, seen: now, dialled: None });
        }
    }

    /// Takes up to `most` nodes from the queue, last seen first, if fewer than Max are connected.
    pub(super) fn dial(&mut self, now: Instant, most: usize) -> Vec<Node> {
        if self.kept() >= self.limits.max {
            return Vec::new();
        }
        let fresh = |pending: &Pending| now.saturating_duration_since(pending.seen) < VALIDITY;
        let mut queue: Vec<&mut Pending> =
            self.pending.values_mut().filter(|pending| pending.dialled.is_none() && fresh(pending)).collect();
        queue.sort_by_key(|pending| std::cmp::Reverse(pending.seen));
        let next = queue.into_iter().take(most);
        next.map(|pending| {
            pending.dialled = Some(now);
            pending.node
        })
        .collect()
    }

    /// A peer came. `None` if it is not one that this topic dialled; then it need not be dialled any more.
    pub(super) fn connect(&mut self, id: NodeId) -> Option<Came> {
        let Pending { node, seen, dialled } = self.pending.remove(&id)?;
        dialled?;
        let is_too_many = self.kept() >= self.limits.max;
        if !is_too_many {
            self.cache(node);
        }
        self.connected.insert(id, Connected { node, seen, dismissed: is_too_many });
        Some(Came { is_too_many })
    }

    /// A peer left. `None` if it was not connected in this topic. One that was dismissed goes back to the queue.
    pub(super) fn disconnect(&mut self, id: &NodeId) -> Option<Left> {
        let Connected { node, seen, dismissed } = self.connected.remove(id)?;
        if dismissed {
            self.found(seen, node);
        }
        Some(Left { was_dismissed: dismissed })
    }

    /// Forgets a node; gives it if it was dialled for this topic.
    pub(super) fn take(&mut self, id: &NodeId) -> Option<Node> {
        let Pending { node, dialled, .. } = self.pending.remove(id)?;
        dialled.map(|_| node)
    }

    /// Takes out dialled nodes that did not come, and lets go of those in the queue that were not seen for an hour.
    pub(super) fn take_vanished(&mut self, now: Instant) -> Vec<NodeId> {
        let mut vanished = Vec::new();
        self.pending.retain(|id, pending| match pending.dialled {
            Some(since) if now.saturating_duration_since(since) >= DIAL_PATIENCE => {
                vanished.push(*id);
                false
            }
            Some(_) => true,
            None => now.saturating_duration_since(pending.seen) < VALIDITY,
        });
        vanished
    }

    pub(super) fn cache(&mut self, node: Node) {
        self.uncache(&node.id);
        self.cache.insert(0, node);
        self.cache.truncate(self.max_cached);
    }

    /// Whether it was there.
    pub(super) fn uncache(&mut self, id: &NodeId) -> bool {
        let before = self.cache.len();
        self.cache.retain(|node| node.id != *id);
        self.cache.len() < before
    }

    pub(super) fn is_searching(&self) -> bool {
        self.search.is_some()
    }

    /// A search begins fast.
    pub(super) fn start_search(&mut self, now: Instant) {
        self.search = Some(Search { fast_until: Some(now + MAX_FAST), stop_at: None });
    }

    /// Whether there was one.
    pub(super) fn stop_search(&mut self) -> bool {
        self.search.take().is_some()
    }

    /// Fast below Min, else slow; the new period if it changes.
    pub(super) fn set_mode(&mut self, now: Instant) -> Option<Duration> {
        let lacks = self.lacks();
        let search = self.search.as_mut()?;
        match (lacks, search.fast_until) {
            (true, None) => {
                search.fast_until = Some(now + MAX_FAST);
                Some(FAST_PERIOD)
            }
            (false, Some(_)) => {
                search.fast_until = None;
                Some(SLOW_PERIOD)
            }
            _ => None,
        }
    }

    /// Whether the fast mode ends now.
    pub(super) fn end_fast(&mut self, now: Instant) -> bool {
        let Some(search) = &mut self.search else { return false };
        let ends = search.fast_until.is_some_and(|until| until <= now);
        if ends {
            search.fast_until = None;
        }
        ends
    }

    /// Ends the search 10 s after Max was reached, or when a peer was `added` and as many are cached; whether it did.
    pub(super) fn stop_if_full(&mut self, now: Instant, added: bool) -> bool {
        let (full, cached) = (self.is_full(), added && !self.verifies && self.cache.len() >= self.limits.max);
        let Some(search) = &mut self.search else { return false };
        if full && search.stop_at.is_none() {
            search.stop_at = Some(now + STOP_DELAY);
        }
        let stops = cached || search.stop_at.is_some_and(|at| at <= now);
        if stops {
            self.search = None;
        }
        stops
    }

    pub(super) fn poll_timeout(&self, may_stop: bool) -> Option<Instant> {
        let pending = self.pending.values().map(|pending| match pending.dialled {
            Some(since) => since + DIAL_PATIENCE,
            None => pending.seen + VALIDITY,
        });
        let search = self.search.iter().flat_map(|search| {
            let stop = if may_stop { search.stop_at } else { None };
            search.fast_until.into_iter().chain(stop)
        });
        pending.chain(search).min()
    }
}

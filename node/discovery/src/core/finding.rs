//! Finds and their answers, and the lookups that are made of them. Facts: `spec/devp2p.md` §6.6, §6.3.

use std::time::Instant;

use enode::{NodeId, PublicKey};

use super::{Core, LookupKey, REPLY_TIMEOUT};
use crate::{
    Node, address,
    lookup::Lookup,
    nodes::Find,
    packet::{NEIGHBORS_PER_PACKET, Packet, WireNode},
    proof::State,
    table::BUCKET_SIZE,
    timers::Timer,
    topics::LookupId,
};

/// Lookups at a time: searches run at most five, registrations and the refresh one each.
const MAX_LOOKUPS: usize = 16;

/// What a lookup is for.
pub(super) enum Purpose {
    Refresh,
    Topic(LookupId),
}

pub(super) struct Running {
    lookup: Lookup,
    purpose: Purpose,
}

impl Core {
    /// Answers a find with the closest nodes of the table. The asker may be among them: in a network of two it is all
    /// there is to say, and no answer would count as a failure.
    pub(super) fn on_find(&mut self, now: Instant, sender: NodeId, target: &[u8; 32]) {
        let Some(to) = self.nodes.get(&sender).map(|entry| entry.node.socket()) else { return };
        let closest = self.table.closest(target);
        let nodes: Vec<WireNode> =
            closest.iter().filter_map(|id| self.nodes.get(id)).map(|entry| (&entry.node).into()).collect();
        let expiration = self.expiration(now);
        for nodes in nodes.chunks(NEIGHBORS_PER_PACKET) {
            self.send(to, &Packet::Neighbors { nodes: nodes.to_vec(), expiration });
        }
    }

    /// The first answer to our find; nodes that are new are pinged at once.
    pub(super) fn on_neighbors(&mut self, now: Instant, sender: NodeId, nodes: &[WireNode]) {
        let Some(entry) = self.nodes.get_mut(&sender) else { return };
        let Some(find) = entry.find.take() else {
            self.stats.unsolicited += 1;
            return;
        };
        entry.failures = 0;
        let by = entry.node;
        let nodes: Vec<Node> =
            nodes.iter().take(BUCKET_SIZE).filter_map(|node| self.named(now, &by, node)).collect();
        if let Some(running) = self.lookups.get_mut(&find.lookup) {
            running.lookup.answered(&sender, nodes);
            self.stirred.push_back(find.lookup);
        }
        self.start_find(now, &sender);
    }

    /// A node that `by` named, if it is usable (`spec/devp2p.md` §6.3). Of a proven one the proven endpoint counts.
    fn named(&mut self, now: Instant, by: &Node, named: &WireNode) -> Option<Node> {
        if named.udp <= address::LOW_PORT || named.tcp == 0 {
            return None;
        }
        let node = Node::new(PublicKey::from_bytes(named.key).ok()?, named.ip?, named.udp, named.tcp);
        if node.id == self.id {
            return None;
        }
        if let Some(entry) = self.nodes.get(&node.id) {
            if entry.state() != State::Unresponsive {
                return Some(entry.node);
            }
            if address::may_relay(by.ip, node.ip) {
                // It may have moved to where it is said to be; if it has not, it is asked once more.
                self.on_other_address(now, node.id, node.socket(), node.tcp);
                self.ping(now, &node.id);
            }
            return None;
        }
        (address::may_relay(by.ip, node.ip) && self.prove(now, &node)).then_some(node)
    }

    pub(super) fn on_find_timeout(&mut self, now: Instant, at: Instant, id: NodeId) {
        let Some(entry) = self.nodes.get_mut(&id) else { return };
        let Some(find) = entry.find.take_if(|find| find.deadline == at) else { return };
        self.stats.query_timeouts += 1;
        self.finds_failed(&id, [find.lookup]);
        self.count_failure(now, &id);
        self.start_find(now, &id);
    }

    /// Begins a lookup of `target`; false if too many run.
    pub(super) fn start_lookup(&mut self, target: [u8; 32], purpose: Purpose) -> bool {
        if self.lookups.len() >= MAX_LOOKUPS {
            return false;
        }
        let seeds = self.table.closest(&target);
        let seeds = seeds.iter().filter_map(|id| self.nodes.get(id)).map(|entry| entry.node);
        let lookup = Lookup::new(self.id, target, seeds);
        let key = LookupKey(self.next_lookup);
        self.next_lookup += 1;
        self.lookups.insert(key, Running { lookup, purpose });
        self.stirred.push_back(key);
        true
    }

    /// Asks the next nodes of a lookup, or ends it.
    pub(super) fn go_on(&mut self, now: Instant, key: LookupKey) {
        while let Some(node) = self.lookups.get_mut(&key).and_then(|running| running.lookup.next()) {
            let asked =
                self.prove(now, &node) && self.nodes.get_mut(&node.id).is_some_and(|entry| entry.queue(key));
            if asked {
                self.start_find(now, &node.id);
            } else if let Some(running) = self.lookups.get_mut(&key) {
                running.lookup.failed(&node.id);
            }
        }
        if !self.lookups.get(&key).is_some_and(|running| running.lookup.is_done()) {
            return;
        }
        let Some(Running { lookup, purpose }) = self.lookups.remove(&key) else { return };
        self.stats.lookups += 1;
        match purpose {
            Purpose::Refresh => self.refresh_finished(now),
            Purpose::Topic(id) => self.client.lookup_finished(now, id, &lookup.result()),
        }
    }

    /// Sends the next queued find to a node that is proven and answers none at the moment.
    pub(super) fn start_find(&mut self, now: Instant, id: &NodeId) {
        let expiration = self.expiration(now);
        while let Some(entry) = self.nodes.get_mut(id) {
            let to = entry.node.socket();
            let Some(key) = entry.next_queued() else { return };
            let Some(running) = self.lookups.get(&key) else { continue };
            let target = running.lookup.target();
            let deadline = now + REPLY_TIMEOUT;
            entry.find = Some(Find { lookup: key, deadline });
            self.timers.set(deadline, Timer::Find(*id));
            self.send(to, &Packet::FindNodeHash { target, expiration });
            return;
        }
    }

    /// These lookups get no answer from `id`.
    pub(super) fn finds_failed(&mut self, id: &NodeId, finds: impl IntoIterator<Item = LookupKey>) {
        for key in finds {
            if let Some(running) = self.lookups.get_mut(&key) {
                running.lookup.failed(id);
                self.stirred.push_back(key);
            }
        }
    }
}

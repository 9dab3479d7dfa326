//! The nodes that are remembered: endpoint, state of the proof, what is asked of them. Bounded.
//! Facts: `spec/devp2p.md` §6.3, §6.5.
//!
//! An endpoint counts only with its proof. A packet from another address than the proven one never moves it: the new
//! address is pinged, and when that is answered the node has moved. (In the original any packet moves a node, and as none
//! carries a time, whoever kept one could move others, or have answers sent to a victim.)

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, SocketAddr},
    time::Instant,
};

use enode::NodeId;

use crate::{Node, Topic, core::LookupKey, proof::State};

/// Nodes that are remembered at most.
pub(crate) const MAX_NODES: usize = 2048;
/// Finds that wait for their turn at one node.
const MAX_QUEUED: usize = 8;

/// A ping that is not answered yet.
pub(crate) struct Outstanding {
    pub(crate) hash: [u8; 32],
    pub(crate) to: SocketAddr,
    pub(crate) topics: Vec<Topic>,
    pub(crate) deadline: Instant,
}

/// A find that was sent.
pub(crate) struct Find {
    pub(crate) lookup: LookupKey,
    pub(crate) deadline: Instant,
}

pub(crate) struct Entry {
    pub(crate) node: Node,
    state: State,
    pub(crate) ping: Option<Outstanding>,
    /// Pings without an answer since the node was contested.
    pub(crate) attempts: u8,
    /// End of the wait for the other side's proof.
    pub(crate) wait: Option<Instant>,
    /// Another address that the node was heard from, with its TCP port: pinged when no ping is outstanding.
    pub(crate) candidate: Option<(SocketAddr, u16)>,
    pub(crate) find: Option<Find>,
    queue: VecDeque<LookupKey>,
    /// Failed queries in a row.
    pub(crate) failures: u32,
    /// Serial of the last ticket for this node.
    pub(crate) serial: u32,
    /// When it was heard last.
    pub(crate) heard: Instant,
}

impl Entry {
    pub(crate) fn new(node: Node, state: State, serial: u32, now: Instant) -> Self {
        Self {
            node,
            state,
            ping: None,
            attempts: 0,
            wait: None,
            candidate: None,
            find: None,
            queue: VecDeque::new(),
            failures: 0,
            serial,
            heard: now,
        }
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Whether it may query from `from`.
    pub(crate) fn is_proven_at(&self, from: SocketAddr) -> bool {
        self.state.may_query() && self.node.socket() == from
    }

    /// Whether it is proven and nothing is under way with it: it can be forgotten without anybody waiting for it.
    pub(crate) fn is_idle(&self) -> bool {
        self.state.may_query() && self.ping.is_none() && self.find.is_none() && self.queue.is_empty()
    }

    /// Queues a find; false if the queue is full.
    pub(crate) fn queue(&mut self, lookup: LookupKey) -> bool {
        let room = self.queue.len() < MAX_QUEUED;
        if room {
            self.queue.push_back(lookup);
        }
        room
    }

    /// The next find of the queue, if the node can be asked now.
    pub(crate) fn next_queued(&mut self) -> Option<LookupKey> {
        if self.state.may_query() && self.find.is_none() { self.queue.pop_front() } else { None }
    }

    /// Every find that waits for this node, sent or queued.
    pub(crate) fn take_finds(&mut self) -> Vec<LookupKey> {
        self.find.take().map(|find| find.lookup).into_iter().chain(self.queue.drain(..)).collect()
    }
}

/// All entries. State and address change only here, so that the proven addresses are always those of the entries.
#[derive(Default)]
pub(crate) struct Nodes {
    entries: HashMap<NodeId, Entry>,
    proven: HashMap<IpAddr, usize>,
}

impl Nodes {
    pub(crate) fn get(&self, id: &NodeId) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// For everything but state and address.
    pub(crate) fn get_mut(&mut self, id: &NodeId) -> Option<&mut Entry> {
        self.entries.get_mut(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Whether a node is proven at this address, on any port.
    pub(crate) fn is_proven(&self, ip: IpAddr) -> bool {
        self.proven.contains_key(&ip)
    }

    /// Puts a new entry in. At the limit one of those that `is_kept` does not hold makes room: the one that was silent
    /// for longest. Without such a one nothing happens and the result is false.
    pub(crate) fn insert(&mut self, entry: Entry, is_kept: impl Fn(&NodeId) -> bool) -> bool {
        if self.entries.len() >= MAX_NODES {
            let evicted = self
                .entries
                .iter()
                .filter(|(id, entry)| entry.is_idle() && !is_kept(id))
                .min_by_key(|(_, entry)| entry.heard)
                .map(|(id, _)| *id);
            let Some(evicted) = evicted else { return false };
            self.remove(&evicted);
        }
        self.count(&entry, true);
        self.entries.insert(entry.node.id, entry);
        true
    }

    pub(crate) fn remove(&mut self, id: &NodeId) -> Option<Entry> {
        let entry = self.entries.remove(id)?;
        self.count(&entry, false);
        Some(entry)
    }

    pub(crate) fn set_state(&mut self, id: &NodeId, state: State) {
        self.change(id, |entry| entry.state = state);
    }

    /// Sets the endpoint; TCP port 0 means the same as UDP.
    pub(crate) fn set_endpoint(&mut self, id: &NodeId, at: SocketAddr, tcp: u16) {
        self.change(id, |entry| {
            entry.node.ip = at.ip();
            entry.node.udp = at.port();
            entry.node.tcp = if tcp == 0 { at.port() } else { tcp };
        });
    }

    fn change(&mut self, id: &NodeId, change: impl FnOnce(&mut Entry)) {
        if let Some(mut entry) = self.remove(id) {
            change(&mut entry);
            self.count(&entry, true);
            self.entries.insert(*id, entry);
        }
    }

    fn count(&mut self, entry: &Entry, more: bool) {
        if !entry.state.may_query() {
            return;
        }
        let count = self.proven.entry(entry.node.ip).or_default();
        *count = if more { *count + 1 } else { count.saturating_sub(1) };
        if *count == 0 {
            self.proven.remove(&entry.node.ip);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn node(n: usize) -> Node {
        let key = enode::NodeKey::from_bytes(&[1; 32]).unwrap().public_key();
        let mut id = [0; 32];
        id[..8].copy_from_slice(&n.to_be_bytes());
        Node { key, id: NodeId(id), ip: [10, 0, 0, 1].into(), udp: 30303, tcp: 30303 }
    }

    #[test]
    fn at_the_limit_the_longest_silent_proven_node_outside_the_table_goes() {
        let now = Instant::now();
        let mut nodes = Nodes::default();
        for n in 0..MAX_NODES {
            let state = if n == 0 { State::VerifyWait } else { State::Known };
            let heard = now + Duration::from_secs(n as u64);
            assert!(nodes.insert(Entry::new(node(n), state, 0, heard), |_| false));
        }
        let kept = |id: &NodeId| *id == node(1).id;
        assert!(nodes.insert(Entry::new(node(MAX_NODES), State::VerifyWait, 0, now), kept));
        assert_eq!(nodes.len(), MAX_NODES);
        assert!(nodes.get(&node(0).id).is_some() && nodes.get(&node(1).id).is_some());
        assert!(nodes.get(&node(2).id).is_none());
        assert!(!nodes.insert(Entry::new(node(9999), State::VerifyWait, 0, now), |_| true));
        assert_eq!(nodes.len(), MAX_NODES);
    }

    #[test]
    fn an_address_is_proven_as_long_as_one_node_is_proven_there() {
        let now = Instant::now();
        let mut nodes = Nodes::default();
        let [here, there] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
        for n in [1, 2] {
            nodes.insert(Entry::new(node(n), State::VerifyInit, 0, now), |_| false);
            assert!(!nodes.is_proven(here) || n == 2);
            nodes.set_state(&node(n).id, State::Known);
            assert!(nodes.is_proven(here));
        }
        nodes.set_endpoint(&node(1).id, SocketAddr::new(there, 5), 0);
        assert!(nodes.is_proven(here) && nodes.is_proven(there));
        nodes.remove(&node(2).id);
        assert!(!nodes.is_proven(here) && nodes.is_proven(there));
        nodes.set_state(&node(1).id, State::Unresponsive);
        assert!(nodes.is_proven(there));
        nodes.remove(&node(1).id);
        assert!(nodes.proven.is_empty());
    }

    #[test]
    fn few_finds_wait_for_one_node() {
        let mut entry = Entry::new(node(1), State::VerifyInit, 0, Instant::now());
        for n in 0..MAX_QUEUED {
            assert!(entry.queue(LookupKey(n as u64)));
        }
        assert!(!entry.queue(LookupKey(99)));
        assert_eq!(entry.next_queued(), None, "it is not proven");
        entry.state = State::Known;
        assert_eq!(entry.next_queued(), Some(LookupKey(0)));
        entry.find = Some(Find { lookup: LookupKey(0), deadline: Instant::now() });
        assert_eq!(entry.next_queued(), None, "one is outstanding");
        assert_eq!(entry.take_finds().len(), MAX_QUEUED);
    }
}

//! One lookup: asks the closest nodes it knows for closer ones until the closest 16 have answered. Pure.
//! Facts: `spec/devp2p.md` §6.6, §6.4.
//!
//! A node that does not answer leaves the result, so that the next closest takes its place: nodes vanish.

use std::collections::HashSet;

use enode::NodeId;

use crate::{
    Node,
    table::{BUCKET_SIZE, distance},
};

/// Nodes that one lookup asks at a time.
const ALPHA: usize = 3;
/// Nodes that one lookup asks in all: hostile nodes could name closer ones for ever.
const MAX_ASKED: usize = 64;
/// Candidates that are kept: the result, and who takes the place of those that do not answer.
const CANDIDATES: usize = 2 * BUCKET_SIZE;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    New,
    Asked,
    Answered,
}

struct Candidate {
    distance: [u8; 32],
    node: Node,
    progress: Progress,
}

pub(crate) struct Lookup {
    target: [u8; 32],
    /// Closest first.
    candidates: Vec<Candidate>,
    seen: HashSet<NodeId>,
    asking: usize,
    asked: usize,
}

impl Lookup {
    /// A lookup of `target` by the node `local`, which knows the nodes `seeds`.
    pub(crate) fn new(local: NodeId, target: [u8; 32], seeds: impl IntoIterator<Item = Node>) -> Self {
        let seen = HashSet::from([local]);
        let mut lookup = Self { target, candidates: Vec::new(), seen, asking: 0, asked: 0 };
        lookup.learn(seeds);
        lookup
    }

    pub(crate) fn target(&self) -> [u8; 32] {
        self.target
    }

    fn learn(&mut self, nodes: impl IntoIterator<Item = Node>) {
        for node in nodes.into_iter().take(BUCKET_SIZE) {
            if !self.seen.insert(node.id) {
                continue;
            }
            let distance = distance(&node.id.0, &self.target);
            let at = self.candidates.partition_point(|candidate| candidate.distance < distance);
            self.candidates.insert(at, Candidate { distance, node, progress: Progress::New });
        }
        // One that is being asked stays, to be found when it answers; there are few.
        let mut kept = 0;
        self.candidates.retain(|candidate| {
            kept += 1;
            kept <= CANDIDATES || candidate.progress == Progress::Asked
        });
    }

    /// The next node to ask now.
    pub(crate) fn next(&mut self) -> Option<Node> {
        if self.asking >= ALPHA || self.asked >= MAX_ASKED {
            return None;
        }
        let candidate = self.candidates.iter_mut().take(BUCKET_SIZE).find(|c| c.progress == Progress::New)?;
        candidate.progress = Progress::Asked;
        self.asking += 1;
        self.asked += 1;
        Some(candidate.node)
    }

    /// `from` named these nodes.
    pub(crate) fn answered(&mut self, from: &NodeId, nodes: impl IntoIterator<Item = Node>) {
        if let Some(at) = self.asked_at(from) {
            self.candidates[at].progress = Progress::Answered;
            self.asking -= 1;
            self.learn(nodes);
        }
    }

    /// `from` did not answer.
    pub(crate) fn failed(&mut self, from: &NodeId) {
        if let Some(at) = self.asked_at(from) {
            self.candidates.remove(at);
            self.asking -= 1;
        }
    }

    fn asked_at(&self, id: &NodeId) -> Option<usize> {
        self.candidates.iter().position(|c| c.node.id == *id && c.progress == Progress::Asked)
    }

    /// Whether nobody is being asked and nobody is left to ask.
    pub(crate) fn is_done(&self) -> bool {
        let left = self.candidates.iter().take(BUCKET_SIZE).any(|c| c.progress == Progress::New);
        self.asking == 0 && (!left || self.asked >= MAX_ASKED)
    }

    /// The closest nodes, closest first: those that answered, and after [`MAX_ASKED`] also such that were only named.
    pub(crate) fn result(&self) -> Vec<Node> {
        self.candidates.iter().take(BUCKET_SIZE).map(|candidate| candidate.node).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(n: u8) -> Node {
        let mut key = [1; 32];
        key[31] = n;
        let key = enode::NodeKey::from_bytes(&key).unwrap().public_key();
        let mut id = [0; 32];
        id[0] = n;
        Node { key, id: NodeId(id), ip: [127, 0, 0, 1].into(), udp: 1, tcp: 1 }
    }

    const LOCAL: NodeId = NodeId([0xff; 32]);

    fn ids(nodes: &[Node]) -> Vec<u8> {
        nodes.iter().map(|node| node.id.0[0]).collect()
    }

    #[test]
    fn asks_three_at_a_time_the_closest_first() {
        let mut lookup = Lookup::new(LOCAL, [0; 32], [5, 9, 3, 7].map(node));
        let asked: Vec<Node> = std::iter::from_fn(|| lookup.next()).collect();
        assert_eq!(ids(&asked), [3, 5, 7]);
        lookup.answered(&node(5).id, [node(1)]);
        assert_eq!(ids(&std::iter::from_fn(|| lookup.next()).collect::<Vec<_>>()), [1]);
        lookup.failed(&node(3).id);
        assert_eq!(ids(&std::iter::from_fn(|| lookup.next()).collect::<Vec<_>>()), [9]);
        for n in [7, 1, 9] {
            assert!(!lookup.is_done());
            lookup.answered(&node(n).id, [node(3)]);
        }
        assert!(lookup.is_done());
        assert_eq!(ids(&lookup.result()), [1, 5, 7, 9], "3 did not answer");
    }

    #[test]
    fn ends_when_the_closest_16_have_answered() {
        let mut lookup = Lookup::new(LOCAL, [0; 32], (20..36).map(node));
        let mut asked = Vec::new();
        while !lookup.is_done() {
            let next = lookup.next().unwrap();
            asked.push(next.id.0[0]);
            let closer = if next.id.0[0] == 20 { 1..11 } else { 40..50 };
            lookup.answered(&next.id, closer.map(node));
        }
        assert_eq!(asked.len(), 16, "20, the ten it named, and 21 to 25: {asked:?}");
        assert_eq!(ids(&lookup.result()), (1..11).chain(20..26).collect::<Vec<_>>());
    }

    #[test]
    fn the_local_node_is_no_candidate() {
        let mut lookup = Lookup::new(node(4).id, [0; 32], [node(4)]);
        assert!(lookup.next().is_none() && lookup.is_done() && lookup.result().is_empty());
    }

    #[test]
    fn nodes_that_name_ever_closer_ones_are_cut_off() {
        let mut lookup = Lookup::new(LOCAL, [0; 32], [node(255)]);
        let mut asked = 0;
        while let Some(next) = lookup.next() {
            asked += 1;
            lookup.answered(&next.id, [node(next.id.0[0] - 1)]);
        }
        assert_eq!(asked, MAX_ASKED);
        assert!(lookup.is_done());
        let mut lookup = Lookup::new(LOCAL, [0; 32], [node(255)]);
        lookup.next();
        lookup.answered(&node(255).id, (1..200).map(node));
        assert_eq!(lookup.candidates.len(), 1 + BUCKET_SIZE, "no more than a bucket from one answer");
    }

    #[test]
    fn answers_that_were_not_asked_for_change_nothing() {
        let mut lookup = Lookup::new(LOCAL, [0; 32], [node(5)]);
        lookup.answered(&node(5).id, [node(1)]);
        lookup.failed(&node(5).id);
        assert_eq!(ids(&lookup.result()), [5]);
    }
}

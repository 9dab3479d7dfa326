//! Who wants a topic. Sets of up to 256 topics are indexed by topic; larger ones stay sorted arrays that are searched;
//! filters are columns of a matrix. Peers that want everything are not here: they have a cursor.

use std::collections::HashMap;

use waku_wire::{Bloom, PeerInterest, Topic};

use crate::matrix::BloomMatrix;

/// The largest set that is indexed topic by topic.
const SMALL_SET: usize = 256;

/// Where a peer's interest is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nowhere: it wants everything.
    Full,
    /// Under each of its topics.
    Topics,
    /// Among the sorted arrays.
    Large,
    /// In this column of the matrix.
    Column(u32),
}

#[derive(Debug)]
pub(crate) struct InterestIndex {
    by_topic: HashMap<Topic, Vec<u32>>,
    large: HashMap<u32, Box<[Topic]>>,
    filters: BloomMatrix,
    entries: usize,
    max_entries: usize,
}

impl InterestIndex {
    /// `max_entries`: topics that large sets may hold together with all others.
    pub(crate) fn new(max_entries: usize) -> Self {
        Self {
            by_topic: HashMap::new(),
            large: HashMap::new(),
            filters: BloomMatrix::default(),
            entries: 0,
            max_entries,
        }
    }

    /// What of `interest` can be kept exactly: a large set that would exceed the entry cap becomes the filter of its
    /// topics, which costs 64 bytes and makes the peer get some more than it wants.
    pub(crate) fn fit(&self, interest: PeerInterest) -> PeerInterest {
        match interest {
            PeerInterest::Topics(topics)
                if topics.len() > SMALL_SET && self.entries + topics.len() > self.max_entries =>
            {
                PeerInterest::bloom(Bloom::of_topics(topics.iter().copied()))
            }
            other => other,
        }
    }

    pub(crate) fn insert(&mut self, slot: u32, interest: &PeerInterest) -> Place {
        match interest {
            PeerInterest::Full => Place::Full,
            PeerInterest::Topics(topics) if topics.len() <= SMALL_SET => {
                for topic in topics {
                    self.by_topic.entry(*topic).or_default().push(slot);
                }
                self.entries += topics.len();
                Place::Topics
            }
            PeerInterest::Topics(topics) => {
                self.entries += topics.len();
                self.large.insert(slot, topics.clone());
                Place::Large
            }
            PeerInterest::Bloom(bloom) => Place::Column(self.filters.insert(slot, bloom)),
        }
    }

    pub(crate) fn remove(&mut self, slot: u32, place: Place, interest: &PeerInterest) {
        match (place, interest) {
            (Place::Topics, PeerInterest::Topics(topics)) => {
                for topic in topics {
                    if let Some(slots) = self.by_topic.get_mut(topic) {
                        slots.retain(|other| *other != slot);
                        if slots.is_empty() {
                            self.by_topic.remove(topic);
                        }
                    }
                }
                self.entries -= topics.len();
            }
            (Place::Large, _) => {
                self.entries -= self.large.remove(&slot).map_or(0, |topics| topics.len());
            }
            (Place::Column(column), _) => self.filters.remove(column),
            (Place::Full | Place::Topics, _) => {}
        }
    }

    /// Calls `found` once with the slot of each peer that wants `topic` and is not a full one.
    pub(crate) fn matching(&self, topic: Topic, mut found: impl FnMut(u32)) {
        for slot in self.by_topic.get(&topic).into_iter().flatten() {
            found(*slot);
        }
        for (slot, topics) in &self.large {
            if topics.binary_search(&topic).is_ok() {
                found(*slot);
            }
        }
        self.filters.matching(topic, found);
    }

    /// Topics kept for all peers together.
    pub(crate) fn entries(&self) -> usize {
        self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(range: std::ops::Range<u32>) -> PeerInterest {
        PeerInterest::topics(range.map(|n| Topic(n.to_be_bytes())).collect())
    }

    fn found(index: &InterestIndex, n: u32) -> Vec<u32> {
        let mut slots = Vec::new();
        index.matching(Topic(n.to_be_bytes()), |slot| slots.push(slot));
        slots.sort_unstable();
        slots
    }

    #[test]
    fn all_three_places_and_removal() {
        let mut index = InterestIndex::new(10_000);
        let bloom = PeerInterest::bloom(Bloom::of_topic(Topic(0x1122_3300u32.to_be_bytes())));
        let interests =
            [topics(0..10), topics(5..300), bloom, PeerInterest::Full, topics(0..0), topics(5..6)];
        let places: Vec<Place> =
            interests.iter().zip(0..).map(|(interest, slot)| index.insert(slot, interest)).collect();
        assert_eq!(
            places,
            [Place::Topics, Place::Large, Place::Column(0), Place::Full, Place::Topics, Place::Topics]
        );
        assert_eq!(index.entries(), 10 + 295 + 1);
        assert_eq!(found(&index, 5), [0, 1, 5]);
        assert_eq!(found(&index, 0), [0]);
        assert_eq!(found(&index, 0x1122_3300), [2]);
        for ((slot, place), interest) in (0..).zip(places).zip(&interests) {
            index.remove(slot, place, interest);
        }
        assert!(found(&index, 5).is_empty() && found(&index, 0x1122_3300).is_empty());
        assert_eq!(index.entries(), 0);
        assert!(index.by_topic.is_empty());
    }

    #[test]
    fn beyond_the_entry_cap_a_large_set_becomes_a_filter_and_a_small_one_stays() {
        let mut index = InterestIndex::new(500);
        let first = index.fit(topics(0..400));
        assert_eq!(first, topics(0..400));
        index.insert(0, &first);
        let second = index.fit(topics(1000..1300));
        let PeerInterest::Bloom(bloom) = &second else { panic!("a filter: {second:?}") };
        assert!((1000..1300u32).all(|n| bloom.matches(Topic(n.to_be_bytes()))));
        assert_eq!(index.fit(topics(0..256)), topics(0..256));
    }
}

//! The table of proven nodes by distance: 257 buckets of 16 nodes and 16 replacements. Pure; it knows ids only.
//! Facts: `spec/devp2p.md` §6.4, §6.5.

use std::collections::VecDeque;

use enode::NodeId;
use rand::Rng;

/// Nodes in a bucket, results of a lookup, nodes in all neighbors packets of an answer.
pub(crate) const BUCKET_SIZE: usize = 16;
/// Nodes that wait for a place in a full bucket.
const REPLACEMENTS: usize = 16;
const BUCKETS: usize = 257;

#[derive(Default)]
struct Bucket {
    /// The most recently proven first.
    entries: VecDeque<NodeId>,
    /// The newest last.
    replacements: VecDeque<NodeId>,
}

pub(crate) struct Table {
    local: NodeId,
    buckets: Vec<Bucket>,
    len: usize,
}

/// `a XOR b`: compares as a distance does.
pub(crate) fn distance(a: &[u8; 32], b: &[u8; 32]) -> [u8; 32] {
    std::array::from_fn(|i| a[i] ^ b[i])
}

/// The bit length of the distance, 0 to 256.
fn log_distance(a: &NodeId, b: &NodeId) -> usize {
    let distance = distance(&a.0, &b.0);
    let Some(first) = distance.iter().position(|byte| *byte != 0) else { return 0 };
    (32 - first) * 8 - distance[first].leading_zeros() as usize
}

impl Table {
    pub(crate) fn new(local: NodeId) -> Self {
        Self { local, buckets: std::iter::repeat_with(Bucket::default).take(BUCKETS).collect(), len: 0 }
    }

    fn bucket(&mut self, id: &NodeId) -> &mut Bucket {
        let index = log_distance(&self.local, id);
        &mut self.buckets[index]
    }

    /// Nodes in buckets; replacements do not count.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether the node is in a bucket or waits for a place in one.
    pub(crate) fn holds(&self, id: &NodeId) -> bool {
        let bucket = &self.buckets[log_distance(&self.local, id)];
        bucket.entries.contains(id) || bucket.replacements.contains(id)
    }

    /// Puts a proven node in front of its bucket. In a full bucket it becomes a replacement, and the last entry is
    /// returned: it has to prove itself again.
    pub(crate) fn add(&mut self, id: NodeId) -> Option<NodeId> {
        if id == self.local {
            return None;
        }
        let bucket = self.bucket(&id);
        if let Some(at) = bucket.entries.iter().position(|entry| *entry == id) {
            bucket.entries.remove(at);
            bucket.entries.push_front(id);
            return None;
        }
        bucket.replacements.retain(|waiting| *waiting != id);
        if bucket.entries.len() < BUCKET_SIZE {
            bucket.entries.push_front(id);
            self.len += 1;
            return None;
        }
        bucket.replacements.push_back(id);
        if bucket.replacements.len() > REPLACEMENTS {
            bucket.replacements.pop_front();
        }
        bucket.entries.back().copied()
    }

    /// Takes the node out; its place goes to the newest replacement.
    pub(crate) fn remove(&mut self, id: &NodeId) {
        let bucket = self.bucket(id);
        bucket.replacements.retain(|waiting| waiting != id);
        let Some(at) = bucket.entries.iter().position(|entry| entry == id) else { return };
        bucket.entries.remove(at);
        match bucket.replacements.pop_back() {
            Some(next) => bucket.entries.push_back(next),
            None => self.len -= 1,
        }
    }

    /// The nodes in buckets.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &NodeId> {
        self.buckets.iter().flat_map(|bucket| &bucket.entries)
    }

    /// The [`BUCKET_SIZE`] nodes closest to `target`, closest first.
    pub(crate) fn closest(&self, target: &[u8; 32]) -> Vec<NodeId> {
        let mut all: Vec<NodeId> = self.iter().copied().collect();
        let by_distance = |id: &NodeId| distance(&id.0, target);
        if all.len() > BUCKET_SIZE {
            all.select_nth_unstable_by_key(BUCKET_SIZE, by_distance);
            all.truncate(BUCKET_SIZE);
        }
        all.sort_unstable_by_key(by_distance);
        all
    }

    /// A random target that is nearer to this node than a random one of the table.
    pub(crate) fn refresh_target(&self, rng: &mut impl Rng) -> [u8; 32] {
        let prefix = |id: &NodeId| u64::from_be_bytes(std::array::from_fn(|i| id.0[i]));
        let local = prefix(&self.local);
        let bound = self
            .iter()
            .nth(rng.random_range(0..=self.len))
            .map_or(u64::MAX, |id| (prefix(id) ^ local).max(1));
        let mut target: [u8; 32] = rng.random();
        target[..8].copy_from_slice(&(local ^ rng.random_range(0..bound)).to_be_bytes());
        target
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    const LOCAL: NodeId = NodeId([0; 32]);

    fn id(first: u8, last: u8) -> NodeId {
        let mut id = [0; 32];
        id[0] = first;
        id[31] = last;
        NodeId(id)
    }

    fn entries(table: &Table) -> Vec<u8> {
        table.iter().map(|id| id.0[31]).collect()
    }

    /// `spec/devp2p.md` §6.4 and the note under the keys of §11: A and B are 256 apart.
    #[test]
    fn section_6_4_bucket_index() {
        for (a, b, want) in [
            (id(0, 0), id(0, 0), 0),
            (id(0, 0), id(0, 1), 1),
            (id(0, 3), id(0, 1), 2),
            (id(0, 0), id(0, 255), 8),
            (id(0x80, 0), id(0, 0), 256),
            (id(0x7f, 0), id(0, 0), 255),
        ] {
            assert_eq!(log_distance(&a, &b), want, "{a} {b}");
        }
        let a: NodeId = "6469cc2093f39e9117071e660d3ab14bbad3d99f4203bd7a11acb94882050e7e".parse().unwrap();
        let b: NodeId = "a448f24c6d18e575453db13171562b71999873db5b286df957af199ec94617f7".parse().unwrap();
        assert_eq!(log_distance(&a, &b), 256);
    }

    /// `spec/devp2p.md` §6.5, "known": in front of the bucket; if it is full, a replacement, and the last is contested.
    #[test]
    fn section_6_5_a_full_bucket_contests_its_last_entry() {
        let mut table = Table::new(LOCAL);
        for n in 0..16 {
            assert_eq!(table.add(id(0x80, n)), None);
        }
        assert_eq!(entries(&table), (0..16).rev().collect::<Vec<_>>());
        assert_eq!(table.add(id(0x80, 0)), None, "an entry is moved to the front");
        assert_eq!(entries(&table)[0], 0);
        assert_eq!(table.add(id(0x80, 16)), Some(id(0x80, 1)));
        assert_eq!(
            (table.len(), entries(&table).contains(&16), table.holds(&id(0x80, 16))),
            (16, false, true)
        );
        assert_eq!(table.add(id(0x40, 1)), None, "another bucket has room");
    }

    /// `spec/devp2p.md` §6.4: 16 replacements, the newest kept, refilled from the newest.
    #[test]
    fn section_6_4_replacements() {
        let mut table = Table::new(LOCAL);
        for n in 0..36 {
            table.add(id(0x80, n));
        }
        assert_eq!(table.len(), 16);
        assert!(!table.holds(&id(0x80, 19)) && table.holds(&id(0x80, 20)));
        table.remove(&id(0x80, 0));
        assert!(entries(&table).contains(&35) && !table.holds(&id(0x80, 0)));
        table.remove(&id(0x80, 34));
        table.remove(&id(0x80, 1));
        assert!(entries(&table).contains(&33) && !table.holds(&id(0x80, 34)));
        for n in 2..16 {
            table.remove(&id(0x80, n));
        }
        assert_eq!(table.len(), 15, "13 of 14 places were refilled");
        for n in entries(&table) {
            table.remove(&id(0x80, n));
        }
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn the_local_node_is_never_in() {
        let mut table = Table::new(LOCAL);
        assert_eq!(table.add(LOCAL), None);
        assert_eq!((table.len(), table.holds(&LOCAL)), (0, false));
    }

    #[test]
    fn the_closest_are_the_closest_of_all() {
        let mut table = Table::new(LOCAL);
        for first in [0x80, 0x40, 0x20, 0x10] {
            for n in 1..=10 {
                table.add(id(first, n));
            }
        }
        let target = id(0x40, 3).0;
        let mut all: Vec<NodeId> = table.iter().copied().collect();
        all.sort_by_key(|id| distance(&id.0, &target));
        assert_eq!(table.closest(&target), all[..16]);
        assert_eq!(all[0], id(0x40, 3));
    }

    /// `spec/devp2p.md` §6.4, bucket refresh.
    #[test]
    fn section_6_4_refresh_targets_are_nearer_than_a_node() {
        let mut rng = StdRng::from_seed([1; 32]);
        let mut table = Table::new(LOCAL);
        assert_ne!(table.refresh_target(&mut rng), table.refresh_target(&mut rng));
        table.add(id(0x01, 0));
        let near = (0..1000).filter(|_| table.refresh_target(&mut rng)[0] == 0).count();
        assert!((400..600).contains(&near), "half of them are bound by the one node: {near}");
        table.add(id(0x00, 1));
        table.refresh_target(&mut rng);
    }
}

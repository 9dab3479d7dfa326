//! Which envelopes were taken in: 16 bytes of hash each, until 21 s after expiry, also when the envelope itself was
//! evicted earlier (`spec/waku-mailserver.md` §2.8).

use std::collections::{BTreeMap, HashMap};

use crate::admission::VERY_OLD_AFTER;

/// The first half of an envelope hash.
pub(crate) type ShortHash = [u8; 16];

#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// Its pool entry; `None` once it is not pooled any more.
    pub(crate) entry: Option<u32>,
    /// Whether the archive confirmed it.
    pub(crate) archived: bool,
}

#[derive(Debug)]
pub(crate) struct SeenSet {
    hashes: HashMap<ShortHash, Seen>,
    /// Those not pooled any more, by expiry.
    gone: BTreeMap<u32, Vec<ShortHash>>,
    gone_count: usize,
    max_gone: usize,
}

impl SeenSet {
    /// `max_gone`: most hashes kept of envelopes that are not pooled any more; beyond it the first to expire go.
    pub(crate) fn new(max_gone: usize) -> Self {
        Self { hashes: HashMap::new(), gone: BTreeMap::new(), gone_count: 0, max_gone }
    }

    pub(crate) fn get(&self, hash: &ShortHash) -> Option<Seen> {
        self.hashes.get(hash).copied()
    }

    pub(crate) fn insert(&mut self, hash: ShortHash, entry: u32) {
        self.hashes.insert(hash, Seen { entry: Some(entry), archived: false });
    }

    /// The envelope was taken in, but not into the pool.
    pub(crate) fn insert_gone(&mut self, hash: ShortHash, expiry: u32) {
        self.hashes.insert(hash, Seen { entry: None, archived: false });
        self.set_gone(hash, expiry);
    }

    pub(crate) fn set_archived(&mut self, hash: &ShortHash) {
        if let Some(seen) = self.hashes.get_mut(hash) {
            seen.archived = true;
        }
    }

    /// The envelope left the pool.
    pub(crate) fn set_gone(&mut self, hash: ShortHash, expiry: u32) {
        if let Some(seen) = self.hashes.get_mut(&hash) {
            seen.entry = None;
            self.gone.entry(expiry).or_default().push(hash);
            self.gone_count += 1;
        }
        if self.gone_count > self.max_gone
            && let Some(mut first) = self.gone.first_entry()
        {
            if let Some(hash) = first.get_mut().pop() {
                self.hashes.remove(&hash);
                self.gone_count -= 1;
            }
            if first.get().is_empty() {
                first.remove();
            }
        }
    }

    /// Forgets what expired more than 21 s before `now`, at most `most`. How many.
    pub(crate) fn expire(&mut self, now: u32, most: usize) -> usize {
        let mut count = 0;
        while count < most
            && let Some(mut first) = self.gone.first_entry()
            && first.key().saturating_add(VERY_OLD_AFTER) < now
        {
            match first.get_mut().pop() {
                Some(hash) => {
                    self.hashes.remove(&hash);
                    self.gone_count -= 1;
                    count += 1;
                }
                None => drop(first.remove()),
            }
        }
        if self.hashes.is_empty() {
            self.hashes.shrink_to(0);
        }
        count
    }

    pub(crate) fn len(&self) -> usize {
        self.hashes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u8) -> ShortHash {
        [n; 16]
    }

    #[test]
    fn section_2_8_kept_for_21_seconds_after_expiry_also_when_evicted() {
        let mut seen = SeenSet::new(10);
        seen.insert(hash(1), 0);
        seen.set_archived(&hash(1));
        seen.set_gone(hash(1), 100);
        seen.expire(121, 10);
        let kept = seen.get(&hash(1)).expect("kept");
        assert!(kept.archived && kept.entry.is_none());
        assert_eq!(seen.expire(122, 10), 1);
        assert!(seen.get(&hash(1)).is_none());
        assert_eq!((seen.len(), seen.gone_count), (0, 0));
    }

    #[test]
    fn beyond_its_cap_it_forgets_the_first_to_expire_and_never_what_is_pooled() {
        let mut seen = SeenSet::new(2);
        for n in 0..5 {
            seen.insert(hash(n), u32::from(n));
        }
        for (n, expiry) in [(0, 30), (1, 10), (2, 20), (3, 40)] {
            seen.set_gone(hash(n), expiry);
        }
        let left: Vec<u8> = (0..5).filter(|n| seen.get(&hash(*n)).is_some()).collect();
        assert_eq!(left, [0, 3, 4]);
        assert_eq!(seen.gone.len(), 2);
    }
}

//! What was done lately, by key, bounded in number: the oldest is forgotten first. Pure.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
    time::Instant,
};

/// A bounded map that remembers when each value was put in.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    most: usize,
    values: HashMap<K, (Instant, V)>,
    order: BTreeSet<(Instant, K)>,
}

impl<K: Clone + Eq + Hash + Ord, V> Recent<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Self { most, values: HashMap::new(), order: BTreeSet::new() }
    }

    /// Puts `value` in place of what was under `key`.
    pub(super) fn insert(&mut self, now: Instant, key: K, value: V) {
        self.remove(&key);
        if self.values.len() >= self.most
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.values.remove(&oldest);
        }
        self.order.insert((now, key.clone()));
        self.values.insert(key, (now, value));
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.values.get_mut(key).map(|(_, value)| value)
    }

    /// Forgets `key`.
    pub(super) fn remove(&mut self, key: &K) {
        if let Some((at, _)) = self.values.remove(key) {
            self.order.remove(&(at, key.clone()));
        }
    }

    /// Forgets what was put in before `than`.
    pub(super) fn remove_older(&mut self, than: Instant) {
        while let Some((at, _)) = self.order.first()
            && *at < than
            && let Some((_, key)) = self.order.pop_first()
        {
            self.values.remove(&key);
        }
    }

    /// Forgets every key that does not pass.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) {
        let values = &mut self.values;
        self.order.retain(|(_, key)| {
            let keep = values.get(key).is_some_and(|(_, value)| keep(key, value));
            if !keep {
                values.remove(key);
            }
            keep
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_oldest_makes_room() {
        let (start, mut recent) = (Instant::now(), Recent::new(3));
        let at = |s| start + Duration::from_secs(s);
        for n in 0..3_u64 {
            recent.insert(at(n), n, n);
        }
        recent.insert(at(3), 0, 10);
        recent.insert(at(4), 3, 3);
        assert!(recent.get_mut(&1).is_none(), "0 was put in again, so 1 is the oldest");
        assert_eq!(recent.get_mut(&0), Some(&mut 10));
        recent.remove_older(at(3));
        assert!(recent.get_mut(&2).is_none() && recent.get_mut(&0).is_some());
        recent.retain(|key, _| *key == 3);
        assert!(recent.get_mut(&0).is_none() && recent.get_mut(&3).is_some());
        recent.remove(&3);
        assert!(recent.values.is_empty() && recent.order.is_empty());
    }
}

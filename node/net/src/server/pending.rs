//! Inbound connections that are not yet peers. When the table is full the oldest that has not authenticated gives way,
//! so that half-open sockets never lock a good newcomer out. Pure. Facts: `spec/devp2p.md` §3.1 (b) and design §2, Bounds.

use std::collections::BTreeMap;

/// How far a pending connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// In the encryption handshake.
    Unauthenticated,
    /// Authenticated, Hello still to come.
    AwaitingHello,
}

/// Pending connections in the order of their arrival; `T` is what ends one.
pub(crate) struct Pending<T> {
    entries: BTreeMap<u64, (Stage, T)>,
    next: u64,
    capacity: usize,
}

impl<T> Pending<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { entries: BTreeMap::new(), next: 0, capacity: capacity.max(1) }
    }

    /// Changes the capacity, at least 1; who is in stays until a newcomer needs the place.
    pub(crate) fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity.max(1);
    }

    /// The ticket that the next [`Self::insert`] gives.
    pub(crate) fn next_ticket(&self) -> u64 {
        self.next
    }

    /// Adds a newcomer; the one that has to give way for it, if the table was full.
    pub(crate) fn insert(&mut self, end: T) -> Option<T> {
        let evicted = if self.entries.len() >= self.capacity { self.evict() } else { None };
        self.entries.insert(self.next, (Stage::Unauthenticated, end));
        self.next += 1;
        evicted
    }

    /// The oldest unauthenticated one, else the oldest of all: an identity costs nothing, so a completed handshake
    /// protects a connection only from those without one.
    fn evict(&mut self) -> Option<T> {
        let unauthenticated = self.entries.iter().find(|(_, (stage, _))| *stage == Stage::Unauthenticated);
        let ticket = unauthenticated.or_else(|| self.entries.iter().next()).map(|(ticket, _)| *ticket)?;
        self.entries.remove(&ticket).map(|(_, end)| end)
    }

    /// The handshake of `ticket` is complete.
    pub(crate) fn authenticated(&mut self, ticket: u64) {
        if let Some((stage, _)) = self.entries.get_mut(&ticket) {
            *stage = Stage::AwaitingHello;
        }
    }

    /// Takes a connection out; whether it was still there.
    pub(crate) fn remove(&mut self, ticket: u64) -> bool {
        self.entries.remove(&ticket).is_some()
    }

    /// Connections pending.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes all out.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> + use<T> {
        std::mem::take(&mut self.entries).into_values().map(|(_, end)| end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_unauthenticated_gives_way() {
        let mut pending = Pending::new(3);
        for name in ["a", "b", "c"] {
            assert_eq!(pending.insert(name), None);
        }
        pending.authenticated(0);
        assert_eq!(pending.insert("d"), Some("b"));
        assert_eq!(pending.insert("e"), Some("c"));
        assert_eq!(pending.len(), 3);
    }

    #[test]
    fn handshakes_without_hello_do_not_lock_the_table() {
        let mut pending = Pending::new(2);
        pending.insert("a");
        pending.insert("b");
        pending.authenticated(0);
        pending.authenticated(1);
        assert_eq!(pending.insert("c"), Some("a"));
        assert!(!pending.remove(0));
        assert!(pending.remove(1));
        assert_eq!(pending.len(), 1);
    }
}

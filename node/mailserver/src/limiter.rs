//! The request limiter: seconds between requests of one peer (`spec/waku-mailserver.md` §5.8, V49). Pure but for its map.

use std::collections::HashMap;
use std::time::Duration;

use enode::NodeId;
use tokio::time::Instant;

/// Peers remembered at most; beyond it the one that waited longest is forgotten.
const MAX_PEERS: usize = 65_536;
/// Time between two looks for entries that ended.
const PURGE: Duration = Duration::from_secs(1);

/// When each peer was last served.
pub(crate) struct Limiter {
    limit: Duration,
    last: HashMap<NodeId, Instant>,
    purged: Option<Instant>,
}

impl Limiter {
    /// A limit of zero allows everything.
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, last: HashMap::new(), purged: None }
    }

    /// Changes the limit; who was served is remembered.
    pub(crate) fn set(&mut self, limit: Duration) {
        self.limit = limit;
        if limit.is_zero() {
            self.last = HashMap::new();
        }
    }

    /// Whether `peer` may be served at `now`. If so its wait begins anew; a refusal does not extend it.
    pub(crate) fn allow(&mut self, peer: NodeId, now: Instant) -> bool {
        if self.limit.is_zero() {
            return true;
        }
        if self.last.get(&peer).is_some_and(|last| *last + self.limit >= now) {
            return false;
        }
        self.purge(now);
        if self.last.len() >= MAX_PEERS
            && let Some(oldest) = self.last.iter().min_by_key(|(_, last)| **last).map(|(peer, _)| *peer)
        {
            self.last.remove(&oldest);
        }
        self.last.insert(peer, now);
        true
    }

    fn purge(&mut self, now: Instant) {
        if self.purged.is_none_or(|purged| now.duration_since(purged) >= PURGE) {
            self.last.retain(|_, last| *last + self.limit >= now);
            self.purged = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u8) -> NodeId {
        NodeId([n; 32])
    }

    #[test]
    fn v49_no_entry_and_an_old_entry_are_allowed_and_a_fresh_one_is_refused() {
        let now = Instant::now() + Duration::from_secs(60);
        let mut limiter = Limiter::new(Duration::from_millis(5));
        assert!(limiter.allow(peer(1), now), "no entry");
        limiter.last.insert(peer(2), now - Duration::from_millis(10));
        assert!(limiter.allow(peer(2), now), "10 ms old");
        limiter.last.insert(peer(3), now - Duration::from_millis(1));
        assert!(!limiter.allow(peer(3), now), "1 ms old");
        assert_eq!(
            limiter.last[&peer(3)],
            now - Duration::from_millis(1),
            "a refusal does not extend the wait"
        );
        limiter.last.insert(peer(4), now - Duration::from_millis(5));
        assert!(!limiter.allow(peer(4), now), "last + limit < now is strict");
    }

    #[test]
    fn v49_purge_leaves_the_entries_of_the_last_five_seconds() {
        let now = Instant::now() + Duration::from_secs(60);
        let mut limiter = Limiter::new(Duration::from_secs(5));
        for n in 0..10 {
            limiter.last.insert(peer(n), now - Duration::from_secs(2 * u64::from(n)));
        }
        limiter.purge(now);
        let mut left: Vec<u8> = limiter.last.keys().map(|id| id.0[0]).collect();
        left.sort_unstable();
        assert_eq!(left, [0, 1, 2]);
    }

    #[test]
    fn zero_is_off_and_keeps_nothing() {
        let mut limiter = Limiter::new(Duration::ZERO);
        assert!(limiter.allow(peer(1), Instant::now()) && limiter.allow(peer(1), Instant::now()));
        assert!(limiter.last.is_empty());
    }

    #[test]
    fn a_changed_limit_holds_for_who_was_served_before() {
        let now = Instant::now() + Duration::from_secs(60);
        let mut limiter = Limiter::new(Duration::from_secs(5));
        assert!(limiter.allow(peer(1), now));
        limiter.set(Duration::from_secs(1));
        assert!(limiter.allow(peer(1), now + Duration::from_secs(2)));
        limiter.set(Duration::from_secs(10));
        assert!(!limiter.allow(peer(1), now + Duration::from_secs(8)));
        limiter.set(Duration::ZERO);
        assert!(limiter.allow(peer(1), now + Duration::from_secs(8)) && limiter.last.is_empty());
    }

    #[test]
    fn the_map_is_bounded() {
        let now = Instant::now();
        let mut limiter = Limiter::new(Duration::from_secs(3600));
        let id = |n: u32| {
            let mut id = [0; 32];
            id[..4].copy_from_slice(&n.to_be_bytes());
            NodeId(id)
        };
        for n in 0..70_000u32 {
            assert!(limiter.allow(id(n), now + Duration::from_micros(u64::from(n))));
            if n as usize >= MAX_PEERS + 10 {
                break;
            }
        }
        assert_eq!(limiter.last.len(), MAX_PEERS);
        assert!(!limiter.last.contains_key(&id(0)), "the oldest went");
    }
}

//! Which static peers are dialed when. Pure: time is an argument. Facts: `spec/devp2p.md` §3.4, §3.5.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use enode::{EnodeUrl, NodeId};
use rand::{Rng as _, seq::SliceRandom as _};

/// Pause after the first dial that found nobody at the address.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The static peers and what was tried lately.
pub(crate) struct Schedule {
    own: NodeId,
    redial: Duration,
    max_pending: usize,
    statics: HashMap<NodeId, EnodeUrl>,
    dialing: HashSet<NodeId>,
    /// Until when a node is not dialed again: the redial period and up to a quarter of it, at random.
    history: HashMap<NodeId, Instant>,
    /// How many dials in a row found nobody at the address.
    unreached: HashMap<NodeId, u32>,
}

impl Schedule {
    pub(crate) fn new(own: NodeId, redial: Duration, max_pending: usize) -> Self {
        Self {
            own,
            redial,
            max_pending: max_pending.max(1),
            statics: HashMap::new(),
            dialing: HashSet::new(),
            history: HashMap::new(),
            unreached: HashMap::new(),
        }
    }

    /// Changes how many dials may be in progress, at least 1.
    pub(crate) fn set_max_pending(&mut self, max_pending: usize) {
        self.max_pending = max_pending.max(1);
    }

    /// Adds a static peer, or moves it to another address; whether something changed. A moved one is dialed at once.
    pub(crate) fn add(&mut self, url: EnodeUrl) -> bool {
        let id = url.public_key.node_id();
        if self.statics.get(&id) == Some(&url) {
            return false;
        }
        self.statics.insert(id, url);
        self.history.remove(&id);
        self.unreached.remove(&id);
        true
    }

    /// Forgets a static peer; whether it was one.
    pub(crate) fn remove(&mut self, id: &NodeId) -> bool {
        self.unreached.remove(id);
        self.statics.remove(id).is_some()
    }

    pub(crate) fn is_static(&self, id: &NodeId) -> bool {
        self.statics.contains_key(id)
    }

    pub(crate) fn statics(&self) -> impl Iterator<Item = &EnodeUrl> {
        self.statics.values()
    }

    /// A dial that [`Self::due`] gave has ended, one way or the other.
    pub(crate) fn ended(&mut self, id: &NodeId) {
        self.dialing.remove(id);
    }

    /// A dial found nobody at the address. Nodes that are started together would be alone for a whole redial period if
    /// one of them listens a moment later: tried again after a second, then after twice as long each time.
    pub(crate) fn unreached(&mut self, id: &NodeId, now: Instant) {
        let (Some(_), Some(until)) = (self.statics.get(id), self.history.get_mut(id)) else { return };
        let times = self.unreached.entry(*id).or_default();
        *until = (*until).min(now + FIRST_RETRY * 2_u32.pow(*times));
        // 2^6 s is longer than any period.
        *times = (*times + 1).min(6);
    }

    /// A dial found somebody.
    pub(crate) fn reached(&mut self, id: &NodeId) {
        self.unreached.remove(id);
    }

    /// The peers to dial now, picked at random and marked as being dialed, and when to ask again at the latest; before
    /// that whenever a dial or a session ends or a static peer is added. `dialed` are the connected peers that we
    /// dialed, `max_dialed` how many there should be.
    pub(crate) fn due(
        &mut self,
        now: Instant,
        dialed: usize,
        max_dialed: usize,
        is_connected: impl Fn(&NodeId) -> bool,
    ) -> (Vec<EnodeUrl>, Option<Instant>) {
        self.history.retain(|_, until| *until > now);
        let free = (max_dialed.saturating_sub(dialed) * 2).min(self.max_pending);
        let free = free.saturating_sub(self.dialing.len());
        let wanted = |id: &NodeId, url: &EnodeUrl| {
            let dialable = url.address.as_ref().is_some_and(|(_, tcp, _)| *tcp != 0);
            dialable && *id != self.own && !self.dialing.contains(id) && !is_connected(id)
        };
        let mut candidates = Vec::new();
        let mut next = None::<Instant>;
        for (id, url) in self.statics.iter().filter(|(id, url)| wanted(id, url)) {
            match self.history.get(id) {
                Some(until) => next = Some(next.map_or(*until, |next| next.min(*until))),
                None => candidates.push((*id, url.clone())),
            }
        }
        candidates.shuffle(&mut rand::rng());
        candidates.truncate(free);
        for (id, _) in &candidates {
            self.dialing.insert(*id);
            // Two nodes whose dials met and failed must not meet at each later one too.
            let apart = rand::rng().random_range(Duration::ZERO..=self.redial / 4);
            self.history.insert(*id, now + self.redial + apart);
        }
        (candidates.into_iter().map(|(_, url)| url).collect(), next)
    }
}

#[cfg(test)]
mod tests {
    use enode::NodeKey;

    use super::*;

    const REDIAL: Duration = Duration::from_secs(35);

    fn url(tail: &str) -> EnodeUrl {
        format!("enode://{}{tail}", NodeKey::generate().public_key()).parse().unwrap()
    }

    fn schedule(urls: &[&EnodeUrl]) -> Schedule {
        let mut schedule = Schedule::new(NodeId([0; 32]), REDIAL, 100);
        urls.iter().for_each(|url| assert!(schedule.add((*url).clone())));
        schedule
    }

    fn id(url: &EnodeUrl) -> NodeId {
        url.public_key.node_id()
    }

    /// `spec/devp2p.md` §3.4: not within 35 s of the last dial's start, then at once.
    #[test]
    fn section_3_4_history() {
        let a = url("@192.0.2.1:30303");
        let (mut schedule, start) = (schedule(&[&a]), Instant::now());
        let at = |s| start + Duration::from_secs(s);
        assert_eq!(schedule.due(at(0), 0, 8, |_| false), (vec![a.clone()], None));
        assert_eq!(schedule.due(at(1), 0, 8, |_| false), (vec![], None), "in progress");
        schedule.ended(&id(&a));
        let (none, next) = schedule.due(at(2), 0, 8, |_| false);
        assert!(none.is_empty() && next >= Some(at(35)) && next <= Some(at(44)), "{next:?}");
        assert_eq!(schedule.due(next.unwrap(), 0, 8, |_| false).0, vec![a.clone()]);
        schedule.ended(&id(&a));
        assert_eq!(schedule.due(at(45), 1, 8, |_| true), (vec![], None), "connected");
        // Connected for longer than that: dialed again at once after the end.
        assert_eq!(schedule.due(at(100), 0, 8, |_| false).0, vec![a]);
    }

    #[test]
    fn nobody_at_the_address_is_tried_again_soon_and_then_less_and_less() {
        let a = url("@192.0.2.1:30303");
        let mut schedule = schedule(&[&a]);
        let mut now = Instant::now();
        let start = now;
        for pause in [1, 2, 4, 8, 16, 32] {
            assert_eq!(schedule.due(now, 0, 8, |_| false).0, vec![a.clone()], "{:?}", now - start);
            schedule.unreached(&id(&a), now);
            schedule.ended(&id(&a));
            let (none, next) = schedule.due(now, 0, 8, |_| false);
            assert_eq!((none, next), (vec![], Some(now + Duration::from_secs(pause))));
            now += Duration::from_secs(pause);
        }
        schedule.due(now, 0, 8, |_| false);
        schedule.unreached(&id(&a), now);
        schedule.ended(&id(&a));
        assert!(schedule.due(now, 0, 8, |_| false).1 >= Some(now + REDIAL), "never less often than others");
        now += 2 * REDIAL;
        schedule.due(now, 0, 8, |_| false);
        schedule.reached(&id(&a));
        schedule.unreached(&id(&a), now);
        schedule.ended(&id(&a));
        assert_eq!(schedule.due(now, 0, 8, |_| false).1, Some(now + FIRST_RETRY), "from the start again");
    }

    /// `spec/devp2p.md` §3.4: what is never dialed.
    #[test]
    fn section_3_4_candidates() {
        let (own, portless, incomplete) = (url("@192.0.2.1:1"), url("@192.0.2.1:0?discport=5"), url(""));
        let mut schedule = Schedule::new(id(&own), REDIAL, 100);
        [own, portless, incomplete].into_iter().for_each(|url| assert!(schedule.add(url)));
        assert_eq!(schedule.due(Instant::now(), 0, 8, |_| false), (vec![], None));
    }

    /// `spec/devp2p.md` §3.4: free slots = min(2 × (D − dialed), MaxPendingPeers) − dials in progress.
    #[test]
    fn section_3_4_slots() {
        let urls: Vec<EnodeUrl> = (0..20).map(|_| url("@192.0.2.1:1")).collect();
        for (dialed, max_dialed, max_pending, want) in
            [(0, 8, 100, 16), (6, 8, 100, 4), (8, 8, 100, 0), (9, 8, 100, 0), (0, 8, 5, 5), (0, 1, 100, 2)]
        {
            let mut schedule = Schedule::new(NodeId([0; 32]), REDIAL, max_pending);
            urls.iter().for_each(|url| assert!(schedule.add(url.clone())));
            let now = Instant::now();
            let (due, _) = schedule.due(now, dialed, max_dialed, |_| false);
            assert_eq!(due.len(), want, "{dialed} of {max_dialed}, {max_pending} pending");
            assert_eq!(schedule.due(now, dialed, max_dialed, |_| false).0.len(), 0, "all slots are taken");
            if let Some(first) = due.first() {
                schedule.ended(&id(first));
                assert_eq!(schedule.due(now, dialed, max_dialed, |_| false).0.len(), 1);
            }
        }
    }

    #[test]
    fn a_moved_peer_is_dialed_at_its_new_address() {
        let a = url("@192.0.2.1:1");
        let moved: EnodeUrl = a.to_string().replace("192.0.2.1", "192.0.2.2").parse().unwrap();
        let (mut schedule, now) = (schedule(&[&a]), Instant::now());
        schedule.due(now, 0, 8, |_| false);
        schedule.ended(&id(&a));
        assert!(!schedule.add(a.clone()), "the same again is nothing new");
        assert!(schedule.add(moved.clone()));
        assert_eq!(schedule.due(now, 0, 8, |_| false).0, vec![moved]);
        assert!(schedule.remove(&id(&a)) && !schedule.remove(&id(&a)));
        assert_eq!(schedule.due(now + REDIAL, 0, 8, |_| false), (vec![], None));
    }
}

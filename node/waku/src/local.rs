//! This node's own settings that change while it runs: what it takes in by them, and what its peers are told
//! (`spec/waku-mailserver.md` §2.9). Time is an argument.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::RwLock;
use relay::Admission;
use tokio::sync::watch;
use waku_wire::{Bloom, MAX_TOPICS, PeerInterest, StatusOptions};

/// How long what was asked for before a change is still taken in: until peers have heard of it.
const TOLERANCE: Duration = Duration::from_secs(10);

/// Least that the largest packet may be, bytes.
const MIN_MESSAGE_SIZE: usize = 1024;

/// Why a setting is not changed.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum SettingError {
    /// Not a number, infinite or negative.
    #[error("minimum PoW is {0}; it must be a finite number of 0 or more")]
    Pow(f64),
    /// Too small to be of use, or more than the memory for what comes in was laid out for.
    #[error(
        "maximum message size is {size}; it must be {MIN_MESSAGE_SIZE} to {configured} bytes: for more, set WakuConfig.MaxMessageSize and restart"
    )]
    Size {
        /// What was asked for.
        size: usize,
        /// What the node was started with.
        configured: usize,
    },
    /// A mailserver that takes in less would archive less (§12 Q08).
    #[error("a mailserver and a full node take in everything; switch the role off to narrow the interest")]
    TakesEverything,
}

struct Current {
    admission: Arc<Admission>,
    /// What is in force instead, and until when.
    tolerant: Option<(Instant, Arc<Admission>)>,
}

impl Current {
    fn in_force(&self, now: Instant) -> &Arc<Admission> {
        match &self.tolerant {
            Some((until, tolerant)) if now < *until => tolerant,
            _ => &self.admission,
        }
    }
}

/// See the module's documentation.
pub(crate) struct Local {
    current: RwLock<Current>,
    /// What was changed since the start, for sessions to tell.
    changed: watch::Sender<StatusOptions>,
    takes_everything: bool,
    light: AtomicBool,
    /// Bytes of the largest packet that is taken in now, and at the start.
    max_message_size: (AtomicUsize, usize),
}

impl Local {
    pub(crate) fn new(admission: Admission, takes_everything: bool, light: bool) -> Self {
        let max_message_size = (AtomicUsize::new(admission.max_size), admission.max_size);
        let current = Current { admission: Arc::new(admission), tolerant: None };
        Self {
            current: RwLock::new(current),
            changed: watch::Sender::new(StatusOptions::default()),
            takes_everything,
            light: AtomicBool::new(light),
            max_message_size,
        }
    }

    /// What is taken in at `now`.
    pub(crate) fn admission(&self, now: Instant) -> Arc<Admission> {
        Arc::clone(self.current.read().in_force(now))
    }

    /// Least proof of work that peers are asked for.
    pub(crate) fn min_pow(&self) -> f64 {
        self.current.read().admission.min_pow
    }

    /// The options that were changed since the start; the receiver hears of each further change.
    pub(crate) fn changes(&self) -> watch::Receiver<StatusOptions> {
        self.changed.subscribe()
    }

    /// Asks for this much work from now on. What was enough before still is for 10 s.
    pub(crate) fn set_min_pow(&self, now: Instant, min_pow: f64) -> Result<(), SettingError> {
        if !min_pow.is_finite() || min_pow < 0.0 {
            return Err(SettingError::Pow(min_pow));
        }
        let mut current = self.current.write();
        let before = current.in_force(now);
        let tolerant = Admission { min_pow: min_pow.min(before.min_pow), ..Admission::clone(before) };
        let admission = Admission { min_pow, ..Admission::clone(&current.admission) };
        *current =
            Current { admission: Arc::new(admission), tolerant: Some((now + TOLERANCE, Arc::new(tolerant))) };
        self.changed.send_modify(|options| options.pow_requirement = Some(min_pow));
        Ok(())
    }

    /// Bytes of the largest packet and envelope that are taken in.
    pub(crate) fn max_message_size(&self) -> usize {
        self.max_message_size.0.load(Ordering::Relaxed)
    }

    /// Changes that, to at most what it was at the start.
    pub(crate) fn set_max_message_size(&self, size: usize) -> Result<(), SettingError> {
        let (now, configured) = &self.max_message_size;
        if !(MIN_MESSAGE_SIZE..=*configured).contains(&size) {
            return Err(SettingError::Size { size, configured: *configured });
        }
        let mut current = self.current.write();
        let changed = |admission: &Admission| Arc::new(Admission { max_size: size, ..admission.clone() });
        current.admission = changed(&current.admission);
        current.tolerant = current.tolerant.as_ref().map(|(until, it)| (*until, changed(it)));
        now.store(size, Ordering::Relaxed);
        Ok(())
    }

    /// Asks for these topics from now on. What was asked for before is taken in for 10 s more.
    pub(crate) fn set_interest(&self, now: Instant, interest: PeerInterest) -> Result<(), SettingError> {
        if self.takes_everything {
            return Err(SettingError::TakesEverything);
        }
        let interest = announceable(interest);
        let (bloom, topics) = match &interest {
            PeerInterest::Full => (Some(Bloom::FULL.0.to_vec()), None),
            PeerInterest::Bloom(bloom) => (Some(bloom.0.to_vec()), None),
            PeerInterest::Topics(topics) => (None, Some(topics.to_vec())),
        };
        let mut current = self.current.write();
        let before = Admission::clone(current.in_force(now));
        let admission = Admission { interest, ..Admission::clone(&current.admission) };
        let tolerant = Admission {
            interest: admission.interest.clone(),
            tolerated: Some(current.admission.interest.clone()),
            ..before
        };
        *current =
            Current { admission: Arc::new(admission), tolerant: Some((now + TOLERANCE, Arc::new(tolerant))) };
        self.changed.send_modify(|options| (options.bloom, options.topics) = (bloom, topics));
        Ok(())
    }

    /// Makes this node a light client, or an ordinary one again.
    pub(crate) fn set_light(&self, light: bool) {
        self.light.store(light, Ordering::Relaxed);
    }

    /// A light client asks for the topics of its filters only, and forwards nothing (§12 Q12).
    pub(crate) fn is_light(&self) -> bool {
        self.light.load(Ordering::Relaxed)
    }
}

/// More topics than can be announced are asked for by their filter.
fn announceable(interest: PeerInterest) -> PeerInterest {
    match interest {
        PeerInterest::Topics(topics) if topics.len() > MAX_TOPICS => {
            PeerInterest::bloom(Bloom::of_topics(topics.iter().copied()))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use waku_wire::Topic;

    use super::*;

    const ONE: Topic = Topic([1, 2, 3, 4]);
    const TWO: Topic = Topic([9, 8, 7, 6]);

    fn local() -> Local {
        Local::new(Admission { min_pow: 0.5, ..Admission::default() }, false, false)
    }

    fn seconds(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    /// Whether envelopes of a topic are taken in at `now`, by interest alone.
    fn takes(local: &Local, now: Instant, topic: Topic) -> bool {
        let admission = local.admission(now);
        admission.interest.wants(topic) || admission.tolerated.as_ref().is_some_and(|it| it.wants(topic))
    }

    /// `spec/waku-mailserver.md` §2.9: a lower requirement holds at once, a higher one after 10 s; peers hear of it at
    /// once.
    #[test]
    fn section_2_9_changing_the_least_work() {
        let (local, start) = (local(), Instant::now());
        let mut changes = local.changes();
        local.set_min_pow(start, 2.0).unwrap();
        assert!(changes.has_changed().unwrap());
        assert_eq!(changes.borrow_and_update().pow_requirement, Some(2.0));
        assert_eq!((local.min_pow(), local.admission(start).min_pow), (2.0, 0.5));
        assert_eq!(local.admission(start + seconds(9)).min_pow, 0.5);
        assert_eq!(local.admission(start + seconds(10)).min_pow, 2.0);
        local.set_min_pow(start + seconds(20), 0.1).unwrap();
        assert_eq!(local.admission(start + seconds(20)).min_pow, 0.1);
        for bad in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(local.set_min_pow(start, bad), Err(SettingError::Pow(_))), "{bad}");
        }
        assert_eq!(local.min_pow(), 0.1);
    }

    #[test]
    fn the_largest_message_is_at_most_what_it_was_at_the_start() {
        let (local, now) = (local(), Instant::now());
        assert_eq!(local.max_message_size(), Admission::default().max_size);
        local.set_min_pow(now, 2.0).unwrap();
        local.set_max_message_size(2048).unwrap();
        assert_eq!((local.max_message_size(), local.admission(now).max_size), (2048, 2048), "no tolerance");
        assert_eq!(local.admission(now + seconds(10)).max_size, 2048);
        local.set_max_message_size(Admission::default().max_size).unwrap();
        for size in [0, 1023, Admission::default().max_size + 1] {
            assert!(matches!(local.set_max_message_size(size), Err(SettingError::Size { .. })), "{size}");
        }
    }

    /// `spec/waku-mailserver.md` §2.9: what was asked for before is taken in for 10 s more.
    #[test]
    fn section_2_9_changing_the_bloom_filter() {
        let (local, start) = (local(), Instant::now());
        local.set_interest(start, PeerInterest::bloom(Bloom::of_topic(ONE))).unwrap();
        let at = |s| start + seconds(s);
        assert_eq!([at(0), at(9), at(10)].map(|now| takes(&local, now, TWO)), [true, true, false]);
        local.set_interest(at(20), PeerInterest::bloom(Bloom::of_topic(TWO))).unwrap();
        assert_eq!([at(20), at(29), at(30)].map(|now| takes(&local, now, ONE)), [true, true, false]);
        assert!(takes(&local, at(30), TWO));
        assert_eq!(local.changes().borrow().bloom, Some(Bloom::of_topic(TWO).0.to_vec()));
        // A change of the work meanwhile does not end the tolerance of the interest.
        local.set_interest(at(40), PeerInterest::bloom(Bloom::EMPTY)).unwrap();
        local.set_min_pow(at(45), 1.0).unwrap();
        assert!(takes(&local, at(46), TWO));
        assert_eq!(local.admission(at(46)).min_pow, 0.5);
        assert!(!takes(&local, at(55), TWO));
    }

    /// `spec/waku-mailserver.md` §2.9: topics and filter take each other's place; what is too much to announce becomes a
    /// filter.
    #[test]
    fn section_2_9_changing_topics() {
        let (local, now) = (local(), Instant::now());
        let told = || local.changes().borrow().clone();
        local.set_interest(now, PeerInterest::topics(vec![ONE])).unwrap();
        assert_eq!((told().bloom, told().topics), (None, Some(vec![ONE])));
        let many = (0..10_001u32).map(|n| Topic(n.to_be_bytes())).collect();
        local.set_interest(now, PeerInterest::topics(many)).unwrap();
        assert_eq!((told().bloom.map(|bloom| bloom.len()), told().topics), (Some(64), None));
        assert!(takes(&local, now, Topic(9_999u32.to_be_bytes())));
        local.set_interest(now, PeerInterest::Full).unwrap();
        assert_eq!(told().bloom, Some(vec![0xff; 64]));
    }

    /// `spec/waku-mailserver.md` §12 Q08.
    #[test]
    fn q08_who_takes_everything_goes_on_to() {
        let local = Local::new(Admission::default(), true, false);
        let now = Instant::now();
        assert_eq!(
            local.set_interest(now, PeerInterest::bloom(Bloom::EMPTY)),
            Err(SettingError::TakesEverything)
        );
        assert!(takes(&local, now, ONE) && !local.changes().has_changed().unwrap());
    }
}

//! How much one source may add to a full archive in a day, so that it cannot erase the history of all others. Pure.
//!
//! An archive with a cap makes room for what comes by giving up what is oldest: whoever sends enough would push
//! everything else out. So while there is little room left, a source may add four times what a quiet day holds in all,
//! never more than a quarter of the cap, and all together twice that: a flood of any size leaves half of the cap to the
//! days before. While there is room nobody is limited, and without a cap nothing is pushed out.
//!
//! Counted in memory alone, from the start of the process; a source is a number without meaning outside it, never
//! stored or logged. Facts: design §2 "Admission to the archive".

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::{HOUR, Window};

const DAY: u32 = 86_400;
/// Complete days that are looked at for the quietest.
const DAYS: u32 = 7;

/// Where an envelope came from, as far as the archive tells apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Source(pub u64);

impl Source {
    /// Sources that are told apart in one place.
    pub const MOST: usize = 16_384;

    /// Under whom this source is kept in a map of [`Self::MOST`] sources: itself, or what those beyond share.
    #[must_use]
    pub fn account_in<T>(self, map: &HashMap<Self, T>) -> Self {
        if map.len() < Self::MOST || map.contains_key(&self) { self } else { Self(u64::MAX) }
    }
}

/// Whose quota is used up. The text goes to the peer after `not archived: `.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OverQuota {
    /// That of the one who sent it.
    #[error("over your quota of the day")]
    Source,
    /// That of all.
    #[error("over the quota of the day")]
    All,
}

/// The quotas of an archive with a cap.
pub struct Quota {
    max_bytes: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Bytes in the archive.
    total: u64,
    /// Bytes of the quietest complete day.
    quiet_day: u64,
    /// The day that is counted.
    day: u32,
    /// Bytes added in it while there was little room.
    added: u64,
    by_source: HashMap<Source, u64>,
}

impl State {
    fn turn_to(&mut self, now: u32) {
        if self.day != now / DAY {
            (self.day, self.added) = (now / DAY, 0);
            self.by_source = HashMap::new();
        }
    }
}

impl Quota {
    /// For an archive of at most `max_bytes` (as in [`crate::Retention::max_bytes`]).
    #[must_use]
    pub fn new(max_bytes: u64) -> Self {
        Self { max_bytes, state: Mutex::default() }
    }

    /// Takes note of what the archive holds, by hours in any order. To be told from time to time; between, what is
    /// stored is counted.
    pub fn learn(&self, now: u32, windows: &[Window]) {
        let today = now / DAY;
        let mut days: HashMap<u32, u64> = HashMap::new();
        let mut total = 0u64;
        for window in windows {
            total = total.saturating_add(window.bytes);
            let day = window.hour / (DAY / HOUR);
            if day < today && day >= today.saturating_sub(DAYS) {
                let bytes = days.entry(day).or_default();
                *bytes = bytes.saturating_add(window.bytes);
            }
        }
        let mut state = self.state.lock();
        state.total = total;
        state.quiet_day = days.into_values().min().unwrap_or(0);
    }

    /// Whether an envelope of `source` may be added at `now` (UNIX seconds). `None`: a source that stands for many, or
    /// this node itself; only the quota of all is for it.
    ///
    /// # Errors
    /// It may not: there is little room left, and a quota is used up.
    pub fn check(&self, now: u32, source: Option<Source>) -> Result<(), OverQuota> {
        let mut state = self.state.lock();
        state.turn_to(now);
        if !self.is_tight(&state) {
            return Ok(());
        }
        let (least, most) = (self.max_bytes / 32, self.max_bytes / 4);
        let one = state.quiet_day.saturating_mul(4).clamp(least, most);
        let used =
            source.and_then(|source| state.by_source.get(&source.account_in(&state.by_source)).copied());
        if used.is_some_and(|used| used >= one) {
            return Err(OverQuota::Source);
        }
        if state.added >= one.saturating_mul(2) { Err(OverQuota::All) } else { Ok(()) }
    }

    /// Whether there is little room left.
    fn is_tight(&self, state: &State) -> bool {
        state.total >= self.max_bytes / 8 * 7
    }

    /// Counts `bytes` that were stored at `now`, as in [`Window::bytes`].
    pub(crate) fn charge(&self, now: u32, source: Option<Source>, bytes: u64) {
        let mut state = self.state.lock();
        state.turn_to(now);
        if self.is_tight(&state) {
            state.added = state.added.saturating_add(bytes);
        }
        state.total = state.total.saturating_add(bytes);
        if let Some(source) = source {
            let account = source.account_in(&state.by_source);
            let used = state.by_source.entry(account).or_default();
            *used = used.saturating_add(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u32 = 1_700_000_000;
    const CAP: u64 = 3200;
    const A: Option<Source> = Some(Source(1));
    const B: Option<Source> = Some(Source(2));

    /// An archive that is full, of days of so many bytes, the newest first; the first is today.
    fn full(days: &[u64]) -> Quota {
        let quota = Quota::new(CAP);
        let window = |(ago, bytes): (u32, &u64)| Window {
            hour: (NOW - ago * DAY) / HOUR,
            bytes: *bytes,
            ..Window::default()
        };
        quota.learn(NOW, &(0..).zip(days).map(window).collect::<Vec<_>>());
        quota
    }

    #[test]
    fn while_there_is_room_nobody_is_limited() {
        let quota = full(&[0, 100]);
        for _ in 0..27 {
            assert_eq!(quota.check(NOW, A), Ok(()));
            quota.charge(NOW, A, 100);
        }
        assert_eq!(
            quota.check(NOW, A),
            Err(OverQuota::Source),
            "2800 of 3200, 2700 of them from one source today"
        );
        assert_eq!(
            quota.check(NOW, B),
            Ok(()),
            "what one added while there was room is not held against all"
        );
    }

    #[test]
    fn a_source_may_add_four_quiet_days_and_all_together_eight() {
        // Yesterday was a flood: it does not count as usual.
        let quota = full(&[0, 2500, 100, 200]);
        quota.charge(NOW, A, 399);
        assert_eq!(quota.check(NOW, A), Ok(()));
        quota.charge(NOW, A, 1);
        assert_eq!(quota.check(NOW, A), Err(OverQuota::Source));
        assert_eq!(quota.check(NOW, B), Ok(()), "the others go on");
        assert_eq!(quota.check(NOW, None), Ok(()));
        quota.charge(NOW, None, 400);
        assert_eq!(quota.check(NOW, B), Err(OverQuota::All));
        assert_eq!(quota.check(NOW, None), Err(OverQuota::All));
    }

    #[test]
    fn the_next_day_begins_anew() {
        let quota = full(&[0, 2800, 100]);
        quota.charge(NOW, A, 400);
        assert_eq!(quota.check(NOW, A), Err(OverQuota::Source));
        assert_eq!(quota.check(NOW + DAY, A), Ok(()));
    }

    #[test]
    fn the_quota_has_bounds_whatever_the_days_were() {
        let least = full(&[0, 3200, 1]);
        least.charge(NOW, A, CAP / 32 - 1);
        assert_eq!(least.check(NOW, A), Ok(()));
        least.charge(NOW, A, 1);
        assert_eq!(least.check(NOW, A), Err(OverQuota::Source));
        let most = full(&[0, 3200]);
        most.charge(NOW, A, CAP / 4);
        assert_eq!(most.check(NOW, A), Err(OverQuota::Source), "a quarter of the cap");
    }

    #[test]
    fn sources_beyond_the_bound_share_one_quota() {
        let quota = full(&[0, 3200, 100]);
        for n in 0..=u64::try_from(Source::MOST).unwrap() + 10 {
            quota.charge(NOW, Some(Source(n)), 0);
        }
        assert_eq!(quota.state.lock().by_source.len(), Source::MOST + 1);
        quota.charge(NOW, Some(Source(1 << 40)), 400);
        assert_eq!(quota.check(NOW, Some(Source(1 << 41))), Err(OverQuota::Source));
        assert_eq!(quota.check(NOW, A), Ok(()));
    }
}

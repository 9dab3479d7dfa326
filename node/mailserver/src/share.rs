//! How much of the archive's reading a source may cause: requests cost what they read, not one each. Pure.
//!
//! A source (an address prefix) may read for ten seconds at once, then for a quarter of the time. All together may use up
//! one reader; while they do, sources that asked for little lately are served all the same and the others wait. Nobody is
//! refused: a request waits for a few seconds, and the session's queue is bounded. Facts: `spec/waku-mailserver.md` §12 Q27.

use std::collections::HashMap;
use std::time::Duration;

use archive::Source;
use tokio::time::Instant;

/// Reading that is free at once.
const BURST: Duration = Duration::from_secs(10);
/// Of all sources together.
const BURST_OF_ALL: Duration = Duration::from_secs(20);
/// Time that has to pass for reading of the same length, in multiples.
const SOURCE_FACTOR: u32 = 4;
/// A source that has read so little is served though all together have used up their share.
const LITTLE: Duration = Duration::from_millis(200);

/// Reading that is not paid off by the passing of time yet.
#[derive(Clone, Copy)]
struct Account {
    debt: Duration,
    at: Instant,
}

impl Account {
    fn debt(&self, now: Instant, factor: u32) -> Duration {
        self.debt.saturating_sub(now.saturating_duration_since(self.at) / factor)
    }

    fn charge(&mut self, now: Instant, factor: u32, reading: Duration) {
        *self = Self { debt: self.debt(now, factor) + reading, at: now };
    }
}

/// The accounts.
pub(crate) struct Share {
    of_all: Account,
    by_source: HashMap<Source, Account>,
}

impl Share {
    pub(crate) fn new(now: Instant) -> Self {
        Self { of_all: Account { debt: Duration::ZERO, at: now }, by_source: HashMap::new() }
    }

    /// How long a request of `source` has to wait at `now`. `None`: a source that stands for many, with no account of its
    /// own.
    pub(crate) fn wait(&self, source: Option<Source>, now: Instant) -> Duration {
        let account = source.and_then(|source| self.by_source.get(&source.account_in(&self.by_source)));
        let own = account.map_or(Duration::ZERO, |account| account.debt(now, SOURCE_FACTOR));
        let wait = own.saturating_sub(BURST) * SOURCE_FACTOR;
        if source.is_some() && own < LITTLE {
            return wait;
        }
        wait.max(self.of_all.debt(now, 1).saturating_sub(BURST_OF_ALL))
    }

    /// Charges what a request of `source` has read.
    pub(crate) fn charge(&mut self, source: Option<Source>, now: Instant, reading: Duration) {
        self.of_all.charge(now, 1, reading);
        let Some(source) = source else { return };
        if self.by_source.len() >= Source::MOST && !self.by_source.contains_key(&source) {
            self.by_source.retain(|_, account| !account.debt(now, SOURCE_FACTOR).is_zero());
        }
        let source = source.account_in(&self.by_source);
        let account = self.by_source.entry(source).or_insert(Account { debt: Duration::ZERO, at: now });
        account.charge(now, SOURCE_FACTOR, reading);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Option<Source> = Some(Source(1));
    const B: Option<Source> = Some(Source(2));

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_source_reads_ten_seconds_at_once_then_a_quarter_of_the_time() {
        let now = Instant::now();
        let mut share = Share::new(now);
        share.charge(A, now, s(10));
        assert_eq!(share.wait(A, now), Duration::ZERO);
        share.charge(A, now, s(1));
        assert_eq!(share.wait(A, now), s(4));
        assert_eq!(share.wait(A, now + s(3)), s(1));
        assert_eq!(share.wait(A, now + s(4)), Duration::ZERO);
        assert_eq!(share.wait(B, now), Duration::ZERO, "others do not wait for it");
    }

    #[test]
    fn while_all_together_read_too_much_who_asked_for_little_does_not_wait() {
        let now = Instant::now();
        let mut share = Share::new(now);
        for n in 10..40 {
            share.charge(Some(Source(n)), now, s(1));
        }
        assert_eq!(share.wait(Some(Source(10)), now), s(10), "30 s of 20");
        assert_eq!(share.wait(Some(Source(10)), now + s(10)), Duration::ZERO);
        assert_eq!(share.wait(A, now), Duration::ZERO);
        assert_eq!(
            share.wait(None, now),
            s(10),
            "one that stands for many is not known to have asked for little"
        );
    }

    #[test]
    fn accounts_are_bounded_and_those_that_are_paid_off_go_first() {
        let now = Instant::now();
        let mut share = Share::new(now);
        for n in 0..u64::try_from(Source::MOST).unwrap() {
            share.charge(Some(Source(n)), now, Duration::from_millis(1));
        }
        share.charge(Some(Source(1 << 40)), now, s(11));
        assert_eq!(share.by_source.len(), Source::MOST + 1);
        assert!(!share.wait(Some(Source(1 << 41)), now).is_zero(), "they share one account");
        share.charge(Some(Source(1 << 42)), now + s(1), s(1));
        assert_eq!(share.by_source.len(), 2);
    }
}

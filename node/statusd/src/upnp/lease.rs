//! When a forwarding is renewed, tried again, and over. Pure: the time is an argument.

use std::time::{Duration, Instant};

use super::Times;

/// The time that the router gives, and the pause after a failure.
#[derive(Debug)]
pub(super) struct Lease {
    times: Times,
    /// Until then the router forwards, if it keeps its word.
    until: Option<Instant>,
    /// Pause after the next failure.
    retry: Duration,
}

impl Lease {
    pub(super) fn new(times: Times) -> Self {
        Self { times, until: None, retry: times.retry }
    }

    /// The router forwards from `now`; how long to wait before it is asked again.
    pub(super) fn renewed(&mut self, now: Instant) -> Duration {
        self.until = Some(now + self.times.lease);
        self.retry = self.times.retry;
        self.times.lease / 2
    }

    /// It does not; how long to wait before it is asked again, and whether the last forwarding ended by now.
    pub(super) fn not_renewed(&mut self, now: Instant) -> (Duration, bool) {
        let pause = self.retry;
        self.retry = (self.retry * 2).min(self.times.max_retry);
        match self.until.map(|until| until.saturating_duration_since(now)) {
            None => (pause, false),
            Some(Duration::ZERO) => {
                self.until = None;
                (pause, true)
            }
            Some(left) => (pause.min(left), false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    const TIMES: Times = Times { lease: s(600), retry: s(30), max_retry: s(100) };

    #[test]
    fn a_lease_is_renewed_at_half_of_it() {
        assert_eq!(Lease::new(TIMES).renewed(Instant::now()), s(300));
        let default = Times::default();
        assert_eq!(default.lease, s(600), "spec/devp2p.md §1.6");
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_begin_anew() {
        let now = Instant::now();
        let mut lease = Lease::new(TIMES);
        let pauses: Vec<_> = (0..4).map(|_| lease.not_renewed(now).0).collect();
        assert_eq!(pauses, [s(30), s(60), s(100), s(100)]);
        lease.renewed(now);
        assert_eq!(lease.not_renewed(now), (s(30), false));
    }

    #[test]
    fn the_end_of_a_lease_is_noticed_once_and_in_time() {
        let begin = Instant::now();
        let mut lease = Lease::new(TIMES);
        lease.renewed(begin);
        assert_eq!(lease.not_renewed(begin + s(590)), (s(10), false), "not a pause beyond the end");
        assert_eq!(lease.not_renewed(begin + s(600)), (s(60), true));
        assert_eq!(lease.not_renewed(begin + s(660)), (s(100), false));
    }
}

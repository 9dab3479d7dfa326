//! Warns of peers whose envelopes are largely from another time: their clock is wrong, or this node's
//! (`spec/waku-mailserver.md` §2.7 steps 1 and 2). Time is an argument.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use relay::Rejection;

/// What a peer's share is taken of, and between two warnings of a node.
const WINDOW: Duration = Duration::from_secs(60);
/// Envelopes in a window below which their share says nothing.
const ENOUGH: usize = 10;

/// Envelopes by the time they were from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Times {
    /// All.
    pub(crate) envelopes: usize,
    /// Refused as from the future.
    pub(crate) in_future: usize,
    /// Refused as very old.
    pub(crate) very_old: usize,
}

impl Times {
    /// Counts one that was refused.
    pub(crate) fn refused(&mut self, rejection: &Rejection) {
        match rejection {
            Rejection::FromFuture => self.in_future += 1,
            Rejection::VeryOld => self.very_old += 1,
            _ => {}
        }
    }

    /// Whether half of them or more are from another time.
    fn skewed(&self) -> bool {
        self.envelopes >= ENOUGH && 2 * (self.in_future + self.very_old) >= self.envelopes
    }
}

/// The times of one session's envelopes in the last minute.
#[derive(Debug, Default)]
pub(crate) struct PeerTimes {
    window: Option<(Instant, Times)>,
}

impl PeerTimes {
    /// Adds a packet's. The sum of the window when it is worth a warning.
    pub(crate) fn add(&mut self, now: Instant, packet: Times) -> Option<Times> {
        let (begin, sum) = self.window.get_or_insert((now, Times::default()));
        if now.saturating_duration_since(*begin) >= WINDOW {
            (*begin, *sum) = (now, Times::default());
        }
        sum.envelopes += packet.envelopes;
        sum.in_future += packet.in_future;
        sum.very_old += packet.very_old;
        sum.skewed().then_some(*sum)
    }
}

/// Lets one warning a minute through, of all sessions together.
#[derive(Debug, Default)]
pub(crate) struct Warnings {
    last: Mutex<Option<Instant>>,
}

impl Warnings {
    /// Whether there is to be a warning now.
    pub(crate) fn allow(&self, now: Instant) -> bool {
        let mut last = self.last.lock();
        let allowed = last.is_none_or(|last| now.saturating_duration_since(last) >= WINDOW);
        if allowed {
            *last = Some(now);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(envelopes: usize, in_future: usize, very_old: usize) -> Times {
        Times { envelopes, in_future, very_old }
    }

    #[test]
    fn half_of_ten_or_more_within_a_minute_is_worth_a_warning() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut peer = PeerTimes::default();
        assert_eq!(peer.add(at(0), times(9, 9, 0)), None, "too few");
        assert_eq!(peer.add(at(59), times(1, 0, 0)), Some(times(10, 9, 0)));
        assert_eq!(peer.add(at(59), times(9, 0, 0)), None, "less than half");
        assert_eq!(peer.add(at(60), times(9, 2, 2)), None, "a new minute");
        assert_eq!(peer.add(at(61), times(1, 0, 1)), Some(times(10, 2, 3)));
    }

    #[test]
    fn only_what_time_was_refused_for_counts() {
        let mut seen = Times::default();
        for rejection in [Rejection::FromFuture, Rejection::VeryOld, Rejection::Expired, Rejection::PoolFull]
        {
            seen.refused(&rejection);
        }
        assert_eq!(seen, times(0, 1, 1));
    }

    #[test]
    fn one_warning_a_minute() {
        let (warnings, begin) = (Warnings::default(), Instant::now());
        let allowed = [0, 1, 59, 60, 61, 119, 120].map(|s| warnings.allow(begin + Duration::from_secs(s)));
        assert_eq!(allowed, [true, false, false, true, false, false, true]);
    }
}

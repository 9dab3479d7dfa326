//! How long a topic's next registrant waits. Pure. Facts: `spec/devp2p.md` §6.7.

use std::time::{Duration, Instant};

/// Shortest wait, and that of a topic nobody registered, seconds.
pub(super) const MIN_WAIT_S: f64 = 60.0;

/// Longest wait, seconds. Not in the reference, where a burst of registrations closes a topic for hours; clients let a
/// ticket of a longer wait go anyway (§6.9).
pub(super) const MAX_WAIT_S: f64 = 3600.0;

/// How far apart registrations of one topic are to be, seconds.
const TARGET_INTERVAL_S: f64 = 12.0;

/// In how long the wait falls to 1/e when nobody registers, seconds.
const TIME_CONSTANT_S: f64 = 600.0;

/// The wait period of one topic: longer the more often it is registered.
#[derive(Debug, Default)]
pub(super) struct WaitControl {
    /// The wait as of the last registration and when that was.
    last: Option<(Instant, f64)>,
}

impl WaitControl {
    /// What a ticket hands out, seconds: the value as of the last registration.
    pub(super) fn period_s(&self) -> u32 {
        let wait = Duration::from_secs_f64(self.last.map_or(MIN_WAIT_S, |(_, wait)| wait));
        u32::try_from(wait.as_secs()).unwrap_or(u32::MAX)
    }

    /// Somebody was newly listed.
    pub(super) fn registered(&mut self, now: Instant) {
        self.last = Some((now, self.next(now)));
    }

    /// Whether the next registration would wait no longer than in a new topic.
    pub(super) fn is_at_rest(&self, now: Instant) -> bool {
        self.next(now) <= MIN_WAIT_S
    }

    fn next(&self, now: Instant) -> f64 {
        let Some((last, wait)) = self.last else { return MIN_WAIT_S };
        let since = now.saturating_duration_since(last).as_secs_f64();
        (wait * ((TARGET_INTERVAL_S - since) / TIME_CONSTANT_S).exp()).clamp(MIN_WAIT_S, MAX_WAIT_S)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, want: f64) {
        assert!((got - want).abs() < 0.0006, "{got} for {want}");
    }

    fn control(now: Instant, wait: f64) -> WaitControl {
        WaitControl { last: Some((now, wait)) }
    }

    /// `spec/devp2p.md` §11.9: numeric checks of the wait period.
    #[test]
    fn section_11_9_next_wait_period() {
        let now = Instant::now();
        let at = |s| now + Duration::from_secs(s);
        near(control(now, 60.0).next(now), 61.212);
        near(control(now, 60.0).next(at(12)), 60.0);
        near(control(now, 300.0).next(at(1)), 305.551);
        near(control(now, 300.0).next(at(600)), 112.593);
    }

    /// `spec/devp2p.md` §6.7: 60 s at first, whole seconds as of the last registration, not of now.
    #[test]
    fn section_6_7_what_a_ticket_hands_out() {
        let now = Instant::now();
        let mut wait = WaitControl::default();
        assert_eq!(wait.period_s(), 60);
        wait.registered(now);
        assert_eq!(wait.period_s(), 60);
        wait.registered(now);
        wait.registered(now);
        assert_eq!(wait.period_s(), 62, "60 × 1.0202²");
        assert!(!wait.is_at_rest(now) && wait.is_at_rest(now + Duration::from_secs(40)));
        assert_eq!(wait.period_s(), 62);
    }

    #[test]
    fn a_burst_does_not_close_a_topic_for_longer_than_clients_wait() {
        let now = Instant::now();
        let mut wait = WaitControl::default();
        for _ in 0..100_000 {
            wait.registered(now);
        }
        assert_eq!(wait.period_s(), 3600);
        assert!(wait.is_at_rest(now + Duration::from_secs(2500)));
    }
}

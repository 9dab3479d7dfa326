//! How often something may be done: once a step, with a credit for what was not used. Pure. Facts: `spec/devp2p.md` §6.9.

use std::time::{Duration, Instant};

/// Each use delays the next by a step; unused steps add up to a credit.
#[derive(Debug)]
pub(super) struct Pacing {
    step: Duration,
    credit: Duration,
    /// When the full credit is there again; `None` before the first use.
    full_at: Option<Instant>,
}

impl Pacing {
    /// `credit` uses in a row at once, then one a `step`.
    pub(super) fn new(step: Duration, credit: u32) -> Self {
        Self { step, credit: step * credit, full_at: None }
    }

    /// The first time from `now` on when it may be used.
    pub(super) fn next(&self, now: Instant) -> Instant {
        let debt = self.full_at.map_or(Duration::ZERO, |full_at| full_at.saturating_duration_since(now));
        now + debt.saturating_sub(self.credit.saturating_sub(self.step))
    }

    /// It was used.
    pub(super) fn spend(&mut self, now: Instant) {
        self.full_at = Some(self.full_at.map_or(now, |full_at| full_at.max(now)) + self.step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_6_9_a_credit_and_then_once_a_step() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut pacing = Pacing::new(Duration::from_secs(30), 10);
        for _ in 0..10 {
            assert_eq!(pacing.next(start), start);
            pacing.spend(start);
        }
        assert_eq!(pacing.next(start), at(30));
        assert_eq!(pacing.next(at(20)), at(30));
        assert_eq!(pacing.next(at(30)), at(30));
        pacing.spend(at(30));
        assert_eq!(pacing.next(at(31)), at(60));
        // After a long pause the credit is full, not more.
        for _ in 0..10 {
            assert_eq!(pacing.next(at(5000)), at(5000));
            pacing.spend(at(5000));
        }
        assert_eq!(pacing.next(at(5000)), at(5030));
    }
}

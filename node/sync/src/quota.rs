//! How much one peer may add. Pure: time is an argument.

use parking_lot::Mutex;

/// Seconds in which a used-up quota is full again.
const DAY: u64 = 86_400;

/// Bounds of what one peer adds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QuotaConfig {
    /// Bytes of envelopes that a peer may add at once, and then within a day.
    pub bytes_per_day: u64,
}

impl Default for QuotaConfig {
    /// 64 GiB: an archive of a month refills, a peer that makes up envelopes for ever does not fill every disk.
    fn default() -> Self {
        Self { bytes_per_day: 64 << 30 }
    }
}

/// What a peer has left of its quota. Kept as long as the peer is known, not only while it is connected.
#[derive(Debug)]
pub struct Quota {
    capacity: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    left: u64,
    at: u32,
}

impl Quota {
    /// A full one at `now`, UNIX seconds.
    #[must_use]
    pub fn new(config: QuotaConfig, now: u32) -> Self {
        Self {
            capacity: config.bytes_per_day,
            state: Mutex::new(State { left: config.bytes_per_day, at: now }),
        }
    }

    /// Takes `bytes` at `now`; whether that much was left.
    pub(crate) fn take(&self, now: u32, bytes: u64) -> bool {
        let mut state = self.state.lock();
        let refill = u128::from(self.capacity) * u128::from(now.saturating_sub(state.at)) / u128::from(DAY);
        // Seconds that bring less than a byte are not lost: the clock of the quota stands until they do.
        if refill > 0 {
            state.left =
                state.left.saturating_add(u64::try_from(refill).unwrap_or(u64::MAX)).min(self.capacity);
            state.at = now;
        }
        match state.left.checked_sub(bytes) {
            Some(left) => {
                state.left = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_refills_what_was_used_and_no_more() {
        let quota = Quota::new(QuotaConfig { bytes_per_day: 86_400 }, 1000);
        assert!(quota.take(1000, 86_400));
        assert!(!quota.take(1000, 1));
        assert!(quota.take(1010, 10) && !quota.take(1010, 1));
        assert!(!quota.take(500, 1), "a clock that goes back brings nothing");
        assert!(quota.take(1010 + 5 * 86_400, 86_400));
        assert!(!quota.take(1010 + 5 * 86_400, 1));
    }
}

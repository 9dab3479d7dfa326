//! Which envelopes the archive takes: stricter than the relay, because history is kept for weeks. Pure.

/// The window of `sent` that is taken, relative to now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Admission {
    /// Seconds into the past, at most.
    pub max_age: u32,
    /// Seconds into the future, at most.
    pub max_ahead: u32,
}

impl Default for Admission {
    /// Two days back (slow relays, late replicas), 10 s ahead (the tolerance of `spec/waku-mailserver.md` §2.7).
    fn default() -> Self {
        Self { max_age: 2 * 86_400, max_ahead: 10 }
    }
}

/// Why an envelope is not archived. The text goes to the peer after `not archived: `.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotAdmitted {
    /// `sent` is too far in the past.
    #[error("too old")]
    TooOld,
    /// `sent` is too far in the future.
    #[error("from the future")]
    FromFuture,
}

impl Admission {
    /// Whether an envelope of time `sent` may enter at `now`; both in UNIX seconds, bounds included.
    ///
    /// # Errors
    /// It may not; says which side.
    pub fn check(&self, now: u32, sent: u32) -> Result<(), NotAdmitted> {
        if sent < now.saturating_sub(self.max_age) {
            return Err(NotAdmitted::TooOld);
        }
        if sent > now.saturating_add(self.max_ahead) {
            return Err(NotAdmitted::FromFuture);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_days_back_and_ten_seconds_ahead_are_the_bounds() {
        let (admission, now) = (Admission::default(), 1_700_000_000);
        assert_eq!(admission.check(now, now - 172_800), Ok(()));
        assert_eq!(admission.check(now, now - 172_801), Err(NotAdmitted::TooOld));
        assert_eq!(admission.check(now, now + 10), Ok(()));
        assert_eq!(admission.check(now, now + 11), Err(NotAdmitted::FromFuture));
    }

    #[test]
    fn the_ends_of_time_do_not_wrap() {
        let admission = Admission::default();
        assert_eq!(admission.check(5, 0), Ok(()));
        assert_eq!(admission.check(u32::MAX - 3, u32::MAX), Ok(()));
        assert_eq!(admission.check(5, u32::MAX), Err(NotAdmitted::FromFuture));
    }
}

//! Whether the system clock can be believed. Pure but for [`unix_now`].
//!
//! Envelopes carry times and are refused by them, so a node with a wrong clock serves nobody. Facts: design §3
//! "Workload" (clock sane = not before build time and no backward step over 10 s).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

/// A step back that is still called sane: NTP corrects by less.
const MAX_STEP_BACK: Duration = Duration::from_secs(10);

/// Time since the UNIX epoch by the system clock; zero before it.
pub(crate) fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The system clock in whole seconds, as the wire has it.
pub(crate) fn unix_seconds() -> u32 {
    u32::try_from(unix_now().as_secs()).unwrap_or(u32::MAX)
}

/// When the program was built, UNIX seconds.
pub(crate) fn build_time() -> Duration {
    Duration::from_secs(env!("STATUSD_BUILD_TIME").parse().unwrap_or(0))
}

/// Remembers the latest time seen.
#[derive(Default)]
pub(crate) struct Clock {
    latest: Mutex<Duration>,
}

impl Clock {
    /// Why the clock cannot be believed, if it cannot. A step back is forgiven once the clock has caught up.
    pub(crate) fn check(&self, now: Duration, built: Duration) -> Result<(), String> {
        if now < built {
            return Err(format!(
                "clock: it is {} s before this program was built; set the clock of the machine",
                (built - now).as_secs()
            ));
        }
        let mut latest = self.latest.lock();
        if now + MAX_STEP_BACK < *latest {
            return Err(format!(
                "clock: it stepped back by {} s; wait until it has caught up, or restart the node if it is right now",
                (*latest - now).as_secs()
            ));
        }
        *latest = now.max(*latest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_clock_before_the_build_is_wrong() {
        let clock = Clock::default();
        assert!(clock.check(at(99), at(100)).unwrap_err().contains("1 s before"));
        clock.check(at(100), at(100)).unwrap();
    }

    #[test]
    fn steps_back_over_10_s_are_wrong_until_caught_up() {
        let clock = Clock::default();
        clock.check(at(1000), at(0)).unwrap();
        clock.check(at(990), at(0)).unwrap();
        assert!(clock.check(at(989), at(0)).unwrap_err().contains("back by 11 s"));
        clock.check(at(990), at(0)).unwrap();
        clock.check(at(1001), at(0)).unwrap();
        assert!(clock.check(at(990), at(0)).is_err());
    }

    #[test]
    fn this_program_was_built_before_now() {
        assert!(build_time() > at(1_700_000_000));
        Clock::default().check(unix_now(), build_time()).unwrap();
    }
}

//! The time that requests and envelopes carry.

use std::time::{SystemTime, UNIX_EPOCH};

/// The system clock, UNIX seconds; 0 before 1970, saturated in 2106.
pub(crate) fn unix_now() -> u32 {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

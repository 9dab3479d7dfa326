//! How long history is kept: a floor by age and by bytes, in whole hours. Pure.
//!
//! The reference deletes row by row every hour (`spec/waku-mailserver.md` §5.11); a floor hides at once what is due and
//! leaves freeing space to the store.

/// Seconds in the granule of retention.
pub const HOUR: u32 = 3600;

/// What may stay.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Retention {
    /// Seconds a row is kept at least; it goes at most one hour later. `None`: for ever.
    pub max_age: Option<u32>,
    /// Bytes of all rows together, as counted in [`crate::Window::bytes`]. The hour of now is never evicted.
    pub max_bytes: Option<u64>,
}

/// The floor after applying `policy` at `now`: a whole hour, never below `floor`. `hours` are the stored hours with their
/// bytes, newest first.
#[must_use]
pub fn floor_after(
    policy: Retention,
    now: u32,
    floor: u32,
    newest_first: impl IntoIterator<Item = (u32, u64)>,
) -> u32 {
    let mut result = floor;
    if let Some(max_age) = policy.max_age {
        result = result.max(now.saturating_sub(max_age) / HOUR * HOUR);
    }
    if let Some(max_bytes) = policy.max_bytes {
        let (current, mut kept) = (now / HOUR, 0u64);
        for (hour, bytes) in newest_first {
            kept = kept.saturating_add(bytes);
            if kept > max_bytes && hour < current {
                result = result.max((hour + 1) * HOUR);
                break;
            }
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u32 = 1_700_000_000; // 472222 h + 800 s

    fn age(max_age: u32) -> Retention {
        Retention { max_age: Some(max_age), max_bytes: None }
    }

    #[test]
    fn no_limits_keep_the_floor() {
        assert_eq!(floor_after(Retention::default(), NOW, 7200, [(5, u64::MAX)]), 7200);
    }

    #[test]
    fn s88_one_day_keeps_23_hours_and_drops_25() {
        let floor = floor_after(age(86_400), NOW, 0, []);
        assert_eq!(floor % HOUR, 0);
        assert!(NOW - 23 * HOUR >= floor && NOW - 25 * HOUR < floor);
        assert!(NOW - 86_400 >= floor, "never before its time");
    }

    #[test]
    fn the_floor_never_falls() {
        assert_eq!(floor_after(age(86_400), 1000, 3600, []), 3600, "clock went back");
        assert_eq!(floor_after(age(u32::MAX), NOW, 0, []), 0);
    }

    #[test]
    fn bytes_are_kept_from_the_newest_hour_down() {
        let hours = [(NOW / HOUR, 10), (NOW / HOUR - 1, 10), (NOW / HOUR - 3, 10), (NOW / HOUR - 9, 10)];
        let floor = |bytes| floor_after(Retention { max_age: None, max_bytes: Some(bytes) }, NOW, 0, hours);
        assert_eq!(floor(40), 0, "fits");
        assert_eq!(floor(39), (NOW / HOUR - 8) * HOUR);
        assert_eq!(floor(20), (NOW / HOUR - 2) * HOUR);
        assert_eq!(floor(0), NOW / HOUR * HOUR, "the hour of now stays");
    }
}

//! Times and amounts as people write and read them. Pure.

use jiff::{Timestamp, tz::TimeZone};

/// A UNIX second as a date.
pub(super) fn time(seconds: u32) -> String {
    Timestamp::from_second(seconds.into()).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// The day of a UNIX second.
pub(super) fn day(seconds: u32) -> String {
    let time = Timestamp::from_second(seconds.into());
    time.map_or_else(|_| seconds.to_string(), |time| time.to_zoned(TimeZone::UTC).date().to_string())
}

/// A length of time: a whole number and `s`, `m`, `h` or `d`.
///
/// # Errors
/// It is none, or more than 136 years.
pub(super) fn parse_age(text: &str) -> Result<u32, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
    let seconds = number(text, &units).and_then(|seconds| u32::try_from(seconds).ok());
    seconds.ok_or_else(|| "want a whole number and s, m, h or d, such as 30d".to_owned())
}

/// An amount of bytes: a whole number, with `k`, `M`, `G` or `T` (powers of 1000) or `Ki`, `Mi`, `Gi`, `Ti` (of 1024).
///
/// # Errors
/// It is none.
pub(super) fn parse_bytes(text: &str) -> Result<u64, String> {
    let units = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("k", 1000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("", 1),
    ];
    number(text, &units)
        .ok_or_else(|| "want a whole number, and perhaps k, M, G, T, Ki, Mi, Gi or Ti".to_owned())
}

fn number(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates_in_utc() {
        assert_eq!(time(1_700_006_399), "2023-11-14T23:59:59Z");
        assert_eq!(day(1_700_006_400), "2023-11-15");
        assert_eq!(day(u32::MAX), "2106-02-07");
    }

    #[test]
    fn ages_and_bytes_have_units() {
        assert_eq!(parse_age("30d"), Ok(30 * 86_400));
        assert_eq!(parse_age("90s"), Ok(90));
        for wrong in ["", "30", "d", "-1d", "1.5d", "9999999999d", "1w", "49711d"] {
            assert!(parse_age(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_bytes("0"), Ok(0));
        assert_eq!(parse_bytes("12Gi"), Ok(12 << 30));
        assert_eq!(parse_bytes("12G"), Ok(12_000_000_000));
        for wrong in ["", "G", "1GB", "1 G", "99999999999T", "-5"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }
}

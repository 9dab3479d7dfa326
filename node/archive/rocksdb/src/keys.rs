//! Key layout. Costly to change: `docs/decisions/0003-archive-layout.md` says why it is so.
//!
//! | family | key | value |
//! |---|---|---|
//! | `rows` | day(2) topic(4) sent(4) hash(16) | envelope RLP |
//! | `time` | sent(4) hash(16) topic(4) | empty |
//! | `default` | `v` | format number (4) |
//! | `default` | `f` | floor (4) |
//! | `default` | `p` | last probe; no meaning |
//! | `default` | `h` hour(4) | count(8) bytes(8) accumulator(32) |
//! | `default` | `d` day(2) topic(4) | empty: the topic has rows on that day |
//!
//! All integers are big-endian, so byte order is the order of time; `day = sent / 86400` always fits two bytes.

use archive::{Accumulator, EnvelopeId, HOUR, Position, Window};
use waku_wire::Topic;

/// Envelopes by topic.
pub(crate) const ROWS: &str = "rows";
/// The one order of time.
pub(crate) const TIME: &str = "time";

/// Seconds in a day.
pub(crate) const DAY: u32 = 86_400;

pub(crate) const FORMAT_KEY: &[u8] = b"v";
pub(crate) const FLOOR_KEY: &[u8] = b"f";
pub(crate) const PROBE_KEY: &[u8] = b"p";
const HOUR_PREFIX: u8 = b'h';
const DIRECTORY_PREFIX: u8 = b'd';

/// The day of a second.
pub(crate) fn day_of(sent: u32) -> u16 {
    u16::try_from(sent / DAY).unwrap_or(u16::MAX) // u32::MAX / 86400 = 49710
}

/// The last second of a day.
pub(crate) fn last_second(day: u16) -> u32 {
    (u32::from(day) * DAY).saturating_add(DAY - 1)
}

/// Key in `rows`.
pub(crate) fn row(topic: Topic, position: Position) -> [u8; 26] {
    let mut key = [0; 26];
    key[..2].copy_from_slice(&day_of(position.sent).to_be_bytes());
    key[2..6].copy_from_slice(&topic.0);
    key[6..10].copy_from_slice(&position.sent.to_be_bytes());
    key[10..].copy_from_slice(&position.id.0);
    key
}

/// Position of a key in `rows`.
pub(crate) fn parse_row(key: &[u8]) -> Option<(Topic, Position)> {
    let key: &[u8; 26] = key.try_into().ok()?;
    let (topic, rest) = key[2..].split_first_chunk::<4>()?;
    let (sent, rest) = rest.split_first_chunk::<4>()?;
    let id = rest.first_chunk::<16>()?;
    Some((Topic(*topic), Position { sent: u32::from_be_bytes(*sent), id: EnvelopeId(*id) }))
}

/// Key in `time`.
pub(crate) fn time(position: Position, topic: Topic) -> [u8; 24] {
    let mut key = [0; 24];
    key[..4].copy_from_slice(&position.sent.to_be_bytes());
    key[4..20].copy_from_slice(&position.id.0);
    key[20..].copy_from_slice(&topic.0);
    key
}

/// Position and topic of a key in `time`.
pub(crate) fn parse_time(key: &[u8]) -> Option<(Position, Topic)> {
    let key: &[u8; 24] = key.try_into().ok()?;
    let (sent, rest) = key.split_first_chunk::<4>()?;
    let (id, rest) = rest.split_first_chunk::<16>()?;
    let topic = rest.first_chunk::<4>()?;
    Some((Position { sent: u32::from_be_bytes(*sent), id: EnvelopeId(*id) }, Topic(*topic)))
}

/// Key of an hour.
pub(crate) fn hour(hour: u32) -> [u8; 5] {
    let [a, b, c, d] = hour.to_be_bytes();
    [HOUR_PREFIX, a, b, c, d]
}

/// First key after all hours.
pub(crate) const HOURS_END: [u8; 1] = [HOUR_PREFIX + 1];

/// Value of an hour.
pub(crate) fn hour_value(window: &Window) -> [u8; 48] {
    let mut value = [0; 48];
    value[..8].copy_from_slice(&window.count.to_be_bytes());
    value[8..16].copy_from_slice(&window.bytes.to_be_bytes());
    value[16..].copy_from_slice(&window.accumulator.0);
    value
}

/// An hour from its key and value.
pub(crate) fn parse_hour(key: &[u8], value: &[u8]) -> Option<Window> {
    let hour = key.strip_prefix(&[HOUR_PREFIX])?.try_into().ok().map(u32::from_be_bytes)?;
    let (count, rest) = value.split_first_chunk::<8>()?;
    let (bytes, rest) = rest.split_first_chunk::<8>()?;
    let accumulator = Accumulator(rest.try_into().ok()?);
    let (count, bytes) = (u64::from_be_bytes(*count), u64::from_be_bytes(*bytes));
    (hour <= u32::MAX / HOUR).then_some(Window { hour, count, bytes, accumulator })
}

/// Directory entry.
pub(crate) fn directory(day: u16, topic: Topic) -> [u8; 7] {
    let ([a, b], [c, d, e, f]) = (day.to_be_bytes(), topic.0);
    [DIRECTORY_PREFIX, a, b, c, d, e, f]
}

/// Where a day's directory begins (and that of the day before ends).
pub(crate) fn directory_day(day: u16) -> [u8; 3] {
    let [a, b] = day.to_be_bytes();
    [DIRECTORY_PREFIX, a, b]
}

/// First key after the directory of `day`.
pub(crate) fn directory_end(day: u16) -> [u8; 3] {
    day.checked_add(1).map_or([DIRECTORY_PREFIX + 1, 0, 0], directory_day)
}

/// The topic of a directory entry.
pub(crate) fn parse_directory(key: &[u8]) -> Option<Topic> {
    key.get(3..7)?.try_into().ok().map(Topic)
}

/// The day of a directory entry.
pub(crate) fn parse_directory_day(key: &[u8]) -> Option<u16> {
    key.get(1..3)?.try_into().ok().map(u16::from_be_bytes)
}

/// Whether a key of `rows` lies below the floor.
pub(crate) fn row_is_below(key: &[u8], floor: u32) -> bool {
    parse_row(key).is_some_and(|(_, position)| position.sent < floor)
}

/// Whether a key of `time` lies below the floor.
pub(crate) fn time_is_below(key: &[u8], floor: u32) -> bool {
    parse_time(key).is_some_and(|(position, _)| position.sent < floor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSITION: Position = Position { sent: 0x3b9a_ca00, id: EnvelopeId([0xab; 16]) };
    const TOPIC: Topic = Topic([0x0f, 1, 2, 0]);

    #[test]
    fn rows_are_day_topic_sent_hash() {
        let key = row(TOPIC, POSITION);
        // 1000000000 / 86400 = 11574 = 0x2d36
        assert_eq!(key[..10], [0x2d, 0x36, 0x0f, 1, 2, 0, 0x3b, 0x9a, 0xca, 0]);
        assert_eq!(key[10..], [0xab; 16]);
        assert_eq!(parse_row(&key), Some((TOPIC, POSITION)));
        assert_eq!(parse_row(&key[1..]), None);
    }

    #[test]
    fn time_is_sent_hash_topic() {
        let key = time(POSITION, TOPIC);
        assert_eq!(key[..4], [0x3b, 0x9a, 0xca, 0]);
        assert_eq!(key[4..20], [0xab; 16]);
        assert_eq!(key[20..], [0x0f, 1, 2, 0]);
        assert_eq!(parse_time(&key), Some((POSITION, TOPIC)));
    }

    #[test]
    fn hours_and_directory_round_trip_and_do_not_overlap() {
        let window = Window { hour: 277_777, count: 3, bytes: 900, accumulator: Accumulator([9; 32]) };
        assert_eq!(parse_hour(&hour(277_777), &hour_value(&window)), Some(window));
        assert_eq!(parse_directory(&directory(7, TOPIC)), Some(TOPIC));
        assert!(
            directory_day(7)[..] <= directory(7, TOPIC)[..] && directory(7, TOPIC)[..] < directory_end(7)[..]
        );
        assert!(directory(u16::MAX, Topic([0xff; 4]))[..] < directory_end(u16::MAX)[..]);
        assert!(
            directory_end(u16::MAX)[..] <= FLOOR_KEY[..]
                && FLOOR_KEY < &hour(0)[..]
                && hour(u32::MAX)[..] < HOURS_END[..]
        );
    }

    #[test]
    fn the_last_day_is_whole_and_does_not_wrap() {
        assert_eq!(day_of(u32::MAX), 49_710);
        assert_eq!(last_second(49_710), u32::MAX);
        assert_eq!((day_of(DAY - 1), day_of(DAY), last_second(0)), (0, 1, DAY - 1));
    }
}

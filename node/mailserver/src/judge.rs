//! What a request asks the archive for, or why it may not: steps 7 to 10 of `spec/waku-mailserver.md` §5.7. Pure.

use archive::{Filter, Position, Query, TimeRange};
use waku_wire::{Bloom, Cursor, MessagesRequest};

/// Most envelopes of one page, and what a limit of 0 stands for.
pub const MAX_LIMIT: u32 = 1000;
/// How far beyond now an open range reaches, in seconds.
const OPEN_END: u32 = 60;

/// A request that is answered.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) query: Query,
    pub(crate) after: Option<Position>,
    /// 1 to [`MAX_LIMIT`].
    pub(crate) limit: u32,
    /// Several envelopes a packet.
    pub(crate) batch: bool,
}

/// What is wrong with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Invalid {
    #[error("query range is invalid: lower > upper")]
    Inverted,
    #[error("bloom filter and topics is empty")]
    NoFilter,
    #[error("bloom filter must have 64 bytes, it has {0}")]
    Bloom(usize),
    #[error("limit exceeds the maximum allowed value")]
    Limit,
}

/// The last second wanted: an upper bound of 0 is open (§5.7 steps 5 and 7).
pub(crate) fn upper(request: &MessagesRequest, now: u32) -> u32 {
    if request.to == 0 { now.saturating_add(OPEN_END) } else { request.to }
}

/// Judges a request at `now` (system clock, UNIX seconds).
///
/// Topics decide when there are any; the bloom filter is then not even looked at. Topics of other lengths match nothing.
/// A cursor of another length than 36 is no cursor (§12 Q26).
pub(crate) fn judge(request: MessagesRequest, now: u32) -> Result<Accepted, Invalid> {
    let range = TimeRange { from: request.from, to: upper(&request, now) };
    if range.to < range.from {
        return Err(Invalid::Inverted);
    }
    let has_topics = !request.topics.is_empty() || request.ignored_topics > 0;
    if !has_topics && request.bloom.is_empty() {
        return Err(Invalid::NoFilter);
    }
    let limit = if request.limit == 0 { MAX_LIMIT } else { request.limit };
    if limit > MAX_LIMIT {
        return Err(Invalid::Limit);
    }
    let filter = if has_topics {
        Filter::Topics(request.topics.into_iter().collect())
    } else {
        let bloom = Bloom::try_from(&request.bloom[..]).map_err(|_| Invalid::Bloom(request.bloom.len()))?;
        if bloom.is_full() { Filter::All } else { Filter::Bloom(Box::new(bloom)) }
    };
    let after = Cursor::from_slice(&request.cursor).map(|cursor| Position::of_cursor(&cursor));
    Ok(Accepted { query: Query { range, filter }, after, limit, batch: request.batch })
}

#[cfg(test)]
mod tests {
    use archive::EnvelopeId;
    use waku_wire::Topic;

    use super::*;

    const NOW: u32 = 1_634_567_890;

    fn decode(hex: &str) -> MessagesRequest {
        MessagesRequest::decode(&hex::decode(hex).unwrap()).unwrap()
    }

    fn request() -> MessagesRequest {
        MessagesRequest { topics: vec![Topic([1; 4])], batch: true, ..MessagesRequest::default() }
    }

    #[test]
    fn v38_v39_an_upper_bound_of_zero_becomes_a_minute_from_now() {
        assert_eq!(upper(&decode("c7326401c00a8001"), NOW), 100);
        let open = decode("c7328001c00a8001");
        assert_eq!((open.from, open.to), (50, 0));
        assert_eq!(upper(&open, NOW), NOW + 60);
        assert_eq!(judge(request(), NOW).unwrap().query.range, TimeRange { from: 0, to: NOW + 60 }, "S68");
        assert_eq!(upper(&open, u32::MAX), u32::MAX, "the end of time");
    }

    #[test]
    fn s64_s65_limits() {
        let limit = |limit| judge(MessagesRequest { limit, ..request() }, NOW).map(|accepted| accepted.limit);
        assert_eq!(limit(0).ok(), Some(1000));
        assert_eq!(limit(1).ok(), Some(1));
        assert_eq!(limit(1000).ok(), Some(1000));
        assert_eq!(limit(1001).err(), Some(Invalid::Limit));
        assert_eq!(limit(u32::MAX).err(), Some(Invalid::Limit));
    }

    #[test]
    fn s67_inverted_ranges() {
        let range = |from, to| judge(MessagesRequest { from, to, ..request() }, NOW).map(|_| ());
        assert_eq!(range(2, 1), Err(Invalid::Inverted));
        assert_eq!(range(1, 1), Ok(()));
        assert_eq!(range(NOW + 61, 0), Err(Invalid::Inverted), "from beyond the open end");
        assert_eq!(range(0, u32::MAX), Ok(()));
    }

    #[test]
    fn s69_s70_s85_s86_filters() {
        let filter = |topics: &[[u8; 4]], ignored_topics, bloom: Vec<u8>| {
            let topics = topics.iter().map(|topic| Topic(*topic)).collect();
            judge(MessagesRequest { topics, ignored_topics, bloom, ..request() }, NOW)
                .map(|accepted| accepted.query.filter)
        };
        assert_eq!(filter(&[], 0, vec![]).err(), Some(Invalid::NoFilter));
        for len in [1, 10, 63, 65, 1000] {
            assert_eq!(filter(&[], 0, vec![0xff; len]).err(), Some(Invalid::Bloom(len)));
        }
        assert!(matches!(filter(&[], 0, vec![0xff; 64]), Ok(Filter::All)));
        assert!(matches!(filter(&[], 0, vec![0x7f; 64]), Ok(Filter::Bloom(_))));
        let topics = |filter: Result<Filter, Invalid>| match filter {
            Ok(Filter::Topics(topics)) => topics.as_slice().to_vec(),
            other => panic!("{other:?}"),
        };
        assert_eq!(topics(filter(&[[2; 4], [1; 4], [2; 4]], 3, vec![9; 10])), [Topic([1; 4]), Topic([2; 4])]);
        assert_eq!(topics(filter(&[], 1, vec![])), [], "a topic of 3 bytes matches nothing");
    }

    #[test]
    fn s83_only_cursors_of_36_bytes_are_cursors() {
        let after = |cursor| judge(MessagesRequest { cursor, ..request() }, NOW).unwrap().after;
        for len in [0, 1, 35, 37, 40] {
            assert_eq!(after(vec![1; len]), None);
        }
        assert_eq!(after(vec![1; 36]), Some(Position { sent: 0x0101_0101, id: EnvelopeId([1; 16]) }));
    }
}

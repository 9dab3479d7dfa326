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

//! What answering a request may cost before its page ends (`spec/waku-mailserver.md` §12 Q27), and when it is slow. Pure.

use std::time::Duration;

use archive::{Filter, Query};

/// Keys that one page looks at, about at most: some tenths of a second.
const MAX_KEYS: usize = 1 << 20;
/// Bytes of envelopes of a page, about at most: a page of a thousand of the usual size has a tenth of it.
const MAX_BYTES: usize = 4 << 20;
/// Time of reading of a page, about at most. What the peer takes to receive it is not counted.
const MAX_READING: Duration = Duration::from_secs(2);
/// From these on an operator should know.
const SLOW_KEYS: usize = MAX_KEYS / 4;
const SLOW_READING: Duration = Duration::from_millis(500);

/// What a page has cost so far.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Cost {
    /// Keys looked at.
    pub(crate) keys: usize,
    /// Envelopes sent.
    pub(crate) envelopes: usize,
    /// Their bytes.
    pub(crate) bytes: usize,
    /// Time the archive took.
    pub(crate) reading: Duration,
}

impl Cost {
    /// Whether the page ends here, with a cursor.
    pub(crate) fn is_enough(&self) -> bool {
        self.keys >= MAX_KEYS || self.bytes >= MAX_BYTES || self.reading >= MAX_READING
    }

    /// Says what was slow: the shape of the request, never its topics or who asked.
    pub(crate) fn log_if_slow(&self, query: &Query) {
        if self.keys < SLOW_KEYS && self.reading < SLOW_READING {
            return;
        }
        let topics = match &query.filter {
            Filter::Topics(topics) => topics.as_slice().len(),
            Filter::All | Filter::Bloom(_) => 0,
        };
        tracing::warn!(
            filter = kind(&query.filter),
            topics,
            seconds = query.range.to.saturating_sub(query.range.from),
            looked_at = self.keys,
            sent = self.envelopes,
            milliseconds = self.reading.as_millis(),
            "slow history request"
        );
    }
}

/// What looking at so many keys and sending so many envelopes takes on a small machine, about. Not measured each time: what a
/// turn takes depends on who else reads.
pub(crate) fn reading(keys: usize, envelopes: usize) -> Duration {
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    Duration::from_nanos(
        count(keys).saturating_mul(500).saturating_add(count(envelopes).saturating_mul(8000)),
    )
}

/// What a request filters by, as a label.
pub(crate) fn kind(filter: &Filter) -> &'static str {
    match filter {
        Filter::All => "all",
        Filter::Topics(_) => "topics",
        Filter::Bloom(_) => "bloom",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_alone_ends_a_page() {
        assert!(!Cost { keys: MAX_KEYS - 1, bytes: MAX_BYTES - 1, ..Cost::default() }.is_enough());
        assert!(Cost { keys: MAX_KEYS, ..Cost::default() }.is_enough());
        assert!(Cost { bytes: MAX_BYTES, ..Cost::default() }.is_enough());
        assert!(Cost { reading: MAX_READING, ..Cost::default() }.is_enough());
    }
}

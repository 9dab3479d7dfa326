//! Seeks or one scan: which way to read a day. Pure.
//!
//! A *merge* seeks once for each selected topic and takes the smallest rows of all; its cost is the topics plus the
//! result. A *scan* walks the day in order of time and fetches what matches; its cost is the keys passed over. Costs
//! are in units of one key stepped over (0.3 µs in RocksDB, some 1 µs in PostgreSQL, whose seeks cost in proportion).

use waku_wire::Topic;

use crate::{Budget, Page, Position, Row};

/// A seek: find the block, search it, load it when it is not cached. So many keys it counts for in a budget.
pub const SEEK: usize = 16;
/// Fetching one row by its key.
const FETCH: usize = 6;
/// Topics merged at most. Beyond it one merge, which cannot stop half-way, would take too long.
const MERGE_TOPICS: usize = 2048;

/// Topics that are sought without asking which of them a day has.
pub const FEW_TOPICS: usize = 16;

/// The page being made and what is left of its budget.
#[derive(Debug)]
pub struct Turn {
    /// What there is of it.
    pub page: Page,
    /// Rows that may still be taken.
    pub rows: usize,
    /// Bytes that may still be taken.
    pub bytes: usize,
    /// Keys that may still be looked at.
    pub keys: usize,
}

impl Turn {
    /// An empty page.
    #[must_use]
    pub fn new(budget: Budget) -> Self {
        let page = Page { rows: Vec::new(), next: None, scanned: 0 };
        Self { page, rows: budget.rows.max(1), bytes: budget.bytes, keys: budget.keys.max(1) }
    }

    /// Counts keys that were looked at.
    pub fn spend(&mut self, keys: usize) {
        self.page.scanned += keys;
        self.keys = self.keys.saturating_sub(keys);
    }

    /// Whether no row may be taken or no key looked at any more.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.rows == 0 || self.keys == 0
    }

    /// Whether a row of `len` bytes may still be taken; the first row always may.
    #[must_use]
    pub fn has_room(&self, len: usize) -> bool {
        self.rows > 0 && (len <= self.bytes || self.page.rows.is_empty())
    }

    /// Adds a row to the page.
    pub fn take(&mut self, row: Row) {
        self.rows = self.rows.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(row.rlp.len());
        self.page.rows.push(row);
    }

    /// Ends the turn with `position` as the place to go on after.
    #[must_use]
    pub fn end(mut self, position: Position) -> Page {
        self.page.next = Some(position);
        self.page
    }
}

/// How to read one day.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Way {
    /// No row of the day matches.
    Nothing,
    /// Seek to each of these topics.
    Merge(Vec<Topic>),
    /// Walk the day in order of time.
    Scan,
}

/// Chooses. `selected`: topics of the day that the filter wants, and how many topics the day has; `None` when that is
/// not known. `rows`: rows of the day in the range; `wanted`: rows still wanted.
#[must_use]
pub fn choose(selected: Option<(Vec<Topic>, usize)>, rows: usize, wanted: usize) -> Way {
    let Some((selected, topics)) = selected else { return Way::Scan };
    if selected.is_empty() {
        return Way::Nothing;
    }
    if selected.len() > MERGE_TOPICS {
        return Way::Scan;
    }
    // Topics are taken to be of equal weight. Where they are not, a merge is at most MERGE_TOPICS seeks and a scan is
    // stopped by its budget.
    let matching = (rows.saturating_mul(selected.len()) / topics.max(1)).max(1);
    let result = wanted.min(matching);
    let merge = SEEK * selected.len() + result;
    let passed = rows.min(result.saturating_mul(rows) / matching);
    let scan = SEEK + passed + FETCH * result;
    if merge <= scan { Way::Merge(selected) } else { Way::Scan }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(count: u16) -> Vec<Topic> {
        (0..count).map(|n| Topic([n.to_be_bytes()[0], n.to_be_bytes()[1], 0, 0])).collect()
    }

    #[test]
    fn one_topic_of_many_is_sought() {
        assert_eq!(choose(Some((topics(1), 10_000)), 1_000_000, 1000), Way::Merge(topics(1)));
    }

    #[test]
    fn all_topics_are_scanned_when_they_are_many() {
        assert_eq!(choose(Some((topics(2000), 2000)), 1_000_000, 1000), Way::Scan);
    }

    #[test]
    fn all_topics_are_merged_when_they_are_few() {
        assert_eq!(choose(Some((topics(3), 3)), 1_000_000, 1000), Way::Merge(topics(3)));
    }

    #[test]
    fn a_day_without_a_selected_topic_costs_nothing() {
        assert_eq!(choose(Some((Vec::new(), 10_000)), 1_000_000, 1000), Way::Nothing);
    }

    #[test]
    fn unknown_or_too_many_topics_are_scanned() {
        assert_eq!(choose(None, 10, 10), Way::Scan);
        assert_eq!(choose(Some((topics(2049), 60_000)), 1_000_000_000, 1000), Way::Scan);
    }

    #[test]
    fn hundreds_of_rare_topics_are_sought_rather_than_a_day_walked() {
        assert_eq!(choose(Some((topics(200), 10_000)), 1_000_000, 1000), Way::Merge(topics(200)));
    }
}

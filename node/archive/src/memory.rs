//! The model: history in a sorted map. What every backend must equal, and a store for tests of others.
//!
//! Nothing survives the value except through [`MemoryHistory::reopen`].

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use parking_lot::Mutex;
use waku_wire::Topic;

use crate::{
    Appended, ArchiveError, Budget, Evicted, HOUR, History, NewRow, Page, Position, Query, Retention, Row,
    Stats, TimeRange, Window, floor_after,
};

#[derive(Clone, Default)]
struct State {
    rows: BTreeMap<Position, (Topic, Bytes)>,
    windows: BTreeMap<u32, Window>,
    floor: u32,
    closed: bool,
}

/// History in memory.
#[derive(Default)]
pub struct MemoryHistory(Mutex<State>);

impl MemoryHistory {
    /// An empty archive.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What a reopened store would hold.
    #[must_use]
    pub fn reopen(&self) -> Self {
        let mut state = self.0.lock().clone();
        state.closed = false;
        Self(Mutex::new(state))
    }

    fn with<'a, T: Send + 'a>(
        &'a self,
        work: impl FnOnce(&mut State) -> T,
    ) -> BoxFuture<'a, Result<T, ArchiveError>> {
        let mut state = self.0.lock();
        let result = if state.closed { Err(ArchiveError::Closed) } else { Ok(work(&mut state)) };
        ready(result).boxed()
    }
}

impl State {
    fn append(&mut self, row: &NewRow) -> Appended {
        let envelope = &row.envelope;
        let sent = envelope.sent();
        if sent < self.floor {
            return Appended::BelowFloor;
        }
        let position = Position::of(sent, &envelope.hash());
        if self.rows.contains_key(&position) {
            return Appended::Duplicate;
        }
        self.rows.insert(position, (envelope.topic(), Bytes::copy_from_slice(envelope.raw())));
        let hour = sent / HOUR;
        let window = self.windows.entry(hour).or_insert(Window { hour, ..Window::default() });
        window.add(envelope.raw().len(), &envelope.hash());
        Appended::Stored
    }

    fn page(&self, query: &Query, after: Option<Position>, budget: Budget) -> Page {
        let mut page = Page { rows: Vec::new(), next: None, scanned: 0 };
        let mut bytes = 0;
        let mut last = None;
        for (position, (topic, rlp)) in self.range(query.range, after) {
            let full = page.rows.len() >= budget.rows.max(1)
                || (bytes + rlp.len() > budget.bytes && !page.rows.is_empty())
                || page.scanned >= budget.keys.max(1);
            if full {
                page.next = last;
                break;
            }
            page.scanned += 1;
            last = Some(*position);
            if query.filter.matches(topic) {
                bytes += rlp.len();
                page.rows.push(Row { position: *position, topic: *topic, rlp: rlp.clone() });
            }
        }
        page
    }

    fn range(
        &self,
        range: TimeRange,
        after: Option<Position>,
    ) -> impl Iterator<Item = (&Position, &(Topic, Bytes))> {
        let from = Position::first_of(range.from.max(self.floor));
        let start = match after {
            Some(after) if after >= from => Bound::Excluded(after),
            _ => Bound::Included(from),
        };
        self.rows.range((start, Bound::Unbounded)).take_while(move |(position, _)| position.sent <= range.to)
    }

    fn evict(&mut self, policy: Retention, now: u32) -> Evicted {
        let hours = self.windows.values().rev().map(|window| (window.hour, window.bytes));
        self.floor = floor_after(policy, now, self.floor, hours);
        let kept = self.windows.split_off(&(self.floor / HOUR));
        let gone = std::mem::replace(&mut self.windows, kept);
        self.rows = self.rows.split_off(&Position::first_of(self.floor));
        Evicted {
            floor: self.floor,
            rows: gone.values().map(|window| window.count).sum(),
            bytes: gone.values().map(|window| window.bytes).sum(),
        }
    }
}

impl History for MemoryHistory {
    fn label(&self) -> &str {
        "memory"
    }

    fn append(&self, batch: Vec<NewRow>) -> BoxFuture<'_, Result<Vec<Appended>, ArchiveError>> {
        self.with(|state| batch.iter().map(|row| state.append(row)).collect())
    }

    fn page(
        &self,
        query: Query,
        after: Option<Position>,
        budget: Budget,
    ) -> BoxFuture<'_, Result<Page, ArchiveError>> {
        self.with(|state| state.page(&query, after, budget))
    }

    fn windows(&self, range: TimeRange) -> BoxFuture<'_, Result<Vec<Window>, ArchiveError>> {
        self.with(|state| {
            let overlaps =
                |hour: u32| range.from <= range.to && (range.from / HOUR..=range.to / HOUR).contains(&hour);
            state.windows.values().filter(|window| overlaps(window.hour)).copied().collect()
        })
    }

    fn ids(
        &self,
        range: TimeRange,
        after: Option<Position>,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Position>, ArchiveError>> {
        self.with(|state| state.range(range, after).map(|(position, _)| *position).take(max).collect())
    }

    fn get(&self, positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Option<Row>>, ArchiveError>> {
        self.with(|state| {
            let row = |position: &Position| {
                let (topic, rlp) = state.rows.get(position)?;
                Some(Row { position: *position, topic: *topic, rlp: rlp.clone() })
            };
            positions.iter().map(row).collect()
        })
    }

    fn floor(&self) -> u32 {
        self.0.lock().floor
    }

    fn evict(&self, policy: Retention, now: u32) -> BoxFuture<'_, Result<Evicted, ArchiveError>> {
        self.with(|state| state.evict(policy, now))
    }

    fn stats(&self) -> BoxFuture<'_, Result<Stats, ArchiveError>> {
        self.with(|state| Stats {
            envelopes: state.rows.len() as u64,
            bytes: state.windows.values().map(|window| window.bytes).sum(),
            oldest: state.rows.keys().next().map(|position| position.sent),
            newest: state.rows.keys().next_back().map(|position| position.sent),
            floor: state.floor,
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), ArchiveError>> {
        self.with(|_| ())
    }

    fn close(&self) -> BoxFuture<'_, Result<(), ArchiveError>> {
        self.with(|state| state.closed = true)
    }
}

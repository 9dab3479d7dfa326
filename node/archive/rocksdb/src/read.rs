//! Reading: one bounded turn a call, resumed by key. No iterator outlives its turn.

use std::collections::BTreeMap;

use archive::plan::{self, Turn, Way};
use archive::{ArchiveError, Budget, Filter, HOUR, Page, Position, Query, Row, Stats, TimeRange};
use bytes::Bytes;
use rocksdb::{ColumnFamily, DBRawIterator, ReadOptions};
use waku_wire::Topic;

use crate::error::from_rocks;
use crate::keys;
use crate::store::Store;

/// The smallest rows that fit a budget, out of rows offered in any order of topics.
struct Smallest {
    rows: BTreeMap<Position, (Topic, Bytes)>,
    bytes: usize,
    max_rows: usize,
    max_bytes: usize,
    /// First position known not to fit: everything kept is below it, and everything below it was kept.
    cut: Option<Position>,
    /// Whether a single row too large for the budget may be kept.
    may_exceed: bool,
}

impl Smallest {
    fn is_beyond(&self, position: Position) -> bool {
        self.cut.is_some_and(|cut| position >= cut)
    }

    fn offer(&mut self, position: Position, topic: Topic, rlp: &[u8]) {
        self.bytes += rlp.len();
        self.rows.insert(position, (topic, Bytes::copy_from_slice(rlp)));
        while self.rows.len() > self.max_rows
            || (self.bytes > self.max_bytes && !(self.may_exceed && self.rows.len() == 1))
        {
            let Some((last, (_, rlp))) = self.rows.pop_last() else { break };
            self.bytes -= rlp.len();
            self.cut = Some(last);
        }
    }
}

impl Store {
    /// See [`archive::History::page`].
    pub(crate) fn page(
        &self,
        query: &Query,
        after: Option<Position>,
        budget: Budget,
    ) -> Result<Page, ArchiveError> {
        self.check_open()?;
        let mut turn = Turn::new(budget);
        let Some(mut start) = self.start(query.range, after) else { return Ok(turn.page) };
        while let Some((day, rows)) = self.next_day(start, query.range.to) {
            start = start.max(Position::first_of(u32::from(day) * keys::DAY));
            let end = keys::last_second(day).min(query.range.to);
            let stopped = match self.way(&query.filter, day, rows, turn.rows)? {
                Way::Nothing => {
                    turn.spend(1);
                    None
                }
                Way::Merge(topics) => self.merge(&topics, start, end, &mut turn)?,
                Way::Scan => self.scan(query, start, end, &mut turn)?,
            };
            let stopped = stopped.or_else(|| {
                turn.is_spent().then_some(Position::last_of(end)).filter(|_| end < query.range.to)
            });
            if let Some(position) = stopped {
                return Ok(turn.end(position));
            }
            let Some(next) = end.checked_add(1) else { break };
            start = Position::first_of(next);
        }
        Ok(turn.page)
    }

    fn way(&self, filter: &Filter, day: u16, rows: usize, wanted: usize) -> Result<Way, ArchiveError> {
        let topics = match (filter, self.directory.cached(day)) {
            (_, Some(topics)) => topics,
            // Not worth reading a directory for: a seek that finds nothing costs no more than a look into it.
            (Filter::Topics(few), None) if few.as_slice().len() <= plan::FEW_TOPICS => {
                return Ok(Way::Merge(few.as_slice().to_vec()));
            }
            (_, None) => self.directory.day(&self.db, day)?,
        };
        Ok(plan::choose(topics.select(filter), rows, wanted))
    }

    /// The first position that may be read; `None` when there is none.
    fn start(&self, range: TimeRange, after: Option<Position>) -> Option<Position> {
        let first = Position::first_of(range.from.max(self.floor()));
        let start = match after {
            Some(after) => first.max(after.successor()?),
            None => first,
        };
        (start.sent <= range.to).then_some(start)
    }

    /// The next day with rows at or after `start` and not after second `to`, and how many rows it has from `start` on
    /// (whole hours).
    fn next_day(&self, start: Position, to: u32) -> Option<(u16, usize)> {
        if start.sent > to {
            return None;
        }
        let hours = self.hours.read();
        let mut windows = hours.range(start.sent / HOUR..=to / HOUR);
        let (hour, first) = windows.next()?;
        let day = keys::day_of(hour * HOUR);
        let same_day = windows.take_while(|(hour, _)| keys::day_of(**hour * HOUR) == day);
        let rows = first.count + same_day.map(|(_, window)| window.count).sum::<u64>();
        Some((day, usize::try_from(rows).unwrap_or(usize::MAX)))
    }

    /// Rows of `topics` from `start` to second `end` (of one day), merged. Returns where the turn ended, if it did.
    fn merge(
        &self,
        topics: &[Topic],
        start: Position,
        end: u32,
        turn: &mut Turn,
    ) -> Result<Option<Position>, ArchiveError> {
        let day = keys::day_of(end);
        let mut options = ReadOptions::default();
        let after_day = day.checked_add(1).map_or_else(|| vec![0xff; 27], |next| next.to_be_bytes().to_vec());
        options.set_iterate_range(day.to_be_bytes().to_vec()..after_day);
        let mut iterator = self.db.raw_iterator_cf_opt(self.family(keys::ROWS)?, options);
        let mut smallest = Smallest {
            rows: BTreeMap::new(),
            bytes: 0,
            max_rows: turn.rows,
            max_bytes: turn.bytes,
            cut: None,
            may_exceed: turn.page.rows.is_empty(),
        };
        for topic in topics {
            turn.spend(plan::SEEK);
            iterator.seek(keys::row(*topic, start));
            while let Some((of, position)) = current(&iterator, keys::parse_row)? {
                if of != *topic || position.sent > end || smallest.is_beyond(position) {
                    break;
                }
                turn.spend(1);
                smallest.offer(position, of, iterator.value().unwrap_or_default());
                iterator.next();
            }
            iterator.status().map_err(from_rocks)?;
        }
        for (position, (topic, rlp)) in smallest.rows {
            turn.take(Row { position, topic, rlp });
        }
        if smallest.cut.is_none() {
            return Ok(None);
        }
        // Rows of this turn lie before the cut; with none, even the first did not fit beside earlier days' rows.
        let last = turn.page.rows.last().map(|row| row.position);
        Ok(Some(last.filter(|last| *last >= start).unwrap_or_else(|| start.predecessor())))
    }

    /// Rows that the filter wants, walking the order of time from `start` to second `end` (of one day).
    fn scan(
        &self,
        query: &Query,
        start: Position,
        end: u32,
        turn: &mut Turn,
    ) -> Result<Option<Position>, ArchiveError> {
        let rows_family = self.family(keys::ROWS)?;
        let mut iterator = self.time_iterator(start, end)?;
        let mut passed = None;
        while let Some((position, topic)) = current(&iterator, keys::parse_time)? {
            if turn.is_spent() {
                return Ok(Some(passed.unwrap_or_else(|| position.predecessor())));
            }
            turn.spend(1);
            if query.filter.matches(&topic)
                && let Some(rlp) = self.fetch(rows_family, position, topic)?
            {
                if !turn.has_room(rlp.len()) {
                    return Ok(Some(passed.unwrap_or_else(|| position.predecessor())));
                }
                turn.take(Row { position, topic, rlp });
            }
            passed = Some(position);
            iterator.next();
        }
        Ok(None)
    }

    /// A row that the order of time names. It may be gone when the floor rose meanwhile; otherwise it must be there.
    fn fetch(
        &self,
        rows_family: &ColumnFamily,
        position: Position,
        topic: Topic,
    ) -> Result<Option<Bytes>, ArchiveError> {
        let value = self.db.get_pinned_cf(rows_family, keys::row(topic, position)).map_err(from_rocks)?;
        match value {
            Some(value) => Ok(Some(Bytes::copy_from_slice(&value))),
            None if position.sent < self.floor() => Ok(None),
            None => Err(ArchiveError::Corrupt("a row is missing that the order of time names".to_owned())),
        }
    }

    fn time_iterator(&self, start: Position, end: u32) -> Result<DBRawIterator<'_>, ArchiveError> {
        let mut options = ReadOptions::default();
        let after = end.checked_add(1).map_or_else(|| vec![0xff; 25], |next| next.to_be_bytes().to_vec());
        options.set_iterate_range(keys::time(start, Topic::default()).to_vec()..after);
        let mut iterator = self.db.raw_iterator_cf_opt(self.family(keys::TIME)?, options);
        iterator.seek_to_first();
        Ok(iterator)
    }

    /// See [`archive::History::ids`].
    pub(crate) fn ids(
        &self,
        range: TimeRange,
        after: Option<Position>,
        max: usize,
    ) -> Result<Vec<Position>, ArchiveError> {
        self.check_open()?;
        let Some(start) = self.start(range, after) else { return Ok(Vec::new()) };
        let mut iterator = self.time_iterator(start, range.to)?;
        let mut positions = Vec::new();
        while positions.len() < max
            && let Some((position, _)) = current(&iterator, keys::parse_time)?
        {
            positions.push(position);
            iterator.next();
        }
        Ok(positions)
    }

    /// See [`archive::History::get`].
    pub(crate) fn get(&self, positions: &[Position]) -> Result<Vec<Option<Row>>, ArchiveError> {
        self.check_open()?;
        let rows_family = self.family(keys::ROWS)?;
        let floor = self.floor();
        let one = |position: &Position| {
            if position.sent < floor {
                return Ok(None);
            }
            let iterator = self.time_iterator(*position, position.sent)?;
            match current(&iterator, keys::parse_time)? {
                Some((found, topic)) if found == *position => {
                    let rlp = self.fetch(rows_family, found, topic)?;
                    Ok(rlp.map(|rlp| Row { position: found, topic, rlp }))
                }
                _ => Ok(None),
            }
        };
        positions.iter().map(one).collect()
    }

    /// See [`archive::History::stats`].
    pub(crate) fn stats(&self) -> Result<Stats, ArchiveError> {
        self.check_open()?;
        let (mut envelopes, mut bytes) = (0, 0);
        let (mut first_hour, mut last_hour) = (None, None);
        for window in self.hours.read().values() {
            envelopes += window.count;
            bytes += window.bytes;
            first_hour.get_or_insert(window.hour);
            last_hour = Some(window.hour);
        }
        // Only the first and the last hour are looked into.
        let oldest = match first_hour {
            Some(hour) => {
                let iterator = self.time_iterator(Position::first_of(hour * HOUR), u32::MAX)?;
                current(&iterator, keys::parse_time)?.map(|(position, _)| position.sent)
            }
            None => None,
        };
        let newest = match last_hour {
            Some(hour) => {
                let mut iterator = self.time_iterator(Position::first_of(hour * HOUR), u32::MAX)?;
                iterator.seek_to_last();
                current(&iterator, keys::parse_time)?.map(|(position, _)| position.sent)
            }
            None => None,
        };
        Ok(Stats { envelopes, bytes, oldest, newest, floor: self.floor() })
    }
}

/// The parsed key under an iterator; `None` at its end. An unreadable store or key is an error.
fn current<T>(
    iterator: &DBRawIterator<'_>,
    parse: fn(&[u8]) -> Option<T>,
) -> Result<Option<T>, ArchiveError> {
    match iterator.key() {
        Some(key) => {
            let parsed =
                parse(key).ok_or_else(|| ArchiveError::Corrupt("a key of unknown shape".to_owned()))?;
            Ok(Some(parsed))
        }
        None => iterator.status().map_err(from_rocks).map(|()| None),
    }
}

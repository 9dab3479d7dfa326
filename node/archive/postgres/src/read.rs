//! Reading: one bounded turn a call, resumed by position.
//!
//! A few topics, or all, are one statement over the whole range. Anything else goes day by day: the directory says
//! which topics of the day are wanted, and their number whether to seek each or to walk the day.

use std::collections::HashMap;

use archive::plan::{self, Turn, Way};
use archive::{
    Accumulator, ArchiveError, Budget, EnvelopeId, Filter, HOUR, Page, Position, Query, Row, Stats,
    TimeRange, Window,
};
use bytes::Bytes;
use deadpool_postgres::Object;
use tokio_postgres::Row as Columns;
use tokio_postgres::types::ToSql;
use waku_wire::{Bloom, Topic};

use crate::connection::Explained as _;
use crate::directory::Directory;
use crate::error::corrupt;
use crate::schema::DAY;

/// Keys of one step of a walk.
const STEP: usize = 8192;

/// Below it nothing is seen, also in the moment after another replica raised it.
const SEEN: &str = "r.sent >= (SELECT floor FROM status_node.archive)";

/// Cuts rows `r` to a budget: `bytes` in all, but for a larger first one where `may_exceed`; says how many there were.
fn cut(rows: &str, bytes: u8, may_exceed: u8) -> String {
    format!(
        "SELECT sent, id, topic, rlp, total FROM ( \
            SELECT r.*, row_number() OVER w AS n, sum(octet_length(rlp)) OVER w AS running, count(*) OVER () AS total \
            FROM ({rows}) r WINDOW w AS (ORDER BY sent, id)) cut \
         WHERE running <= ${bytes} OR (n = 1 AND ${may_exceed}) ORDER BY sent, id"
    )
}

/// From `$1, $2` on to second `$3`, `$4` rows.
fn ranged(columns: &str, also: &str) -> String {
    format!(
        "SELECT {columns} FROM status_node.envelopes r \
         WHERE {also} r.sent >= $1 AND (r.sent, r.id) >= ($1, $2) AND r.sent <= $3 AND {SEEN} \
         ORDER BY r.sent, r.id LIMIT $4"
    )
}

/// Reads with one connection.
pub(crate) struct Reader<'a> {
    pub(crate) connection: &'a Object,
    pub(crate) directory: &'a Directory,
}

impl Reader<'_> {
    /// See [`archive::History::page`].
    pub(crate) async fn page(
        &self,
        query: &Query,
        after: Option<Position>,
        budget: Budget,
    ) -> Result<Page, ArchiveError> {
        let mut turn = Turn::new(budget);
        let Some(start) = start(query.range, after) else { return Ok(turn.page) };
        let stopped = match &query.filter {
            Filter::All => self.all(start, query.range.to, &mut turn).await?,
            Filter::Bloom(bloom) if **bloom == Bloom::FULL => {
                self.all(start, query.range.to, &mut turn).await?
            }
            Filter::Topics(topics) if topics.as_slice().is_empty() => None,
            Filter::Topics(topics) if topics.as_slice().len() <= plan::FEW_TOPICS => {
                self.merge(topics.as_slice(), start, query.range.to, &mut turn).await?
            }
            filter => self.by_day(filter, start, query.range.to, &mut turn).await?,
        };
        Ok(match stopped {
            Some(position) => turn.end(position),
            None => turn.page,
        })
    }

    /// Each of these returns where the turn ended before second `to`, if it did.
    async fn by_day(
        &self,
        filter: &Filter,
        mut start: Position,
        to: u32,
        turn: &mut Turn,
    ) -> Result<Option<Position>, ArchiveError> {
        while let Some((day, rows)) = self.next_day(start, to).await? {
            start = start.max(Position::first_of(day * DAY));
            let end = last_second(day).min(to);
            let selected = self.directory.select(self.connection, day, filter).await?;
            let stopped = match plan::choose(selected, rows, turn.rows) {
                Way::Nothing => {
                    turn.spend(1);
                    None
                }
                Way::Merge(topics) => self.merge(&topics, start, end, turn).await?,
                Way::Scan => self.scan(filter, start, end, turn).await?,
            };
            let spent = turn.is_spent() && end < to;
            if let Some(position) = stopped.or(spent.then_some(Position::last_of(end))) {
                return Ok(Some(position));
            }
            let Some(next) = end.checked_add(1).filter(|next| *next <= to) else { break };
            start = Position::first_of(next);
        }
        Ok(None)
    }

    /// The next day with rows at or after `start` and not after second `to`, and how many rows it has from `start` on
    /// (whole hours).
    async fn next_day(&self, start: Position, to: u32) -> Result<Option<(u32, usize)>, ArchiveError> {
        let hours =
            "SELECT hour, count FROM status_node.hours WHERE hour BETWEEN $1 AND $2 ORDER BY hour LIMIT 24";
        let hours = self.connection.prepare_cached(hours).await.explained()?;
        let hours = self.connection.query(&hours, &[&hour(start.sent), &hour(to)]).await.explained()?;
        let Some(first) = hours.first() else { return Ok(None) };
        let day_of = |row: &Columns| number(row, 0, "hour").map(|hour| hour / (DAY / HOUR));
        let day = day_of(first)?;
        let mut rows = 0;
        for hour in &hours {
            if day_of(hour)? == day {
                rows += usize::try_from(hour.get::<_, i64>(1)).map_err(|_| corrupt("hours.count"))?;
            }
        }
        Ok(Some((day, rows)))
    }

    /// All rows from `start` to second `end`.
    async fn all(
        &self,
        start: Position,
        end: u32,
        turn: &mut Turn,
    ) -> Result<Option<Position>, ArchiveError> {
        let most = turn.rows.min(turn.keys);
        self.ordered(&ranged("r.sent, r.id, r.topic, r.rlp", ""), None, most, (start, end), turn).await
    }

    /// Rows of `topics` from `start` to second `end`, merged.
    async fn merge(
        &self,
        topics: &[Topic],
        start: Position,
        end: u32,
        turn: &mut Turn,
    ) -> Result<Option<Position>, ArchiveError> {
        turn.spend(plan::SEEK * topics.len());
        let of_topic = ranged("r.sent, r.id, r.topic, r.rlp", "r.topic = wanted.topic AND");
        let merged = format!(
            "SELECT o.* FROM unnest($7::bytea[]) AS wanted(topic) CROSS JOIN LATERAL ({of_topic}) o ORDER BY o.sent, o.id LIMIT $4"
        );
        let topics: Vec<&[u8]> = topics.iter().map(|topic| &topic.0[..]).collect();
        self.ordered(&merged, Some(&topics), turn.rows, (start, end), turn).await
    }

    /// What `statement` finds from one position to a second, at most `most` rows, as far as the turn has room.
    async fn ordered(
        &self,
        statement: &str,
        topics: Option<&Vec<&[u8]>>,
        most: usize,
        (start, end): (Position, u32),
        turn: &mut Turn,
    ) -> Result<Option<Position>, ArchiveError> {
        let statement = self.connection.prepare_cached(&cut(statement, 5, 6)).await.explained()?;
        let (sent, id, end) = (i64::from(start.sent), &start.id.0[..], i64::from(end));
        let (rows, bytes, may_exceed) = (count(most), count(turn.bytes), turn.page.rows.is_empty());
        let mut values: Vec<&(dyn ToSql + Sync)> = vec![&sent, &id, &end, &rows, &bytes, &may_exceed];
        if let Some(topics) = topics {
            values.push(topics);
        }
        let found = self.connection.query(&statement, &values).await.explained()?;
        self.taken(&found, most, start, turn)
    }

    /// Takes what a statement of [`cut`] found, asked for `most` rows from `start` on.
    fn taken(
        &self,
        found: &[Columns],
        most: usize,
        start: Position,
        turn: &mut Turn,
    ) -> Result<Option<Position>, ArchiveError> {
        let total = found.first().map_or(0, |row| usize::try_from(row.get::<_, i64>(4)).unwrap_or(0));
        let rows = found.iter().map(row).collect::<Result<Vec<Row>, ArchiveError>>()?;
        turn.spend(rows.len());
        let last = rows.last().map(|row| row.position);
        // A statement that cut all of its rows tells nothing; it does so only where there are rows of earlier days.
        let ended = found.is_empty() && !turn.page.rows.is_empty();
        let is_cut = total >= most || total > rows.len() || ended;
        rows.into_iter().for_each(|row| turn.take(row));
        Ok(is_cut.then(|| last.unwrap_or_else(|| start.predecessor())))
    }

    /// Rows that the filter wants, walking the order of time from `start` to second `end`.
    async fn scan(
        &self,
        filter: &Filter,
        start: Position,
        end: u32,
        turn: &mut Turn,
    ) -> Result<Option<Position>, ArchiveError> {
        let statement =
            self.connection.prepare_cached(&ranged("r.sent, r.id, r.topic", "")).await.explained()?;
        let mut next = Some(start);
        while let Some(from) = next.filter(|from| from.sent <= end) {
            if turn.is_spent() {
                return Ok(Some(from.predecessor()));
            }
            let most = STEP.min(turn.keys);
            let id = &from.id.0[..];
            let keys = self
                .connection
                .query(&statement, &[&i64::from(from.sent), &id, &i64::from(end), &count(most)])
                .await
                .explained()?;
            let mut passed = from.predecessor();
            let mut wanted = Vec::new();
            let mut looked = 0;
            for key in &keys {
                if wanted.len() == turn.rows {
                    break;
                }
                looked += 1;
                passed = position(key)?;
                if filter.matches(&topic(key, 2)?) {
                    wanted.push(passed);
                }
            }
            turn.spend(looked);
            if let Some(cut) = self.fetch(&wanted, turn).await? {
                return Ok(Some(cut));
            }
            if looked == keys.len() && keys.len() < most {
                return Ok(None);
            }
            next = passed.successor();
        }
        Ok(None)
    }

    /// Takes the rows at ascending `wanted`. Returns the position after which they did not fit, if they did not.
    async fn fetch(&self, wanted: &[Position], turn: &mut Turn) -> Result<Option<Position>, ArchiveError> {
        let Some(first) = wanted.first() else { return Ok(None) };
        let statement = self.connection.prepare_cached(&cut(AT, 3, 4)).await.explained()?;
        let (sent, ids) = columns(wanted);
        let may_exceed = turn.page.rows.is_empty();
        let found = self
            .connection
            .query(&statement, &[&sent, &ids, &count(turn.bytes), &may_exceed])
            .await
            .explained()?;
        let total = found.first().map_or(0, |row| usize::try_from(row.get::<_, i64>(4)).unwrap_or(0));
        let rows = found.iter().map(row).collect::<Result<Vec<Row>, ArchiveError>>()?;
        let last = rows.last().map(|row| row.position);
        let is_cut = total > rows.len() || (rows.is_empty() && !turn.page.rows.is_empty());
        rows.into_iter().for_each(|row| turn.take(row));
        Ok(is_cut.then(|| last.unwrap_or_else(|| first.predecessor())))
    }

    /// See [`archive::History::ids`].
    pub(crate) async fn ids(
        &self,
        range: TimeRange,
        after: Option<Position>,
        max: usize,
    ) -> Result<Vec<Position>, ArchiveError> {
        let Some(start) = start(range, after) else { return Ok(Vec::new()) };
        let statement = self.connection.prepare_cached(&ranged("r.sent, r.id", "")).await.explained()?;
        let id = &start.id.0[..];
        let keys = self
            .connection
            .query(&statement, &[&i64::from(start.sent), &id, &i64::from(range.to), &count(max)])
            .await
            .explained()?;
        keys.iter().map(position).collect()
    }

    /// See [`archive::History::get`].
    pub(crate) async fn get(&self, positions: &[Position]) -> Result<Vec<Option<Row>>, ArchiveError> {
        let statement = self.connection.prepare_cached(AT).await.explained()?;
        let (sent, ids) = columns(positions);
        let found = self.connection.query(&statement, &[&sent, &ids]).await.explained()?;
        let rows = found.iter().map(|columns| Ok((position(columns)?, row(columns)?)));
        let rows = rows.collect::<Result<HashMap<Position, Row>, ArchiveError>>()?;
        Ok(positions.iter().map(|position| rows.get(position).cloned()).collect())
    }

    /// See [`archive::History::windows`].
    pub(crate) async fn windows(&self, range: TimeRange) -> Result<Vec<Window>, ArchiveError> {
        if range.from > range.to {
            return Ok(Vec::new());
        }
        let hours = "SELECT hour, count, bytes, accumulator FROM status_node.hours WHERE hour BETWEEN $1 AND $2 ORDER BY hour";
        let hours = self.connection.prepare_cached(hours).await.explained()?;
        let hours = self.connection.query(&hours, &[&hour(range.from), &hour(range.to)]).await.explained()?;
        hours.iter().map(window).collect()
    }

    /// See [`archive::History::stats`].
    pub(crate) async fn stats(&self) -> Result<Stats, ArchiveError> {
        let statement = format!(
            "SELECT (SELECT floor FROM status_node.archive), coalesce(sum(count), 0)::bigint, coalesce(sum(bytes), 0)::bigint, \
                (SELECT r.sent FROM status_node.envelopes r WHERE {SEEN} ORDER BY r.sent, r.id LIMIT 1), \
                (SELECT r.sent FROM status_node.envelopes r WHERE {SEEN} ORDER BY r.sent DESC, r.id DESC LIMIT 1) \
             FROM status_node.hours"
        );
        let statement = self.connection.prepare_cached(&statement).await.explained()?;
        let row = self.connection.query_one(&statement, &[]).await.explained()?;
        let second = |column: usize| -> Result<Option<u32>, ArchiveError> {
            let second: Option<i64> = row.get(column);
            second.map(|second| u32::try_from(second).map_err(|_| corrupt("sent"))).transpose()
        };
        Ok(Stats {
            envelopes: unsigned(&row, 1, "hours.count")?,
            bytes: unsigned(&row, 2, "hours.bytes")?,
            oldest: second(3)?,
            newest: second(4)?,
            floor: second(0)?.unwrap_or_default(),
        })
    }

    /// The floor.
    pub(crate) async fn floor(&self) -> Result<u32, ArchiveError> {
        let floor =
            self.connection.prepare_cached("SELECT floor FROM status_node.archive").await.explained()?;
        let row = self.connection.query_one(&floor, &[]).await.explained()?;
        u32::try_from(row.get::<_, i64>(0)).map_err(|_| corrupt("archive.floor"))
    }
}

/// The rows at `$1, $2`; one look each, whatever the planner reckons.
const AT: &str = "SELECT r.sent, r.id, r.topic, r.rlp \
    FROM unnest($1::bigint[], $2::bytea[]) AS at(sent, id) CROSS JOIN LATERAL ( \
        SELECT * FROM status_node.envelopes r WHERE r.sent = at.sent AND r.id = at.id \
        AND r.sent >= (SELECT floor FROM status_node.archive) LIMIT 1) r";

/// The first position that may be read; `None` when there is none.
fn start(range: TimeRange, after: Option<Position>) -> Option<Position> {
    let first = Position::first_of(range.from);
    let start = match after {
        Some(after) => first.max(after.successor()?),
        None => first,
    };
    (start.sent <= range.to).then_some(start)
}

fn last_second(day: u32) -> u32 {
    (day * DAY).saturating_add(DAY - 1)
}

/// A number of rows or bytes for the server.
fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The hour of a second, as its column has it.
pub(crate) fn hour(sent: u32) -> i32 {
    i32::try_from(sent / HOUR).unwrap_or(i32::MAX) // u32::MAX / 3600 = 1193046
}

pub(crate) fn columns(positions: &[Position]) -> (Vec<i64>, Vec<&[u8]>) {
    positions.iter().map(|position| (i64::from(position.sent), &position.id.0[..])).unzip()
}

fn number(row: &Columns, column: usize, name: &str) -> Result<u32, ArchiveError> {
    u32::try_from(row.get::<_, i32>(column)).map_err(|_| corrupt(name))
}

fn unsigned(row: &Columns, column: usize, name: &str) -> Result<u64, ArchiveError> {
    u64::try_from(row.get::<_, i64>(column)).map_err(|_| corrupt(name))
}

/// A topic in `column`.
pub(crate) fn topic(row: &Columns, column: usize) -> Result<Topic, ArchiveError> {
    row.get::<_, &[u8]>(column).try_into().map(Topic).map_err(|_| corrupt("topic"))
}

/// A position in the first two columns.
pub(crate) fn position(row: &Columns) -> Result<Position, ArchiveError> {
    let sent = u32::try_from(row.get::<_, i64>(0)).map_err(|_| corrupt("sent"))?;
    let id = row.get::<_, &[u8]>(1).try_into().map_err(|_| corrupt("id"))?;
    Ok(Position { sent, id: EnvelopeId(id) })
}

/// A row in the first four columns.
fn row(columns: &Columns) -> Result<Row, ArchiveError> {
    let rlp = Bytes::copy_from_slice(columns.get(3));
    Ok(Row { position: position(columns)?, topic: topic(columns, 2)?, rlp })
}

/// An hour in the first four columns.
pub(crate) fn window(row: &Columns) -> Result<Window, ArchiveError> {
    let accumulator = row.get::<_, &[u8]>(3).try_into().map_err(|_| corrupt("hours.accumulator"))?;
    Ok(Window {
        hour: number(row, 0, "hours.hour")?,
        count: unsigned(row, 1, "hours.count")?,
        bytes: unsigned(row, 2, "hours.bytes")?,
        accumulator: Accumulator(accumulator),
    })
}

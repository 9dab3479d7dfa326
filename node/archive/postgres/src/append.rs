//! Writing: one transaction for a batch, one writer at a time of all replicas.
//!
//! The write lock makes the rest plain: counts and sums are read, added to and written; topics get their numbers in the
//! order of commits; days are made once. Whoever waits for it takes what others stored meanwhile for duplicates.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use archive::{Appended, ArchiveError, HOUR, NewRow, Position, Window};
use deadpool_postgres::{Object, Transaction};
use parking_lot::Mutex;
use tokio_postgres::Statement;
use waku_wire::Topic;

use crate::connection::Explained as _;
use crate::read::{self, columns, hour};
use crate::schema::{self, DAY, LOCK_WRITE};

/// Bytes of envelopes in one statement, about.
const STATEMENT_BYTES: usize = 8 << 20;

const INSERT: &str = "INSERT INTO status_node.envelopes (sent, id, topic, rlp) \
    SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::bytea[]) \
    ON CONFLICT DO NOTHING RETURNING sent, id";
const HOURS: &str =
    "SELECT hour, count, bytes, accumulator FROM status_node.hours WHERE hour = ANY($1::integer[])";
const PUT_HOURS: &str = "INSERT INTO status_node.hours (hour, count, bytes, accumulator) \
    SELECT * FROM unnest($1::integer[], $2::bigint[], $3::bigint[], $4::bytea[]) \
    ON CONFLICT (hour) DO UPDATE SET count = excluded.count, bytes = excluded.bytes, accumulator = excluded.accumulator";
const PUT_TOPICS: &str = "INSERT INTO status_node.topics (day, topic) \
    SELECT new.* FROM unnest($1::integer[], $2::bytea[]) AS new(day, topic) \
    WHERE NOT EXISTS (SELECT FROM status_node.topics t WHERE t.day = new.day AND t.topic = new.topic)";

/// Days that are known to have a partition.
#[derive(Default)]
pub(crate) struct Days(Mutex<HashSet<u32>>);

impl Days {
    /// Makes what is missing for `rows`, in a transaction of its own: readers are held up for its length at most.
    async fn ensure(&self, connection: &mut Object, rows: &[NewRow]) -> Result<(), ArchiveError> {
        let missing: BTreeSet<u32> = {
            let known = self.0.lock();
            rows.iter().map(|row| row.envelope.sent() / DAY).filter(|day| !known.contains(day)).collect()
        };
        if missing.is_empty() {
            return Ok(());
        }
        let transaction = connection.transaction().await.explained()?;
        transaction.batch_execute(LOCK_WRITE).await.explained()?;
        let floor = floor(&transaction).await?;
        let due: Vec<u32> = missing.into_iter().filter(|day| *day >= floor / DAY).collect();
        schema::make_days(&transaction, &due).await?;
        transaction.commit().await.explained()?;
        self.0.lock().extend(due);
        Ok(())
    }

    /// Forgets days before `day`.
    pub(crate) fn forget_before(&self, day: u32) {
        self.0.lock().retain(|known| *known >= day);
    }

    /// Forgets all: somebody else dropped one.
    pub(crate) fn forget(&self) {
        self.0.lock().clear();
    }
}

/// The floor, for the rest of the transaction where it holds the write lock.
pub(crate) async fn floor(transaction: &Transaction<'_>) -> Result<u32, ArchiveError> {
    let row = transaction.query_one("SELECT floor FROM status_node.archive", &[]).await.explained()?;
    u32::try_from(row.get::<_, i64>(0)).map_err(|_| crate::error::corrupt("archive.floor"))
}

/// The statements of a batch, prepared.
struct Statements {
    insert: Statement,
    hours: Statement,
    put_hours: Statement,
    put_topics: Statement,
}

impl Statements {
    async fn of(connection: &Object) -> Result<Self, ArchiveError> {
        Ok(Self {
            insert: connection.prepare_cached(INSERT).await.explained()?,
            hours: connection.prepare_cached(HOURS).await.explained()?,
            put_hours: connection.prepare_cached(PUT_HOURS).await.explained()?,
            put_topics: connection.prepare_cached(PUT_TOPICS).await.explained()?,
        })
    }
}

/// See [`archive::History::append`]. Also gives the floor.
pub(crate) async fn append(
    connection: &mut Object,
    days: &Days,
    rows: &[NewRow],
) -> Result<(Vec<Appended>, u32), ArchiveError> {
    days.ensure(connection, rows).await?;
    let statements = Statements::of(connection).await?;
    let transaction = connection.transaction().await.explained()?;
    transaction.batch_execute(LOCK_WRITE).await.explained()?;
    let floor = floor(&transaction).await?;

    let mut seen: BTreeMap<Position, &NewRow> = BTreeMap::new();
    let mut verdicts: Vec<(Appended, Position)> = Vec::with_capacity(rows.len());
    for row in rows {
        let sent = row.envelope.sent();
        let position = Position::of(sent, &row.envelope.hash());
        let verdict = if sent < floor {
            Appended::BelowFloor
        } else if let Entry::Vacant(new) = seen.entry(position) {
            new.insert(row);
            // Unless the database has it.
            Appended::Stored
        } else {
            Appended::Duplicate
        };
        verdicts.push((verdict, position));
    }
    if seen.is_empty() {
        return Ok((verdicts.into_iter().map(|(verdict, _)| verdict).collect(), floor));
    }
    // In order of time: neighbours in the table and its indexes.
    let seen: Vec<(Position, &NewRow)> = seen.into_iter().collect();
    let stored = insert(&transaction, &statements, &seen).await?;
    if !stored.is_empty() {
        let new: Vec<&NewRow> =
            seen.iter().filter(|(position, _)| stored.contains(position)).map(|(_, row)| *row).collect();
        count(&transaction, &statements, &new).await?;
        list(&transaction, &statements, &new).await?;
    }
    transaction.commit().await.explained()?;
    let verdict = |(verdict, position): (Appended, Position)| match verdict {
        Appended::Stored if !stored.contains(&position) => Appended::Duplicate,
        verdict => verdict,
    };
    Ok((verdicts.into_iter().map(verdict).collect(), floor))
}

/// Inserts what is not there; gives what was not.
async fn insert(
    transaction: &Transaction<'_>,
    statements: &Statements,
    rows: &[(Position, &NewRow)],
) -> Result<HashSet<Position>, ArchiveError> {
    let mut stored = HashSet::new();
    let mut rest = rows;
    while !rest.is_empty() {
        let (mut positions, mut topics, mut raw, mut bytes) = (Vec::new(), Vec::new(), Vec::new(), 0);
        while bytes < STATEMENT_BYTES
            && let Some(((position, row), behind)) = rest.split_first()
        {
            rest = behind;
            positions.push(*position);
            topics.push(row.envelope.topic().0);
            raw.push(&row.envelope.raw()[..]);
            bytes += row.envelope.raw().len();
        }
        let (sent, ids) = columns(&positions);
        let topics: Vec<&[u8]> = topics.iter().map(|topic| &topic[..]).collect();
        for row in transaction.query(&statements.insert, &[&sent, &ids, &topics, &raw]).await.explained()? {
            stored.insert(read::position(&row)?);
        }
    }
    Ok(stored)
}

/// Counts and sums rows into their hours.
async fn count(
    transaction: &Transaction<'_>,
    statements: &Statements,
    rows: &[&NewRow],
) -> Result<(), ArchiveError> {
    let wanted: BTreeSet<i32> = rows.iter().map(|row| hour(row.envelope.sent())).collect();
    let wanted: Vec<i32> = wanted.into_iter().collect();
    let mut hours: HashMap<u32, Window> = HashMap::new();
    for row in transaction.query(&statements.hours, &[&wanted]).await.explained()? {
        let window = read::window(&row)?;
        hours.insert(window.hour, window);
    }
    for row in rows {
        let hour = row.envelope.sent() / HOUR;
        let window = hours.entry(hour).or_insert(Window { hour, ..Window::default() });
        window.add(row.envelope.raw().len(), &row.envelope.hash());
    }
    let numbers: Vec<i32> = hours.values().map(|window| hour(window.hour * HOUR)).collect();
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let counts: Vec<i64> = hours.values().map(|window| signed(window.count)).collect();
    let bytes: Vec<i64> = hours.values().map(|window| signed(window.bytes)).collect();
    let sums: Vec<&[u8]> = hours.values().map(|window| &window.accumulator.0[..]).collect();
    transaction.execute(&statements.put_hours, &[&numbers, &counts, &bytes, &sums]).await.explained()?;
    Ok(())
}

/// Lists the topics of rows under their days.
async fn list(
    transaction: &Transaction<'_>,
    statements: &Statements,
    rows: &[&NewRow],
) -> Result<(), ArchiveError> {
    let day = |row: &NewRow| i32::try_from(row.envelope.sent() / DAY).unwrap_or(i32::MAX);
    let topics: BTreeSet<(i32, Topic)> = rows.iter().map(|row| (day(row), row.envelope.topic())).collect();
    let days: Vec<i32> = topics.iter().map(|(day, _)| *day).collect();
    let topics: Vec<&[u8]> = topics.iter().map(|(_, topic)| &topic.0[..]).collect();
    transaction.execute(&statements.put_topics, &[&days, &topics]).await.explained()?;
    Ok(())
}

//! The tables, and whose they are. Costly to change: `docs/decisions/0012-postgresql.md` says why it is so.
//!
//! Everything is in a schema of its own. What is there is looked at before anything is made, and a schema that holds
//! something else, or the tables of a newer program, is left as it is.

use archive::ArchiveError;
use deadpool_postgres::{Object, Transaction};

use crate::connection::Explained as _;

/// What this program writes and reads.
pub(crate) const FORMAT: i32 = 1;
/// `server_version_num` of the oldest server with all that is used here.
const OLDEST_SERVER: i32 = 130_000;
/// Seconds in a day, the size of a partition.
pub(crate) const DAY: u32 = 86_400;

/// The advisory lock of whoever changes something: one transaction at a time, of all replicas.
pub(crate) const LOCK_WRITE: &str = "SELECT pg_advisory_xact_lock(1398034757, 1)";
/// The advisory lock of whoever drops days.
pub(crate) const TRY_LOCK_DROP: &str = "SELECT pg_try_advisory_xact_lock(1398034757, 2)";

/// `plain`: envelopes are ciphertext, so trying to compress them is time lost.
const TABLES: &str = "
    CREATE TABLE status_node.archive (
        one boolean PRIMARY KEY DEFAULT true CHECK (one),
        format integer NOT NULL,
        floor bigint NOT NULL DEFAULT 0
    );
    CREATE TABLE status_node.probe (
        one boolean PRIMARY KEY DEFAULT true CHECK (one),
        at timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE status_node.envelopes (
        sent bigint NOT NULL,
        id bytea NOT NULL,
        topic bytea NOT NULL,
        rlp bytea NOT NULL,
        PRIMARY KEY (sent, id)
    ) PARTITION BY RANGE (sent);
    ALTER TABLE status_node.envelopes ALTER COLUMN rlp SET STORAGE EXTERNAL;
    CREATE INDEX envelopes_topic ON status_node.envelopes (topic, sent, id);
    CREATE TABLE status_node.hours (
        hour integer PRIMARY KEY,
        count bigint NOT NULL,
        bytes bigint NOT NULL,
        accumulator bytea NOT NULL
    ) WITH (fillfactor = 50);
    CREATE TABLE status_node.topics (
        day integer NOT NULL,
        topic bytea NOT NULL,
        added bigint GENERATED ALWAYS AS IDENTITY,
        PRIMARY KEY (day, topic)
    );
    CREATE INDEX topics_added ON status_node.topics (day, added);
    INSERT INTO status_node.probe DEFAULT VALUES;
";

/// Makes sure that the database has our tables.
///
/// # Errors
/// [`ArchiveError::Database`]: it has none, or others.
pub(crate) async fn recognise(connection: &mut Object) -> Result<(), ArchiveError> {
    if known(&connection.transaction().await.explained()?).await? {
        return Ok(());
    }
    Err(ArchiveError::Database {
        problem: "there is no archive in the database".to_owned(),
        remedy: "name the database of a node that ran",
    })
}

/// Makes sure that the database is ours, or empty of ours: then it gets the tables.
///
/// # Errors
/// [`ArchiveError::Database`]: nothing was changed.
pub(crate) async fn claim(connection: &mut Object) -> Result<(), ArchiveError> {
    let version = "SELECT current_setting('server_version_num')::integer";
    let version: i32 = connection.query_one(version, &[]).await.explained()?.get(0);
    if version < OLDEST_SERVER {
        return Err(ArchiveError::Database {
            problem: format!("the server is PostgreSQL {}", version / 10_000),
            remedy: "use PostgreSQL 13 or newer",
        });
    }
    if known(&connection.transaction().await.explained()?).await? {
        return Ok(());
    }
    let transaction = connection.transaction().await.explained()?;
    transaction.batch_execute(LOCK_WRITE).await.explained()?;
    // Another replica may have been first.
    if known(&transaction).await? {
        return Ok(());
    }
    // IF NOT EXISTS asks for the right to make schemas even where there is one.
    let schema = "SELECT to_regnamespace('status_node') IS NOT NULL";
    if !transaction.query_one(schema, &[]).await.explained()?.get::<_, bool>(0) {
        transaction.batch_execute("CREATE SCHEMA status_node").await.explained()?;
    }
    transaction.batch_execute(TABLES).await.explained()?;
    let format = "INSERT INTO status_node.archive (format) VALUES ($1)";
    transaction.execute(format, &[&FORMAT]).await.explained()?;
    transaction.commit().await.explained()
}

/// Whether the tables are there; `false`: there is nothing in the schema.
pub(crate) async fn known(transaction: &Transaction<'_>) -> Result<bool, ArchiveError> {
    let tables = "SELECT count(*), coalesce(bool_or(relname = 'archive'), false) FROM pg_class \
                  WHERE relnamespace = to_regnamespace('status_node') AND relkind IN ('r', 'p', 'v', 'm', 'f')";
    let row = transaction.query_one(tables, &[]).await.explained()?;
    let (tables, archive): (i64, bool) = (row.get(0), row.get(1));
    if tables == 0 {
        return Ok(false);
    }
    let foreign = |found: &str| ArchiveError::Database {
        problem: format!("the schema status_node is not an archive of this node: {found}"),
        remedy: "nothing was changed; name another database, or rename that schema",
    };
    if !archive {
        return Err(foreign("it has no table archive"));
    }
    let format = "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass('status_node.archive') \
                  AND attname = 'format' AND atttypid = 'integer'::regtype";
    if transaction.query_opt(format, &[]).await.explained()?.is_none() {
        return Err(foreign("its table archive has no format"));
    }
    match transaction.query_opt("SELECT format FROM status_node.archive", &[]).await.explained()? {
        None => Err(foreign("its table archive says no format")),
        Some(row) => match row.get::<_, i32>(0) {
            FORMAT => Ok(true),
            newer if newer > FORMAT => Err(ArchiveError::Database {
                problem: format!("the archive is of format {newer}, this program knows format {FORMAT}"),
                remedy: "nothing was changed; run the newer version",
            }),
            other => Err(foreign(&format!("format {other} never was"))),
        },
    }
}

/// Makes the partition of each day that has none. In a transaction that holds the write lock.
pub(crate) async fn make_days(transaction: &Transaction<'_>, days: &[u32]) -> Result<(), ArchiveError> {
    for day in days {
        let there = "SELECT to_regclass($1::text) IS NOT NULL";
        let name = format!("status_node.envelopes_{day}");
        if transaction.query_one(there, &[&name]).await.explained()?.get(0) {
            continue;
        }
        let (from, to) = (u64::from(*day) * u64::from(DAY), (u64::from(*day) + 1) * u64::from(DAY));
        // Made beside and attached: making it a partition at once would lock out every reader.
        let make = format!(
            "CREATE TABLE {name} (LIKE status_node.envelopes INCLUDING ALL); \
             ALTER TABLE status_node.envelopes ATTACH PARTITION {name} FOR VALUES FROM ({from}) TO ({to})"
        );
        transaction.batch_execute(&make).await.explained()?;
    }
    Ok(())
}

/// The day of a partition's name.
pub(crate) fn day_of_partition(name: &str) -> Option<u32> {
    name.strip_prefix("envelopes_")?.parse().ok()
}

//! The table that the reference keeps history in, to be imported from. Only read.
//!
//! Facts: `spec/waku-mailserver.md` §5.5 (table `envelopes` of `id`, `data`, `topic`, `bloom`), §5.3 (its keys).

use std::time::Duration;

use archive::ArchiveError;
use bytes::Bytes;

use crate::address::Address;
use crate::connection::{Connections, Explained as _, Purpose};

/// Rows read at a time, and their bytes (but for one).
const ROWS: i64 = 1000;
const BYTES: i64 = 4 << 20;
/// Counting reads a whole index, once.
const PATIENCE: Duration = Duration::from_mins(10);

const NEXT: &str = "SELECT id, data FROM ( \
        SELECT id, data, row_number() OVER (ORDER BY id) AS n, sum(octet_length(data)) OVER (ORDER BY id) AS running \
        FROM (SELECT id, data FROM envelopes WHERE id > $1 ORDER BY id LIMIT $2) rows) cut \
    WHERE n = 1 OR running <= $3 ORDER BY id";

/// The old table of one database.
pub struct OldTable {
    connections: Connections,
}

impl OldTable {
    /// The table of the database at `uri`, not connected to yet.
    ///
    /// # Errors
    /// [`ArchiveError::Database`]: the URI cannot be used.
    pub fn new(uri: &str) -> Result<Self, ArchiveError> {
        Ok(Self { connections: Connections::new(&Address::parse(uri)?, Purpose::Old, 1, PATIENCE)? })
    }

    /// How many rows it has.
    ///
    /// # Errors
    /// [`ArchiveError::Database`]: there is no such table. Or it cannot be read now.
    pub async fn count(&self) -> Result<u64, ArchiveError> {
        let mut lease = self.connections.lease().await?;
        let connection = lease.connection()?;
        let work = async {
            let columns = "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('envelopes') \
                           AND attname IN ('id', 'data') AND atttypid = 'bytea'::regtype";
            if connection.query_one(columns, &[]).await.explained()?.get::<_, i64>(0) != 2 {
                return Err(ArchiveError::Database {
                    problem: "the database has no table envelopes of a status-go node".to_owned(),
                    remedy: "give the URI that the old node's configuration has as WakuConfig.DatabaseConfig.PGConfig.URI",
                });
            }
            let count = connection.query_one("SELECT count(*) FROM envelopes", &[]).await.explained()?;
            Ok(u64::try_from(count.get::<_, i64>(0)).unwrap_or_default())
        };
        let count = self.connections.limited(work).await?;
        lease.done();
        Ok(count)
    }

    /// Keys and envelopes of the next rows behind key `after`, in the order of keys; none: that was all.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn next(&self, after: &[u8]) -> Result<Vec<(Vec<u8>, Bytes)>, ArchiveError> {
        let mut lease = self.connections.lease().await?;
        let connection = lease.connection()?;
        let work = async {
            let statement = connection.prepare_cached(NEXT).await.explained()?;
            connection.query(&statement, &[&after, &ROWS, &BYTES]).await.explained()
        };
        let rows = self.connections.limited(work).await?;
        lease.done();
        Ok(rows.iter().map(|row| (row.get(0), Bytes::copy_from_slice(row.get(1)))).collect())
    }
}

//! Retention: the floor rises, days below it are dropped whole.
//!
//! Raising is one small transaction under the write lock. Dropping a day needs it to itself for a moment and waits a
//! bounded time for that; one replica does it, under a lock of its own, and what it does not get the next round does.
//! Rows below the floor in the floor's own day are invisible, and go with their day.

use archive::{ArchiveError, Evicted, HOUR, Retention, floor_after};
use deadpool_postgres::Object;

use crate::append::floor;
use crate::connection::Explained as _;
use crate::schema::{DAY, LOCK_WRITE, TRY_LOCK_DROP, day_of_partition};

const PARTITIONS: &str = "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
    WHERE i.inhparent = 'status_node.envelopes'::regclass ORDER BY c.relname";

/// Raises the floor to what `policy` allows at `now`. Rows and bytes are those that this call hid.
pub(crate) async fn raise_floor(
    connection: &mut Object,
    policy: Retention,
    now: u32,
) -> Result<Evicted, ArchiveError> {
    let transaction = connection.transaction().await.explained()?;
    transaction.batch_execute(LOCK_WRITE).await.explained()?;
    let from = floor(&transaction).await?;
    let hours = "SELECT hour, count, bytes, accumulator FROM status_node.hours ORDER BY hour DESC";
    let hours = transaction.query(hours, &[]).await.explained()?;
    let hours = hours.iter().map(crate::read::window).collect::<Result<Vec<_>, _>>()?;
    let to = floor_after(policy, now, from, hours.iter().map(|window| (window.hour, window.bytes)));
    if to <= from {
        return Ok(Evicted { floor: from, ..Evicted::default() });
    }
    let gone = || hours.iter().filter(|window| window.hour < to / HOUR);
    let evicted = Evicted {
        floor: to,
        rows: gone().map(|window| window.count).sum(),
        bytes: gone().map(|window| window.bytes).sum(),
    };
    let raise = "UPDATE status_node.archive SET floor = $1";
    transaction.execute(raise, &[&i64::from(to)]).await.explained()?;
    let hour = crate::read::hour(to);
    transaction.execute("DELETE FROM status_node.hours WHERE hour < $1", &[&hour]).await.explained()?;
    let day = i32::try_from(to / DAY).unwrap_or(i32::MAX);
    transaction.execute("DELETE FROM status_node.topics WHERE day < $1", &[&day]).await.explained()?;
    transaction.commit().await.explained()?;
    Ok(evicted)
}

/// Drops the days wholly below `floor`, unless another replica is at it.
pub(crate) async fn drop_days(connection: &mut Object, floor: u32) -> Result<(), ArchiveError> {
    let days = connection.query(PARTITIONS, &[]).await.explained()?;
    let due = days.iter().filter_map(|row| day_of_partition(row.get(0))).filter(|day| *day < floor / DAY);
    for day in due {
        let transaction = connection.transaction().await.explained()?;
        if !transaction.query_one(TRY_LOCK_DROP, &[]).await.explained()?.get::<_, bool>(0) {
            return Ok(());
        }
        // Readers queue behind whoever waits for the table: not for long.
        let drop = format!("SET LOCAL lock_timeout = '2s'; DROP TABLE IF EXISTS status_node.envelopes_{day}");
        transaction.batch_execute(&drop).await.explained()?;
        transaction.commit().await.explained()?;
    }
    Ok(())
}

//! History on PostgreSQL: one archive that several replicas share.
//!
//! Owns the schema `status_node` of one database. Must never touch anything outside of it, and never print the URI or what
//! is in it. Facts: `docs/decisions/0012-postgresql.md` (layout); `spec/waku-mailserver.md` §5.3, §5.5;
//! `spec/operations.md` §1.5, §1.9.
//!
//! ```text
//! PostgresHistory ─► connection (pool, time limits) ─► append | read | evict ─► schema status_node
//! ```
//!
//! Layers, outside in: [`PostgresHistory`] (lanes), `append`, `read`, `evict`, `directory` (topics of a day), `schema`
//! (tables, whose they are), `connection`, `tls`, `address` (the URI, pure), `error`. Beside them, `old`: the table that the
//! reference left.

mod address;
mod append;
mod connection;
mod directory;
mod error;
mod evict;
mod old;
mod read;
mod schema;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use archive::{
    Appended, ArchiveError, Budget, Evicted, History, NewRow, Page, Position, Query, Retention, Row, Stats,
    TimeRange, Window,
};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

use address::Address;
use append::Days;
use connection::{Connections, Explained as _, Lease, Purpose};
use directory::Directory;
pub use old::OldTable;
use read::Reader;

/// How the database is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Connections that read, at most. One more writes, one more evicts.
    pub readers: usize,
    /// What a piece of work may take until the server counts as away.
    pub patience: Duration,
}

impl Default for Settings {
    /// Four readers: with the writer as many as two cores of a server keep busy. Ten seconds.
    fn default() -> Self {
        Self { readers: 4, patience: Duration::from_secs(10) }
    }
}

/// An archive in a database.
pub struct PostgresHistory {
    connections: Connections,
    label: String,
    readers: Semaphore,
    writer: Semaphore,
    upkeep: Semaphore,
    claimed: OnceCell<()>,
    purpose: Purpose,
    days: Days,
    directory: Directory,
    floor: AtomicU32,
    closed: AtomicBool,
}

impl PostgresHistory {
    /// The archive at `uri`, not connected to yet: that happens with the first call that needs it, or
    /// [`PostgresHistory::open`].
    ///
    /// # Errors
    /// [`ArchiveError::Database`]: the URI or a file that it names cannot be used.
    pub fn new(uri: &str, settings: &Settings) -> Result<Self, ArchiveError> {
        Self::for_purpose(uri, settings, Purpose::Archive)
    }

    /// The same to look at: makes nothing, and [`History::append`], [`History::evict`] and [`History::probe`] fail.
    ///
    /// # Errors
    /// As [`PostgresHistory::new`].
    pub fn view(uri: &str, settings: &Settings) -> Result<Self, ArchiveError> {
        Self::for_purpose(uri, settings, Purpose::View)
    }

    /// Whether the database has our tables.
    ///
    /// # Errors
    /// It has others of that name, or cannot be asked.
    pub async fn exists(&self) -> Result<bool, ArchiveError> {
        let mut lease = self.connections.lease().await?;
        let connection = lease.connection()?;
        let look = async { schema::known(&connection.transaction().await.explained()?).await };
        let exists = self.connections.limited(look).await?;
        lease.done();
        Ok(exists)
    }

    fn for_purpose(uri: &str, settings: &Settings, purpose: Purpose) -> Result<Self, ArchiveError> {
        let address = Address::parse(uri)?;
        let readers = settings.readers.max(1);
        Ok(Self {
            connections: Connections::new(&address, purpose, readers + 2, settings.patience)?,
            label: address.database(),
            readers: Semaphore::new(readers),
            writer: Semaphore::new(1),
            upkeep: Semaphore::new(1),
            claimed: OnceCell::new(),
            purpose,
            days: Days::default(),
            directory: Directory::default(),
            floor: AtomicU32::new(0),
            closed: AtomicBool::new(false),
        })
    }

    /// Connects, and makes the tables in a database that has none.
    ///
    /// # Errors
    /// [`ArchiveError::Database`]: a person must change something, and nothing was changed. [`ArchiveError::Away`]: not
    /// now.
    pub async fn open(&self) -> Result<(), ArchiveError> {
        let work = self.begin(&self.upkeep).await?;
        self.end(work, Ok(()))
    }

    /// A connection under a permit of `lanes`, to tables known to be ours.
    async fn begin<'a>(&'a self, lanes: &'a Semaphore) -> Result<Work<'a>, ArchiveError> {
        let permit = lanes.acquire().await.map_err(|_| ArchiveError::Closed)?;
        if self.closed.load(Ordering::Acquire) {
            return Err(ArchiveError::Closed);
        }
        self.claimed.get_or_try_init(|| self.claim()).await?;
        Ok(Work { lease: self.connections.lease().await?, _permit: permit })
    }

    /// Ends a piece of work.
    fn end<T>(&self, work: Work<'_>, done: Result<T, ArchiveError>) -> Result<T, ArchiveError> {
        match &done {
            Ok(_) => work.lease.done(),
            // Perhaps a day was dropped by hand.
            Err(_) => self.days.forget(),
        }
        done
    }

    async fn claim(&self) -> Result<(), ArchiveError> {
        let mut lease = self.connections.lease().await?;
        let connection = lease.connection()?;
        let claim = async {
            match self.purpose {
                Purpose::Archive => schema::claim(connection).await?,
                Purpose::View | Purpose::Old => schema::recognise(connection).await?,
            }
            Reader { connection, directory: &self.directory }.floor().await
        };
        let floor = self.connections.limited(claim).await?;
        lease.done();
        self.saw_floor(floor);
        Ok(())
    }

    fn saw_floor(&self, floor: u32) {
        if self.floor.fetch_max(floor, Ordering::AcqRel) < floor {
            self.directory.forget_before(floor / schema::DAY);
            self.days.forget_before(floor / schema::DAY);
        }
    }
}

/// A piece of work being done.
struct Work<'a> {
    lease: Lease,
    _permit: SemaphorePermit<'a>,
}

impl History for PostgresHistory {
    fn label(&self) -> &str {
        &self.label
    }

    fn append(&self, batch: Vec<NewRow>) -> BoxFuture<'_, Result<Vec<Appended>, ArchiveError>> {
        async move {
            let mut work = self.begin(&self.writer).await?;
            if batch.is_empty() {
                return self.end(work, Ok(Vec::new()));
            }
            let append = append::append(work.lease.connection()?, &self.days, &batch);
            let done = self.connections.limited(append).await;
            let (verdicts, floor) = self.end(work, done)?;
            self.saw_floor(floor);
            Ok(verdicts)
        }
        .boxed()
    }

    fn page(
        &self,
        query: Query,
        after: Option<Position>,
        budget: Budget,
    ) -> BoxFuture<'_, Result<Page, ArchiveError>> {
        async move {
            let mut work = self.begin(&self.readers).await?;
            let reader = Reader { connection: work.lease.connection()?, directory: &self.directory };
            let done = self.connections.limited(reader.page(&query, after, budget)).await;
            self.end(work, done)
        }
        .boxed()
    }

    fn windows(&self, range: TimeRange) -> BoxFuture<'_, Result<Vec<Window>, ArchiveError>> {
        async move {
            let mut work = self.begin(&self.readers).await?;
            let reader = Reader { connection: work.lease.connection()?, directory: &self.directory };
            let done = self.connections.limited(reader.windows(range)).await;
            self.end(work, done)
        }
        .boxed()
    }

    fn ids(
        &self,
        range: TimeRange,
        after: Option<Position>,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Position>, ArchiveError>> {
        async move {
            let mut work = self.begin(&self.readers).await?;
            let reader = Reader { connection: work.lease.connection()?, directory: &self.directory };
            let done = self.connections.limited(reader.ids(range, after, max)).await;
            self.end(work, done)
        }
        .boxed()
    }

    fn get(&self, positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Option<Row>>, ArchiveError>> {
        async move {
            let mut work = self.begin(&self.readers).await?;
            let reader = Reader { connection: work.lease.connection()?, directory: &self.directory };
            let done = self.connections.limited(reader.get(&positions)).await;
            self.end(work, done)
        }
        .boxed()
    }

    /// As this replica last saw it: with every append, eviction and [`History::stats`].
    fn floor(&self) -> u32 {
        self.floor.load(Ordering::Acquire)
    }

    fn evict(&self, policy: Retention, now: u32) -> BoxFuture<'_, Result<Evicted, ArchiveError>> {
        async move {
            let mut work = self.begin(&self.upkeep).await?;
            let raise = evict::raise_floor(work.lease.connection()?, policy, now);
            let done = self.connections.limited(raise).await;
            let evicted = self.end(work, done)?;
            self.saw_floor(evicted.floor);
            let mut work = self.begin(&self.upkeep).await?;
            let drop = evict::drop_days(work.lease.connection()?, evicted.floor);
            let done = self.connections.limited(drop).await;
            self.end(work, done)?;
            Ok(evicted)
        }
        .boxed()
    }

    fn stats(&self) -> BoxFuture<'_, Result<Stats, ArchiveError>> {
        async move {
            let mut work = self.begin(&self.readers).await?;
            let reader = Reader { connection: work.lease.connection()?, directory: &self.directory };
            let done = self.connections.limited(reader.stats()).await;
            let stats = self.end(work, done)?;
            self.saw_floor(stats.floor);
            Ok(stats)
        }
        .boxed()
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), ArchiveError>> {
        async move {
            let mut work = self.begin(&self.upkeep).await?;
            let connection = work.lease.connection()?;
            let probe = async {
                let touch = "UPDATE status_node.probe SET at = now()";
                let touch = connection.prepare_cached(touch).await.explained()?;
                connection.execute(&touch, &[]).await.explained().map(|_| ())
            };
            let done = self.connections.limited(probe).await;
            self.end(work, done)
        }
        .boxed()
    }

    /// There is nothing to flush: what was acknowledged is the server's.
    fn close(&self) -> BoxFuture<'_, Result<(), ArchiveError>> {
        async move {
            self.closed.store(true, Ordering::Release);
            // An append that has begun is finished.
            let _written = self.writer.acquire().await;
            self.connections.close();
            Ok(())
        }
        .boxed()
    }
}

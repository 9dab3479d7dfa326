//! The one trait of a store, and what goes in and out of it.
//!
//! Every method that may touch a disk or a network returns a boxed future; dropping it cancels the wait, never half a
//! write. One call is one bounded turn: backends keep no iterator, snapshot or cursor between calls.

use futures::future::BoxFuture;
use waku_wire::WireEnvelope;

use crate::{ArchiveError, Position, Query, Retention, Row, TimeRange, Window};

/// Bytes of rows in one turn: what a reader gets before others have theirs.
pub const TURN_BYTES: usize = 256 * 1024;

/// One envelope to store.
#[derive(Clone, Debug)]
pub struct NewRow {
    /// The envelope.
    pub envelope: WireEnvelope,
    /// The caller proves that the archive has never been given this envelope, so its existence need not be checked. A
    /// wrong proof does not store it twice, but spoils counts and accumulators.
    pub known_new: bool,
}

/// What became of one envelope of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Appended {
    /// It is stored now.
    Stored,
    /// It was stored before (or earlier in the same batch).
    Duplicate,
    /// Its time is below the retention floor.
    BelowFloor,
}

/// How much one turn may take. A turn returns at least one row if there is one, whatever its size, or moves on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// Rows returned, at most (≥ 1).
    pub rows: usize,
    /// Bytes of RLP returned, at most (but for one larger row).
    pub bytes: usize,
    /// Keys looked at, about at most. Bounds the time of a turn whose filter matches little.
    pub keys: usize,
}

impl Budget {
    /// A normal turn of at most `rows` rows: [`TURN_BYTES`], and some ten milliseconds of looking.
    #[must_use]
    pub fn turn(rows: usize) -> Self {
        Self { rows, bytes: TURN_BYTES, keys: 65_536 }
    }
}

/// One turn's answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// Matching rows in ascending position.
    pub rows: Vec<Row>,
    /// Where to go on, strictly after it; `None`: nothing more matches. May be set on an empty page, and with nothing
    /// behind it.
    pub next: Option<Position>,
    /// Keys looked at.
    pub scanned: usize,
}

/// What an eviction took away.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Evicted {
    /// The floor now.
    pub floor: u32,
    /// Rows that are gone.
    pub rows: u64,
    /// Their bytes, as counted in [`Window::bytes`].
    pub bytes: u64,
}

/// The archive in numbers.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Stats {
    /// Rows at or above the floor.
    pub envelopes: u64,
    /// Their bytes, as counted in [`Window::bytes`].
    pub bytes: u64,
    /// `sent` of the first row.
    pub oldest: Option<u32>,
    /// `sent` of the last row.
    pub newest: Option<u32>,
    /// Rows below this second are gone and not accepted.
    pub floor: u32,
}

/// A store of envelopes in the order of [`Position`].
pub trait History: Send + Sync + 'static {
    /// Names the store in metrics (label `db`, `spec/waku-mailserver.md` §6.2): the directory, or the database name.
    fn label(&self) -> &str;

    /// Stores a batch, all or nothing, and resolves when it is durable, with one verdict per row in order. A row is
    /// stored once however often it comes. Batches take effect in the order of the calls' first polls.
    ///
    /// # Errors
    /// Nothing of the batch is stored.
    fn append(&self, batch: Vec<NewRow>) -> BoxFuture<'_, Result<Vec<Appended>, ArchiveError>>;

    /// One turn of a query: rows strictly after `after` (or from the start of the range), in ascending position.
    ///
    /// # Errors
    /// The store could not be read.
    fn page(
        &self,
        query: Query,
        after: Option<Position>,
        budget: Budget,
    ) -> BoxFuture<'_, Result<Page, ArchiveError>>;

    /// Non-empty hours that overlap `range`, ascending, each as a whole.
    ///
    /// # Errors
    /// The store could not be read.
    fn windows(&self, range: TimeRange) -> BoxFuture<'_, Result<Vec<Window>, ArchiveError>>;

    /// Positions of rows in `range` strictly after `after`, ascending, at most `max`. Fewer than `max`: that was all.
    ///
    /// # Errors
    /// The store could not be read.
    fn ids(
        &self,
        range: TimeRange,
        after: Option<Position>,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Position>, ArchiveError>>;

    /// The rows at these positions, in the order asked; `None` where there is none. The caller bounds how many.
    ///
    /// # Errors
    /// The store could not be read.
    fn get(&self, positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Option<Row>>, ArchiveError>>;

    /// The retention floor: a whole hour in UNIX seconds, never falling. Rows with `sent` below it are invisible at
    /// once, whatever is still on disk.
    fn floor(&self) -> u32;

    /// Raises the floor to what `policy` allows at `now` and frees what is below.
    ///
    /// # Errors
    /// The floor is as before, or raised with space yet to be freed (a later call does).
    fn evict(&self, policy: Retention, now: u32) -> BoxFuture<'_, Result<Evicted, ArchiveError>>;

    /// Counts and bounds. Costs no scan.
    ///
    /// # Errors
    /// The store could not be read.
    fn stats(&self) -> BoxFuture<'_, Result<Stats, ArchiveError>>;

    /// Writes durably without storing anything: whether the archive can take an envelope right now.
    ///
    /// # Errors
    /// It cannot.
    fn probe(&self) -> BoxFuture<'_, Result<(), ArchiveError>>;

    /// Flushes and ends: everything but `floor` and `label` fails with [`ArchiveError::Closed`] afterwards. The
    /// directory is free for another process once this value is dropped.
    ///
    /// # Errors
    /// Flushing failed; nothing acknowledged is lost by that.
    fn close(&self) -> BoxFuture<'_, Result<(), ArchiveError>>;
}

//! History on RocksDB: the archive of a node that keeps its own.
//!
//! Owns one directory. Work runs on blocking threads: one that writes, one that frees
//! space, and at most [`Settings::readers`] that read, each for one turn. Must never hold an iterator or snapshot between calls, and never touch a directory that is not its own.
//! Facts: design of the archive in `docs/decisions/0003-archive-layout.md`; `spec/waku-mailserver.md` §5.3, §5.4.
//!
//! Layers, outside in: [`RocksHistory`] (threads), `store` (writing), `read` (reading),
//! `directory` (topics of a day), `keys` (layout), `settings` (tuning), `format` (whose directory it is).
//! Beside them, for people at a command line: `view` (looking beside a writer), `verify`, `backup`.

mod backup;
mod directory;
mod error;
mod format;
mod keys;
mod read;
mod settings;
mod store;
mod verify;
mod view;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use archive::{
    Appended, ArchiveError, Budget, Evicted, History, NewRow, Page, Position, Query, Retention, Row, Stats,
    TimeRange, Window,
};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::Semaphore;

pub use settings::{Durability, Settings};
use store::Store;
pub use verify::{Difference, Place, Step, Verified};

/// An open archive directory.
pub struct RocksHistory {
    store: Arc<Store>,
    label: String,
    readers: Arc<Semaphore>,
    writer: Arc<Semaphore>,
    upkeep: Arc<Semaphore>,
}

impl RocksHistory {
    /// Opens the archive in `path`, which is made when absent. Blocks: replays the log of an unclean end (bounded by
    /// [`Settings::write_buffer_bytes`]).
    ///
    /// # Errors
    /// [`ArchiveError::Foreign`], [`ArchiveError::Newer`], [`ArchiveError::Locked`]: nothing in `path` was changed. Else
    /// the store cannot be read or made.
    pub fn open(path: &Path, settings: &Settings) -> Result<Self, ArchiveError> {
        Ok(Self::of(Store::open(path, settings)?, path, settings))
    }

    /// As [`RocksHistory::open`], but makes nothing: there must be an archive already.
    ///
    /// # Errors
    /// As [`RocksHistory::open`], and [`ArchiveError::Absent`].
    pub fn open_existing(path: &Path, settings: &Settings) -> Result<Self, ArchiveError> {
        format::recognise(path)?;
        Self::open(path, settings)
    }

    /// Opens the archive in `path` to look at: as it was at one moment of the call, also while another process writes it.
    /// Writes nothing, and so [`History::append`], [`History::evict`] and [`History::probe`] fail. Blocks: replays the log
    /// into memory (bounded by [`Settings::write_buffer_bytes`]) and holds every file open.
    ///
    /// # Errors
    /// [`ArchiveError::Absent`], [`ArchiveError::Foreign`], [`ArchiveError::Newer`]; or the store cannot be read.
    pub fn view(path: &Path, settings: &Settings) -> Result<Self, ArchiveError> {
        Ok(Self::of(Store::view(path, settings)?, path, settings))
    }

    fn of(store: Store, path: &Path, settings: &Settings) -> Self {
        Self {
            store: Arc::new(store),
            label: path.display().to_string(),
            readers: Arc::new(Semaphore::new(settings.readers.max(1))),
            writer: Arc::new(Semaphore::new(1)),
            upkeep: Arc::new(Semaphore::new(1)),
        }
    }

    /// Compares every row with its key, both orders with each other and with the directory, and counts and sums with what
    /// is there. Blocks for as long as reading everything takes; `tell` hears how far it is and what differs. The
    /// archive must not change meanwhile: it is a [`RocksHistory::view`], or nobody appends or evicts.
    ///
    /// # Errors
    /// The store could not be read to its end.
    pub fn verify(&self, tell: &mut dyn FnMut(Step)) -> Result<Verified, ArchiveError> {
        self.store.verify(tell)
    }

    /// Makes a second archive in `to`, which must not exist, of all that was appended before: by hard links where `to` is
    /// on the same file system, else by copying. Appending goes on meanwhile.
    ///
    /// # Errors
    /// `to` exists or cannot be written to; what was begun is removed.
    pub fn backup(&self, to: PathBuf) -> BoxFuture<'_, Result<(), ArchiveError>> {
        // Not in the writer's lane: it flushes, and may copy, and appends go on meanwhile.
        self.run(&self.upkeep, move |store| store.backup(&to))
    }

    /// Runs `work` on a blocking thread under a permit of `lanes`. Once begun it runs to its end, with its permit, even
    /// if nobody waits any more.
    fn run<'a, T: Send + 'static>(
        &'a self,
        lanes: &'a Arc<Semaphore>,
        work: impl FnOnce(&Store) -> Result<T, ArchiveError> + Send + 'static,
    ) -> BoxFuture<'a, Result<T, ArchiveError>> {
        async move {
            let permit = Arc::clone(lanes).acquire_owned().await.map_err(|_closed| ArchiveError::Closed)?;
            let store = Arc::clone(&self.store);
            let job = tokio::task::spawn_blocking(move || {
                let result = work(&store);
                // Before the permit: whoever gets it next may rely on this one's being over.
                drop(store);
                drop(permit);
                result
            });
            job.await.map_err(|error| ArchiveError::Io(format!("archive thread ended: {error}")))?
        }
        .boxed()
    }

    fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, ArchiveError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, ArchiveError>> {
        self.run(&self.readers, work)
    }

    fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, ArchiveError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, ArchiveError>> {
        self.run(&self.writer, work)
    }
}

impl History for RocksHistory {
    fn label(&self) -> &str {
        &self.label
    }

    fn append(&self, batch: Vec<NewRow>) -> BoxFuture<'_, Result<Vec<Appended>, ArchiveError>> {
        self.write(move |store| store.append(&batch))
    }

    fn page(
        &self,
        query: Query,
        after: Option<Position>,
        budget: Budget,
    ) -> BoxFuture<'_, Result<Page, ArchiveError>> {
        self.read(move |store| store.page(&query, after, budget))
    }

    fn windows(&self, range: TimeRange) -> BoxFuture<'_, Result<Vec<Window>, ArchiveError>> {
        let windows = self.store.check_open().map(|()| self.store.windows(range));
        std::future::ready(windows).boxed()
    }

    fn ids(
        &self,
        range: TimeRange,
        after: Option<Position>,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Position>, ArchiveError>> {
        self.read(move |store| store.ids(range, after, max))
    }

    fn get(&self, positions: Vec<Position>) -> BoxFuture<'_, Result<Vec<Option<Row>>, ArchiveError>> {
        self.read(move |store| store.get(&positions))
    }

    fn floor(&self) -> u32 {
        self.store.floor()
    }

    fn evict(&self, policy: Retention, now: u32) -> BoxFuture<'_, Result<Evicted, ArchiveError>> {
        async move {
            let raised = self.write(move |store| store.raise_floor(policy, now)).await?;
            // Dropping files and compacting may take a while: appends go on meanwhile.
            self.run(&self.upkeep, move |store| store.free(&raised)).await
        }
        .boxed()
    }

    fn stats(&self) -> BoxFuture<'_, Result<Stats, ArchiveError>> {
        self.read(Store::stats)
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), ArchiveError>> {
        self.write(Store::probe)
    }

    fn close(&self) -> BoxFuture<'_, Result<(), ArchiveError>> {
        self.write(Store::close)
    }
}

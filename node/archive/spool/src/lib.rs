//! A spool on disk before an archive that may be away: what is acknowledged is either in the archive or here.
//!
//! Owns one directory. Appends go to the archive for as long as it takes them; from its first failure on they go to the
//! spool, durably and in order, until a task has replayed it to its end. Reading is the archive's affair, so history is
//! incomplete while something waits here, and [`Spooled::probe`](archive::History::probe) says so. Replaying something
//! twice changes nothing: the archive stores an envelope once.
//!
//! ```text
//! append ─► archive ✓ ─► ack
//!              ✗ ─► log (fsync) ─► ack        replay: log ─► archive, oldest first, then the file goes
//! ```
//!
//! Layers: [`Spooled`] (order, acks), `replay` (the task), `log` (files, synchronous), `record` (bytes, pure).

mod log;
mod record;
mod replay;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use archive::{Appended, ArchiveError, History, NewRow};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use log::Log;

/// An archive with a spool before it.
pub struct Spooled {
    archive: Arc<dyn History>,
    log: Arc<Mutex<Log>>,
    /// One append at a time, in the order of the calls.
    turn: Semaphore,
    /// Something waits.
    filled: Notify,
    /// Why the archive does not take what waits.
    failing: Mutex<Option<ArchiveError>>,
    closed: AtomicBool,
}

impl Spooled {
    /// A spool in `directory`, which is made when absent, of at most `max_bytes`, and the task that replays it, which the
    /// caller runs and may drop at any time. Blocks for a look at the directory.
    ///
    /// # Errors
    /// [`ArchiveError::Locked`], or the directory cannot be used.
    pub fn open(
        archive: Arc<dyn History>,
        directory: &Path,
        max_bytes: u64,
    ) -> Result<(Arc<Self>, BoxFuture<'static, ()>), ArchiveError> {
        let spooled = Arc::new(Self {
            archive,
            log: Arc::new(Mutex::new(Log::open(directory, max_bytes)?)),
            turn: Semaphore::new(1),
            filled: Notify::new(),
            failing: Mutex::new(None),
            closed: AtomicBool::new(false),
        });
        let task = replay::run(Arc::clone(&spooled)).boxed();
        Ok((spooled, task))
    }

    /// Bytes that wait here for the archive.
    #[must_use]
    pub fn waiting_bytes(&self) -> u64 {
        self.log.lock().bytes()
    }

    /// Does `work` with the log, on a thread that may block.
    async fn with_log<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Log) -> Result<T, ArchiveError> + Send + 'static,
    ) -> Result<T, ArchiveError> {
        let log = Arc::clone(&self.log);
        let work = tokio::task::spawn_blocking(move || work(&mut log.lock()));
        work.await.map_err(|error| ArchiveError::Io(format!("spool thread ended: {error}")))?
    }

    /// What of the batch may be kept, and into the log with it.
    async fn spool(&self, batch: Vec<NewRow>) -> Result<Vec<Appended>, ArchiveError> {
        let floor = self.archive.floor();
        let verdict = |row: &NewRow| {
            if row.envelope.sent() < floor { Appended::BelowFloor } else { Appended::Stored }
        };
        let verdicts: Vec<Appended> = batch.iter().map(verdict).collect();
        let kept = batch.into_iter().filter(|row| row.envelope.sent() >= floor);
        let rows: Vec<_> = kept.map(|row| row.envelope.raw().clone()).collect();
        self.with_log(move |log| log.append(&rows)).await?;
        self.filled.notify_one();
        Ok(verdicts)
    }

    fn check_open(&self) -> Result<(), ArchiveError> {
        if self.closed.load(Ordering::Acquire) { Err(ArchiveError::Closed) } else { Ok(()) }
    }
}

impl archive::Layer for Spooled {
    fn below(&self) -> &dyn History {
        &*self.archive
    }

    /// What goes to the spool counts as stored, also where the archive turns out to have it already.
    fn append(&self, batch: Vec<NewRow>) -> BoxFuture<'_, Result<Vec<Appended>, ArchiveError>> {
        async move {
            let _turn = self.turn.acquire().await.map_err(|_| ArchiveError::Closed)?;
            self.check_open()?;
            if self.waiting_bytes() == 0 {
                match self.archive.append(batch.clone()).await {
                    Ok(verdicts) => return Ok(verdicts),
                    Err(ArchiveError::Closed) => return Err(ArchiveError::Closed),
                    Err(error) => {
                        tracing::warn!(%error, "history goes to the spool until the archive takes it again");
                        *self.failing.lock() = Some(error);
                    }
                }
            }
            self.spool(batch).await
        }
        .boxed()
    }

    /// Fails while something waits in the spool, although appends are taken: what is served is incomplete.
    fn probe(&self) -> BoxFuture<'_, Result<(), ArchiveError>> {
        async move {
            self.check_open()?;
            let waiting = self.waiting_bytes();
            if waiting == 0 {
                return self.archive.probe().await;
            }
            let why = self.failing.lock().as_ref().map_or_else(String::new, |error| format!(": {error}"));
            Err(ArchiveError::Away(format!("{waiting} bytes of envelopes wait in the spool{why}")))
        }
        .boxed()
    }

    /// What waits in the spool stays there for the next start.
    fn close(&self) -> BoxFuture<'_, Result<(), ArchiveError>> {
        async move {
            if self.closed.swap(true, Ordering::AcqRel) {
                return Ok(());
            }
            let _turn = self.turn.acquire().await;
            self.archive.close().await
        }
        .boxed()
    }
}

//! The way into the archive: a bounded queue, one writer, group commit.
//!
//! Owns the order of writes and what each submitter is told. A commit starts at once when the last one began at least
//! [`WriterConfig::window`] ago, otherwise when the window ends or the group is full; so a lone envelope does not wait,
//! and a stream costs at most 200 commits a second. Because there is one writer, the ack of a duplicate can only come
//! after the write of the first one. Must never run on the relay's path: submitting waits for room in the queue, and
//! nothing else.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use waku_wire::WireEnvelope;

use crate::{
    Admission, Appended, ArchiveError, History, NewRow, NotAdmitted, OverQuota, Quota, ROW_OVERHEAD, Source,
};

/// What an envelope costs in the queue beyond its bytes.
const QUEUE_OVERHEAD: usize = 128;
/// Envelopes in one group, at most.
const GROUP_ROWS: usize = 4096;

/// Bounds of a writer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WriterConfig {
    /// Which envelopes may enter.
    pub admission: Admission,
    /// Bytes that may wait to be written.
    pub queue_bytes: usize,
    /// Longest time a submitter waits for room in the queue before its envelopes are refused.
    pub max_wait: Duration,
    /// Shortest time from the beginning of one commit to that of the next, unless the group is full. At most 5 ms.
    pub window: Duration,
    /// Bytes of one group.
    pub group_bytes: usize,
}

impl Default for WriterConfig {
    fn default() -> Self {
        Self {
            admission: Admission::default(),
            queue_bytes: 8 << 20,
            max_wait: Duration::from_secs(1),
            window: Duration::from_millis(5),
            group_bytes: 1 << 20,
        }
    }
}

/// Is told about every write; counters, in the end.
pub trait WriterObserver: Send + Sync + 'static {
    /// An envelope was stored; `size` as in [`WireEnvelope::size`].
    fn stored(&self, size: usize);
    /// So many envelopes could not be stored because the store failed.
    fn failed(&self, envelopes: usize);
    /// An envelope was refused, for another reason than a failing store.
    fn refused(&self, _why: &Refusal) {}
    /// A group was written, durable as configured, in this time.
    fn wrote(&self, _took: Duration) {}
}

/// One envelope for the archive.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The envelope.
    pub envelope: WireEnvelope,
    /// See [`NewRow::known_new`]. When in doubt, `false`.
    pub known_new: bool,
    /// Whose quota it is counted to; see [`Quota::check`].
    pub source: Option<Source>,
}

/// What became of a submitted envelope.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Durably stored.
    Stored,
    /// Durably stored before.
    Duplicate,
    /// Not stored.
    Refused(Refusal),
}

impl Outcome {
    /// Whether the archive holds the envelope now.
    #[must_use]
    pub fn is_archived(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

/// Why an envelope was not stored. The text goes to the peer after `not archived: `.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// Its time is not admitted.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// Too much came that day.
    #[error(transparent)]
    OverQuota(#[from] OverQuota),
    /// It is older than what is kept.
    #[error("older than retention")]
    BelowFloor,
    /// The queue was full for too long.
    #[error("archive busy")]
    Busy,
    /// The store failed; [`ArchiveError::reason`].
    #[error("{0}")]
    Failed(&'static str),
}

impl Refusal {
    /// The same as a label of a metric.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::NotAdmitted(NotAdmitted::TooOld) => "too_old",
            Self::NotAdmitted(NotAdmitted::FromFuture) => "from_future",
            Self::OverQuota(OverQuota::Source) => "source_quota",
            Self::OverQuota(OverQuota::All) => "day_quota",
            Self::BelowFloor => "below_floor",
            Self::Busy => "busy",
            Self::Failed(_) => "failed",
        }
    }
}

struct Job {
    /// Adjusted clock at submission, UNIX seconds.
    now: u32,
    submissions: Vec<Submission>,
    /// Verdicts so far; `None` where the store has to decide.
    outcomes: Vec<Option<Outcome>>,
    ack: oneshot::Sender<Vec<Outcome>>,
    bytes: usize,
    _room: OwnedSemaphorePermit,
}

/// Resolves to one outcome per submitted envelope, in order, once all are decided and durable.
#[derive(Debug)]
pub struct Ack {
    envelopes: usize,
    state: AckState,
}

#[derive(Debug)]
enum AckState {
    Waiting(oneshot::Receiver<Vec<Outcome>>),
    Decided(Vec<Outcome>),
}

impl Ack {
    fn decided(outcomes: Vec<Outcome>) -> Self {
        Self { envelopes: outcomes.len(), state: AckState::Decided(outcomes) }
    }

    fn refused(envelopes: usize, refusal: Refusal) -> Self {
        Self::decided(vec![Outcome::Refused(refusal); envelopes])
    }
}

impl Future for Ack {
    type Output = Vec<Outcome>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Vec<Outcome>> {
        let envelopes = self.envelopes;
        match &mut self.state {
            AckState::Decided(outcomes) => Poll::Ready(std::mem::take(outcomes)),
            AckState::Waiting(receiver) => Pin::new(receiver).poll(cx).map(|outcomes| {
                // The writer ended before it came to this one.
                outcomes.unwrap_or_else(|_| {
                    vec![Outcome::Refused(Refusal::Failed(ArchiveError::Closed.reason())); envelopes]
                })
            }),
        }
    }
}

struct Shared {
    config: WriterConfig,
    quota: Option<Arc<Quota>>,
    observer: Arc<dyn WriterObserver>,
    room: Arc<Semaphore>,
    failing: Mutex<Option<&'static str>>,
}

/// Submits envelopes. Cheap to clone.
#[derive(Clone)]
pub struct Writer {
    jobs: mpsc::UnboundedSender<Option<Job>>,
    shared: Arc<Shared>,
}

/// The one task that writes: run it to its end. It ends when [`Writer::close`] was called or all writers are gone, after
/// writing what is queued.
pub type WriterTask = futures::future::BoxFuture<'static, ()>;

impl Writer {
    /// A writer into `history` and its task, which the caller runs. `quota`: that of an archive with a cap, which the
    /// caller tells what the archive holds.
    #[must_use]
    pub fn new(
        history: Arc<dyn History>,
        config: WriterConfig,
        quota: Option<Arc<Quota>>,
        observer: Arc<dyn WriterObserver>,
    ) -> (Self, WriterTask) {
        // The queue's bound is `room`: every job holds its bytes of it.
        let (jobs, queue) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(config.queue_bytes.min(Semaphore::MAX_PERMITS)));
        let shared = Arc::new(Shared { config, quota, observer, room, failing: Mutex::new(None) });
        let task = Committer { history, shared: Arc::clone(&shared), queue };
        (Self { jobs, shared }, Box::pin(task.run()))
    }

    /// Queues a batch; `now` is the adjusted clock in UNIX seconds. Resolves when it is queued (waiting for room, at most
    /// [`WriterConfig::max_wait`]) with an [`Ack`] that resolves when it is durable. Envelopes that are not admitted,
    /// or find no room, are refused in the ack.
    ///
    /// Submit a duplicate only when its sender is owed a confirmation: its ack then waits for the first one's write.
    pub async fn submit(&self, now: u32, submissions: Vec<Submission>) -> Ack {
        let Shared { config, quota, observer, .. } = &*self.shared;
        let may_enter = |submission: &Submission| {
            config.admission.check(now, submission.envelope.sent())?;
            quota.as_ref().map_or(Ok(()), |quota| quota.check(now, submission.source))?;
            Ok::<_, Refusal>(())
        };
        let verdict = |submission: &Submission| {
            let why = may_enter(submission).err()?;
            observer.refused(&why);
            Some(Outcome::Refused(why))
        };
        let outcomes: Vec<Option<Outcome>> = submissions.iter().map(verdict).collect();
        if outcomes.iter().all(Option::is_some) {
            return Ack::decided(outcomes.into_iter().flatten().collect());
        }
        let envelopes = submissions.len();
        let bytes: usize = submissions.iter().map(|s| s.envelope.raw().len() + QUEUE_OVERHEAD).sum();
        // A batch larger than the whole queue waits for all of it.
        let permits = u32::try_from(bytes.min(self.shared.config.queue_bytes)).unwrap_or(u32::MAX);
        let room = match Arc::clone(&self.shared.room).try_acquire_many_owned(permits) {
            Ok(room) => Ok(room),
            // Boxed: waiting is rare, and every session has a place for it.
            Err(_) => Box::pin(self.wait_for_room(permits)).await,
        };
        let room = match room {
            Ok(room) => room,
            Err(refusal) => {
                outcomes.iter().filter(|outcome| outcome.is_none()).for_each(|_| observer.refused(&refusal));
                return Ack::refused(envelopes, refusal);
            }
        };
        let (ack, receiver) = oneshot::channel();
        // A send fails when the task has ended; then the dropped job ends the ack.
        let _ = self.jobs.send(Some(Job { now, submissions, outcomes, ack, bytes, _room: room }));
        Ack { envelopes, state: AckState::Waiting(receiver) }
    }

    async fn wait_for_room(&self, permits: u32) -> Result<OwnedSemaphorePermit, Refusal> {
        let room = Arc::clone(&self.shared.room).acquire_many_owned(permits);
        match tokio::time::timeout(self.shared.config.max_wait, room).await {
            Ok(Ok(room)) => Ok(room),
            Ok(Err(_closed)) => Err(Refusal::Failed(ArchiveError::Closed.reason())),
            Err(_elapsed) => Err(Refusal::Busy),
        }
    }

    /// Why the last write failed ([`ArchiveError::reason`]); `None` when it succeeded or there was none.
    #[must_use]
    pub fn failing(&self) -> Option<&'static str> {
        *self.shared.failing.lock()
    }

    /// Bytes of envelopes that wait to be written; [`WriterConfig::queue_bytes`] at most.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        let Shared { config, room, .. } = &*self.shared;
        config.queue_bytes.min(Semaphore::MAX_PERMITS).saturating_sub(room.available_permits())
    }

    /// Takes nothing more; the task ends when what is queued is written.
    pub fn close(&self) {
        self.shared.room.close();
        let _ = self.jobs.send(None);
    }
}

struct Committer {
    history: Arc<dyn History>,
    shared: Arc<Shared>,
    queue: mpsc::UnboundedReceiver<Option<Job>>,
}

/// What is remembered of a row that is being written.
struct OfRow {
    now: u32,
    source: Option<Source>,
    size: usize,
    raw: usize,
}

#[derive(Default)]
struct Group {
    jobs: Vec<Job>,
    rows: usize,
    bytes: usize,
}

impl Group {
    fn push(&mut self, job: Job) {
        self.rows += job.submissions.len();
        self.bytes += job.bytes;
        self.jobs.push(job);
    }

    fn is_full(&self, config: &WriterConfig) -> bool {
        self.rows >= GROUP_ROWS || self.bytes >= config.group_bytes
    }
}

impl Committer {
    async fn run(mut self) {
        let config = self.shared.config;
        let mut next_commit = Instant::now();
        while let Some(Some(first)) = self.queue.recv().await {
            let mut group = Group::default();
            group.push(first);
            let mut open = true;
            while open && !group.is_full(&config) {
                match self.queue.try_recv() {
                    Ok(Some(job)) => group.push(job),
                    Ok(None) | Err(mpsc::error::TryRecvError::Disconnected) => open = false,
                    Err(mpsc::error::TryRecvError::Empty) => {
                        match tokio::time::timeout_at(next_commit, self.queue.recv()).await {
                            Ok(Some(Some(job))) => group.push(job),
                            Ok(_) => open = false,
                            Err(_window_over) => break,
                        }
                    }
                }
            }
            next_commit = Instant::now() + config.window;
            self.commit(group).await;
            if !open {
                break;
            }
        }
    }

    async fn commit(&self, mut group: Group) {
        let mut rows = Vec::with_capacity(group.rows);
        let mut of_rows = Vec::with_capacity(group.rows);
        for job in &mut group.jobs {
            let undecided = std::mem::take(&mut job.submissions).into_iter().zip(&job.outcomes);
            for (Submission { envelope, known_new, source }, _) in undecided.filter(|(_, it)| it.is_none()) {
                of_rows.push(OfRow {
                    now: job.now,
                    source,
                    size: envelope.size(),
                    raw: envelope.raw().len(),
                });
                rows.push(NewRow { envelope, known_new });
            }
        }
        let submitted = rows.len();
        let begin = Instant::now();
        let outcomes: Vec<Outcome> = match self.history.append(rows).await {
            Ok(appended) => {
                self.shared.observer.wrote(begin.elapsed());
                *self.shared.failing.lock() = None;
                appended.into_iter().zip(of_rows).map(|(verdict, row)| self.outcome(verdict, &row)).collect()
            }
            Err(error) => {
                tracing::error!(%error, envelopes = submitted, "history write failed");
                *self.shared.failing.lock() = Some(error.reason());
                self.shared.observer.failed(submitted);
                vec![Outcome::Refused(Refusal::Failed(error.reason())); submitted]
            }
        };
        let mut outcomes = outcomes.into_iter();
        for job in group.jobs {
            let decided = job.outcomes.into_iter().map(|outcome| outcome.or_else(|| outcomes.next()));
            // A submitter that is gone is not told.
            let _ = job.ack.send(decided.flatten().collect());
        }
    }

    fn outcome(&self, verdict: Appended, row: &OfRow) -> Outcome {
        match verdict {
            Appended::Stored => {
                if let Some(quota) = &self.shared.quota {
                    quota.charge(row.now, row.source, row.raw as u64 + ROW_OVERHEAD);
                }
                self.shared.observer.stored(row.size);
                Outcome::Stored
            }
            Appended::Duplicate => Outcome::Duplicate,
            Appended::BelowFloor => {
                self.shared.observer.refused(&Refusal::BelowFloor);
                Outcome::Refused(Refusal::BelowFloor)
            }
        }
    }
}

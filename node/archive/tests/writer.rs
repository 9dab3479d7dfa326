//! The writer: groups, order, bounds, and what submitters are told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use archive::conformance::{DAY_START, envelope, everything, walk};
use archive::memory::MemoryHistory;
use archive::{
    Appended, ArchiveError, Budget, History, NewRow, NotAdmitted, Outcome, OverQuota, Quota, Refusal,
    Retention, Row, Source, Submission, TimeRange, Writer, WriterConfig, WriterObserver,
};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;

const NOW: u32 = DAY_START + 3600;

/// A store whose appends need a permit each, and can be made to fail. Notes the size and time of each group.
struct Gated {
    inner: MemoryHistory,
    permits: Semaphore,
    failure: Mutex<Option<ArchiveError>>,
    groups: Mutex<Vec<(usize, Instant)>>,
}

impl Gated {
    fn new(permits: usize) -> Arc<Self> {
        Arc::new(Self {
            inner: MemoryHistory::new(),
            permits: Semaphore::new(permits),
            failure: Mutex::new(None),
            groups: Mutex::new(Vec::new()),
        })
    }

    fn group_sizes(&self) -> Vec<usize> {
        self.groups.lock().iter().map(|(size, _)| *size).collect()
    }
}

impl archive::Layer for Gated {
    fn below(&self) -> &dyn History {
        &self.inner
    }

    fn append(&self, batch: Vec<NewRow>) -> BoxFuture<'_, Result<Vec<Appended>, ArchiveError>> {
        async move {
            self.groups.lock().push((batch.len(), Instant::now()));
            self.permits.acquire().await.unwrap().forget();
            let failure = self.failure.lock().clone();
            match failure {
                Some(error) => Err(error),
                None => self.inner.append(batch).await,
            }
        }
        .boxed()
    }
}

#[derive(Default)]
struct Counts {
    stored: AtomicUsize,
    bytes: AtomicUsize,
    failed: AtomicUsize,
    refused: Mutex<Vec<&'static str>>,
    writes: Mutex<Vec<Duration>>,
}

impl WriterObserver for Counts {
    fn stored(&self, size: usize) {
        self.stored.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(size, Ordering::Relaxed);
    }
    fn failed(&self, envelopes: usize) {
        self.failed.fetch_add(envelopes, Ordering::Relaxed);
    }
    fn refused(&self, why: &Refusal) {
        self.refused.lock().push(why.label());
    }
    fn wrote(&self, took: Duration) {
        self.writes.lock().push(took);
    }
}

fn start(history: &Arc<Gated>, config: WriterConfig) -> (Writer, Arc<Counts>, tokio::task::JoinHandle<()>) {
    start_with(history, config, None)
}

fn start_with(
    history: &Arc<Gated>,
    config: WriterConfig,
    quota: Option<Arc<Quota>>,
) -> (Writer, Arc<Counts>, tokio::task::JoinHandle<()>) {
    let counts = Arc::new(Counts::default());
    let (writer, task) = Writer::new(Arc::clone(history) as _, config, quota, Arc::clone(&counts) as _);
    (writer, counts, tokio::spawn(task))
}

fn submissions(salts: impl IntoIterator<Item = u32>) -> Vec<Submission> {
    salts
        .into_iter()
        .map(|salt| Submission { envelope: envelope(NOW, [1; 4], salt, 100), known_new: false, source: None })
        .collect()
}

const MANY: usize = 1 << 20;

#[tokio::test(start_paused = true)]
async fn a_lone_envelope_does_not_wait_for_a_window() {
    let history = Gated::new(MANY);
    let (writer, counts, _task) = start(&history, WriterConfig::default());
    let begin = Instant::now();
    assert_eq!(writer.submit(NOW, submissions([1])).await.await, [Outcome::Stored]);
    assert_eq!(begin.elapsed(), Duration::ZERO);
    assert_eq!((counts.stored.load(Ordering::Relaxed), counts.bytes.load(Ordering::Relaxed)), (1, 120));
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_written_in_groups_at_most_five_milliseconds_apart() {
    let history = Gated::new(MANY);
    let (writer, counts, _task) = start(&history, WriterConfig::default());
    let mut waits = Vec::new();
    for n in 0..200 {
        let begin = Instant::now();
        let ack = writer.submit(NOW, submissions([n])).await;
        waits.push(tokio::spawn(async move {
            assert_eq!(ack.await, [Outcome::Stored]);
            begin.elapsed()
        }));
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
    let mut longest = Duration::ZERO;
    for wait in waits {
        longest = longest.max(wait.await.unwrap());
    }
    // The clock of tests steps in whole milliseconds.
    assert!(longest <= Duration::from_millis(6), "{longest:?}");
    let groups = history.groups.lock().clone();
    assert!(groups.len() <= 45, "{} commits in 0.2 s", groups.len());
    assert!(groups.windows(2).all(|pair| pair[1].1 - pair[0].1 >= Duration::from_millis(5)));
    assert_eq!(counts.stored.load(Ordering::Relaxed), 200);
}

#[tokio::test(start_paused = true)]
async fn a_full_group_does_not_wait() {
    let history = Gated::new(MANY);
    let config = WriterConfig { group_bytes: 2000, ..WriterConfig::default() };
    let (writer, _counts, _task) = start(&history, config);
    let begin = Instant::now();
    for n in 0..10 {
        writer.submit(NOW, submissions(n * 10..n * 10 + 10)).await.await;
    }
    assert_eq!(begin.elapsed(), Duration::ZERO);
    assert_eq!(history.group_sizes(), [10; 10]);
}

#[tokio::test(start_paused = true)]
async fn the_ack_of_a_duplicate_waits_for_the_write_of_the_first() {
    let history = Gated::new(0);
    let (writer, _counts, _task) = start(&history, WriterConfig::default());
    let mut first = writer.submit(NOW, submissions([1])).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut second = writer.submit(NOW, submissions([1])).await;
    let third = writer.submit(NOW, submissions([1, 2])).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!((&mut first).now_or_never().is_none(), "not written yet");
    assert!((&mut second).now_or_never().is_none(), "neither is the duplicate told so");
    history.permits.add_permits(1);
    assert_eq!(first.await, [Outcome::Stored]);
    history.permits.add_permits(1);
    assert_eq!(second.await, [Outcome::Duplicate]);
    assert_eq!(third.await, [Outcome::Duplicate, Outcome::Stored]);
    assert_eq!(history.group_sizes(), [1, 3], "what came meanwhile is one group");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_admitted_is_refused_and_the_rest_is_stored() {
    let history = Gated::new(MANY);
    let (writer, counts, _task) = start(&history, WriterConfig::default());
    let policy = Retention { max_age: Some(3600), max_bytes: None };
    history.evict(policy, NOW).await.unwrap();
    let sent = [NOW - 172_801, NOW, NOW + 11, NOW - 86_400, NOW + 10];
    let batch = sent.map(|sent| Submission {
        envelope: envelope(sent, [1; 4], 1, 50),
        known_new: false,
        source: None,
    });
    let outcomes = writer.submit(NOW, batch.to_vec()).await.await;
    assert_eq!(
        outcomes,
        [
            Outcome::Refused(Refusal::NotAdmitted(NotAdmitted::TooOld)),
            Outcome::Stored,
            Outcome::Refused(Refusal::NotAdmitted(NotAdmitted::FromFuture)),
            Outcome::Refused(Refusal::BelowFloor),
            Outcome::Stored,
        ]
    );
    let texts: Vec<String> = outcomes
        .iter()
        .filter_map(
            |outcome| if let Outcome::Refused(refusal) = outcome { Some(refusal.to_string()) } else { None },
        )
        .collect();
    assert_eq!(texts, ["too old", "from the future", "older than retention"]);
    assert_eq!(counts.failed.load(Ordering::Relaxed), 0, "a refusal is no failure of the store");
    // Nothing to write: no group.
    let none = writer.submit(NOW, vec![]).await.await;
    assert_eq!((none, history.group_sizes()), (vec![], vec![3]));
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_makes_submitters_wait_and_then_refuses() {
    let history = Gated::new(0);
    let config = WriterConfig { queue_bytes: 3000, ..WriterConfig::default() };
    let (writer, counts, _task) = start(&history, config);
    assert_eq!(writer.queued_bytes(), 0);
    let first = writer.submit(NOW, submissions(0..10)).await;
    assert!((1000..=3000).contains(&writer.queued_bytes()), "{}", writer.queued_bytes());
    let begin = Instant::now();
    let refused = writer.submit(NOW, submissions(10..20)).await.await;
    assert_eq!(refused, [Outcome::Refused(Refusal::Busy); 10]);
    assert_eq!(begin.elapsed(), config.max_wait);
    // Room comes while one waits.
    let waiting = {
        let writer = writer.clone();
        tokio::spawn(async move { writer.submit(NOW, submissions(10..20)).await.await })
    };
    tokio::time::sleep(Duration::from_millis(500)).await;
    history.permits.add_permits(10);
    assert_eq!(first.await, [Outcome::Stored; 10]);
    assert_eq!(waiting.await.unwrap(), [Outcome::Stored; 10]);
    assert_eq!(counts.writes.lock()[0], begin.elapsed(), "the first write took until the store let it");
    // A batch larger than the queue passes alone.
    assert_eq!(writer.submit(NOW, submissions(100..200)).await.await, [Outcome::Stored; 100]);
}

#[tokio::test(start_paused = true)]
async fn a_failing_store_refuses_by_its_reason_and_recovers() {
    let history = Gated::new(MANY);
    let (writer, counts, _task) = start(&history, WriterConfig::default());
    *history.failure.lock() = Some(ArchiveError::Full("/data: no space".to_owned()));
    let outcomes = writer.submit(NOW, submissions([1, 2])).await.await;
    assert_eq!(outcomes, [Outcome::Refused(Refusal::Failed("disk full")); 2]);
    assert_eq!((writer.failing(), counts.failed.load(Ordering::Relaxed)), (Some("disk full"), 2));
    *history.failure.lock() = None;
    assert_eq!(writer.submit(NOW, submissions([1, 2])).await.await, [Outcome::Stored; 2]);
    assert_eq!(writer.failing(), None);
}

#[tokio::test(start_paused = true)]
async fn closing_writes_what_is_queued_and_takes_nothing_more() {
    let history = Gated::new(0);
    let (writer, _counts, task) = start(&history, WriterConfig::default());
    let acks = [writer.submit(NOW, submissions([1])).await, writer.submit(NOW, submissions([2])).await];
    writer.close();
    let late = writer.submit(NOW, submissions([3])).await.await;
    assert_eq!(late, [Outcome::Refused(Refusal::Failed("shutting down"))]);
    history.permits.add_permits(MANY);
    for ack in acks {
        assert_eq!(ack.await, [Outcome::Stored]);
    }
    task.await.unwrap();
    let rows = walk(&*history, &everything(0, u32::MAX), None, Budget::turn(10)).await;
    assert_eq!(rows.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_ack_resolves_even_if_the_writer_ends_before_it() {
    let history = Gated::new(0);
    let (writer, _counts, task) = start(&history, WriterConfig::default());
    let ack = writer.submit(NOW, submissions([1, 2])).await;
    task.abort();
    assert_eq!(ack.await, [Outcome::Refused(Refusal::Failed("shutting down")); 2]);
    let after = writer.submit(NOW, submissions([3])).await.await;
    assert_eq!(after, [Outcome::Refused(Refusal::Failed("shutting down"))]);
}

fn from(source: u64, salts: impl IntoIterator<Item = u32>) -> Vec<Submission> {
    let source = Some(Source(source));
    submissions(salts).into_iter().map(|submission| Submission { source, ..submission }).collect()
}

/// One source sends ten times what the archive may hold, while others go on: what they sent stays.
#[tokio::test(start_paused = true)]
async fn a_flood_from_one_source_erases_nobody_elses_history() {
    const CAP: u64 = 100_000;
    let history = Gated::new(MANY);
    let quota = Arc::new(Quota::new(CAP));
    let (writer, counts, _task) = start_with(&history, WriterConfig::default(), Some(Arc::clone(&quota)));
    let policy = Retention { max_age: None, max_bytes: Some(CAP) };
    let mut refused = 0;
    for round in 0..50u32 {
        // The flood is of the newest hour, the others' of older ones, which are given up first.
        for outcome in writer.submit(NOW, from(1, round * 100..round * 100 + 100)).await.await {
            refused += usize::from(outcome == Outcome::Refused(Refusal::OverQuota(OverQuota::Source)));
        }
        let old = envelope(NOW - 7200, [2; 4], round, 100);
        let others = vec![Submission { envelope: old, known_new: false, source: Some(Source(2)) }];
        assert_eq!(writer.submit(NOW, others).await.await, [Outcome::Stored], "round {round}");
        history.evict(policy, NOW).await.unwrap();
        quota.learn(NOW, &history.windows(TimeRange::ALL).await.unwrap());
    }
    let stats = history.stats().await.unwrap();
    assert!(stats.bytes <= CAP, "{} bytes", stats.bytes);
    let others: Vec<Row> = walk(&*history, &everything(0, NOW - 3600), None, Budget::turn(1000)).await;
    assert_eq!(others.len(), 50, "every envelope of the others is there");
    assert!(refused > 4000, "{refused} of 5000");
    assert_eq!(*counts.refused.lock(), vec!["source_quota"; refused]);
}

#[tokio::test(start_paused = true)]
async fn what_was_there_before_costs_no_quota() {
    let history = Gated::new(MANY);
    let quota = Arc::new(Quota::new(10_000));
    let (writer, _counts, _task) = start_with(&history, WriterConfig::default(), Some(quota));
    let mut stored = 0;
    while writer.submit(NOW, from(1, [stored])).await.await == [Outcome::Stored] {
        stored += 1;
        assert!(stored < 100, "more than the cap");
    }
    assert!(stored > 40, "{stored} envelopes");
    let again = writer.submit(NOW, from(2, 0..stored)).await.await;
    assert_eq!(again, vec![Outcome::Duplicate; stored as usize]);
    assert_eq!(writer.submit(NOW, from(2, [stored])).await.await, [Outcome::Stored], "nothing was used up");
}

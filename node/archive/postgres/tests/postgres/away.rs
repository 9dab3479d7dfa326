//! The server goes and comes back: what was acknowledged is there, and nobody's hand is needed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use archive::conformance::{DAY_START, block_on, envelope, everything, walk};
use archive::{
    Accumulator, ArchiveError, Budget, Class, HOUR, History, Outcome, Position, Submission, TimeRange,
    Writer, WriterConfig, WriterObserver,
};
use archive_postgres::{PostgresHistory, Settings};

use archive_postgres::testing::Server;

struct Silent;

impl WriterObserver for Silent {
    fn stored(&self, _size: usize) {}
    fn failed(&self, _envelopes: usize) {}
}

/// What became of the envelopes of a load.
#[derive(Clone, Default)]
struct Load {
    acknowledged: BTreeSet<Position>,
    refused: usize,
    after_refusal: usize,
}

type Seeing = tokio::sync::watch::Receiver<Load>;

impl Load {
    fn add(&mut self, outcomes: &[Outcome], positions: &[Position]) {
        for (outcome, position) in outcomes.iter().zip(positions) {
            match outcome {
                Outcome::Stored => {
                    self.acknowledged.insert(*position);
                    self.after_refusal += usize::from(self.refused > 0);
                }
                Outcome::Refused(_) => self.refused += 1,
                Outcome::Duplicate => panic!("each is sent once"),
            }
        }
    }
}

const NOW: u32 = DAY_START + HOUR;

/// Counts and sums are those of the rows: no batch was stored in part, or twice.
async fn check_sums(history: &PostgresHistory) {
    let rows =
        walk(history, &everything(0, u32::MAX), None, Budget { rows: 10_000, ..Budget::turn(1) }).await;
    for window in history.windows(TimeRange::ALL).await.unwrap() {
        let mut sum = Accumulator::default();
        let of_hour = rows.iter().filter(|row| row.position.sent / HOUR == window.hour);
        let count = of_hour.map(|row| sum.add(&row.hash())).count();
        assert_eq!((window.count, window.accumulator), (count as u64, sum));
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_server_is_stopped_under_load() {
    let mut server = Server::start(&[]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let settings = Settings { patience: Duration::from_secs(2), ..Settings::default() };
    let history = Arc::new(PostgresHistory::new(&server.uri("postgres"), &settings).unwrap());
    let (writer, task) =
        Writer::new(Arc::clone(&history) as _, WriterConfig::default(), None, Arc::new(Silent));
    let (mut load, sending) = runtime.block_on(async {
        history.open().await.unwrap();
        tokio::spawn(task);
        let (seen, seeing) = tokio::sync::watch::channel(Load::default());
        let sending = tokio::spawn(async move {
            for n in 0.. {
                let batch: Vec<Submission> = (0..20u32)
                    .map(|k| envelope(NOW - n % 3000, k.to_be_bytes(), n * 20 + k, 200))
                    .map(|envelope| Submission { envelope, known_new: false, source: None })
                    .collect();
                let positions: Vec<Position> =
                    batch.iter().map(|s| Position::of(s.envelope.sent(), &s.envelope.hash())).collect();
                let outcomes = writer.submit(NOW, batch).await.await;
                seen.send_modify(|load| load.add(&outcomes, &positions));
                if seen.is_closed() {
                    break;
                }
            }
        });
        (seeing, sending)
    });
    let wait = |load: &mut Seeing, until: fn(&Load) -> bool| {
        let seen = runtime.block_on(async {
            let waited = tokio::time::timeout(Duration::from_secs(60), load.wait_for(until));
            waited.await.unwrap().map(|load| load.clone())
        });
        seen.unwrap()
    };
    wait(&mut load, |load| load.acknowledged.len() >= 2000);
    server.stop();
    wait(&mut load, |load| load.refused >= 40);
    server.run();
    let seen = wait(&mut load, |load| load.after_refusal >= 2000);
    drop(load);
    runtime.block_on(async {
        sending.await.unwrap();
        let stored: BTreeSet<Position> =
            history.ids(TimeRange::ALL, None, usize::MAX).await.unwrap().into_iter().collect();
        assert_eq!(seen.acknowledged.difference(&stored).count(), 0, "of {}", seen.acknowledged.len());
        check_sums(&history).await;
    });
}

/// As after a lost network: connections stand, and nothing comes back.
#[test]
fn a_server_that_does_not_answer_is_away_until_it_does() {
    let server = Server::start(&["fsync=off"]);
    let settings = Settings { patience: Duration::from_secs(1), ..Settings::default() };
    let history = PostgresHistory::new(&server.uri("postgres"), &settings).unwrap();
    block_on(async {
        let new = |n| vec![archive::NewRow { envelope: envelope(NOW, [1; 4], n, 50), known_new: false }];
        history.append(new(0)).await.unwrap();
        server.signal("STOP");
        for n in 1..4 {
            let begin = Instant::now();
            let error = history.append(new(n)).await.unwrap_err();
            assert!(error.class() == Class::Away && error.is_retryable(), "{error}");
            assert!(begin.elapsed() < Duration::from_secs(4));
        }
        assert!(matches!(history.probe().await, Err(ArchiveError::Away(_))));
        server.signal("CONT");
        let begin = Instant::now();
        while history.append(new(9)).await.is_err() {
            assert!(begin.elapsed() < Duration::from_secs(20), "it answers again");
        }
        history.probe().await.unwrap();
        check_sums(&history).await;
    });
}

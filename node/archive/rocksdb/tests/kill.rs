//! SIGKILL under ingest: what was acknowledged is there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use archive::conformance::{DAY_START, block_on, envelope, everything, walk};
use archive::{
    Budget, History, Outcome, Position, Submission, TimeRange, Writer, WriterConfig, WriterObserver,
};
use archive_rocksdb::{RocksHistory, Settings};

const CHILD: &str = "ARCHIVE_KILL_CHILD";
const NOW: u32 = DAY_START + 3600;

struct Silent;

impl WriterObserver for Silent {
    fn stored(&self, _size: usize) {}
    fn failed(&self, envelopes: usize) {
        panic!("{envelopes} envelopes failed");
    }
}

/// The process that is killed: appends from four tasks, and prints the position of each envelope once it is acknowledged.
fn child(path: &Path, round: u32) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let history: Arc<dyn History> = Arc::new(RocksHistory::open(path, &Settings::default()).unwrap());
        let (writer, task) = Writer::new(history, WriterConfig::default(), None, Arc::new(Silent));
        tokio::spawn(task);
        let senders = (0..4u32).map(|sender| {
            let writer = writer.clone();
            tokio::spawn(async move {
                for n in 0.. {
                    let batch: Vec<Submission> = (0..25)
                        .map(|k| {
                            let salt = (((round * 4 + sender) << 24) + n * 25) + k;
                            let envelope =
                                envelope(NOW - n % 1000, sender.to_be_bytes(), salt, 200 + k as usize * 60);
                            Submission { envelope, known_new: false, source: None }
                        })
                        .collect();
                    let positions: Vec<Position> =
                        batch.iter().map(|s| Position::of(s.envelope.sent(), &s.envelope.hash())).collect();
                    let outcomes = writer.submit(NOW, batch).await.await;
                    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Stored), "{outcomes:?}");
                    let mut lines = String::new();
                    for position in positions {
                        lines.push_str(&format!("\nack {} {:?}", position.sent, position.id));
                    }
                    lines.push('\n');
                    std::io::stdout().lock().write_all(lines.as_bytes()).unwrap();
                }
            })
        });
        futures::future::join_all(senders).await;
    });
}

fn parse(line: &str) -> Option<(u32, String)> {
    let (sent, id) = line.strip_prefix("ack ")?.split_once(' ')?;
    (id.len() == 32).then(|| (sent.parse().unwrap(), id.to_owned()))
}

#[test]
fn every_acknowledged_envelope_survives_sigkill() {
    if let Some(path) = std::env::var_os(CHILD) {
        let round = std::env::var("ARCHIVE_KILL_ROUND").unwrap().parse().unwrap();
        child(Path::new(&path), round);
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = std::collections::BTreeSet::new();
    let mut closest = Duration::MAX;
    // Killed after so many acks: while the first log is short, around the first flushes, and in between.
    for (round, acks) in [50, 3000, 20_000, 40_000, 777, 30_000].into_iter().enumerate() {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "every_acknowledged_envelope_survives_sigkill", "--nocapture"])
            .env(CHILD, directory.path())
            .env("ARCHIVE_KILL_ROUND", round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut seen = 0;
        let mut last_ack = Instant::now();
        while seen < acks {
            let line = lines.next().expect("the child runs until it is killed").unwrap();
            if let Some(ack) = parse(&line) {
                acknowledged.insert(ack);
                seen += 1;
                last_ack = Instant::now();
            }
        }
        process.kill().unwrap();
        closest = closest.min(last_ack.elapsed());
        // What was printed before the kill but not read yet counts too; the last line may be torn.
        acknowledged.extend(lines.map_while(Result::ok).filter_map(|line| parse(&line)));
        assert!(!process.wait().unwrap().success());

        block_on(async {
            let history = RocksHistory::open(directory.path(), &Settings::default()).unwrap();
            let rows = walk(&history, &everything(0, u32::MAX), None, Budget::turn(10_000)).await;
            let stored: std::collections::BTreeSet<(u32, String)> =
                rows.iter().map(|row| (row.position.sent, format!("{:?}", row.position.id))).collect();
            let lost = acknowledged.difference(&stored).count();
            assert_eq!(lost, 0, "round {round}: of {} acknowledged", acknowledged.len());
            // Rows, order of time, counts and sums agree: whole batches or nothing.
            assert!(rows.iter().all(|row| archive::EnvelopeId::of(&row.hash()) == row.position.id));
            let windows = history.windows(TimeRange::ALL).await.unwrap();
            assert_eq!(windows.iter().map(|window| window.count).sum::<u64>(), rows.len() as u64);
            let mut sum = archive::Accumulator::default();
            rows.iter()
                .filter(|row| row.position.sent / 3600 == windows[0].hour)
                .for_each(|row| sum.add(&row.hash()));
            assert_eq!(windows[0].accumulator, sum);
            if round % 2 == 0 {
                history.close().await.unwrap();
            }
        });
    }
    assert!(acknowledged.len() > 90_000);
    // In each round, unless the machine had no time for this thread just then.
    assert!(closest < Duration::from_millis(50), "killed right after an ack: {closest:?}");
}

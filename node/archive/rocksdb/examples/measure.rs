//! Measures the archive alone: filling, queries, walks, disk and memory.
//!
//! `cargo run --release -p archive-rocksdb --example measure -- [ENVELOPES] [TOPICS] [DAYS] [DIRECTORY]`; defaults:
//! 1 000 000, 10 000, 1, a temporary directory. Envelopes have 320 bytes of data, evenly over topics and time.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, clippy::cast_precision_loss, missing_docs)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use archive::conformance::envelope;
use archive::{
    Admission, Budget, Filter, History, Outcome, Position, Query, Submission, TimeRange, Writer,
    WriterConfig, WriterObserver,
};
use archive_rocksdb::{RocksHistory, Settings};
use waku_wire::{Bloom, Topic, WireEnvelope};

const DAY: u32 = 86_400;
const NOW: u32 = 1_800_000_000;
const DATA: usize = 320;

struct Silent;

impl WriterObserver for Silent {
    fn stored(&self, _size: usize) {}
    fn failed(&self, envelopes: usize) {
        eprintln!("{envelopes} envelopes failed");
    }
}

fn topic(n: u32) -> [u8; 4] {
    n.wrapping_mul(2_654_435_761).to_be_bytes()
}

/// A line of `/proc/self/status` in KB.
fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// CPU of this process so far.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // utime and stime, in ticks of 10 ms: fields 14 and 15 of the line, of which two stand before the name's end.
    let ticks = |field: usize| fields[field - 3].parse::<u64>().unwrap();
    Duration::from_millis((ticks(14) + ticks(15)) * 10)
}

async fn fill(history: &Arc<dyn History>, envelopes: u32, topics: u32, days: u32) {
    let admission = Admission { max_age: u32::MAX, max_ahead: 10 };
    let (writer, task) = Writer::new(
        Arc::clone(history),
        WriterConfig { admission, ..WriterConfig::default() },
        None,
        Arc::new(Silent),
    );
    let task = tokio::spawn(task);
    let make = |first: u32| -> Vec<WireEnvelope> {
        (first..(first + 200).min(envelopes))
            .map(|n| {
                let age =
                    (u64::from(envelopes - n) * u64::from(days * DAY - 1) / u64::from(envelopes)) as u32;
                envelope(NOW - age, topic((n.wrapping_mul(2_246_822_519) >> 7) % topics), n, DATA)
            })
            .collect()
    };
    // Made beforehand in parts, so that only archiving is timed.
    let (mut took, mut used) = (Duration::ZERO, Duration::ZERO);
    for part in (0..envelopes).step_by(100_000) {
        let batches: Vec<Vec<WireEnvelope>> =
            (part..(part + 100_000).min(envelopes)).step_by(200).map(make).collect();
        let (begin, cpu_begin) = (Instant::now(), cpu());
        let mut acks = Vec::new();
        for batch in batches {
            let batch = batch
                .into_iter()
                .map(|envelope| Submission { envelope, known_new: false, source: None })
                .collect();
            acks.push(writer.submit(NOW, batch).await);
        }
        for ack in acks {
            assert!(ack.await.iter().all(|outcome| *outcome == Outcome::Stored));
        }
        took += begin.elapsed();
        used += cpu() - cpu_begin;
    }
    writer.close();
    task.await.unwrap();
    println!(
        "fill: {:.0} envelopes/s, {:.1} µs CPU each (compaction included)",
        f64::from(envelopes) / took.as_secs_f64(),
        used.as_secs_f64() * 1e6 / f64::from(envelopes)
    );
}

async fn count(history: &dyn History, query: Query, limit: usize) -> usize {
    let (mut rows, mut after) = (0, None::<Position>);
    while rows < limit {
        let page = history.page(query.clone(), after, Budget::turn(limit - rows)).await.unwrap();
        rows += page.rows.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    rows
}

/// Median and 99th percentile over `clients` that ask `times` times each.
async fn time(
    what: &str,
    history: &Arc<dyn History>,
    clients: u32,
    times: u32,
    query: impl Fn(u32) -> Query + Send + Sync + Copy + 'static,
) {
    let cpu_begin = cpu();
    let tasks = (0..clients).map(|client| {
        let history = Arc::clone(history);
        tokio::spawn(async move {
            let mut took = Vec::new();
            let mut rows = 0;
            for n in 0..times {
                let begin = Instant::now();
                rows += count(&*history, query(client * times + n), 1000).await;
                took.push(begin.elapsed());
            }
            (took, rows)
        })
    });
    let results = futures::future::join_all(tasks).await;
    let used = cpu() - cpu_begin;
    let mut took = Vec::new();
    let mut rows = 0;
    for result in results {
        let (times, found) = result.unwrap();
        took.extend(times);
        rows += found;
    }
    took.sort_unstable();
    let asked = f64::from(clients * times);
    println!(
        "{what}, {clients} clients: p50 {:.2} ms, p99 {:.2} ms, {:.2} ms CPU, {:.0} rows",
        took[took.len() / 2].as_secs_f64() * 1e3,
        took[took.len() * 99 / 100].as_secs_f64() * 1e3,
        used.as_secs_f64() * 1e3 / asked,
        rows as f64 / asked
    );
}

fn disk(path: &Path) -> u64 {
    std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u32| arguments.next().map_or(default, |text| text.parse().unwrap());
    let (envelopes, topics, days) = (number(1_000_000), number(10_000), number(1));
    let temporary = tempfile::tempdir().unwrap();
    let path = arguments.next().map_or_else(|| temporary.path().to_path_buf(), Into::into);
    println!("{envelopes} envelopes, {topics} topics, {days} days");
    let begin = Instant::now();
    let mut history: Arc<dyn History> = Arc::new(RocksHistory::open(&path, &Settings::default()).unwrap());
    println!("open: {:.0} ms, RSS {} KB", begin.elapsed().as_secs_f64() * 1e3, memory("VmRSS"));
    if history.stats().await.unwrap().envelopes == 0 {
        fill(&history, envelopes, topics, days).await;
        println!("after fill: RSS {} KB, peak {} KB", memory("VmRSS"), memory("VmHWM"));
        history.close().await.unwrap();
        drop(history);
        let begin = Instant::now();
        history = Arc::new(RocksHistory::open(&path, &Settings::default()).unwrap());
        println!("reopen: {:.0} ms", begin.elapsed().as_secs_f64() * 1e3);
    }
    println!(
        "disk: RLP + {:.1} bytes an envelope, as it is",
        disk(&path) as f64 / f64::from(envelopes) - envelope(NOW, [1; 4], 1, DATA).raw().len() as f64
    );
    let last_day = TimeRange { from: NOW - DAY, to: NOW };
    for clients in [1, 8] {
        time("1 topic, 24 h", &history, clients, 400, move |n| Query {
            range: last_day,
            filter: Filter::Topics([Topic(topic(n % 10_000))].into_iter().collect()),
        })
        .await;
    }
    time("1 topic, all days", &history, 1, 200, |n| Query {
        range: TimeRange::ALL,
        filter: Filter::Topics([Topic(topic(n % 10_000))].into_iter().collect()),
    })
    .await;
    time("bloom of 1 topic, 24 h", &history, 1, 200, move |n| Query {
        range: last_day,
        filter: Filter::Bloom(Box::new(Bloom::of_topic(Topic(topic(n % 10_000))))),
    })
    .await;
    time("200 topics, 24 h, first 1000", &history, 1, 50, move |n| Query {
        range: last_day,
        filter: Filter::Topics((0..200).map(|k| Topic(topic((n * 200 + k) % 10_000))).collect()),
    })
    .await;
    time("everything, page of 1000", &history, 1, 50, move |n| Query {
        range: TimeRange { from: NOW - DAY + n * 1000, to: NOW },
        filter: Filter::All,
    })
    .await;
    println!("after queries: RSS {} KB", memory("VmRSS"));
}

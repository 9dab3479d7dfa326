//! Space is given back, and a flood of topics keeps memory and queries in bounds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::path::Path;
use std::time::{Duration, Instant};

use archive::conformance::{DAY_START, append, block_on, envelope, everything, of_topics, walk};
use archive::{Budget, Filter, History as _, Query, Retention, TimeRange};
use archive_rocksdb::{RocksHistory, Settings};
use waku_wire::{Bloom, Topic, WireEnvelope};

const DAY: u32 = 86_400;
const MB: u64 = 1 << 20;

/// Bytes of all tables. One may vanish while they are listed.
fn disk_bytes(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    let tables = entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "sst"));
    tables.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// RocksDB removes the files of a compaction's input in the background, when it is over.
fn shrinks_below(path: &Path, limit: u64) {
    let begin = Instant::now();
    while disk_bytes(path) >= limit {
        assert!(begin.elapsed() < Duration::from_secs(60), "{} bytes stay, not {limit}", disk_bytes(path));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// `count` envelopes of 2 KB, evenly over `seconds` from `from`, over 50 topics.
async fn fill(history: &RocksHistory, from: u32, seconds: u32, count: u32) {
    for first in (0..count).step_by(1000) {
        let at = |n: u32| from + u32::try_from(u64::from(n) * u64::from(seconds) / u64::from(count)).unwrap();
        let batch: Vec<WireEnvelope> =
            (first..first + 1000).map(|n| envelope(at(n), [0, 0, 0, (n % 50) as u8], n, 2000)).collect();
        append(history, &batch).await;
    }
}

/// In whatever state the files are: compacted, waiting for it, or just being read by a compaction.
#[test]
fn days_below_the_floor_leave_the_disk() {
    for reopened in [true, false] {
        block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let mut history = RocksHistory::open(directory.path(), &Settings::default()).unwrap();
            fill(&history, DAY_START, 4 * DAY, 80_000).await;
            if reopened {
                history.close().await.unwrap();
                drop(history);
                history = RocksHistory::open(directory.path(), &Settings::default()).unwrap();
            }
            let before = disk_bytes(directory.path());
            assert!(before > 150 * MB, "{before}");
            let policy = Retention { max_age: Some(DAY), max_bytes: None };
            let evicted = history.evict(policy, DAY_START + 4 * DAY).await.unwrap();
            assert_eq!((evicted.rows, evicted.floor), (60_000, DAY_START + 3 * DAY));
            // A quarter of 160 MB stays, with what shares a file of 32 MB with it.
            shrinks_below(directory.path(), 75 * MB);
            let rows = walk(&history, &everything(0, u32::MAX), None, Budget::turn(5000)).await;
            assert_eq!(rows.len(), 20_000);
        });
    }
}

/// Files that are too few to be worth a compaction go too.
#[test]
fn a_quiet_node_gives_its_space_back_too() {
    block_on(async {
        let directory = tempfile::tempdir().unwrap();
        for day in 0..3 {
            let history = RocksHistory::open(directory.path(), &Settings::default()).unwrap();
            fill(&history, DAY_START + day * DAY, DAY, 1000).await;
            history.close().await.unwrap();
        }
        let before = disk_bytes(directory.path());
        assert!(before > 6_000_000, "{before}");
        let history = RocksHistory::open(directory.path(), &Settings::default()).unwrap();
        let policy = Retention { max_age: Some(DAY), max_bytes: None };
        let evicted = history.evict(policy, DAY_START + 3 * DAY).await.unwrap();
        assert_eq!((evicted.rows, evicted.floor), (2000, DAY_START + 2 * DAY));
        shrinks_below(directory.path(), 2_500_000);
        let rows = walk(&history, &everything(0, u32::MAX), None, Budget::turn(5000)).await;
        assert_eq!(rows.len(), 1000);
    });
}

#[test]
fn a_floor_inside_a_day_gives_its_space_back_too() {
    block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let history = RocksHistory::open(directory.path(), &Settings::default()).unwrap();
        fill(&history, DAY_START, DAY - 1, 80_000).await;
        let before = disk_bytes(directory.path());
        assert!(before > 150 * MB, "{before}");
        let policy = Retention { max_age: None, max_bytes: Some(40 * MB) };
        let evicted = history.evict(policy, DAY_START + DAY - 1).await.unwrap();
        assert!(evicted.bytes > 110 * MB);
        shrinks_below(directory.path(), 50 * MB);
        let stats = history.stats().await.unwrap();
        assert!(stats.bytes <= 40 * MB && stats.envelopes + evicted.rows == 80_000);
        let rows = walk(&history, &everything(0, u32::MAX), None, Budget::turn(5000)).await;
        assert_eq!(rows.len() as u64, stats.envelopes);
    });
}

#[test]
fn a_stop_in_the_middle_of_an_eviction_takes_no_more_than_was_evicted() {
    block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let history = RocksHistory::open(directory.path(), &Settings::default()).unwrap();
        fill(&history, DAY_START, DAY - 1, 80_000).await;
        let policy = Retention { max_age: None, max_bytes: Some(40 * MB) };
        // The floor is raised, and then files are freed beside the close. Whether all of them are is a race.
        let (_, closed) = futures::join!(history.evict(policy, DAY_START + DAY - 1), history.close());
        assert_eq!(closed, Ok(()));
        drop(history);
        let history = RocksHistory::open(directory.path(), &Settings::default()).unwrap();
        let stats = history.stats().await.unwrap();
        assert!((30 * MB..=40 * MB).contains(&stats.bytes), "{stats:?}");
        let rows = walk(&history, &everything(history.floor(), u32::MAX), None, Budget::turn(5000)).await;
        assert_eq!(rows.len() as u64, stats.envelopes);
        append(&history, &[envelope(DAY_START + DAY - 1, [1; 4], 99_999, 10)]).await;
    });
}

#[test]
fn a_day_of_more_topics_than_are_remembered_is_still_answered() {
    const TOPICS: u32 = 70_000;
    block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let mut history = RocksHistory::open(directory.path(), &Settings::default()).unwrap();
        let topic = |n: u32| (n.wrapping_mul(2_654_435_761)).to_be_bytes();
        let envelopes: Vec<WireEnvelope> =
            (0..TOPICS).map(|n| envelope(DAY_START + n % DAY, topic(n), n, 10)).collect();
        for batch in envelopes.chunks(2000) {
            append(&history, batch).await;
        }
        for reopened in [false, true] {
            if reopened {
                drop(history);
                history = RocksHistory::open(directory.path(), &Settings::default()).unwrap();
            }
            let one =
                walk(&history, &of_topics(0, u32::MAX, &[topic(69_999)]), None, Budget::turn(100)).await;
            assert_eq!(one.len(), 1);
            let hundreds: Vec<[u8; 4]> = (0..TOPICS).step_by(100).map(topic).collect();
            let rows = walk(&history, &of_topics(0, u32::MAX, &hundreds), None, Budget::turn(1000)).await;
            assert_eq!(rows.len(), 700);
            let bloom = Bloom::of_topic(Topic(topic(12_345)));
            let expected = envelopes.iter().filter(|envelope| bloom.matches(envelope.topic())).count();
            let query = Query { range: TimeRange::ALL, filter: Filter::Bloom(Box::new(bloom)) };
            let rows = walk(&history, &query, None, Budget::turn(1000)).await;
            assert!(expected > 0 && rows.len() == expected);
        }
        // Another envelope of a topic that is not remembered.
        append(&history, &[envelope(DAY_START, topic(3), 99_999, 10)]).await;
        let rows = walk(&history, &of_topics(0, u32::MAX, &[topic(3)]), None, Budget::turn(100)).await;
        assert_eq!(rows.len(), 2);
    });
}

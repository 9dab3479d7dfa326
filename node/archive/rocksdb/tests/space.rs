//! Space is given back, and a flood of topics keeps memory and queries in bounds.

use std::path::Path;

use archive::conformance::{DAY_START, append, block_on, envelope, everything, of_topics, walk};
use archive::{Budget, Filter, History as _, Query, Retention, TimeRange};
use archive_rocksdb::{RocksHistory, Settings};
use waku_wire::{Bloom, Topic, WireEnvelope};

const DAY: u32 = 86_400;
const MB: u64 = 1 << 20;

fn disk_bytes(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    let tables = entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "sst"));
    tables.map(|entry| entry.metadata().unwrap().len()).sum()
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

#[test]
fn days_below_the_floor_leave_the_disk() {
    block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let mut history = RocksHistory::open(directory.path(), &Settings::default()).unwrap();
        fill(&history, DAY_START, 4 * DAY, 80_000).await;
        history.close().await.unwrap();
        drop(history);
        history = RocksHistory::open(directory.path(), &Settings::default()).unwrap();
        let before = disk_bytes(directory.path());
        assert!(before > 150 * MB, "{before}");
        let policy = Retention { max_age: Some(DAY), max_bytes: None };
        let evicted = history.evict(policy, DAY_START + 4 * DAY).await.unwrap();
        assert_eq!((evicted.rows, evicted.floor), (60_000, DAY_START + 3 * DAY));
        let after = disk_bytes(directory.path());
        // A quarter stays, with what shares files with it and what is not yet compacted.
        assert!(after < before / 2, "{before} to {after}");
        let rows = walk(&history, &everything(0, u32::MAX), None, Budget::turn(5000)).await;
        assert_eq!(rows.len(), 20_000);
    });
}

#[test]
fn a_floor_inside_a_day_gives_its_space_back_too() {
    block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let history = RocksHistory::open(directory.path(), &Settings::default()).unwrap();
        fill(&history, DAY_START, DAY - 1, 80_000).await;
        let before = disk_bytes(directory.path());
        let policy = Retention { max_age: None, max_bytes: Some(40 * MB) };
        let evicted = history.evict(policy, DAY_START + DAY - 1).await.unwrap();
        assert!(evicted.bytes > 110 * MB);
        let after = disk_bytes(directory.path());
        assert!(after < before - 90 * MB, "{before} to {after}");
        let stats = history.stats().await.unwrap();
        assert!(stats.bytes <= 40 * MB && stats.envelopes + evicted.rows == 80_000);
        let rows = walk(&history, &everything(0, u32::MAX), None, Budget::turn(5000)).await;
        assert_eq!(rows.len() as u64, stats.envelopes);
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

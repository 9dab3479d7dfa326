//! Several nodes on one archive.

use std::collections::HashSet;

use archive::conformance::{DAY_START, append, block_on, envelope, everything, of_topics, sorted, walk};
use archive::{Appended, Budget, Filter, HOUR, History, Query, Retention, TimeRange, Window};
use archive_postgres::{PostgresHistory, Settings};
use waku_wire::{Bloom, Topic, WireEnvelope};

use archive_postgres::testing::{Database, Server};

const DAY: u32 = 86_400;
const WIDE: Budget = Budget { rows: 10_000, bytes: 1 << 30, keys: 1 << 30 };

fn replica(database: &Database<'_>) -> PostgresHistory {
    PostgresHistory::new(&database.uri(), &Settings::default()).unwrap()
}

fn windows(envelopes: &[WireEnvelope]) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    for row in sorted(envelopes) {
        let hour = row.position.sent / HOUR;
        if windows.last().is_none_or(|window| window.hour != hour) {
            windows.push(Window { hour, ..Window::default() });
        }
        windows.last_mut().unwrap().add(row.rlp.len(), &row.hash());
    }
    windows
}

/// Three at once, into a database without a table: each row is stored by one, counted once, and summed once.
#[test]
fn the_same_rows_of_three_replicas_are_stored_once() {
    let database = Server::shared().database();
    let replicas = [replica(&database), replica(&database), replica(&database)];
    let envelopes: Vec<WireEnvelope> =
        (0..3000).map(|n| envelope(DAY_START + n % 40 * 9000, (n % 50).to_be_bytes(), n, 40)).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap();
    let stored: Vec<HashSet<usize>> = runtime.block_on(async {
        let runs = replicas.into_iter().enumerate().map(|(which, replica)| {
            let envelopes = envelopes.clone();
            tokio::spawn(async move {
                let mut stored = HashSet::new();
                // Each in another order, so that they meet in the middle of batches.
                for step in 0..60 {
                    let first = (step * 50 + which * 1000) % 3000;
                    let batch = &envelopes[first..first + 50];
                    for (n, verdict) in append(&replica, batch).await.into_iter().enumerate() {
                        match verdict {
                            Appended::Stored => assert!(stored.insert(first + n)),
                            Appended::Duplicate => {}
                            Appended::BelowFloor => panic!("there is no floor"),
                        }
                    }
                }
                stored
            })
        });
        futures::future::join_all(runs).await.into_iter().map(Result::unwrap).collect()
    });
    assert_eq!(stored.iter().map(HashSet::len).sum::<usize>(), 3000, "each by one");
    assert!(stored.iter().all(|stored| !stored.is_empty()), "all took part");
    block_on(async {
        let reader = replica(&database);
        assert_eq!(walk(&reader, &everything(0, u32::MAX), None, WIDE).await, sorted(&envelopes));
        assert_eq!(reader.windows(TimeRange::ALL).await.unwrap(), windows(&envelopes));
    });
}

#[test]
fn a_floor_of_one_replica_holds_for_all_at_once() {
    let database = Server::shared().database();
    block_on(async {
        let (one, other) = (replica(&database), replica(&database));
        let envelopes: Vec<WireEnvelope> =
            (0..60).map(|n| envelope(DAY_START + n * HOUR, (n % 3).to_be_bytes(), n, 40)).collect();
        append(&one, &envelopes).await;
        assert_eq!(walk(&other, &everything(0, u32::MAX), None, WIDE).await.len(), 60);
        let keep = Retention { max_age: Some(DAY), max_bytes: None };
        let evicted = one.evict(keep, DAY_START + 60 * HOUR).await.unwrap();
        assert_eq!((evicted.rows, evicted.floor), (36, DAY_START + 36 * HOUR));
        // The other was not told; rows of the floor's day are still in the table.
        let kept = sorted(&envelopes[36..]);
        assert_eq!(walk(&other, &everything(0, u32::MAX), None, WIDE).await, kept);
        let topics: Vec<[u8; 4]> = (0..30u32).map(u32::to_be_bytes).collect();
        assert_eq!(walk(&other, &of_topics(0, u32::MAX, &topics), None, WIDE).await, kept);
        assert_eq!(other.ids(TimeRange::ALL, None, 100).await.unwrap().len(), 24);
        let gone = sorted(&envelopes[30..31])[0].position;
        assert_eq!(other.get(vec![gone]).await, Ok(vec![None]));
        assert_eq!(append(&other, &envelopes[..37]).await[35..], [Appended::BelowFloor, Appended::Duplicate]);
        assert_eq!(other.floor(), evicted.floor);
        assert_eq!(other.evict(keep, DAY_START + 60 * HOUR).await.unwrap().rows, 0, "counted once");
    });
}

/// What one replica knows of a day's topics is out of date as soon as another stores a new one.
#[test]
fn topics_that_another_replica_brings_are_found_by_bloom() {
    let database = Server::shared().database();
    block_on(async {
        let (one, other) = (replica(&database), replica(&database));
        let topic = |n: u32| n.wrapping_mul(2_654_435_761).to_be_bytes();
        let of = |n: u32| {
            let filter = Filter::Bloom(Box::new(Bloom::of_topic(Topic(topic(n)))));
            Query { range: TimeRange::ALL, filter }
        };
        for n in 0..20 {
            let writer: &dyn History = if n % 2 == 0 { &one } else { &other };
            let new = envelope(DAY_START + n, topic(n), n, 10);
            append(writer, std::slice::from_ref(&new)).await;
            for reader in [&one, &other] {
                let found = walk(reader, &of(n), None, WIDE).await;
                assert!(found.contains(&sorted(std::slice::from_ref(&new))[0]), "topic {n}");
            }
        }
    });
}

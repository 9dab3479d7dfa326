//! Days go whole, one replica at a time, and nobody is held up by it.

use std::time::{Duration, Instant};

use archive::conformance::{DAY_START, append, block_on, envelope, everything, sorted, walk};
use archive::{Budget, History as _, Retention};
use archive_postgres::{PostgresHistory, Settings};
use waku_wire::WireEnvelope;

use archive_postgres::testing::{Database, Server};

const DAY: u32 = 86_400;

fn filled(database: &Database<'_>) -> (PostgresHistory, Vec<WireEnvelope>) {
    let history = PostgresHistory::new(&database.uri(), &Settings::default()).unwrap();
    let envelopes = (0..5).map(|day| envelope(DAY_START + day * DAY + 5000, [1; 4], day, 10)).collect();
    (history, envelopes)
}

fn days(database: &Database<'_>) -> Vec<u32> {
    let names = database.sql(
        "SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'status_node.envelopes'::regclass",
    );
    let mut days: Vec<u32> = names
        .lines()
        .map(|name| {
            name.trim_start_matches("status_node.envelopes_").parse::<u32>().unwrap() - DAY_START / DAY
        })
        .collect();
    days.sort_unstable();
    days
}

#[test]
fn days_below_the_floor_are_dropped_and_made_when_needed() {
    let database = Server::shared().database();
    block_on(async {
        let (history, envelopes) = filled(&database);
        append(&history, &envelopes[1..]).await;
        assert_eq!(days(&database), [1, 2, 3, 4]);
        append(&history, &envelopes[..1]).await;
        assert_eq!(days(&database), [0, 1, 2, 3, 4]);
        let keep = Retention { max_age: Some(2 * DAY), max_bytes: None };
        history.evict(keep, DAY_START + 4 * DAY + 7200).await.unwrap();
        assert_eq!(days(&database), [2, 3, 4], "the floor's own day stays");
        let left = database
            .sql("SELECT count(*) FROM pg_class WHERE relname LIKE 'envelopes\\_%' AND relkind = 'r'");
        assert_eq!(left, "3", "dropped, not only taken out");
        assert_eq!(
            database.sql("SELECT min(day) FROM status_node.topics"),
            (DAY_START / DAY + 2).to_string()
        );
        let rows = walk(&history, &everything(0, u32::MAX), None, Budget::turn(100)).await;
        assert_eq!(rows, sorted(&envelopes[3..]));
    });
}

/// Somebody's long look at a day keeps it from being dropped, but not from being hidden; appends go on.
#[test]
fn a_day_in_use_is_dropped_later() {
    let database = Server::shared().database();
    block_on(async {
        let (history, envelopes) = filled(&database);
        append(&history, &envelopes).await;
        let (client, connection) =
            tokio_postgres::connect(&database.uri(), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute("BEGIN; SELECT count(*) FROM status_node.envelopes").await.unwrap();
        let keep = Retention { max_age: Some(2 * DAY), max_bytes: None };
        let begin = Instant::now();
        history.evict(keep, DAY_START + 4 * DAY + 7200).await.unwrap_err();
        assert!(begin.elapsed() < Duration::from_secs(8), "it does not wait for long");
        assert_eq!(days(&database), [0, 1, 2, 3, 4]);
        let rows = walk(&history, &everything(0, u32::MAX), None, Budget::turn(100)).await;
        assert_eq!(rows, sorted(&envelopes[3..]), "hidden all the same");
        append(&history, &[envelope(DAY_START + 4 * DAY, [1; 4], 9, 10)]).await;
        client.batch_execute("COMMIT").await.unwrap();
        history.evict(keep, DAY_START + 4 * DAY + 7200).await.unwrap();
        assert_eq!(days(&database), [2, 3, 4]);
    });
}

#[test]
fn one_replica_drops_at_a_time() {
    let database = Server::shared().database();
    block_on(async {
        let (history, envelopes) = filled(&database);
        append(&history, &envelopes).await;
        let (client, connection) =
            tokio_postgres::connect(&database.uri(), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(1398034757, 2)").await.unwrap();
        let keep = Retention { max_age: Some(2 * DAY), max_bytes: None };
        assert_eq!(history.evict(keep, DAY_START + 4 * DAY + 7200).await.unwrap().rows, 3);
        assert_eq!(days(&database), [0, 1, 2, 3, 4], "another replica is at it");
        client.batch_execute("COMMIT").await.unwrap();
        history.evict(keep, DAY_START + 4 * DAY + 7200).await.unwrap();
        assert_eq!(days(&database), [2, 3, 4]);
    });
}

/// A day that an administrator dropped by hand costs one failure, no restart.
#[test]
fn a_day_dropped_by_hand_is_made_again() {
    let database = Server::shared().database();
    block_on(async {
        let (history, envelopes) = filled(&database);
        append(&history, &envelopes).await;
        database.sql(&format!("DROP TABLE status_node.envelopes_{}", DAY_START / DAY));
        let new = || vec![archive::NewRow { envelope: envelopes[0].clone(), known_new: false }];
        assert!(history.append(new()).await.unwrap_err().is_retryable());
        assert_eq!(history.append(new()).await.unwrap(), [archive::Appended::Stored]);
    });
}

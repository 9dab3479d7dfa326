//! The archive in a database that replicas share, on a real server.

use std::fs;

use archive_postgres::testing::Server;
use serde_json::{Value, json};
use waku_wire::WireEnvelope;

use crate::{
    history::{connect, history, post},
    program::{SOON, Setup, until},
};

const PASSWORD: &str = "status-offline-inbox";

/// A mailserver whose archive is in the database at `uri`.
pub(crate) fn setup(uri: &str) -> Setup {
    let mut setup = Setup::default();
    let file = setup.path("uri");
    fs::write(&file, format!("{uri}\n")).unwrap();
    setup.config["WakuConfig"]["DatabaseConfig"] = json!({"PGConfig": {"Enabled": true, "URIFile": file}});
    setup
}

fn raw(envelopes: &[WireEnvelope]) -> Vec<Vec<u8>> {
    let mut raw: Vec<Vec<u8>> = envelopes.iter().map(|envelope| envelope.raw().to_vec()).collect();
    raw.sort();
    raw
}

#[tokio::test]
async fn what_one_replica_confirmed_another_serves() {
    let database = Server::shared().database();
    let (one, other) = (setup(&database.uri()), setup(&database.uri()));
    let (first, second) = (one.start(), other.start());
    let posted = post(&connect(&first).await, "to the first").await;
    let served = history(&connect(&second).await, PASSWORD).await.unwrap();
    assert_eq!(raw(&served), raw(&[posted]));
    assert!(!one.path("data/waku").exists(), "no archive of its own");
    assert_eq!(first.get("/readyz").0, 200);
    let status: Value = serde_json::from_str(&first.get("/status").1).unwrap();
    assert_eq!(status["archive"]["writable"], true, "{status}");
    let (_, metrics) = first.get("/metrics");
    let label = format!("{{db=\"{}\"}}", database.name());
    assert!(metrics.contains(&format!("mailserver_archived_envelopes_total{label}")), "{metrics}");
    assert!(metrics.lines().any(|line| line == "statusd_archive_spool_bytes 0"), "{metrics}");
    let (status, log) = tokio::task::spawn_blocking(|| first.stop("-TERM")).await.unwrap();
    assert_eq!(status.code(), Some(0), "{log}");
}

/// The database is stopped, the node killed, started without it, and nobody does anything but start the database again.
#[tokio::test]
async fn what_was_confirmed_while_the_database_was_away_is_served_when_it_is_back() {
    let mut server = Server::start(&[]);
    let setup = setup(&server.uri("postgres"));
    let node = setup.start();
    let mut posted = vec![post(&connect(&node).await, "there").await];
    server.stop();
    let client = connect(&node).await;
    for text in ["away", "still away"] {
        posted.push(post(&client, text).await);
    }
    assert!(history(&client, PASSWORD).await.is_err(), "history cannot be served, and it is said");
    let (status, reasons) = node.get("/readyz");
    assert!(status == 503 && reasons.contains("wait in the spool"), "{reasons}");
    node.signal("-KILL");
    drop(node);
    let node = setup.start();
    assert!(node.log().contains("goes to the spool until the database is there"), "{}", node.log());
    posted.push(post(&connect(&node).await, "after the kill").await);
    server.run();
    until("history is complete", SOON, || (node.get("/readyz").0 == 200).then_some(()));
    let served = history(&connect(&node).await, PASSWORD).await.unwrap();
    assert_eq!(raw(&served), raw(&posted));
    let (_, metrics) = node.get("/metrics");
    assert!(metrics.lines().any(|line| line == "statusd_archive_spool_bytes 0"), "{metrics}");
}

#[test]
fn a_database_that_cannot_be_used_is_refused_without_its_secrets() {
    let database = Server::shared().database();
    database.sql("CREATE SCHEMA status_node; CREATE TABLE status_node.accounts (name text)");
    let nowhere = database.uri().replace(database.name(), "nowhere").replace("postgres@", "postgres:hush@");
    for (uri, words) in [
        (database.uri(), "is not an archive of this node"),
        (nowhere, "\"nowhere\" does not exist; create the database"),
        ("postgres://u:hush@db/x?sslmode=hush".to_owned(), "sslmode"),
        ("mysql://u:hush@db/x".to_owned(), "does not begin with postgres://"),
    ] {
        let (code, error) = setup(&uri).start_fails();
        assert_eq!(code, 10, "{error}");
        assert!(
            error.contains("WakuConfig.DatabaseConfig.PGConfig.URI: ") && error.contains(words),
            "{error}"
        );
        assert!(!error.contains("hush"), "{error}");
    }
    let missing = setup("");
    fs::remove_file(missing.path("uri")).unwrap();
    let (code, error) = missing.start_fails();
    assert!(code == 1 && error.contains("URIFile: cannot read"), "{code} {error}");
}

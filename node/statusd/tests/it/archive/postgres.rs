//! `statusd archive …` where the archive is in a database: between backends, and from the reference's table.

use std::fs;
use std::time::Duration;

use archive::conformance::envelope;
use archive_postgres::testing::{Database, Server};
use waku_wire::WireEnvelope;

use super::{archive_of, count, done, filled, hourly, node_with, now, refused, rows, run, sorted};
use crate::postgres::setup;
use crate::program::Setup;

/// All rows of a database, in order.
fn stored(database: &Database<'_>) -> Vec<Vec<u8>> {
    let rows = database.sql("SELECT encode(rlp, 'hex') FROM status_node.envelopes ORDER BY sent, id");
    rows.lines().map(|row| hex::decode(row).unwrap()).collect()
}

/// From the directory of a running node into the database of a running node, and back into another directory.
#[test]
fn history_moves_between_backends_while_nodes_serve() {
    let database = Server::shared().database();
    let (from, _serving) = node_with(&hourly(300));
    let file = from.path("history.envelopes").to_str().unwrap().to_owned();
    done(&run(&from, &["export", &file]));
    let mut to = setup(&database.uri());
    let said = done(&run(&to, &["import", &file, "-dry-run"]));
    assert!(said.contains("300 envelopes read, 300 would be stored, 0 there already"), "{said}");
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'status_node'";
    assert_eq!(database.sql(schemas), "0", "a dry run makes nothing");
    to.config["APIModules"] = "admin,mailserver".into();
    let node = to.start();
    let said = done(&run(&to, &["import", &file]));
    assert!(
        said.contains("300 envelopes read, 300 stored, 0 there already; the database holds 300"),
        "{said}"
    );
    assert_eq!(stored(&database), sorted(&hourly(300)));
    assert_eq!(count(&node), 300);
    for (args, words) in [
        (vec!["import", &file], "0 stored, 300 there already"),
        (vec!["import", &file, "-dry-run"], "0 would be stored, 300 there already"),
        (vec!["stats"], "envelopes  300"),
    ] {
        let said = done(&run(&to, &args));
        assert!(said.contains(words), "{said}");
    }
    let back = to.path("back.envelopes").to_str().unwrap().to_owned();
    done(&run(&to, &["export", &back]));
    let directory = Setup::default();
    done(&run(&directory, &["import", &back]));
    assert_eq!(rows(&archive_of(&directory)), sorted(&hourly(300)));
}

#[test]
fn a_database_is_pruned_beside_its_node_and_left_to_its_own_tools() {
    let database = Server::shared().database();
    let to = setup(&database.uri());
    refused(&run(&to, &["stats"]), 10, &["there is no archive in the database"]);
    let from = Setup::default();
    filled(&archive_of(&from), &hourly(72));
    let file = from.path("file").to_str().unwrap().to_owned();
    done(&run(&from, &["export", &file]));
    done(&run(&to, &["import", &file]));
    let _node = to.start();
    let said = done(&run(&to, &["prune", "-max-age", "1d", "-dry-run"]));
    assert!(said.starts_with("would evict 4"), "{said}");
    assert_eq!(database.sql("SELECT sum(count) FROM status_node.hours"), "72");
    let said = done(&run(&to, &["prune", "-max-age", "1d"]));
    assert!(said.starts_with("evicted 4"), "{said}");
    assert!(database.sql("SELECT sum(count) FROM status_node.hours").parse::<u32>().unwrap() <= 25);
    for args in [vec!["verify"], vec!["backup", &file], vec!["restore", &file]] {
        refused(&run(&to, &args), 1, &["in a database", "pg_dump"]);
    }
}

/// The table as the reference's migration makes it (`spec/waku-mailserver.md` §5.5).
const OLD: &str = "CREATE TABLE envelopes (id BYTEA NOT NULL UNIQUE, data BYTEA NOT NULL, topic BYTEA NOT NULL, bloom BIT(512) NOT NULL); \
    CREATE INDEX id_bloom_idx ON envelopes (id DESC, bloom); CREATE INDEX id_topic_idx ON envelopes (id DESC, topic); \
    CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL); \
    INSERT INTO schema_migrations VALUES (1557732988, false)";

fn old_row(envelope: &WireEnvelope) -> (String, String) {
    let key = [&envelope.sent().to_be_bytes()[..], &envelope.hash().0, &envelope.topic().0].concat();
    (hex::encode(key), hex::encode(envelope.raw()))
}

fn insert(database: &Database<'_>, rows: &[(String, String)]) {
    let row = |(key, data): &(String, String)| {
        format!(
            "(decode('{key}', 'hex'), decode('{data}', 'hex'), '\\x00000000', repeat('0', 512)::bit(512))"
        )
    };
    for rows in rows.chunks(200) {
        let rows: Vec<String> = rows.iter().map(row).collect();
        database.sql(&format!("INSERT INTO envelopes VALUES {}", rows.join(",")));
    }
}

#[test]
fn the_references_table_is_imported_counted_and_left_as_it_was() {
    let (old, new) = (Server::shared().database(), Server::shared().database());
    old.sql(OLD);
    // More than one reading of a thousand rows.
    let good: Vec<WireEnvelope> =
        (0..2400).map(|n| envelope(now() - 60 - n % 5000, [0, 0, 0, 9], n, 80)).collect();
    let mut rows: Vec<(String, String)> = good.iter().map(old_row).collect();
    let (of, under) = (envelope(now() - 90, [1; 4], 1, 50), envelope(now() - 91, [1; 4], 2, 50));
    rows.push((old_row(&under).0, old_row(&of).1));
    rows.push((old_row(&envelope(now() - 95, [1; 4], 3, 50)).0, "c0ffee".to_owned()));
    rows.push(old_row(&envelope(now() - 40 * 86_400, [1; 4], 4, 50)));
    insert(&old, &rows);
    let state = "SELECT count(*) || ' ' || md5(string_agg(md5(id || data), '' ORDER BY id)) FROM envelopes";
    let before = old.sql(state);
    for to in [setup(&new.uri()), Setup::default()] {
        let uri = to.path("old-uri");
        fs::write(&uri, old.uri()).unwrap();
        let uri = uri.to_str().unwrap();
        let said = done(&run(&to, &["import", "-from-table", uri, "-dry-run"]));
        let refusals = "1 no envelopes, 1 under another's key, 1 too old";
        assert!(
            said.contains(&format!("2403 envelopes read, 2400 would be stored, 0 there already, {refusals}")),
            "{said}"
        );
        let said = done(&run(&to, &["import", "-from-table", uri]));
        assert!(
            said.contains(&format!("2403 envelopes read, 2400 stored, 0 there already, {refusals}")),
            "{said}"
        );
        let said = done(&run(&to, &["import", "-from-table", uri]));
        assert!(said.contains("0 stored, 2400 there already"), "{said}");
    }
    assert_eq!(stored(&new), sorted(&good));
    assert_eq!(old.sql(state), before);
}

/// Killed in the middle of it, a second run goes on.
#[test]
fn an_import_that_was_cut_off_goes_on() {
    let (old, new) = (Server::shared().database(), Server::shared().database());
    old.sql(OLD);
    let good: Vec<WireEnvelope> =
        (0..6000).map(|n| envelope(now() - 60 - n % 5000, [0, 0, 0, 9], n, 80)).collect();
    insert(&old, &good.iter().map(old_row).collect::<Vec<_>>());
    let to = setup(&new.uri());
    let uri = to.path("old-uri");
    fs::write(&uri, old.uri()).unwrap();
    to.command();
    let mut import = std::process::Command::new(env!("CARGO_BIN_EXE_statusd"))
        .args(["archive", "import", "-from-table"])
        .arg(&uri)
        .arg("-c")
        .arg(to.path("config.json"))
        .env("HOME", to.path(""))
        .spawn()
        .unwrap();
    let count = || {
        let count = "SELECT coalesce(sum(count), 0) FROM status_node.hours";
        let output = Server::shared().psql(new.name(), count).output().unwrap();
        // There is no table yet.
        String::from_utf8(output.stdout).unwrap().trim().parse::<u64>().unwrap_or(0)
    };
    let some = crate::program::until("something is stored", Duration::from_secs(30), || {
        Some(count()).filter(|count| *count > 0)
    });
    import.kill().unwrap();
    import.wait().unwrap();
    let said = done(&run(&to, &["import", "-from-table", uri.to_str().unwrap()]));
    let there: u64 =
        said.split(" there already").next().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(there >= some, "{said}");
    assert!(said.contains(&format!("6000 envelopes read, {} stored", 6000 - there)), "{said}");
    assert_eq!(stored(&new), sorted(&good));
}

#[test]
fn a_database_without_the_table_is_told_by_its_own_flag() {
    let database = Server::shared().database();
    let to = Setup::default();
    let uri = to.path("old-uri");
    fs::write(&uri, database.uri()).unwrap();
    let words = ["-from-table", "no table envelopes", "the old node's configuration"];
    refused(&run(&to, &["import", "-from-table", uri.to_str().unwrap()]), 10, &words);
    fs::write(&uri, "postgres://u:hush@%2Fnowhere/x").unwrap();
    let output = run(&to, &["import", "-from-table", uri.to_str().unwrap()]);
    refused(&output, 10, &["-from-table", "is away"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("hush"));
    assert!(!archive_of(&to).exists(), "nothing is made");
    refused(&run(&to, &["import"]), 2, &["FROM"]);
}

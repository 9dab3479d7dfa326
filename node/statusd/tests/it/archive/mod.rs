//! `statusd archive …`, the real binary on archives made through the archive's own code, beside running nodes where
//! that is promised.

mod backup;
mod export;
mod old;
mod postgres;
mod prune;
mod restore;
mod stats;
mod verify;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use archive::conformance::{append, block_on, envelope};
use archive::{Budget, Filter, History as _, Query, TimeRange};
use archive_rocksdb::{RocksHistory, Settings};
use waku_wire::WireEnvelope;

use crate::program::{Setup, Statusd};

pub(crate) const HOUR: u32 = 3600;

pub(crate) fn now() -> u32 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u32::try_from(now.as_secs()).unwrap()
}

/// One envelope for each of the last `hours` hours, in three topics; the same ones in each call.
pub(crate) fn hourly(hours: u32) -> Vec<WireEnvelope> {
    static BEGIN: LazyLock<u32> = LazyLock::new(now);
    let row = |n| envelope(*BEGIN - 60 - n * HOUR, [0, 0, 0, (n % 3) as u8], n, 100);
    (0..hours).map(row).collect()
}

/// An archive that holds these.
pub(crate) fn filled(path: &Path, rows: &[WireEnvelope]) {
    block_on(async {
        let history = RocksHistory::open(path, &Settings::default()).unwrap();
        append(&history, rows).await;
        history.close().await.unwrap();
    });
}

/// All rows of an archive, in order.
pub(crate) fn rows(path: &Path) -> Vec<Vec<u8>> {
    let query = Query { range: TimeRange::ALL, filter: Filter::All };
    block_on(async {
        let view = RocksHistory::view(path, &Settings::default()).unwrap();
        let page = view.page(query, None, Budget::turn(100_000)).await.unwrap();
        assert_eq!(page.next, None, "one turn is enough for a test");
        page.rows.iter().map(|row| row.rlp.to_vec()).collect()
    })
}

/// The same rows as envelopes, in the archive's order.
pub(crate) fn sorted(rows: &[WireEnvelope]) -> Vec<Vec<u8>> {
    archive::conformance::sorted(rows).iter().map(|row| row.rlp.to_vec()).collect()
}

/// Where a node of this setup has its archive.
pub(crate) fn archive_of(setup: &Setup) -> PathBuf {
    setup.path("data/waku")
}

/// A running mailserver with a socket and these envelopes.
pub(crate) fn node_with(rows: &[WireEnvelope]) -> (Setup, Statusd) {
    let mut setup = Setup::default();
    setup.config["IPCEnabled"] = true.into();
    setup.config["APIModules"] = "admin,mailserver".into();
    filled(&archive_of(&setup), rows);
    let node = setup.start();
    (setup, node)
}

/// How many envelopes a node with the module says that it has.
pub(crate) fn count(node: &Statusd) -> u64 {
    node.rpc("mailserver_stats", serde_json::json!([]))["envelopes"].as_u64().unwrap()
}

/// Runs `statusd archive` with the setup's config.
pub(crate) fn run(setup: &Setup, args: &[&str]) -> Output {
    setup.command();
    let mut command = Command::new(env!("CARGO_BIN_EXE_statusd"));
    command.arg("archive").args(args).arg("-c").arg(setup.path("config.json"));
    command.env("HOME", setup.path("")).output().unwrap()
}

/// What it printed, given that it succeeded.
pub(crate) fn done(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{error}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// That it failed with this code and these words on the last line.
pub(crate) fn refused(output: &Output, code: i32, words: &[&str]) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{error}");
    let last = error.lines().last().unwrap_or_default();
    assert!(last.starts_with("statusd: "), "{error}");
    for word in words {
        assert!(last.contains(word), "{word} in {error}");
    }
}

#[test]
fn the_commands_are_told_with_examples_and_wrong_ones_are_usage_errors() {
    let setup = Setup::default();
    for command in ["stats", "verify", "backup", "restore", "prune", "export", "import"] {
        for word in ["-help", "--help", "-h"] {
            let help = Command::new(env!("CARGO_BIN_EXE_statusd")).args(["archive", command, word]).output();
            let help = done(&help.unwrap());
            assert!(help.contains(&format!("statusd archive {command} -")), "an example in {help}");
        }
    }
    refused(&run(&setup, &["polish"]), 2, &["polish", "statusd archive -help"]);
    refused(&run(&setup, &["stats", "-colour"]), 2, &["colour"]);
    refused(&run(&setup, &["backup"]), 2, &["TO"]);
    refused(&run(&setup, &["prune", "-max-age", "week"]), 2, &["week", "30d"]);
    // Only the first argument is the command: elsewhere it is what it was.
    let output = setup.command().arg("archive").output().unwrap();
    refused(&output, 2, &["unexpected argument 'archive'"]);
}

#[test]
fn where_there_is_no_archive_nothing_is_made() {
    let setup = Setup::default();
    let elsewhere = setup.path("elsewhere");
    let elsewhere = elsewhere.to_str().unwrap();
    let to = setup.path("to");
    for args in [
        vec!["stats"],
        vec!["verify"],
        vec!["backup", to.to_str().unwrap()],
        vec!["prune", "-max-age", "1d"],
        vec!["prune", "-max-age", "1d", "-dry-run"],
        vec!["restore", elsewhere],
        vec!["export", to.to_str().unwrap()],
    ] {
        refused(&run(&setup, &args), 10, &["there is no archive in", "name the directory"]);
    }
    assert!(!setup.path("data").exists() && !setup.path("elsewhere").exists() && !to.exists());
}

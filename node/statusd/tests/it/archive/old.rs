//! `statusd archive import` of what status-go left: a database that goleveldb itself wrote. Needs the independent peer's
//! binary: the scripts set STATUS_PEER_BIN.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use super::{archive_of, done, now, refused, rows, run};
use crate::program::Setup;

/// Writes an old archive of `count` envelopes of `size` bytes, a third under keys of 36 bytes, the first `deleted` of
/// them deleted again; gives the hashes of the others.
fn old_archive(path: &Path, from: u32, [count, size, deleted]: [u32; 3]) -> BTreeSet<String> {
    let program = std::env::var("STATUS_PEER_BIN")
        .expect("STATUS_PEER_BIN is not set: build the peer by `scripts/build.sh peers` and name its binary");
    let number = |name: &str, value: u32| format!("-{name}={value}");
    let output = Command::new(program)
        .arg("old-archive")
        .args([
            number("from", from),
            number("count", count),
            number("size", size),
            number("deleted", deleted),
        ])
        .arg(path)
        .output()
        .unwrap();
    let lines = done(&output);
    let hash =
        |line| serde_json::from_str::<serde_json::Value>(line).unwrap()["hash"].as_str().unwrap().to_owned();
    lines.lines().map(hash).collect()
}

fn hashes(path: &Path) -> BTreeSet<String> {
    rows(path).iter().map(|row| hex::encode(enode::keccak256(row))).collect()
}

/// Every file with its content and time.
fn state(path: &Path) -> BTreeMap<String, (Vec<u8>, std::time::SystemTime)> {
    let entries = fs::read_dir(path).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let changed = entry.metadata().unwrap().modified().unwrap();
            (entry.file_name().into_string().unwrap(), (fs::read(entry.path()).unwrap(), changed))
        })
        .collect()
}

#[test]
fn an_old_archive_is_imported_whole_and_left_as_it_was() {
    let setup = Setup::default();
    let old = setup.path("old");
    let expected = old_archive(&old, now() - 5000, [3000, 60, 400]);
    assert_eq!(expected.len(), 2600);
    let before = state(&old);
    let from = old.to_str().unwrap();
    let said = done(&run(&setup, &["import", from, "-dry-run"]));
    assert!(said.contains("2600 envelopes read, 2600 would be stored, 0 there already"), "{said}");
    let said = done(&run(&setup, &["import", from]));
    assert!(said.contains("2600 envelopes read, 2600 stored, 0 there already"), "{said}");
    assert_eq!(hashes(&archive_of(&setup)), expected);
    let said = done(&run(&setup, &["import", from]));
    assert!(said.contains("0 stored, 2600 there already"), "{said}");
    assert_eq!(state(&old), before, "the old archive was not touched");
    done(&run(&setup, &["verify"]));
}

/// Tables on several levels, Snappy, deletions in tables above what they delete.
#[test]
fn tables_and_journals_are_merged() {
    let setup = Setup::default();
    let old = setup.path("old");
    let expected = old_archive(&old, now() - 30_000, [12_000, 2000, 3000]);
    let tables = fs::read_dir(&old).unwrap().filter(|entry| {
        entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "ldb")
    });
    assert!(tables.count() > 2, "there are tables");
    let said = done(&run(&setup, &["import", old.to_str().unwrap()]));
    assert!(said.contains("9000 envelopes read, 9000 stored"), "{said}");
    let stats = done(&run(&setup, &["stats"]));
    assert!(stats.contains("envelopes  9000"), "{stats}");
    assert_eq!(expected.len(), 9000);
    done(&run(&setup, &["verify"]));
}

#[test]
fn a_damaged_or_running_old_archive_is_refused_in_words() {
    let setup = Setup::default();
    let old = setup.path("old");
    old_archive(&old, now() - 30_000, [12_000, 2000, 0]);
    let from = old.to_str().unwrap();
    let lock = File::open(old.join("LOCK")).unwrap();
    lock.lock().unwrap();
    refused(&run(&setup, &["import", from]), 12, &["in use", "stop the old node"]);
    drop(lock);
    let tables = fs::read_dir(&old).unwrap().map(|entry| entry.unwrap().path());
    let mut tables = tables.filter(|path| path.extension().is_some_and(|extension| extension == "ldb"));
    let table = tables.next().unwrap();
    let mut content = fs::read(&table).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(&table, content).unwrap();
    refused(&run(&setup, &["import", from]), 10, &["is damaged", "checksum", "repairs"]);
    fs::remove_file(&table).unwrap();
    refused(&run(&setup, &["import", from]), 1, &["cannot read", ".ldb", "whole directory"]);
}

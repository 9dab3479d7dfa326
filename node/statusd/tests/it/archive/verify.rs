//! `statusd archive verify`. Each kind of damage is shown in `archive-rocksdb`'s tests.

use std::fs;

use super::{archive_of, done, filled, hourly, node_with, refused, run};
use crate::program::Setup;

#[test]
fn a_sound_archive_is_called_so_with_its_counts() {
    let setup = Setup::default();
    filled(&archive_of(&setup), &hourly(30));
    let said = done(&run(&setup, &["verify"]));
    assert!(said.contains("sound: 30 envelopes") && said.contains("30 hours"), "{said}");
}

#[test]
fn what_a_running_node_has_is_verified_while_it_runs() {
    let (setup, _node) = node_with(&hourly(10));
    let said = done(&run(&setup, &["verify"]));
    assert!(said.contains("sound: 10 envelopes"), "{said}");
}

/// A byte changed in a table on the disk.
#[test]
fn damage_is_told_with_a_code_of_its_own() {
    let setup = Setup::default();
    filled(&archive_of(&setup), &hourly(30));
    let needle = hourly(30)[7].data();
    let tables = fs::read_dir(archive_of(&setup)).unwrap().map(|entry| entry.unwrap().path());
    let changed = tables.filter(|path| path.extension().is_some_and(|it| it == "sst")).any(|path| {
        let mut content = fs::read(&path).unwrap();
        let at = content.windows(needle.len()).position(|window| window == needle);
        if let Some(at) = at {
            content[at + 50] ^= 1;
            fs::write(path, content).unwrap();
        }
        at.is_some()
    });
    assert!(changed, "the envelope is in a table");
    refused(&run(&setup, &["verify"]), 10, &["damaged"]);
}

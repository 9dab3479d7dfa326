//! `statusd archive restore`.

use std::fs;

use super::{archive_of, count, done, filled, hourly, refused, rows, run, sorted};
use crate::program::Setup;

/// A setup without an archive, and a backup of `hours` envelopes.
fn backup(hours: u32) -> (Setup, String) {
    let setup = Setup::default();
    let backup = setup.path("backup");
    filled(&backup, &hourly(hours));
    (setup, backup.to_str().unwrap().to_owned())
}

/// Nothing lies beside the archive any more.
fn is_tidy(setup: &Setup) {
    let names = fs::read_dir(setup.path("data")).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = names.filter(|name| name.to_string_lossy().contains("restore")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn an_empty_place_is_filled_and_a_node_serves_it() {
    let (mut setup, backup) = backup(20);
    let said = done(&run(&setup, &["restore", &backup]));
    assert!(said.contains("sound: 20 envelopes"), "{said}");
    assert_eq!(rows(&archive_of(&setup)), sorted(&hourly(20)));
    is_tidy(&setup);
    setup.config["APIModules"] = "admin,mailserver".into();
    let node = setup.start();
    assert_eq!(count(&node), 20);
}

#[test]
fn a_dry_run_checks_and_changes_nothing() {
    let (setup, backup) = backup(20);
    let said = done(&run(&setup, &["restore", &backup, "-dry-run"]));
    assert!(said.contains("would fill") && said.contains("20 envelopes"), "{said}");
    assert!(!archive_of(&setup).exists());
}

#[test]
fn what_is_there_is_replaced_only_when_told() {
    let (setup, backup) = backup(20);
    filled(&archive_of(&setup), &hourly(3));
    refused(&run(&setup, &["restore", &backup]), 1, &["is not empty", "-overwrite"]);
    refused(&run(&setup, &["restore", &backup, "-dry-run"]), 1, &["is not empty", "-overwrite"]);
    assert_eq!(rows(&archive_of(&setup)).len(), 3);
    done(&run(&setup, &["restore", &backup, "-overwrite"]));
    assert_eq!(rows(&archive_of(&setup)), sorted(&hourly(20)));
    assert_eq!(rows(setup.path("backup").as_path()).len(), 20, "the backup is as it was");
    is_tidy(&setup);
}

#[test]
fn a_damaged_backup_replaces_nothing() {
    let (setup, backup) = backup(20);
    filled(&archive_of(&setup), &hourly(3));
    let needle = hourly(20)[7].data();
    for entry in fs::read_dir(&backup).unwrap() {
        let path = entry.unwrap().path();
        let mut content = fs::read(&path).unwrap();
        if let Some(at) = content.windows(needle.len()).position(|window| window == needle) {
            content[at + 50] ^= 1;
            fs::write(path, content).unwrap();
        }
    }
    refused(&run(&setup, &["restore", &backup, "-overwrite"]), 10, &["damaged"]);
    assert_eq!(rows(&archive_of(&setup)).len(), 3);
    is_tidy(&setup);
}

#[test]
fn a_running_node_keeps_its_archive() {
    let (mut setup, backup) = backup(20);
    filled(&archive_of(&setup), &hourly(3));
    setup.config["APIModules"] = "admin,mailserver".into();
    let node = setup.start();
    refused(&run(&setup, &["restore", &backup, "-overwrite"]), 12, &["in use", "stop it"]);
    assert_eq!(count(&node), 3);
}

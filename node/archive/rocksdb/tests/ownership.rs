//! Whose directory it is: foreign, newer and locked ones are refused and left exactly as they were.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use archive::{ArchiveError, Class, History as _};
use archive_rocksdb::{RocksHistory, Settings};

/// Every file with its content, and when it was changed.
fn contents(path: &Path) -> BTreeMap<String, (Vec<u8>, std::time::SystemTime)> {
    fs::read_dir(path)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, (fs::read(entry.path()).unwrap(), entry.metadata().unwrap().modified().unwrap()))
        })
        .collect()
}

fn open(path: &Path) -> Result<RocksHistory, ArchiveError> {
    RocksHistory::open(path, &Settings::default())
}

fn refused(path: &Path) -> ArchiveError {
    let before = contents(path);
    let error = open(path).err().expect("refused");
    assert_eq!(contents(path), before, "nothing was changed");
    assert_eq!(error.class(), Class::Setup);
    error
}

#[test]
fn an_empty_or_absent_directory_becomes_an_archive_and_stays_one() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("lost+found")).unwrap();
    for path in [directory.path().to_path_buf(), directory.path().join("new").join("waku")] {
        drop(open(&path).unwrap());
        assert_eq!(fs::read_to_string(path.join("FORMAT")).unwrap(), "status-node archive 1\n");
        drop(open(&path).unwrap());
    }
}

#[test]
fn the_reference_database_is_refused_untouched() {
    let directory = tempfile::tempdir().unwrap();
    // What goleveldb leaves; RocksDB would take CURRENT for its own.
    for (name, content) in [
        ("CURRENT", &b"MANIFEST-000000\n"[..]),
        (
            "MANIFEST-000000",
            b"\x56\xf9\xb8\xf8\x1c\0\x01\x01\x1aleveldb.BytewiseComparator\x02\0\x03\x02\x04\0",
        ),
        ("000001.log", b""),
        ("000002.ldb", b"table"),
        ("LOCK", b""),
        ("LOG", b"log"),
    ] {
        fs::write(directory.path().join(name), content).unwrap();
    }
    let error = refused(directory.path());
    assert!(matches!(&error, ArchiveError::Foreign { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("LevelDB") && text.contains("Nothing was changed") && text.contains("DataDir"),
        "{text}"
    );
}

#[test]
fn any_other_content_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("holiday.jpg"), b"picture").unwrap();
    let text = refused(directory.path()).to_string();
    assert!(text.contains("holiday.jpg"), "{text}");
}

#[test]
fn a_rocksdb_database_of_another_program_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(rocksdb::DB::open_default(directory.path()).unwrap());
    assert!(matches!(refused(directory.path()), ArchiveError::Foreign { .. }));
}

#[test]
fn a_newer_format_is_refused_by_its_number() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()).unwrap());
    fs::write(directory.path().join("FORMAT"), "status-node archive 2\n").unwrap();
    let error = refused(directory.path());
    assert!(matches!(error, ArchiveError::Newer { found: 2, supported: 1, .. }), "{error}");
    fs::write(directory.path().join("FORMAT"), "something else").unwrap();
    assert!(matches!(refused(directory.path()), ArchiveError::Foreign { .. }));
}

#[test]
fn the_format_key_in_the_database_counts_too() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()).unwrap());
    let names = ["default", "rows", "time"];
    let db = rocksdb::DB::open_cf(&rocksdb::Options::default(), directory.path(), names).unwrap();
    assert_eq!(db.get(b"v").unwrap().as_deref(), Some(&[0, 0, 0, 1][..]));
    db.put(b"v", 7u32.to_be_bytes()).unwrap();
    drop(db);
    assert!(matches!(open(directory.path()), Err(ArchiveError::Newer { found: 7, .. })));
}

#[test]
fn a_crash_while_it_is_made_does_not_lock_it_out() {
    let directory = tempfile::tempdir().unwrap();
    // The format file is written first, the database after it.
    fs::write(directory.path().join("FORMAT.new"), "status-").unwrap();
    drop(open(directory.path()).unwrap());
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("FORMAT"), "status-node archive 1\n").unwrap();
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    drop(rocksdb::DB::open(&options, other.path()).unwrap());
    drop(open(other.path()).unwrap());
}

#[test]
fn an_open_archive_is_locked_and_goes_on_working() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path()).unwrap();
    let error = refused(directory.path());
    assert!(matches!(error, ArchiveError::Locked { .. }), "{error}");
    assert!(error.to_string().contains("in use by another process"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(first.probe()), Ok(()));
    drop(first);
    open(directory.path()).unwrap();
}

#[test]
fn an_archive_open_in_another_process_is_locked() {
    const CHILD: &str = "ARCHIVE_LOCK_CHILD";
    if let Some(path) = std::env::var_os(CHILD) {
        let error = open(Path::new(&path)).err();
        assert!(matches!(error, Some(ArchiveError::Locked { .. })), "{error:?}");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let _open = open(directory.path()).unwrap();
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "an_archive_open_in_another_process_is_locked"])
        .env(CHILD, directory.path())
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn a_path_that_is_a_file_is_an_error_with_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("waku");
    fs::write(&file, b"").unwrap();
    let error = open(&file).err().unwrap();
    assert!(error.to_string().contains("waku"), "{error}");
}

#[test]
fn damage_is_reported_and_does_not_crash() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()).unwrap());
    fs::write(directory.path().join("CURRENT"), b"MANIFEST-999999\n").unwrap();
    let error = open(directory.path()).err().unwrap();
    assert!(matches!(error, ArchiveError::Corrupt(_) | ArchiveError::Io(_)), "{error:?}");
}

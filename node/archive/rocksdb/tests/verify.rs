//! What a check of an archive finds, what a view beside a writer sees, and what a backup holds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use archive::conformance::{DAY_START, append, block_on, envelope, everything, walk};
use archive::{ArchiveError, Budget, History as _, ROW_OVERHEAD, Retention};
use archive_rocksdb::{Difference, RocksHistory, Settings, Step, Verified};
use waku_wire::WireEnvelope;

const DAY: u32 = 86_400;

/// Rows over two days in five topics.
fn rows() -> Vec<WireEnvelope> {
    (0..400).map(|n| envelope(DAY_START + n * 400, [0, 0, 0, (n % 5) as u8], n, 100)).collect()
}

fn filled(path: &Path) -> Vec<WireEnvelope> {
    let rows = rows();
    block_on(async {
        let history = RocksHistory::open(path, &Settings::default()).unwrap();
        append(&history, &rows).await;
        history.close().await.unwrap();
    });
    rows
}

async fn all(history: &RocksHistory) -> usize {
    walk(history, &everything(0, u32::MAX), None, Budget::turn(1000)).await.len()
}

fn verify(path: &Path) -> (Verified, Vec<Difference>) {
    let view = RocksHistory::view(path, &Settings::default()).unwrap();
    let mut found = Vec::new();
    let verified = view
        .verify(&mut |step| match step {
            Step::Differs(difference) => found.push(difference),
            Step::Keys(_) => {}
        })
        .unwrap();
    assert_eq!(verified.differences, found.len() as u64);
    (verified, found)
}

/// Changes the database behind the archive's back.
fn tamper(path: &Path, change: impl FnOnce(&rocksdb::DB)) {
    let names = ["default", "rows", "time"];
    let db = rocksdb::DB::open_cf(&rocksdb::Options::default(), path, names).unwrap();
    change(&db);
}

fn first_key(db: &rocksdb::DB, family: &str) -> (Vec<u8>, Vec<u8>) {
    let family = db.cf_handle(family).unwrap();
    let (key, value) = db.iterator_cf(family, rocksdb::IteratorMode::Start).next().unwrap().unwrap();
    (key.to_vec(), value.to_vec())
}

#[test]
fn an_archive_as_it_was_written_has_no_differences() {
    let directory = tempfile::tempdir().unwrap();
    let rows = filled(directory.path());
    let bytes = rows.iter().map(|row| row.raw().len() as u64 + ROW_OVERHEAD).sum();
    let (verified, found) = verify(directory.path());
    assert_eq!(found, []);
    // One row every 400 s: each hour has some.
    assert_eq!(verified, Verified { rows: 400, bytes, hours: 400 * 400 / 3600 + 1, differences: 0 });
}

#[test]
fn what_an_eviction_leaves_behind_is_no_difference() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path());
    block_on(async {
        let history = RocksHistory::open(directory.path(), &Settings::default()).unwrap();
        let policy = Retention { max_age: Some(DAY), max_bytes: None };
        assert!(history.evict(policy, DAY_START + DAY + DAY / 2).await.unwrap().rows > 0);
        history.close().await.unwrap();
    });
    let (verified, found) = verify(directory.path());
    assert_eq!(found, []);
    assert_eq!(verified.rows, u64::from(400 - DAY / 2 / 400));
}

#[test]
fn each_kind_of_damage_is_found_for_what_it_is() {
    type Case = (&'static str, fn(&rocksdb::DB), fn(&Difference) -> bool);
    let cases: [Case; 8] = [
        (
            "a row is gone",
            |db| db.delete_cf(db.cf_handle("rows").unwrap(), first_key(db, "rows").0).unwrap(),
            |found| matches!(found, Difference::NoRow(_)),
        ),
        (
            "a row is not in the order of time",
            |db| db.delete_cf(db.cf_handle("time").unwrap(), first_key(db, "time").0).unwrap(),
            |found| matches!(found, Difference::NotInTime(_)),
        ),
        (
            "a byte of a row has changed",
            |db| {
                let (key, mut value) = first_key(db, "rows");
                *value.last_mut().unwrap() ^= 2;
                db.put_cf(db.cf_handle("rows").unwrap(), key, value).unwrap();
            },
            |found| matches!(found, Difference::Misplaced { .. }),
        ),
        (
            "a row was cut",
            |db| {
                let (key, mut value) = first_key(db, "rows");
                value.pop();
                db.put_cf(db.cf_handle("rows").unwrap(), key, value).unwrap();
            },
            |found| matches!(found, Difference::NoEnvelope { .. }),
        ),
        (
            "an hour counts one row too many",
            |db| {
                let key = [&b"h"[..], &(DAY_START / 3600).to_be_bytes()].concat();
                let mut value = db.get(&key).unwrap().unwrap();
                value[7] += 1;
                db.put(key, value).unwrap();
            },
            |found| matches!(found, Difference::Hour { counted, there } if counted.count == there.count + 1),
        ),
        (
            "a topic is not in the directory",
            |db| {
                let day = u16::try_from(DAY_START / DAY).unwrap();
                db.delete([&b"d"[..], &day.to_be_bytes(), &[0, 0, 0, 3]].concat()).unwrap();
            },
            |found| matches!(found, Difference::NotInDirectory { topic, .. } if topic.0 == [0, 0, 0, 3]),
        ),
        (
            "a topic without rows is in the directory",
            |db| {
                let day = u16::try_from(DAY_START / DAY + 9).unwrap();
                db.put([&b"d"[..], &day.to_be_bytes(), &[9; 4]].concat(), b"").unwrap();
            },
            |found| matches!(found, Difference::OnlyInDirectory { topic, .. } if topic.0 == [9; 4]),
        ),
        (
            "a key of another shape",
            |db| db.put_cf(db.cf_handle("time").unwrap(), [0xff; 30], b"").unwrap(),
            |found| matches!(found, Difference::Key { family: "time", .. }),
        ),
    ];
    for (name, damage, is_it) in cases {
        let directory = tempfile::tempdir().unwrap();
        filled(directory.path());
        tamper(directory.path(), damage);
        let (_, found) = verify(directory.path());
        assert!(found.iter().any(is_it), "{name}: {found:?}");
    }
}

#[test]
fn what_is_no_archive_is_said_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let view = |path: &Path| RocksHistory::view(path, &Settings::default()).err().unwrap();
    assert!(matches!(view(directory.path()), ArchiveError::Absent { .. }));
    assert!(matches!(view(&directory.path().join("not there")), ArchiveError::Absent { .. }));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nothing was made");
    std::fs::write(directory.path().join("CURRENT"), "MANIFEST-000000\n").unwrap();
    assert!(matches!(view(directory.path()), ArchiveError::Foreign { .. }));
}

#[test]
fn a_view_writes_nothing_and_cannot() {
    let directory = tempfile::tempdir().unwrap();
    let rows = filled(directory.path());
    let names = || {
        let entries = std::fs::read_dir(directory.path()).unwrap().map(Result::unwrap);
        let mut files: Vec<_> =
            entries.map(|it| (it.file_name(), it.metadata().unwrap().modified().unwrap())).collect();
        files.sort();
        files
    };
    let before = names();
    block_on(async {
        let view = RocksHistory::view(directory.path(), &Settings::default()).unwrap();
        assert_eq!(all(&view).await, rows.len());
        let more = envelope(DAY_START + 5, [1; 4], 77, 10);
        let row = archive::NewRow { envelope: more, known_new: false };
        assert!(matches!(view.append(vec![row]).await, Err(ArchiveError::Io(_))));
    });
    assert_eq!(names(), before);
}

/// Each look begins with a burst of rows in small files, some four flushes. Whatever it meets must be whole.
#[test]
fn views_and_backups_beside_a_busy_writer_are_whole() {
    const LOOKS: u32 = 20;
    const BURST: u32 = 2000;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("archive");
    let settings = Settings { write_buffer_bytes: 256 * 1024, ..Settings::default() };
    let history = RocksHistory::open(&path, &settings).unwrap();
    let confirmed = AtomicU64::new(0);
    // The writer ends when the looks do, by a failed assertion too: the sender is dropped then.
    let (look, looks) = mpsc::channel::<u32>();
    std::thread::scope(|scope| {
        let (history, confirmed) = (&history, &confirmed);
        scope.spawn(move || {
            for begin in looks {
                for first in (begin..begin + BURST).step_by(20) {
                    let row = |n| envelope(DAY_START + n / 20, [0, 0, 0, (n % 9) as u8], n, 500);
                    block_on(append(history, &(first..first + 20).map(row).collect::<Vec<_>>()));
                    confirmed.store((first + 20).into(), Ordering::Release);
                }
            }
        });
        let look = look;
        for n in 0..LOOKS {
            look.send(n * BURST).unwrap();
            let before = confirmed.load(Ordering::Acquire);
            let (verified, found) = if n % 2 == 0 {
                verify(&path)
            } else {
                let backup = directory.path().join("backup");
                block_on(history.backup(backup.clone())).unwrap();
                let found = verify(&backup);
                std::fs::remove_dir_all(backup).unwrap();
                found
            };
            assert_eq!(found, [], "look {n}, begun after {before} rows");
            assert!(verified.rows >= before, "{} of {before}", verified.rows);
        }
    });
    assert_eq!(confirmed.into_inner(), u64::from(LOOKS * BURST));
}

#[test]
fn a_backup_is_an_archive_of_its_own_and_overwrites_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (path, to) = (directory.path().join("archive"), directory.path().join("backup"));
    let rows = filled(&path);
    block_on(async {
        let history = RocksHistory::open(&path, &Settings::default()).unwrap();
        // What a backup that was cut off leaves is no obstacle.
        std::fs::create_dir(directory.path().join("backup.part")).unwrap();
        history.backup(to.clone()).await.unwrap();
        assert!(!directory.path().join("backup.part").exists());
        let error = history.backup(to.clone()).await.unwrap_err();
        assert!(error.to_string().contains("backup"), "{error}");
        append(&history, &[envelope(DAY_START + 1, [7; 4], 9999, 10)]).await;
        history.close().await.unwrap();
        drop(history);
        let copy = RocksHistory::open(&to, &Settings::default()).unwrap();
        assert_eq!(all(&copy).await, rows.len(), "only what was there");
    });
}

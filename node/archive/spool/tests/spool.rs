//! The spool before an archive in memory that can be sent away.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use archive::conformance::{DAY_START, Subject, append, block_on, envelope, everything, sorted, walk};
use archive::memory::MemoryHistory;
use archive::{Appended, ArchiveError, Budget, Class, History, NewRow, Retention};
use archive_spool::Spooled;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use waku_wire::WireEnvelope;

use support::{Flaky, MUCH, positions, replay};

const WIDE: Budget = Budget { rows: 10_000, bytes: 1 << 30, keys: 1 << 30 };

/// The spool as a backend: with nothing in its way it is what the archive is.
struct Healthy {
    directory: tempfile::TempDir,
    memory: Arc<MemoryHistory>,
    spooled: Option<Arc<Spooled>>,
}

impl Healthy {
    fn new(memory: MemoryHistory) -> Self {
        let (directory, memory) = (tempfile::tempdir().unwrap(), Arc::new(memory));
        let mut subject = Self { directory, memory, spooled: None };
        subject.open();
        subject
    }

    fn open(&mut self) {
        let archive = Arc::clone(&self.memory) as Arc<dyn History>;
        self.spooled = Some(Spooled::open(archive, self.directory.path(), MUCH).unwrap().0);
    }
}

impl Subject for Healthy {
    fn history(&self) -> &dyn History {
        self.spooled.as_deref().unwrap()
    }

    fn reopen(&mut self, clean: bool) -> BoxFuture<'_, ()> {
        async move {
            if clean {
                self.history().close().await.unwrap();
            }
            self.spooled = None;
            self.memory = Arc::new(self.memory.reopen());
            self.open();
        }
        .boxed()
    }
}

mod conformance {
    use super::*;

    archive::conformance_tests!(Healthy::new(MemoryHistory::new()));
}

fn some(from: u32, to: u32) -> Vec<WireEnvelope> {
    (from..to).map(|n| envelope(DAY_START + n * 7 % 50, [1; 4], n, 100)).collect()
}

#[test]
fn what_comes_while_the_archive_is_away_is_replayed_in_order() {
    let directory = tempfile::tempdir().unwrap();
    block_on(async {
        let archive = Arc::new(Flaky::default());
        let (spooled, task) = Spooled::open(Arc::clone(&archive) as _, directory.path(), MUCH).unwrap();
        let all = some(0, 60);
        append(&*spooled, &all[..10]).await;
        archive.away.store(true, Ordering::SeqCst);
        for part in all[10..50].chunks(8) {
            assert_eq!(append(&*spooled, part).await, vec![Appended::Stored; 8]);
        }
        let error = spooled.probe().await.unwrap_err();
        assert!(error.class() == Class::Away && error.to_string().contains("wait in the spool"), "{error}");
        archive.away.store(false, Ordering::SeqCst);
        // It is back, but what is in the spool came before.
        append(&*spooled, &all[50..55]).await;
        assert_eq!(*archive.order.lock(), positions(&all[..10]));
        let running = tokio::spawn(task);
        while spooled.waiting_bytes() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        append(&*spooled, &all[55..]).await;
        running.abort();
        assert_eq!(*archive.order.lock(), positions(&all));
        assert_eq!(walk(&*spooled, &everything(0, u32::MAX), None, WIDE).await, sorted(&all));
        assert_eq!(spooled.probe().await, Ok(()));
        let left: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["LOCK"], "nothing is left behind");
    });
}

#[test]
fn the_task_takes_it_up_by_itself_when_the_archive_is_back() {
    let directory = tempfile::tempdir().unwrap();
    block_on(async {
        tokio::time::pause();
        let archive = Arc::new(Flaky::default());
        archive.away.store(true, Ordering::SeqCst);
        let (spooled, task) = Spooled::open(Arc::clone(&archive) as _, directory.path(), MUCH).unwrap();
        let running = tokio::spawn(task);
        let all = some(0, 30);
        for part in all.chunks(3) {
            append(&*spooled, part).await;
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        let files = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(files, 2, "a lock and one file, however often it is tried");
        let error = spooled.probe().await.unwrap_err().to_string();
        assert!(error.contains("on purpose"), "it says why: {error}");
        archive.away.store(false, Ordering::SeqCst);
        while spooled.waiting_bytes() > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        running.abort();
        assert_eq!(*archive.order.lock(), positions(&all));
    });
}

#[test]
fn it_is_bounded_and_what_does_not_fit_is_refused_whole() {
    let directory = tempfile::tempdir().unwrap();
    block_on(async {
        let archive = Arc::new(Flaky::default());
        archive.away.store(true, Ordering::SeqCst);
        let (spooled, task) = Spooled::open(Arc::clone(&archive) as _, directory.path(), 5000).unwrap();
        let (mut taken, mut refused) = (Vec::new(), None);
        for part in some(0, 60).chunks(5) {
            let rows = part.iter().map(|envelope| NewRow { envelope: envelope.clone(), known_new: false });
            match spooled.append(rows.collect()).await {
                Ok(_) => taken.extend_from_slice(part),
                Err(error) => refused = Some(error),
            }
        }
        let refused = refused.unwrap();
        assert!(refused.class() == Class::Space && refused.is_retryable());
        assert!(
            refused.to_string().contains("of at most 5000; let the database come back, or raise"),
            "{refused}"
        );
        assert!(spooled.waiting_bytes() <= 5000 && taken.len() > 20);
        archive.away.store(false, Ordering::SeqCst);
        replay(&spooled, task).await;
        assert_eq!(*archive.order.lock(), positions(&taken));
        assert_eq!(append(&*spooled, &some(100, 101)).await, [Appended::Stored]);
    });
}

#[test]
fn what_the_archive_would_not_keep_is_not_spooled() {
    let directory = tempfile::tempdir().unwrap();
    block_on(async {
        let archive = Arc::new(Flaky::default());
        let (spooled, _task) = Spooled::open(Arc::clone(&archive) as _, directory.path(), MUCH).unwrap();
        let day = Retention { max_age: Some(86_400), max_bytes: None };
        let floor = spooled.evict(day, DAY_START + 2 * 86_400).await.unwrap().floor;
        archive.away.store(true, Ordering::SeqCst);
        let old = envelope(floor - 1, [1; 4], 1, 10);
        let new = envelope(floor, [1; 4], 1, 10);
        assert_eq!(append(&*spooled, &[old, new]).await, [Appended::BelowFloor, Appended::Stored]);
    });
}

/// A file cut at any byte, as a crash may leave it, gives all that is whole in it; damage costs what lies behind it in its
/// file, and that file is kept.
#[test]
fn torn_and_damaged_files_give_what_they_hold() {
    let directory = tempfile::tempdir().unwrap();
    let all = some(0, 6);
    let files = |extension: &str| -> Vec<_> {
        let entries = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
    };
    block_on(async {
        for part in all.chunks(3) {
            let archive = Arc::new(Flaky::default());
            archive.away.store(true, Ordering::SeqCst);
            let (spooled, _) = Spooled::open(archive as _, directory.path(), MUCH).unwrap();
            append(&*spooled, part).await;
        }
    });
    let mut paths = files("spool");
    paths.sort();
    let [first, second] = &paths[..] else { panic!("each run has its own file") };
    let (first_bytes, second_bytes) = (fs::read(first).unwrap(), fs::read(second).unwrap());
    let record = all[0].raw().len() + 8;
    let replayed = || {
        block_on(async {
            let archive = Arc::new(Flaky::default());
            let (spooled, task) = Spooled::open(Arc::clone(&archive) as _, directory.path(), MUCH).unwrap();
            replay(&spooled, task).await;
            archive.order.lock().clone()
        })
    };
    for cut in (0..=second_bytes.len()).rev().step_by(5) {
        fs::write(first, &first_bytes).unwrap();
        fs::write(second, &second_bytes[..cut]).unwrap();
        let whole = 3 + cut.saturating_sub(20) / record;
        assert_eq!(replayed(), positions(&all[..whole]), "cut at {cut}");
        assert!(files("spool").is_empty() && files("damaged").is_empty());
    }
    let mut changed = first_bytes.clone();
    changed[20 + record + 30] ^= 1;
    fs::write(first, &changed).unwrap();
    fs::write(second, &second_bytes).unwrap();
    assert_eq!(replayed(), [&positions(&all[..1])[..], &positions(&all[3..])].concat());
    assert_eq!(fs::read(&files("damaged")[0]).unwrap(), changed);
}

#[test]
fn one_process_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let open = || Spooled::open(Arc::new(MemoryHistory::new()), directory.path(), MUCH);
    let first = open().map(|(spooled, _)| spooled);
    assert!(matches!(open(), Err(ArchiveError::Locked { .. })));
    drop(first);
    assert!(open().is_ok());
}

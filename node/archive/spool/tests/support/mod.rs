//! An archive in memory that can be sent away, and what the tests of the spool before it share.

#![allow(clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use archive::conformance::row;
use archive::memory::MemoryHistory;
use archive::{Appended, ArchiveError, History, NewRow, Position};
use archive_spool::Spooled;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use waku_wire::WireEnvelope;

/// More than any test puts into a spool, bytes.
pub(crate) const MUCH: u64 = 1 << 30;

/// An archive that may be away, and remembers in which order it got what.
#[derive(Default)]
pub(crate) struct Flaky {
    pub(crate) memory: MemoryHistory,
    pub(crate) away: AtomicBool,
    pub(crate) order: Mutex<Vec<Position>>,
}

impl archive::Layer for Flaky {
    fn below(&self) -> &dyn History {
        &self.memory
    }

    fn label(&self) -> &str {
        "flaky"
    }

    fn append(&self, batch: Vec<NewRow>) -> BoxFuture<'_, Result<Vec<Appended>, ArchiveError>> {
        if self.away.load(Ordering::SeqCst) {
            return async { Err(ArchiveError::Away("on purpose".to_owned())) }.boxed();
        }
        let positions = batch.iter().map(|new| Position::of(new.envelope.sent(), &new.envelope.hash()));
        self.order.lock().extend(positions);
        self.memory.append(batch)
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), ArchiveError>> {
        if self.away.load(Ordering::SeqCst) {
            return async { Err(ArchiveError::Away("on purpose".to_owned())) }.boxed();
        }
        self.memory.probe()
    }
}

pub(crate) fn positions(envelopes: &[WireEnvelope]) -> Vec<Position> {
    envelopes.iter().map(|envelope| row(envelope).position).collect()
}

/// Runs `task` until nothing waits.
pub(crate) async fn replay(spooled: &Spooled, task: BoxFuture<'static, ()>) {
    let emptied = async {
        while spooled.waiting_bytes() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        () = task => panic!("it replays for ever"),
        ended = tokio::time::timeout(Duration::from_secs(30), emptied) => ended.expect("it replays"),
    }
}

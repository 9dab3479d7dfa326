//! The conformance suite on RocksDB.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use archive::History;
use archive::conformance::Subject;
use archive_rocksdb::{RocksHistory, Settings};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tempfile::TempDir;

struct Rocks {
    // Declared first: closed before its directory is removed.
    history: Option<RocksHistory>,
    directory: TempDir,
}

fn rocks() -> Rocks {
    let directory = tempfile::tempdir().unwrap();
    let history = RocksHistory::open(directory.path(), &Settings::default()).unwrap();
    Rocks { history: Some(history), directory }
}

impl Subject for Rocks {
    fn history(&self) -> &dyn History {
        self.history.as_ref().unwrap()
    }

    fn reopen(&mut self, clean: bool) -> BoxFuture<'_, ()> {
        async move {
            if clean {
                self.history.as_ref().unwrap().close().await.unwrap();
            }
            self.history = None;
            self.history = Some(RocksHistory::open(self.directory.path(), &Settings::default()).unwrap());
        }
        .boxed()
    }
}

archive::conformance_tests!(rocks());

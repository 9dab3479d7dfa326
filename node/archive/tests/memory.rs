//! The conformance suite on the in-memory model.

use archive::History;
use archive::conformance::Subject;
use archive::memory::MemoryHistory;
use futures::FutureExt as _;
use futures::future::BoxFuture;

struct Memory(MemoryHistory);

impl Subject for Memory {
    fn history(&self) -> &dyn History {
        &self.0
    }

    fn reopen(&mut self, _clean: bool) -> BoxFuture<'_, ()> {
        self.0 = self.0.reopen();
        std::future::ready(()).boxed()
    }
}

archive::conformance_tests!(Memory(MemoryHistory::new()));

//! Two budgets of bytes that all sessions share: one for the buffers that messages arrive in, one for the messages that
//! wait to be handled. When one is used up, reading waits.
//!
//! They are apart because a session holds its buffer while it waits for its message: out of one budget all sessions
//! could wait for each other. A message waits for nobody, so the second always comes back, and with it the first.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes per unit of account.
const UNIT: usize = 1024;

/// Buffers and messages up to this size are free of charge, bytes: an ordinary peer never waits for another's big
/// messages.
pub(crate) const FREE: usize = 16 * 1024;

/// The bytes that all inbound buffers and all messages over 16 KB share. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    buffers: Pool,
    messages: Pool,
}

/// Bytes taken from a [`Budget`]; given back when dropped.
#[derive(Debug)]
pub(crate) struct Charge(#[allow(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

#[derive(Debug, Clone)]
struct Pool {
    units: Arc<Semaphore>,
    total: usize,
}

impl Budget {
    /// Budgets of so many bytes.
    pub(crate) fn new(buffers: usize, messages: usize) -> Self {
        Self { buffers: Pool::new(buffers), messages: Pool::new(messages) }
    }

    /// Waits until `bytes` are free for a buffer and takes them. More than the whole budget counts as the whole.
    pub(crate) async fn buffer(&self, bytes: usize) -> Option<Charge> {
        self.buffers.take(bytes).await
    }

    /// The same for a message.
    pub(crate) async fn message(&self, bytes: usize) -> Option<Charge> {
        self.messages.take(bytes).await
    }
}

impl Pool {
    fn new(bytes: usize) -> Self {
        let total = (bytes / UNIT).clamp(1, Semaphore::MAX_PERMITS);
        Self { units: Arc::new(Semaphore::new(total)), total }
    }

    async fn take(&self, bytes: usize) -> Option<Charge> {
        let units = bytes.div_ceil(UNIT).min(self.total);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        Arc::clone(&self.units).acquire_many_owned(units).await.ok().map(Charge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_come_back_when_a_charge_is_dropped() {
        let pool = Pool::new(64 * UNIT);
        let first = pool.take(40 * UNIT).await.unwrap();
        assert_eq!(pool.units.available_permits(), 24);
        let mut second = Box::pin(pool.take(25 * UNIT));
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        assert!(second.await.is_some());
        assert_eq!(pool.units.available_permits(), 64);
        assert!(pool.take(1000 * UNIT).await.is_some(), "more than all is all");
    }

    #[tokio::test]
    async fn whoever_holds_all_buffers_still_gets_a_message() {
        let budget = Budget::new(10 * UNIT, 10 * UNIT);
        let buffer = budget.buffer(10 * UNIT).await;
        assert!(futures::poll!(Box::pin(budget.message(10 * UNIT))).is_ready());
        assert!(futures::poll!(Box::pin(budget.buffer(UNIT))).is_pending());
        drop(buffer);
    }
}

//! One budget of bytes for the inbound buffers of all sessions: when it is used up, reading waits.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes per unit of account.
const UNIT: usize = 1024;

/// Buffers up to this size are free of charge, bytes: an ordinary peer never waits for another's big messages.
pub(crate) const FREE: usize = 16 * 1024;

/// The bytes that all inbound buffers over 16 KB share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Budget {
    units: Arc<Semaphore>,
    total: usize,
}

/// Bytes taken from a [`Budget`]; given back when dropped.
#[derive(Debug)]
pub struct Charge(#[allow(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Budget {
    /// A budget of `bytes`.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let total = (bytes / UNIT).clamp(1, Semaphore::MAX_PERMITS);
        Self { units: Arc::new(Semaphore::new(total)), total }
    }

    /// Waits until `bytes` are free and takes them. More than the whole budget counts as the whole.
    pub(crate) async fn take(&self, bytes: usize) -> Option<Charge> {
        let units = bytes.div_ceil(UNIT).min(self.total);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        Arc::clone(&self.units).acquire_many_owned(units).await.ok().map(Charge)
    }

    /// Bytes not taken.
    #[must_use]
    pub fn available(&self) -> usize {
        self.units.available_permits() * UNIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_come_back_when_a_charge_is_dropped() {
        let budget = Budget::new(64 * UNIT);
        let first = budget.take(40 * UNIT).await.unwrap();
        assert_eq!(budget.available(), 24 * UNIT);
        let mut second = Box::pin(budget.take(25 * UNIT));
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        assert!(second.await.is_some());
        assert_eq!(budget.available(), 64 * UNIT);
        assert!(budget.take(1000 * UNIT).await.is_some(), "more than all is all");
    }
}

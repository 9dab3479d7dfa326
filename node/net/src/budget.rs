//! Two budgets of bytes that all sessions share: one for the buffers that messages arrive in, one for the messages that
//! wait to be handled. When one is used up, reading waits.
//!
//! They are apart because a session holds its buffer while it waits for its message: out of one budget all sessions
//! could wait for each other. A message waits for nobody, so the second always comes back, and with it the first.
//!
//! For the same reason a part of the first is kept for turns: a buffer grows as its message comes, and what it has it
//! keeps while it waits for more, or it would not be accounted for. Whoever has a turn can finish.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes per unit of account.
const UNIT: usize = 1024;

/// Buffers and messages up to this size are free of charge, bytes: an ordinary peer never waits for another's big
/// messages.
pub(crate) const FREE: usize = 16 * 1024;
/// One part in so many of the buffers is for turns.
const TURNS_PART: usize = 4;

/// The bytes that all inbound buffers and all messages over 16 KB share. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    buffers: Pool,
    /// Each is worth the largest frame.
    turns: Arc<Semaphore>,
    messages: Pool,
}

/// Bytes taken from a [`Budget`]; given back when dropped.
#[derive(Debug)]
pub(crate) struct Charge(#[allow(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

/// What a buffer has of a [`Budget`]; given back when dropped.
#[derive(Debug)]
pub(crate) enum Share {
    /// So many units.
    Units(OwnedSemaphorePermit),
    /// A turn: enough for any frame.
    Turn(#[allow(dead_code, reason = "held for its drop")] OwnedSemaphorePermit),
}

#[derive(Debug, Clone)]
struct Pool {
    units: Arc<Semaphore>,
    total: usize,
}

impl Budget {
    /// Budgets of so many bytes, for frames of at most `largest` bytes. There is always one turn, so that frames are
    /// read one at a time where the budget is less than one.
    pub(crate) fn new(buffers: usize, messages: usize, largest: usize) -> Self {
        let turns = (buffers / TURNS_PART / largest.max(1)).clamp(1, Semaphore::MAX_PERMITS);
        let rest = buffers.saturating_sub(turns.saturating_mul(largest));
        Self {
            buffers: Pool::new(rest),
            turns: Arc::new(Semaphore::new(turns)),
            messages: Pool::new(messages.max(UNIT)),
        }
    }

    /// Makes `share` worth `bytes`, if they are there now.
    pub(crate) fn try_grow(&self, share: &mut Option<Share>, bytes: usize) -> bool {
        let more = self.buffers.missing(share.as_ref(), bytes);
        let taken = Arc::clone(&self.buffers.units).try_acquire_many_owned(more).ok();
        taken.map(|taken| Share::add(share, taken)).is_some()
    }

    /// Waits until `share` can be worth `bytes`, or for a turn, whichever comes first.
    pub(crate) async fn grow(&self, share: &mut Option<Share>, bytes: usize) {
        let more = self.buffers.missing(share.as_ref(), bytes);
        // The semaphores are never closed.
        tokio::select! {
            biased;
            Ok(taken) = Arc::clone(&self.buffers.units).acquire_many_owned(more), if self.buffers.has(more) => {
                Share::add(share, taken);
            }
            Ok(turn) = Arc::clone(&self.turns).acquire_owned() => *share = Some(Share::Turn(turn)),
        }
    }

    /// Waits until `bytes` are free for a message and takes them. More than the whole budget counts as the whole.
    pub(crate) async fn message(&self, bytes: usize) -> Option<Charge> {
        self.messages.take(bytes).await
    }
}

impl Share {
    /// Bytes that are paid for.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Units(units) => units.num_permits() * UNIT,
            Self::Turn(_) => usize::MAX,
        }
    }

    pub(crate) fn is_turn(&self) -> bool {
        matches!(self, Self::Turn(_))
    }

    fn add(share: &mut Option<Self>, taken: OwnedSemaphorePermit) {
        match share {
            Some(Self::Units(units)) => units.merge(taken),
            Some(Self::Turn(_)) => {}
            None => *share = Some(Self::Units(taken)),
        }
    }
}

impl Pool {
    fn new(bytes: usize) -> Self {
        let total = (bytes / UNIT).min(Semaphore::MAX_PERMITS);
        Self { units: Arc::new(Semaphore::new(total)), total }
    }

    /// Units that `share` lacks for `bytes`.
    fn missing(&self, share: Option<&Share>, bytes: usize) -> u32 {
        let units = bytes.div_ceil(UNIT);
        let held = share.map_or(0, |share| share.bytes() / UNIT);
        u32::try_from(units.saturating_sub(held)).unwrap_or(u32::MAX)
    }

    /// Whether it ever has so many units.
    fn has(&self, units: u32) -> bool {
        usize::try_from(units).is_ok_and(|units| units <= self.total)
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
        let budget = Budget::new(10 * UNIT, 10 * UNIT, UNIT);
        let mut all = None;
        assert!(budget.try_grow(&mut all, 8 * UNIT) && !budget.try_grow(&mut all, 9 * UNIT));
        assert!(futures::poll!(Box::pin(budget.message(10 * UNIT))).is_ready());
    }

    /// 40 KB: 30 for whoever asks, and two turns of 5.
    #[tokio::test]
    async fn a_buffer_keeps_what_it_has_and_finishes_by_a_turn() {
        let budget = Budget::new(40 * UNIT, UNIT, 5 * UNIT);
        let (mut a, mut b, mut c) = (None, None, None);
        assert!(budget.try_grow(&mut a, 15 * UNIT) && budget.try_grow(&mut b, 15 * UNIT));
        assert!(!budget.try_grow(&mut c, UNIT));
        assert!(!budget.try_grow(&mut a, 16 * UNIT));
        assert_eq!(a.as_ref().map(Share::bytes), Some(15 * UNIT), "kept");
        budget.grow(&mut a, 16 * UNIT).await;
        assert!(a.as_ref().is_some_and(Share::is_turn), "and what it had came back");
        assert!(budget.try_grow(&mut c, 15 * UNIT));
        budget.grow(&mut b, 20 * UNIT).await;
        assert!(b.as_ref().is_some_and(Share::is_turn));
        // Both turns are taken; what comes back is as good.
        let mut d = None;
        assert!(budget.try_grow(&mut d, 15 * UNIT));
        let mut waiting = Box::pin(budget.grow(&mut d, 16 * UNIT));
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(c);
        waiting.await;
        assert_eq!(d.as_ref().map(Share::bytes), Some(16 * UNIT));
    }

    #[tokio::test]
    async fn a_budget_below_one_frame_reads_one_at_a_time() {
        let budget = Budget::new(3 * UNIT, UNIT, 5 * UNIT);
        let (mut a, mut b) = (None, None);
        assert!(!budget.try_grow(&mut a, UNIT));
        budget.grow(&mut a, 5 * UNIT).await;
        assert!(futures::poll!(Box::pin(budget.grow(&mut b, UNIT))).is_pending());
        drop(a);
        budget.grow(&mut b, UNIT).await;
        assert!(b.is_some_and(|share| share.is_turn()));
    }
}

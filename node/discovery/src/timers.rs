//! Deadlines in order. A deadline is not taken back: who set it looks, when it is due, whether it still holds.

use std::{cmp::Reverse, collections::BinaryHeap, time::Instant};

use enode::NodeId;

/// What is due.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Timer {
    /// The answer to a ping to this node.
    Ping(NodeId),
    /// The other side's proof of our endpoint.
    Wait(NodeId),
    /// The answer to a find.
    Find(NodeId),
    /// The answer of this node to the topic query of this hash.
    Query(NodeId, [u8; 32]),
    /// Bucket refresh, full refresh, or another try of one.
    Refresh,
    /// Pings to the nodes of the table that were silent for longest.
    Revalidate,
    /// Forgetting what is over: nodes that are silent and not in the table, entries of topics.
    Sweep,
}

#[derive(Default)]
pub(crate) struct Timers(BinaryHeap<Reverse<(Instant, Timer)>>);

impl Timers {
    pub(crate) fn set(&mut self, at: Instant, timer: Timer) {
        self.0.push(Reverse((at, timer)));
    }

    /// The first deadline.
    pub(crate) fn first(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }

    /// A deadline that is due, with its time.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Instant, Timer)> {
        if self.first()? > now {
            return None;
        }
        self.0.pop().map(|Reverse(due)| due)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn deadlines_come_in_order_and_not_early() {
        let now = Instant::now();
        let at = |s| now + Duration::from_secs(s);
        let mut timers = Timers::default();
        assert_eq!(timers.first(), None);
        timers.set(at(3), Timer::Sweep);
        timers.set(at(1), Timer::Refresh);
        timers.set(at(2), Timer::Revalidate);
        assert_eq!(timers.first(), Some(at(1)));
        assert_eq!(timers.pop_due(now), None);
        assert_eq!(timers.pop_due(at(2)), Some((at(1), Timer::Refresh)));
        assert_eq!(timers.pop_due(at(2)), Some((at(2), Timer::Revalidate)));
        assert_eq!(timers.pop_due(at(2)), None);
    }
}

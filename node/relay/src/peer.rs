//! What the relay keeps for a peer.

use std::collections::VecDeque;

use waku_wire::PeerInterest;

use crate::index::Place;

/// Entries of a narrow peer's queue before it becomes a scan.
pub(crate) const QUEUE_LENGTH: usize = 64;

/// Names a peer as long as it is in the core; used again some time after it was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerSlot(pub(crate) u32);

impl PeerSlot {
    /// A small number, for tables by slot.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Who pays for an envelope when the pool is full: all peers of one address prefix, say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u64);

/// A place in the log: the sequence number, and the entry that had it.
pub(crate) type Seat = (u64, u32);

/// What a peer still has to get.
#[derive(Debug)]
pub(crate) enum Feed {
    /// Whatever it wants of the log from this sequence number on.
    Scan(u64),
    /// Exactly these; everything earlier was considered.
    Queue(VecDeque<Seat>),
}

#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) source: SourceId,
    pub(crate) interest: PeerInterest,
    pub(crate) pow_requirement: f64,
    pub(crate) place: Place,
    pub(crate) feed: Feed,
    /// It was told that there is something and has not yet heard that there is no more.
    pub(crate) told: bool,
}

impl Peer {
    /// Queues `seat`, which the peer wants. A full queue is given up for a scan from its first entry.
    pub(crate) fn offer(&mut self, seat: Seat) {
        if let Feed::Queue(queue) = &mut self.feed {
            if queue.len() < QUEUE_LENGTH {
                queue.push_back(seat);
            } else {
                let first = queue.front().map_or(seat.0, |(seq, _)| *seq);
                self.feed = Feed::Scan(first);
            }
        }
    }

    /// Whether it has to be told now that there is something.
    pub(crate) fn tell(&mut self) -> bool {
        !std::mem::replace(&mut self.told, true)
    }
}

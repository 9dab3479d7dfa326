//! Counters, for metrics and tests.

use crate::packet::Kind;

/// A counter for each kind of packet.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ByKind([u64; 8]);

impl ByKind {
    pub(crate) fn count(&mut self, kind: Kind) {
        self.0[kind as usize - 1] += 1;
    }

    /// The count of one kind.
    #[must_use]
    pub fn get(&self, kind: Kind) -> u64 {
        self.0[kind as usize - 1]
    }
}

/// What a [`Core`](crate::Core) did and holds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Stats {
    /// Verified packets received.
    pub received: ByKind,
    /// Packets sent.
    pub sent: ByKind,
    /// Datagrams that are no packets, or whose signature recovers no key.
    pub malformed: u64,
    /// Queries from nodes that are not proven at the address they came from.
    pub unproven: u64,
    /// Answers that nobody waited for.
    pub unsolicited: u64,
    /// Pings from nodes for which there was no room.
    pub full: u64,
    /// Registrations refused: bad, early, late or used tickets.
    pub refused_registrations: u64,
    /// Packets that were not sent because too many waited.
    pub send_overflow: u64,
    /// Finds and topic queries that were not answered in time.
    pub query_timeouts: u64,
    /// Lookups that were finished.
    pub lookups: u64,
    /// Datagrams dropped because their source, or all together, sent too many. Of the driver, as the next five.
    pub throttled: u64,
    /// Datagrams dropped because too many waited for their signature to be checked.
    pub verify_overflow: u64,
    /// Datagrams that the system did not take.
    pub send_errors: u64,
    /// Reads that the system failed.
    pub receive_errors: u64,
    /// Bytes of all datagrams read.
    pub received_bytes: u64,
    /// Bytes of all datagrams sent.
    pub sent_bytes: u64,
    /// Nodes remembered.
    pub nodes: usize,
    /// Nodes in the table.
    pub table: usize,
    /// Topics with entries at this registrar.
    pub topics: usize,
    /// Entries of all topics.
    pub topic_entries: usize,
}

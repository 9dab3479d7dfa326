//! What goes into a [`RelayCore`] and what comes out.

use bytes::Bytes;
use waku_wire::{WireEnvelope, messages, pow::Pow};

use crate::{PeerSlot, Rejection};

/// Bounds of a [`crate::RelayCore`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Most envelopes pooled.
    pub max_envelopes: usize,
    /// Most encoded bytes pooled.
    pub max_bytes: usize,
    /// Most hashes remembered of envelopes that are not pooled any more, some 60 bytes each.
    pub max_remembered: usize,
    /// Topics indexed for all peers together; beyond it large sets are approximated by a filter.
    pub max_topics: usize,
    /// Largest payload of a messages packet, in bytes, see [`messages::largest_packet`]. An envelope that fits none is
    /// not pooled.
    pub max_packet: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_envelopes: 1 << 17,
            max_bytes: 64 << 20,
            max_remembered: 1 << 19,
            max_topics: 1_000_000,
            max_packet: messages::largest_packet(1 << 20),
        }
    }
}

/// An envelope that passed [`crate::Admission::check`].
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The envelope; may share its packet's memory, the pool copies what it keeps.
    pub envelope: WireEnvelope,
    /// What the check found out.
    pub pow: Pow,
}

/// What became of an ingested envelope.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// Pooled and on its way.
    New,
    /// Known.
    Duplicate {
        /// Whether [`crate::RelayCore::set_archived`] was called for it.
        archived: bool,
    },
    /// Not pooled: [`Rejection::PoolFull`] or [`Rejection::Oversized`].
    Rejected(Rejection),
}

/// What [`crate::RelayCore::ingest`] did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// One per envelope, in order.
    pub verdicts: Vec<Verdict>,
    /// Peers that now have something to drain and were not told so before.
    pub woken: Vec<PeerSlot>,
}

/// A messages packet for one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// The payload of a code 1 packet. Peers that get the same envelopes share it.
    pub payload: Bytes,
    /// How many envelopes it holds; at least one.
    pub envelopes: usize,
}

/// What [`crate::RelayCore::drain`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drained {
    /// Something to send. Counts as sent from here on.
    Packet(Packet),
    /// Nothing yet, but the search is not over: call again, without holding the lock in between.
    Again,
    /// Nothing. The peer will be named in an [`Outcome::woken`] when there is something.
    Nothing,
}

/// What [`crate::RelayCore::expire`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    /// How many envelopes left the pool.
    pub envelopes: usize,
    /// There is more: call again, without holding the lock in between.
    pub again: bool,
}

/// Counts for metrics and health.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Envelopes pooled.
    pub envelopes: usize,
    /// Encoded bytes pooled.
    pub bytes: usize,
    /// Hashes remembered, pooled or not.
    pub remembered: usize,
    /// Peers.
    pub peers: usize,
    /// Topics indexed for all peers.
    pub topics: usize,
}

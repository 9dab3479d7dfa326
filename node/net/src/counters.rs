//! What a server did since its start, for metrics. Sources: `spec/operations.md` §3.4, §3.5.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;

use crate::{Error, ErrorClass};

/// Counts of a running server; each only grows.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    accepted: AtomicU64,
    throttled: AtomicU64,
    dials: AtomicU64,
    failed: Mutex<BTreeMap<(Direction, Cause), u64>>,
    ended: Mutex<BTreeMap<Cause, u64>>,
}

/// Who connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// The other side.
    Inbound,
    /// This side.
    Outbound,
}

impl Direction {
    /// As a label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// Why a connection or a session ended, as a label: a Disconnect reason where one was said, else the kind of failure.
/// There are some twenty.
pub type Cause = &'static str;

/// [`Counters`] at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Connections accepted, throttled ones not among them.
    pub accepted: u64,
    /// Connections closed at once because their source came again too soon.
    pub throttled: u64,
    /// Dials begun.
    pub dials: u64,
    /// Connections that did not become a peer.
    pub failed: Vec<(Direction, Cause, u64)>,
    /// Sessions of peers that ended.
    pub ended: Vec<(Cause, u64)>,
}

impl Counters {
    pub(crate) fn accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn throttled(&self) {
        self.throttled.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn dialing(&self) {
        self.dials.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self, direction: Direction, error: &Error) {
        *self.failed.lock().entry((direction, cause(error))).or_default() += 1;
    }

    pub(crate) fn ended(&self, error: &Error) {
        *self.ended.lock().entry(cause(error)).or_default() += 1;
    }

    pub(crate) fn totals(&self) -> Totals {
        Totals {
            accepted: self.accepted.load(Ordering::Relaxed),
            throttled: self.throttled.load(Ordering::Relaxed),
            dials: self.dials.load(Ordering::Relaxed),
            failed: self.failed.lock().iter().map(|((way, cause), count)| (*way, *cause, *count)).collect(),
            ended: self.ended.lock().iter().map(|(cause, count)| (*cause, *count)).collect(),
        }
    }
}

fn cause(error: &Error) -> Cause {
    if let Some(reason) = error.reason() {
        return reason.label();
    }
    match (error, error.class()) {
        (Error::Timeout(_), _) => "timeout",
        (Error::Eof(_), _) => "eof",
        (Error::Handshake(_), _) => "handshake",
        (_, ErrorClass::Network) => "network",
        (_, ErrorClass::Breach) => "protocol_breach",
        (_, ErrorClass::Refused) => "refused",
        (_, ErrorClass::Rejected) => "rejected",
        (_, ErrorClass::Local) => "local",
    }
}

#[cfg(test)]
mod tests {
    use rlpx::DisconnectReason;

    use super::*;

    #[test]
    fn what_happened_is_counted_by_its_cause() {
        let counters = Counters::default();
        counters.accepted();
        counters.accepted();
        counters.throttled();
        counters.dialing();
        counters.failed(Direction::Inbound, &Error::Closed(DisconnectReason::TooManyPeers));
        counters.failed(Direction::Inbound, &Error::Closed(DisconnectReason::TooManyPeers));
        counters.failed(Direction::Outbound, &Error::Timeout("x"));
        counters.ended(&Error::Disconnected(DisconnectReason::ClientQuitting));
        counters.ended(&Error::Eof("x"));
        assert_eq!(
            counters.totals(),
            Totals {
                accepted: 2,
                throttled: 1,
                dials: 1,
                failed: vec![(Direction::Inbound, "too_many_peers", 2), (Direction::Outbound, "timeout", 1)],
                ended: vec![("client_quitting", 1), ("eof", 1)],
            }
        );
    }
}

//! What passes the sockets of a server, for metrics: bytes of all, and bytes and packets by message code. Sources:
//! `spec/operations.md` §3.4.
//!
//! A session looks its sub-protocols up once; a packet then costs two additions and no look-up.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;
use rlpx::Capability;

/// Counts of a server, or of one client connection; each only grows.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    received: AtomicU64,
    sent: AtomicU64,
    /// As many as there are capabilities.
    codes: Mutex<Vec<(Capability, Arc<Codes>)>>,
}

/// Counts of one sub-protocol, by code.
#[derive(Debug)]
pub(crate) struct Codes {
    received: Box<[Count]>,
    sent: Box<[Count]>,
}

#[derive(Debug, Default)]
struct Count {
    bytes: AtomicU64,
    packets: AtomicU64,
}

/// [`Traffic`] at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrafficTotals {
    /// Bytes read from sockets, handshakes included.
    pub received: u64,
    /// Bytes written to sockets, handshakes included.
    pub sent: u64,
    /// By sub-protocol and code, as far as there were any.
    pub codes: Vec<CodeTotals>,
}

/// Messages of one code in one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeTotals {
    /// The sub-protocol.
    pub capability: Capability,
    /// Relative to it.
    pub code: usize,
    /// Received, else sent.
    pub received: bool,
    /// Bytes of their payloads as they are in frames, compressed.
    pub bytes: u64,
    /// How many.
    pub packets: u64,
}

fn counts(length: usize) -> Box<[Count]> {
    std::iter::repeat_with(Count::default).take(length).collect()
}

fn add(counts: &[Count], code: u64, bytes: usize) {
    let count = usize::try_from(code).ok().and_then(|code| counts.get(code));
    if let Some(Count { bytes: sum, packets }) = count {
        sum.fetch_add(bytes as u64, Ordering::Relaxed);
        packets.fetch_add(1, Ordering::Relaxed);
    }
}

impl Codes {
    pub(crate) fn received(&self, code: u64, bytes: usize) {
        add(&self.received, code, bytes);
    }

    pub(crate) fn sent(&self, code: u64, bytes: usize) {
        add(&self.sent, code, bytes);
    }
}

impl Traffic {
    pub(crate) fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The counts of a sub-protocol with so many codes.
    pub(crate) fn codes(&self, capability: &Capability, length: u64) -> Arc<Codes> {
        let mut known = self.codes.lock();
        if let Some((_, codes)) = known.iter().find(|(other, _)| other == capability) {
            return Arc::clone(codes);
        }
        let length = usize::try_from(length).unwrap_or_default();
        let codes = Arc::new(Codes { received: counts(length), sent: counts(length) });
        known.push((capability.clone(), Arc::clone(&codes)));
        codes
    }

    pub(crate) fn totals(&self) -> TrafficTotals {
        let mut codes = Vec::new();
        for (capability, counted) in self.codes.lock().iter() {
            for (received, counts) in [(true, &counted.received), (false, &counted.sent)] {
                for (code, count) in counts.iter().enumerate() {
                    let (bytes, packets) =
                        (count.bytes.load(Ordering::Relaxed), count.packets.load(Ordering::Relaxed));
                    if packets > 0 {
                        let capability = capability.clone();
                        codes.push(CodeTotals { capability, code, received, bytes, packets });
                    }
                }
            }
        }
        TrafficTotals {
            received: self.received.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            codes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ops_3_4_messages_are_counted_by_sub_protocol_code_and_direction() {
        let traffic = Traffic::default();
        let capability = |version| Capability { name: "waku".to_owned(), version };
        let (old, new) = (traffic.codes(&capability(0), 128), traffic.codes(&capability(1), 128));
        old.received(1, 10);
        traffic.codes(&capability(0), 128).received(1, 5);
        new.sent(127, 7);
        new.sent(128, 1);
        traffic.received(100);
        traffic.sent(3);
        let totals = traffic.totals();
        assert_eq!((totals.received, totals.sent), (100, 3));
        let by = |version, code, received, bytes, packets| CodeTotals {
            capability: capability(version),
            code,
            received,
            bytes,
            packets,
        };
        assert_eq!(totals.codes, [by(0, 1, true, 15, 2), by(1, 127, false, 7, 1)]);
    }
}

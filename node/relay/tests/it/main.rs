//! The relay against its rules, row by row, and against a naive model.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod admission;
mod behaviour;
mod bounds;
mod model;

use bytes::Bytes;
use relay::{Drained, PeerSlot, Prepared, RelayCore};
use waku_wire::{Envelope, EnvelopeHash, Topic, WireEnvelope, messages, pow::Pow};

const NOW: u32 = 1_700_000_000;

/// An envelope that differs from others by `n`, expiring at `expiry`, of `length` data bytes.
fn envelope(n: u32, topic: Topic, expiry: u32, length: usize) -> WireEnvelope {
    let mut data = n.to_be_bytes().to_vec();
    data.resize(length.max(4), 0xab);
    Envelope { expiry, ttl: 60, topic, data: Bytes::from(data), nonce: 0 }.encode().unwrap()
}

fn prepared(envelope: &WireEnvelope) -> Prepared {
    Prepared { pow: Pow::at_least(envelope, 0), envelope: envelope.clone() }
}

/// Topics whose filters do not match each other for small `n`.
fn topic(n: u8) -> Topic {
    Topic([n.wrapping_mul(37), n.wrapping_mul(101).wrapping_add(50), n.wrapping_mul(211).wrapping_add(9), n])
}

/// Drops all that has expired; how many envelopes.
fn expire_all(core: &mut RelayCore, now: u32) -> usize {
    let mut envelopes = 0;
    loop {
        let expired = core.expire(now);
        envelopes += expired.envelopes;
        if !expired.again {
            return envelopes;
        }
    }
}

/// Drains a peer until there is nothing, in packets of at most `max_bytes`.
fn drain_all(core: &mut RelayCore, slot: PeerSlot, now: u32, max_bytes: usize) -> Vec<EnvelopeHash> {
    let mut hashes = Vec::new();
    loop {
        match core.drain(slot, now, max_bytes) {
            Drained::Packet(packet) => {
                let envelopes = messages::decode(&packet.payload).expect("a valid packet");
                assert_eq!(envelopes.len(), packet.envelopes);
                assert!(packet.payload.len() <= max_bytes || envelopes.len() == 1, "packet over its limit");
                hashes.extend(envelopes.iter().map(WireEnvelope::hash));
            }
            Drained::Again => {}
            Drained::Nothing => return hashes,
        }
    }
}

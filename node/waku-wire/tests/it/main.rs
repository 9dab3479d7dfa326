//! Vectors of `spec/waku-mailserver.md` §10 by section, and properties of every codec.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod bloom;
mod envelope;
mod keys;
mod mailserver;
mod messages;
mod payload;
mod properties;
mod settings;
mod status;

use bytes::Bytes;
use waku_wire::{Envelope, Topic, WireEnvelope};

/// The bytes of `text`, whose spaces do not count.
fn hex(text: &str) -> Vec<u8> {
    hex::decode(text.split_whitespace().collect::<String>()).expect("hex in a vector")
}

fn topic(text: &str) -> Topic {
    format!("0x{text}").parse().expect("topic in a vector")
}

fn envelope(expiry: u32, ttl: u32, topic_text: &str, data: &str, nonce: u64) -> WireEnvelope {
    Envelope { expiry, ttl, topic: topic(topic_text), data: Bytes::from(hex(data)), nonce }
        .encode()
        .expect("encodes")
}

/// V16's `data`, also the data of V30.
const V16_DATA: &str = "aadb80b6cd6285c292e5ef90d2cfa700c5694aa56ce687e44a86c713a10ff7d2e7380ca29765aba30a000102030405060708090a0b";

/// V30.
fn v30() -> WireEnvelope {
    envelope(1_000_000_050, 50, "0f010200", V16_DATA, 0)
}

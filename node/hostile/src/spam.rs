//! Envelopes that no node may take: without proof of work, of the far future, of other times, with a ttl that would
//! make them worth more. `spec/waku-mailserver.md` §2.4, §2.7, §12 Q03, Q07.

use std::time::UNIX_EPOCH;

use bytes::Bytes;
use waku_wire::{Envelope, StatusOptions, Topic, codes, messages, pow::Pow};

use crate::{
    End, PERIOD, Target,
    peer::{Life, Peer, failed},
};

pub(crate) const WAYS: &[&str] = &["low pow", "far expiry", "in future", "very old", "no ttl"];

/// Envelopes of a packet.
const BATCH: u32 = 50;
/// Bytes of data of an envelope.
const SIZE: usize = 300;
const HOUR: u32 = 3600;
/// Less than any node of the network asks for.
const LOW_POW: f64 = 0.001;

pub(crate) async fn live(way: &'static str, target: &Target) -> Life<End> {
    let quiet = StatusOptions { topics: Some(Vec::new()), ..StatusOptions::default() };
    let peer = Peer::joined(target, &quiet, false).await?;
    let mut number = rand::random();
    let next = move |peer: &mut Peer| {
        let mut envelopes = Vec::new();
        for _ in 0..BATCH {
            envelopes.push(loop {
                number = u64::wrapping_add(number, 1);
                let envelope = envelope(way, number).encode().map_err(failed)?;
                // By luck some have enough.
                if way != "low pow" || Pow::exact(&envelope, 0).value() < LOW_POW {
                    break envelope;
                }
            });
        }
        let packet = messages::encode(envelopes.iter().map(|envelope| envelope.raw().as_ref()));
        peer.frame(codes::MESSAGES, &packet)
    };
    peer.flood(PERIOD, next).await
}

/// One of a kind.
fn envelope(way: &str, number: u64) -> Envelope {
    let now = UNIX_EPOCH.elapsed().map_or(0, |time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX));
    let (expiry, ttl) = match way {
        "far expiry" => (now + HOUR, HOUR),
        "in future" => (now + HOUR, 50),
        "very old" => (now - HOUR, 50),
        "no ttl" => (now, 0),
        _ => (now + 50, 50),
    };
    let mut data = vec![7; SIZE];
    data[..8].copy_from_slice(&number.to_be_bytes());
    Envelope { expiry, ttl, topic: Topic([9; 4]), data: Bytes::from(data), nonce: number }
}

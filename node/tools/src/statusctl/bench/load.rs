//! The envelopes that a benchmark sends: random-looking, each one different, with the time of sending inside.

use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use waku_wire::{Envelope, Topic, WireEnvelope};

use super::{super::session::unix_now, Failure};

/// Longest search for the proof of work of one envelope.
const WORK_TIME: Duration = Duration::from_secs(5);
/// Bytes of the stamp: nanoseconds since the start, and a number.
const STAMP: usize = 16;

/// What the envelopes are like.
#[derive(Debug, Clone, Args)]
pub(super) struct Shape {
    /// Bytes of data of an envelope.
    #[arg(long, default_value_t = 320, value_parser = clap::value_parser!(u32).range(16..=1_000_000))]
    pub(super) size: u32,
    /// Envelopes in a packet.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) per_packet: u32,
    /// Seconds that an envelope lives.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(super) ttl: u32,
}

/// The `n`-th topic of every benchmark: what one filled, another asks for.
pub(super) fn topic(n: u32) -> Topic {
    Topic(n.wrapping_mul(0x9e37_79b9).to_be_bytes())
}

/// Makes envelopes and reads their stamps.
pub(super) struct Maker {
    start: Instant,
    filling: Vec<u8>,
    number: u64,
    pow: f64,
}

impl Maker {
    /// Of envelopes with `size` bytes of data that have `pow`.
    pub(super) fn new(size: u32, pow: f64) -> Self {
        let length = usize::try_from(size).unwrap_or(usize::MAX).saturating_sub(STAMP);
        let filling = (0..length).map(|_| rand::random()).collect();
        Self { start: Instant::now(), filling, number: rand::random::<u32>().into(), pow }
    }

    /// The clock of the stamps.
    pub(super) fn clock(&self) -> Clock {
        Clock(self.start)
    }

    /// An envelope that says it was sent `age` seconds ago and expires in `left` seconds.
    pub(super) fn make(&mut self, topic: Topic, age: u32, left: u32) -> Result<WireEnvelope, Failure> {
        self.number += 1;
        let stamp = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let mut data = Vec::with_capacity(STAMP + self.filling.len());
        data.extend_from_slice(&stamp.to_be_bytes());
        data.extend_from_slice(&self.number.to_be_bytes());
        data.extend_from_slice(&self.filling);
        let expiry = unix_now().saturating_add(left);
        let envelope =
            Envelope { expiry, ttl: age.saturating_add(left), topic, data: Bytes::from(data), nonce: 0 };
        let begun = Instant::now();
        waku_wire::seal::seal(envelope, self.pow, || begun.elapsed() < WORK_TIME)
            .map_err(|error| Failure::Local(error.to_string()))
    }
}

/// Reads stamps.
#[derive(Clone, Copy)]
pub(super) struct Clock(Instant);

impl Clock {
    /// How long ago an envelope was made; `None` when it is none of this run.
    pub(super) fn age(self, envelope: &WireEnvelope) -> Option<Duration> {
        let stamp = u64::from_be_bytes(envelope.data().get(..8)?.try_into().ok()?);
        self.0.elapsed().checked_sub(Duration::from_nanos(stamp))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes_differ_and_know_their_age() {
        let mut maker = Maker::new(320, 0.0);
        let (a, b) = (maker.make(topic(1), 0, 50).unwrap(), maker.make(topic(1), 0, 50).unwrap());
        assert_ne!(a.hash(), b.hash());
        assert_eq!((a.data().len(), a.ttl(), a.topic()), (320, 50, topic(1)));
        let age = maker.clock().age(&a).unwrap();
        assert!(age > Duration::ZERO && age < Duration::from_secs(60), "{age:?}");
    }

    #[test]
    fn an_old_envelope_says_when_it_was_sent() {
        let mut maker = Maker::new(16, 0.0);
        let before = unix_now();
        let old = maker.make(topic(0), 86_400, 60).unwrap();
        assert!((before..=unix_now()).contains(&(old.sent() + 86_400)));
        assert_eq!(old.expiry() - old.sent(), 86_460);
    }

    #[test]
    fn topics_differ() {
        let topics: std::collections::HashSet<_> = (0..10_000).map(topic).collect();
        assert_eq!(topics.len(), 10_000);
    }
}

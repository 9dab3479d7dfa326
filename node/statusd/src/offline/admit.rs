//! Which envelopes of another archive are taken: those that this node would have kept, had it been there. Pure.
//! Facts: design §2 "Admission to the archive" (import checks hash, size, proof of work, sent within retention).

use archive::{Admission, NotAdmitted};
use bytes::Bytes;
use waku_wire::{EnvelopeHash, Topic, WireEnvelope, pow::Pow};

/// An envelope as its source gives it.
#[derive(Debug, Clone)]
pub(super) struct Offered {
    /// What should be its RLP.
    pub(super) raw: Bytes,
    /// The key it was found under, if it had one.
    pub(super) key: Option<Vec<u8>>,
}

/// A key of the reference's databases (`spec/waku-mailserver.md` §5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OldKey {
    sent: u32,
    hash: EnvelopeHash,
    /// Older keys end before it.
    topic: Option<Topic>,
}

impl OldKey {
    /// Reads one of 36 or 40 bytes.
    fn parse(key: &[u8]) -> Option<Self> {
        let (sent, rest) = key.split_first_chunk::<4>()?;
        let (hash, rest) = rest.split_first_chunk::<32>()?;
        let topic = match rest.len() {
            0 => None,
            _ => Some(Topic(rest.try_into().ok()?)),
        };
        Some(Self { sent: u32::from_be_bytes(*sent), hash: EnvelopeHash(*hash), topic })
    }

    fn is_of(&self, envelope: &WireEnvelope) -> bool {
        self.sent == envelope.sent()
            && self.hash == envelope.hash()
            && self.topic.is_none_or(|topic| topic == envelope.topic())
    }
}

/// What is taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rules {
    /// UNIX seconds.
    pub(super) now: u32,
    /// Least `sent`: where history begins, or will after the next eviction by age.
    pub(super) floor: u32,
    /// Largest [`WireEnvelope::size`], in bytes.
    pub(super) max_size: usize,
    /// Least proof of work.
    pub(super) min_pow: f64,
}

/// Why an envelope is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub(super) enum Refused {
    /// Its bytes are none.
    #[error("no envelopes")]
    NoEnvelope,
    /// It was under another's key, or has changed since.
    #[error("under another's key")]
    Misplaced,
    /// No time of sending (§12 Q03).
    #[error("of invalid ttl")]
    InvalidTtl,
    /// Larger than the node takes.
    #[error("too large")]
    Oversized,
    /// Too little work.
    #[error("of too little proof of work")]
    LowPow,
    /// History begins after it.
    #[error("too old")]
    TooOld,
    /// It is not sent yet.
    #[error("from the future")]
    FromFuture,
}

impl Rules {
    /// Judges what is offered.
    ///
    /// # Errors
    /// It is not taken.
    pub(super) fn judge(&self, offered: &Offered) -> Result<WireEnvelope, Refused> {
        let envelope = WireEnvelope::decode(&offered.raw).map_err(|_| Refused::NoEnvelope)?;
        let fits = |key: &Vec<u8>| OldKey::parse(key).is_some_and(|key| key.is_of(&envelope));
        if !offered.key.as_ref().is_none_or(fits) {
            return Err(Refused::Misplaced);
        }
        if envelope.ttl() == 0 || envelope.ttl() > envelope.expiry() {
            return Err(Refused::InvalidTtl);
        }
        if envelope.size() > self.max_size {
            return Err(Refused::Oversized);
        }
        let window = Admission { max_age: self.now.saturating_sub(self.floor), ..Admission::default() };
        window.check(self.now, envelope.sent()).map_err(|why| match why {
            NotAdmitted::TooOld => Refused::TooOld,
            NotAdmitted::FromFuture => Refused::FromFuture,
        })?;
        // Last: it may take a hash.
        if !Pow::settle(&envelope, 0, self.min_pow).resolve(&envelope, self.min_pow) {
            return Err(Refused::LowPow);
        }
        Ok(envelope)
    }
}

#[cfg(test)]
mod tests {
    use waku_wire::Envelope;

    use super::*;

    const NOW: u32 = 1_700_000_000;
    const RULES: Rules = Rules { now: NOW, floor: NOW - 1000, max_size: 1000, min_pow: 0.000_002 };

    fn envelope(sent: u32, ttl: u32, length: usize) -> WireEnvelope {
        let data = vec![7; length].into();
        Envelope { expiry: sent.wrapping_add(ttl), ttl, topic: Topic([1, 2, 3, 4]), data, nonce: 0 }
            .encode()
            .unwrap()
    }

    fn judge(envelope: &WireEnvelope) -> Result<WireEnvelope, Refused> {
        RULES.judge(&Offered { raw: envelope.raw().clone(), key: None })
    }

    #[test]
    fn the_bounds_are_included() {
        for good in [
            envelope(NOW, 50, 100),
            envelope(NOW - 1000, 50, 100),
            envelope(NOW + 10, 50, 100),
            envelope(NOW, 50, 980),
        ] {
            assert_eq!(judge(&good).as_ref(), Ok(&good));
        }
        for (bad, why) in [
            (envelope(NOW - 1001, 50, 100), Refused::TooOld),
            (envelope(NOW + 11, 50, 100), Refused::FromFuture),
            (envelope(NOW, 50, 981), Refused::Oversized),
            (envelope(NOW, 0, 100), Refused::InvalidTtl),
            (envelope(u32::MAX - 10, 100, 100), Refused::InvalidTtl),
            // 1 / 500 / 100000000 with any number of zeros that is likely.
            (envelope(NOW, 100_000_000, 500), Refused::LowPow),
        ] {
            assert_eq!(judge(&bad), Err(why));
        }
        assert_eq!(
            RULES.judge(&Offered { raw: Bytes::from_static(b"junk"), key: None }),
            Err(Refused::NoEnvelope)
        );
    }

    #[test]
    fn a_key_must_be_that_of_its_envelope_and_may_lack_the_topic() {
        let good = envelope(NOW, 50, 100);
        let key = [&NOW.to_be_bytes()[..], &good.hash().0, &good.topic().0].concat();
        let judge = |key: &[u8]| RULES.judge(&Offered { raw: good.raw().clone(), key: Some(key.to_vec()) });
        assert!(judge(&key).is_ok() && judge(&key[..36]).is_ok());
        for at in [0, 4, 35, 39] {
            let mut other = key.clone();
            other[at] ^= 1;
            assert_eq!(judge(&other), Err(Refused::Misplaced), "{at}");
        }
        for length in [0, 4, 35, 37, 39, 41] {
            assert_eq!(OldKey::parse(&[0; 64][..length]), None, "{length}");
        }
    }
}

//! Admission of a gossip envelope (`spec/waku-mailserver.md` §2.7), all checks but the pool's own. Pure: runs in the
//! session's task, outside the relay's lock.

use waku_wire::{EnvelopeHash, OTHER_ERROR, PeerInterest, TIME_NOT_SYNCED, WireEnvelope, pow::Pow};

/// Seconds by which clocks may differ; doubled for old envelopes.
const SYNC_ALLOWANCE: u32 = 10;
/// An envelope expired for this long is very old; it is remembered as long.
pub(crate) const VERY_OLD_AFTER: u32 = 2 * SYNC_ALLOWANCE + 1;

/// What this node takes in.
#[derive(Debug, Clone, PartialEq)]
pub struct Admission {
    /// Least proof of work.
    pub min_pow: f64,
    /// Largest [`WireEnvelope::size`], in bytes.
    pub max_size: usize,
    /// Largest `expiry - now`, in seconds: bounds how long anything stays in memory. There is no bound on ttl itself.
    pub max_remaining_life: u32,
    /// Topics that this node wants.
    pub interest: PeerInterest,
    /// Topics that it takes beside them: those it wanted a moment ago.
    pub tolerated: Option<PeerInterest>,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            min_pow: 0.000_002,
            max_size: 1 << 20,
            max_remaining_life: 600,
            interest: PeerInterest::Full,
            tolerated: None,
        }
    }
}

/// Why an envelope is not taken.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Rejection {
    /// Sent 11 seconds or more ahead of our clock.
    #[error("envelope from future")]
    FromFuture,
    /// Expired 21 seconds ago or earlier.
    #[error("very old envelope")]
    VeryOld,
    /// Expired less than 21 seconds ago: dropped without a word.
    #[error("expired envelope")]
    Expired,
    /// ttl 0 would mean infinite proof of work; a ttl beyond expiry has no time of sending (§12 Q03).
    #[error("envelope with invalid ttl {0}; it must be between 1 and the expiry")]
    InvalidTtl(u32),
    /// Expires too far in the future (§12 Q07).
    #[error("envelope expires in {remaining} seconds, at most {max} are taken")]
    FarExpiry {
        /// Seconds until its expiry.
        remaining: u32,
        /// The bound.
        max: u32,
    },
    /// Larger than allowed.
    #[error("huge messages are not allowed [{hash}][{size}][{max}]")]
    Oversized {
        /// Which.
        hash: EnvelopeHash,
        /// Its size.
        size: usize,
        /// The bound.
        max: usize,
    },
    /// Too little work.
    #[error("envelope with low PoW received: PoW={pow}, hash=[{hash}]")]
    LowPow {
        /// Which.
        hash: EnvelopeHash,
        /// Its proof of work.
        pow: f64,
    },
    /// Not one of our topics.
    #[error("envelope does not match topic interest")]
    NoTopicMatch,
    /// Not in our bloom filter.
    #[error("envelope does not match bloom filter")]
    NoBloomMatch,
    /// The pool holds only envelopes that are to be preferred.
    #[error("relay pool full")]
    PoolFull,
}

impl Rejection {
    /// The label of `waku_envelopes_cache_failures_total` (§6.1, and `invalid_ttl`, `far_expiry`, `pool_full`).
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::FromFuture => "in_future",
            Self::VeryOld => "very_old",
            Self::Expired => "expired",
            Self::InvalidTtl(_) => "invalid_ttl",
            Self::FarExpiry { .. } => "far_expiry",
            Self::Oversized { .. } => "oversized",
            Self::LowPow { .. } => "low_pow",
            Self::NoTopicMatch => "no_topic_interest_match",
            Self::NoBloomMatch => "no_bloom_match",
            Self::PoolFull => "pool_full",
        }
    }

    /// The code of the error record that a confirmation carries (§4.7, §12 Q09); `None` when there is no record.
    #[must_use]
    pub fn error_code(&self) -> Option<u32> {
        match self {
            Self::Expired => None,
            Self::FromFuture | Self::VeryOld => Some(TIME_NOT_SYNCED),
            _ => Some(OTHER_ERROR),
        }
    }
}

impl Admission {
    /// Judges `envelope` at `now`. Gives what is known of its proof of work, enough to compare with any requirement up
    /// to `highest_requirement` (of all peers, see [`crate::RelayCore::highest_requirement`]).
    ///
    /// # Errors
    /// The first check of §2.7 that fails.
    pub fn check(
        &self,
        now: u32,
        envelope: &WireEnvelope,
        highest_requirement: f64,
    ) -> Result<Pow, Rejection> {
        let (sent, expiry, ttl) = (envelope.sent(), envelope.expiry(), envelope.ttl());
        let ahead = sent.saturating_sub(now);
        if ahead > SYNC_ALLOWANCE {
            return Err(Rejection::FromFuture);
        }
        let expired_for = now.saturating_sub(expiry);
        if expired_for >= VERY_OLD_AFTER {
            return Err(Rejection::VeryOld);
        }
        if expired_for > 0 {
            return Err(Rejection::Expired);
        }
        if ttl == 0 || ttl > expiry {
            return Err(Rejection::InvalidTtl(ttl));
        }
        let remaining = expiry - now;
        if remaining > self.max_remaining_life {
            return Err(Rejection::FarExpiry { remaining, max: self.max_remaining_life });
        }
        let size = envelope.size();
        if size > self.max_size {
            return Err(Rejection::Oversized { hash: envelope.hash(), size, max: self.max_size });
        }
        let diff = if ahead > 0 { ahead + 1 } else { 0 };
        let mut pow = Pow::settle(envelope, diff, self.min_pow);
        if !pow.resolve(envelope, self.min_pow) {
            return Err(Rejection::LowPow { hash: envelope.hash(), pow: pow.value() });
        }
        let wanted = |interest: &PeerInterest| interest.wants(envelope.topic());
        if !wanted(&self.interest) && !self.tolerated.as_ref().is_some_and(wanted) {
            return Err(match self.interest {
                PeerInterest::Topics(_) => Rejection::NoTopicMatch,
                PeerInterest::Bloom(_) | PeerInterest::Full => Rejection::NoBloomMatch,
            });
        }
        // The hash, when some peer's requirement takes it, is computed here and not under the relay's lock.
        pow.resolve(envelope, highest_requirement);
        Ok(pow)
    }
}

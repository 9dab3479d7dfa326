//! Sealing: finding a nonce (`spec/waku-mailserver.md` §2.5).
//!
//! Seals against the size that receivers check, not against the reference's `20 + len(data)` (§12 Q04).

use crate::{Envelope, WireEnvelope, WireError, pow, rlp};

/// Nonces tried between two looks at the clock.
const TURN: u64 = 1024;

/// Why an envelope could not be sealed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SealError {
    /// The caller stopped before the target was reached.
    #[error(
        "failed to reach the PoW target {target}: the best of {tried} nonces gave {best}; allow more work time, \
             a lower target, a smaller payload or a shorter ttl"
    )]
    OutOfTime {
        /// Wanted.
        target: f64,
        /// Reached.
        best: f64,
        /// Nonces tried.
        tried: u64,
    },
    /// A ttl of 0 has no finite proof of work and is refused by receivers (§12 Q03).
    #[error("ttl is 0; an envelope must live at least one second")]
    ZeroTtl,
    /// The target is not a finite number of 0 or more.
    #[error("the PoW target {0} is not a finite number of 0 or more")]
    Target(f64),
    /// It cannot be encoded.
    #[error(transparent)]
    Encode(#[from] WireError),
}

/// Finds the first nonce, from 0, that gives `target` or more, and encodes the envelope. A target of 0 takes nonce 0
/// without work. `may_continue` is asked every 1024 nonces; the caller holds the clock.
///
/// # Errors
/// [`SealError::OutOfTime`] when `may_continue` says no before the target is reached.
pub fn seal(
    mut envelope: Envelope,
    target: f64,
    mut may_continue: impl FnMut() -> bool,
) -> Result<WireEnvelope, SealError> {
    if envelope.ttl == 0 {
        return Err(SealError::ZeroTtl);
    }
    if !target.is_finite() || target < 0.0 {
        return Err(SealError::Target(target));
    }
    if target == 0.0 {
        envelope.nonce = 0;
        return Ok(envelope.encode()?);
    }
    let head = envelope.encode_head();
    let length = rlp::list_header_length(head.len()) + head.len();
    let required = required_zeros(target, length, envelope.ttl);
    let state = pow::state(&head);
    let mut best = 0;
    for nonce in 0..=u64::MAX {
        if nonce > 0 && nonce % TURN == 0 && !may_continue() {
            return Err(SealError::OutOfTime {
                target,
                best: pow::value(best, length, envelope.ttl),
                tried: nonce,
            });
        }
        let mut attempt = state.clone();
        attempt.update(&nonce.to_be_bytes());
        let zeros = pow::leading_zeros(&attempt.finalize());
        best = best.max(zeros);
        if zeros >= required {
            envelope.nonce = nonce;
            break;
        }
    }
    Ok(envelope.encode()?)
}

/// `max(1, ceil(log2(target * length * ttl)))`, at most 257 (which no hash has).
#[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^53")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 1..=257 first")]
fn required_zeros(target: f64, length: usize, ttl: u32) -> u32 {
    (target * length as f64 * f64::from(ttl)).log2().ceil().clamp(1.0, 257.0) as u32
}

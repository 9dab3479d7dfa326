//! Proof of work (`spec/waku-mailserver.md` §2.4, vectors V01, V02, V04).

use enode::Keccak256;

use crate::{WireEnvelope, rlp};

/// What is known of an envelope's proof of work. Its hash is only computed when size and ttl do not already settle the
/// question: an envelope of `n` bytes and `ttl` seconds has at least `1 / n / ttl`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pow {
    value: f64,
    exact: bool,
    diff: u32,
}

impl Pow {
    /// The least that `envelope` can have: no leading zero bit. `diff` is 0, or for an envelope from the near future
    /// its distance in seconds plus 1 (§2.7).
    #[must_use]
    pub fn at_least(envelope: &WireEnvelope, diff: u32) -> Self {
        Self {
            value: value(0, covered_length(envelope), envelope.ttl().wrapping_add(diff)),
            exact: false,
            diff,
        }
    }

    /// What `envelope` has.
    #[must_use]
    pub fn exact(envelope: &WireEnvelope, diff: u32) -> Self {
        let zeros = leading_zeros(&hash(envelope));
        Self {
            value: value(zeros, covered_length(envelope), envelope.ttl().wrapping_add(diff)),
            exact: true,
            diff,
        }
    }

    /// Enough knowledge to compare with every threshold up to `threshold`; hashes only when needed.
    #[must_use]
    pub fn settle(envelope: &WireEnvelope, diff: u32, threshold: f64) -> Self {
        let bound = Self::at_least(envelope, diff);
        if bound.value >= threshold { bound } else { Self::exact(envelope, diff) }
    }

    /// Whether the proof of work of `envelope`, which this is about, is `threshold` or more. Hashes, once, when needed.
    pub fn resolve(&mut self, envelope: &WireEnvelope, threshold: f64) -> bool {
        if self.value < threshold && !self.exact {
            *self = Self::exact(envelope, self.diff);
        }
        self.value >= threshold
    }

    /// Whether the proof of work is `threshold` or more; `None` when that takes the hash.
    #[must_use]
    pub fn reaches(&self, threshold: f64) -> Option<bool> {
        if self.value >= threshold { Some(true) } else { self.exact.then_some(false) }
    }

    /// The exact value or the lower bound known so far.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.value
    }

    /// Whether [`Pow::value`] is exact.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.exact
    }
}

/// `2^zeros / length / life`, two successive divisions as in the reference; +infinity when `life` is 0.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^53")]
pub fn value(zeros: u32, length: usize, life: u32) -> f64 {
    f64::from(zeros).exp2() / length as f64 / f64::from(life)
}

/// Leading zero bits of a hash: 0..=256.
#[must_use]
pub fn leading_zeros(hash: &[u8; 32]) -> u32 {
    let mut zeros = 0;
    for byte in hash {
        zeros += byte.leading_zeros();
        if *byte != 0 {
            break;
        }
    }
    zeros
}

/// `len(s)`: the length in bytes of the four-item list that the work covers.
#[must_use]
pub fn covered_length(envelope: &WireEnvelope) -> usize {
    let head = envelope.head().len();
    rlp::list_header_length(head) + head
}

/// The proof-of-work hash: `keccak(rlp([expiry, ttl, topic, data]) ++ nonce as 8 bytes big-endian)`.
#[must_use]
pub fn hash(envelope: &WireEnvelope) -> [u8; 32] {
    let mut state = state(envelope.head());
    state.update(&envelope.nonce().to_be_bytes());
    state.finalize()
}

/// The hash state after the covered list; the nonce is to follow.
pub(crate) fn state(head: &[u8]) -> Keccak256 {
    let mut header = Vec::with_capacity(9);
    rlp::list_header(head.len(), &mut header);
    let mut state = Keccak256::new();
    state.update(&header);
    state.update(head);
    state
}

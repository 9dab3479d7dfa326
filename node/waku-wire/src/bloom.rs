//! Bloom filters of topics (`spec/waku-mailserver.md` §2.6, vectors V05 to V09).
//!
//! The network's topic-to-bloom function *assigns* the byte of each bit instead of setting the bit, so when two of a
//! topic's three bits share a byte only the later one is left. The filter that a correct OR would give has the same
//! bits and more; whoever matches the correct one therefore also matches this one, and matching by this one alone
//! accepts senders of either kind.

use std::fmt;

use crate::{Topic, WireError};

/// Length of a bloom filter in bytes.
pub const BLOOM_BYTES: usize = 64;

/// 512 bits; bit `i` is bit `i mod 8` (from the least significant) of byte `i div 8`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bloom(pub [u8; BLOOM_BYTES]);

impl Bloom {
    /// Matches nothing.
    pub const EMPTY: Self = Self([0; BLOOM_BYTES]);
    /// Matches everything: a full node.
    pub const FULL: Self = Self([0xff; BLOOM_BYTES]);

    /// The filter of one topic, as the network computes it.
    #[must_use]
    pub fn of_topic(topic: Topic) -> Self {
        let mut bloom = Self::EMPTY;
        for bit in Self::indices(topic) {
            if let Some(byte) = bloom.0.get_mut(bit / 8) {
                *byte = 1 << (bit % 8);
            }
        }
        bloom
    }

    /// The filter that matches each of `topics`.
    #[must_use]
    pub fn of_topics(topics: impl IntoIterator<Item = Topic>) -> Self {
        topics.into_iter().fold(Self::EMPTY, |sum, topic| sum.union(&Self::of_topic(topic)))
    }

    /// The three bit numbers (0..512) that a topic names, before bits that share a byte overwrite each other.
    fn indices(topic: Topic) -> [usize; 3] {
        let [a, b, c, high] = topic.0;
        [a, b, c].map(usize::from).into_iter().enumerate().fold([0; 3], |mut out, (j, low)| {
            if let Some(index) = out.get_mut(j) {
                *index = low + if high & (1 << j) != 0 { 256 } else { 0 };
            }
            out
        })
    }

    /// The bit numbers (0..512) set in [`Bloom::of_topic`]: one to three.
    pub fn topic_bits(topic: Topic) -> impl Iterator<Item = usize> {
        let [a, b, c] = Self::indices(topic);
        let same = |x: usize, y: usize| x / 8 == y / 8;
        // A bit is left when no later one lies in its byte.
        [(a, !same(a, b) && !same(a, c)), (b, !same(b, c)), (c, true)]
            .into_iter()
            .filter_map(|(bit, left)| left.then_some(bit))
    }

    /// Both filters' bits.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut out = *self;
        for (to, from) in out.0.iter_mut().zip(other.0) {
            *to |= from;
        }
        out
    }

    /// Whether every bit of `self` is set in `other`.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).all(|(a, b)| a & !b == 0)
    }

    /// Whether bit `bit` is set; false beyond 511.
    #[must_use]
    pub fn has_bit(&self, bit: usize) -> bool {
        self.0.get(bit / 8).is_some_and(|byte| byte & (1 << (bit % 8)) != 0)
    }

    /// Whether an envelope of `topic` passes this filter.
    #[must_use]
    pub fn matches(&self, topic: Topic) -> bool {
        Self::topic_bits(topic).all(|bit| self.has_bit(bit))
    }

    /// Whether all bits are set.
    #[must_use]
    pub fn is_full(&self) -> bool {
        *self == Self::FULL
    }
}

impl TryFrom<&[u8]> for Bloom {
    type Error = WireError;

    fn try_from(bytes: &[u8]) -> Result<Self, WireError> {
        let length = bytes.len();
        bytes.try_into().map(Self).map_err(|_| WireError::Length {
            field: "bloom-filter",
            actual: length,
            wanted: "64",
        })
    }
}

impl fmt::Debug for Bloom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bloom({})", hex::encode(self.0))
    }
}

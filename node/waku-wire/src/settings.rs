//! What a peer wants, judged from its options (`spec/waku-mailserver.md` §4.2 defaults, §4.3 application, §4.5).

use crate::{BLOOM_BYTES, Bloom, RateLimits, StatusOptions, Topic};

/// Assumed for a peer that announces no requirement in its handshake.
const DEFAULT_POW_REQUIREMENT: f64 = 0.001;

/// Which topics a peer wants.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PeerInterest {
    /// All: a full node.
    #[default]
    Full,
    /// These: sorted, without repetition; may be none.
    Topics(Box<[Topic]>),
    /// Those that pass the filter, which is not full.
    Bloom(Box<Bloom>),
}

impl PeerInterest {
    /// From topics in any order.
    #[must_use]
    pub fn topics(mut topics: Vec<Topic>) -> Self {
        topics.sort_unstable();
        topics.dedup();
        Self::Topics(topics.into_boxed_slice())
    }

    /// From a filter.
    #[must_use]
    pub fn bloom(bloom: Bloom) -> Self {
        if bloom.is_full() { Self::Full } else { Self::Bloom(Box::new(bloom)) }
    }

    /// Whether envelopes of `topic` are wanted.
    #[must_use]
    pub fn wants(&self, topic: Topic) -> bool {
        match self {
            Self::Full => true,
            Self::Topics(topics) => topics.binary_search(&topic).is_ok(),
            Self::Bloom(bloom) => bloom.matches(topic),
        }
    }

    /// Whether everything that `self` wants is surely wanted by `other` too.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Full) => true,
            (Self::Topics(topics), _) => topics.iter().all(|topic| other.wants(*topic)),
            (Self::Bloom(inner), Self::Bloom(outer)) => inner.is_subset(outer),
            (Self::Full, _) | (Self::Bloom(_), Self::Topics(_)) => false,
        }
    }
}

/// A peer's settings in force. The default is what a handshake without options means.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerSettings {
    /// Least proof of work it wants: finite, 0 or more.
    pub pow_requirement: f64,
    /// Topics it wants.
    pub interest: PeerInterest,
    /// Whether it does not forward.
    pub light_node: bool,
    /// Whether it confirms messages packets.
    pub confirmations: bool,
    /// Packets per second that it takes.
    pub packet_limits: RateLimits,
    /// Bytes per second that it takes.
    pub bytes_limits: RateLimits,
}

impl Default for PeerSettings {
    fn default() -> Self {
        Self {
            pow_requirement: DEFAULT_POW_REQUIREMENT,
            interest: PeerInterest::Full,
            light_node: false,
            confirmations: false,
            packet_limits: RateLimits::default(),
            bytes_limits: RateLimits::default(),
        }
    }
}

/// An option that decodes but has no valid value.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum InvalidSetting {
    /// Not a number, infinite or negative.
    #[error("invalid pow: {0}")]
    Pow(f64),
    /// Neither empty nor 64 bytes, and no topics beside it.
    #[error("bloom-filter: {0} bytes, want 0 or 64")]
    BloomLength(usize),
}

impl PeerSettings {
    /// Takes the options of a handshake (on the default) or an update (on what is in force); absent options change
    /// nothing. An announced topic set beats a bloom filter in the same packet, which is then not even validated; an
    /// empty filter means a full node.
    ///
    /// # Errors
    /// Stops at the first invalid option; those before it, in the order proof of work, interest, rest, stay applied.
    pub fn apply(&mut self, options: StatusOptions) -> Result<(), InvalidSetting> {
        if let Some(pow) = options.pow_requirement {
            if !pow.is_finite() || pow < 0.0 {
                return Err(InvalidSetting::Pow(pow));
            }
            self.pow_requirement = pow;
        }
        if let Some(topics) = options.topics {
            self.interest = PeerInterest::topics(topics);
        } else if let Some(bloom) = options.bloom {
            self.interest = match <[u8; BLOOM_BYTES]>::try_from(bloom.as_slice()) {
                Ok(bytes) => PeerInterest::bloom(Bloom(bytes)),
                Err(_) if bloom.is_empty() => PeerInterest::Full,
                Err(_) => return Err(InvalidSetting::BloomLength(bloom.len())),
            };
        }
        if let Some(light_node) = options.light_node {
            self.light_node = light_node;
        }
        if let Some(confirmations) = options.confirmations {
            self.confirmations = confirmations;
        }
        if let Some(limits) = options.packet_limits {
            self.packet_limits = limits;
        }
        if let Some(limits) = options.bytes_limits {
            self.bytes_limits = limits;
        }
        Ok(())
    }
}

//! Status options (`spec/waku-mailserver.md` §4.2 to §4.4, vectors V19 to V27).
//!
//! `waku/0` and `waku/1` differ in three things: the type of an option's key (a decimal digit as text, or an integer),
//! the version number before the options of a `waku/0` status, and the bytes rate limits, which only `waku/1` knows.

use alloy_rlp::Encodable as _;

use crate::{Topic, WireError, rlp, rlp::Items};

/// The most topics that a peer may announce.
pub const MAX_TOPICS: usize = 10_000;

const POW_REQUIREMENT: u64 = 0;
const BLOOM_FILTER: u64 = 1;
const LIGHT_NODE: u64 = 2;
const CONFIRMATIONS: u64 = 3;
const PACKET_LIMITS: u64 = 4;
const TOPIC_INTEREST: u64 = 5;
const BYTES_LIMITS: u64 = 6;

/// Which of the two versions a session runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProtocolVersion {
    /// `waku/0`.
    V0,
    /// `waku/1`.
    V1,
}

/// Limits that a peer announces for what it takes in, per second; 0 means none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// Per IP address.
    pub ip: u64,
    /// Per peer id.
    pub peer: u64,
    /// Per topic. Always 0 in the field.
    pub topic: u64,
}

/// The options of a status or a status update as they were sent, not yet judged: see [`crate::PeerSettings::apply`].
/// Absent options are `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StatusOptions {
    /// Least proof of work of envelopes that the peer wants.
    pub pow_requirement: Option<f64>,
    /// Bloom filter of wanted topics, of any length on decoding.
    pub bloom: Option<Vec<u8>>,
    /// Whether the peer does not forward.
    pub light_node: Option<bool>,
    /// Whether the peer confirms messages packets.
    pub confirmations: Option<bool>,
    /// Packets per second.
    pub packet_limits: Option<RateLimits>,
    /// Wanted topics, at most [`MAX_TOPICS`]. Beats the bloom filter.
    pub topics: Option<Vec<Topic>>,
    /// Bytes per second. Not in `waku/0`.
    pub bytes_limits: Option<RateLimits>,
}

impl StatusOptions {
    /// These options, and those of `base` where they say nothing; an interest of either kind takes the place of both.
    #[must_use]
    pub fn over(&self, base: Self) -> Self {
        let changed = self.clone();
        let interest = if changed.bloom.is_some() || changed.topics.is_some() {
            (changed.bloom, changed.topics)
        } else {
            (base.bloom, base.topics)
        };
        Self {
            pow_requirement: changed.pow_requirement.or(base.pow_requirement),
            bloom: interest.0,
            light_node: changed.light_node.or(base.light_node),
            confirmations: changed.confirmations.or(base.confirmations),
            packet_limits: changed.packet_limits.or(base.packet_limits),
            topics: interest.1,
            bytes_limits: changed.bytes_limits.or(base.bytes_limits),
        }
    }

    /// The payload of a status packet (code 0).
    #[must_use]
    pub fn encode_status(&self, version: ProtocolVersion) -> Vec<u8> {
        let options = self.encode_update(version);
        match version {
            ProtocolVersion::V1 => options,
            ProtocolVersion::V0 => {
                let mut content = vec![alloy_rlp::EMPTY_STRING_CODE];
                content.extend_from_slice(&options);
                rlp::wrap_list(&content)
            }
        }
    }

    /// The payload of a status update packet (code 22).
    #[must_use]
    pub fn encode_update(&self, version: ProtocolVersion) -> Vec<u8> {
        let mut out = Vec::new();
        let mut option = |key: u64, value: &[u8]| {
            let mut pair = Vec::with_capacity(value.len() + 2);
            match version {
                ProtocolVersion::V1 => key.encode(&mut pair),
                ProtocolVersion::V0 => key.to_string().as_str().encode(&mut pair),
            }
            pair.extend_from_slice(value);
            out.extend_from_slice(&rlp::wrap_list(&pair));
        };
        if let Some(pow) = self.pow_requirement {
            option(POW_REQUIREMENT, &alloy_rlp::encode(pow.to_bits()));
        }
        if let Some(bloom) = &self.bloom {
            option(BLOOM_FILTER, &alloy_rlp::encode(bloom.as_slice()));
        }
        if let Some(light_node) = self.light_node {
            option(LIGHT_NODE, &alloy_rlp::encode(light_node));
        }
        if let Some(confirmations) = self.confirmations {
            option(CONFIRMATIONS, &alloy_rlp::encode(confirmations));
        }
        if let Some(limits) = self.packet_limits {
            option(PACKET_LIMITS, &limits.encode());
        }
        if let Some(topics) = &self.topics {
            let mut content = Vec::with_capacity(topics.len() * 5);
            for topic in topics {
                topic.0.as_slice().encode(&mut content);
            }
            option(TOPIC_INTEREST, &rlp::wrap_list(&content));
        }
        if let (Some(limits), ProtocolVersion::V1) = (self.bytes_limits, version) {
            option(BYTES_LIMITS, &limits.encode());
        }
        rlp::wrap_list(&out)
    }

    /// Reads the payload of a status packet. Bytes behind the top-level list are ignored, as by the reference.
    ///
    /// # Errors
    /// What §4.3 ends the session for: no list, a wrong key or value, another version in `waku/0`.
    pub fn decode_status(version: ProtocolVersion, payload: &[u8]) -> Result<Self, WireError> {
        let mut items = Items(payload);
        match version {
            ProtocolVersion::V1 => Self::decode_options(version, &mut items),
            ProtocolVersion::V0 => {
                let mut status = items.list("status")?;
                match status.u64("status version")? {
                    0 => {}
                    actual => return Err(WireError::Version { actual, wanted: 0 }),
                }
                let options = Self::decode_options(version, &mut status)?;
                status.end("status")?;
                Ok(options)
            }
        }
    }

    /// Reads the payload of a status update packet. Bytes behind the top-level list are ignored.
    ///
    /// # Errors
    /// No list, or a wrong key or value. Unknown keys are skipped (§12 Q16).
    pub fn decode_update(version: ProtocolVersion, payload: &[u8]) -> Result<Self, WireError> {
        Self::decode_options(version, &mut Items(payload))
    }

    fn decode_options(version: ProtocolVersion, items: &mut Items<'_>) -> Result<Self, WireError> {
        let mut list = items.list("status options")?;
        let mut options = Self::default();
        while !list.is_empty() {
            let mut pair = list.list("status option")?;
            let Some(key) = decode_key(version, &mut pair)? else { continue };
            match key {
                POW_REQUIREMENT => {
                    options.pow_requirement = Some(f64::from_bits(pair.u64("pow-requirement")?));
                }
                BLOOM_FILTER => options.bloom = Some(pair.bytes("bloom-filter")?.to_vec()),
                LIGHT_NODE => options.light_node = Some(pair.boolean("light-node")?),
                CONFIRMATIONS => options.confirmations = Some(pair.boolean("confirmations-enabled")?),
                PACKET_LIMITS => {
                    options.packet_limits = Some(RateLimits::decode(&mut pair, "packet rate limits")?);
                }
                TOPIC_INTEREST => options.topics = Some(decode_topics(&mut pair)?),
                BYTES_LIMITS => {
                    options.bytes_limits = Some(RateLimits::decode(&mut pair, "bytes rate limits")?);
                }
                _ => continue,
            }
            pair.end("status option")?;
        }
        Ok(options)
    }
}

/// The key of an option; `None` when it is none that this version knows.
fn decode_key(version: ProtocolVersion, pair: &mut Items<'_>) -> Result<Option<u64>, WireError> {
    const FIELD: &str = "status option key";
    let key = match version {
        ProtocolVersion::V1 => Some(pair.u64(FIELD)?),
        ProtocolVersion::V0 => match pair.bytes(FIELD)? {
            [digit @ b'0'..=b'5'] => Some(u64::from(digit - b'0')),
            _ => None,
        },
    };
    Ok(key.filter(|key| *key <= BYTES_LIMITS))
}

fn decode_topics(pair: &mut Items<'_>) -> Result<Vec<Topic>, WireError> {
    let mut list = pair.list("topic-interest")?;
    let mut topics = Vec::with_capacity((list.0.len() / 5).min(MAX_TOPICS));
    while !list.is_empty() {
        if topics.len() == MAX_TOPICS {
            return Err(WireError::TooManyTopics { max: MAX_TOPICS });
        }
        topics.push(Topic(list.fixed("topic-interest", "4 each")?));
    }
    Ok(topics)
}

impl RateLimits {
    fn encode(self) -> Vec<u8> {
        let mut content = Vec::new();
        self.ip.encode(&mut content);
        self.peer.encode(&mut content);
        self.topic.encode(&mut content);
        rlp::wrap_list(&content)
    }

    fn decode(pair: &mut Items<'_>, field: &'static str) -> Result<Self, WireError> {
        let mut list = pair.list(field)?;
        let limits = Self { ip: list.u64(field)?, peer: list.u64(field)?, topic: list.u64(field)? };
        list.end(field)?;
        Ok(limits)
    }
}

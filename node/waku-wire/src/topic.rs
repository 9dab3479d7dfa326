//! Topics (`spec/waku-mailserver.md` §2.1, §3.6, vectors V14, V28, V29).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Four bytes that sort envelopes. Text form: `0x` and 8 hex digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(pub [u8; 4]);

/// A text that is no topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a topic is 0x and exactly 8 hex digits")]
pub struct ParseTopicError;

impl Topic {
    /// The topic of a public channel: the first four bytes of the Keccak-256 of its name.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        let [a, b, c, d, ..] = enode::keccak256(name.as_bytes());
        Self([a, b, c, d])
    }

    /// The first four of `bytes`, padded with zeros on the right when there are fewer.
    #[must_use]
    pub fn from_bytes_lossy(bytes: &[u8]) -> Self {
        let mut topic = [0; 4];
        for (to, from) in topic.iter_mut().zip(bytes) {
            *to = *from;
        }
        Self(topic)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({self})")
    }
}

impl FromStr for Topic {
    type Err = ParseTopicError;

    fn from_str(text: &str) -> Result<Self, ParseTopicError> {
        let digits = text.strip_prefix("0x").ok_or(ParseTopicError)?;
        let mut topic = [0; 4];
        hex::decode_to_slice(digits, &mut topic).map_err(|_| ParseTopicError)?;
        Ok(Self(topic))
    }
}

impl Serialize for Topic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Topic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

//! Envelope hashes (`spec/waku-mailserver.md` §2.2).

use std::{fmt, str::FromStr};

/// Keccak-256 of an envelope exactly as received. Identifies it everywhere. Text form: 64 lower-case hex digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvelopeHash(pub [u8; 32]);

/// A text that is no envelope hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an envelope hash is exactly 64 hex digits, with or without 0x")]
pub struct ParseHashError;

impl EnvelopeHash {
    /// All zero: "nothing found" in a completion (§5.9).
    pub const ZERO: Self = Self([0; 32]);

    /// The first 16 bytes, which is what pools and archives keep.
    #[must_use]
    pub fn short(&self) -> [u8; 16] {
        let mut short = [0; 16];
        short.copy_from_slice(&self.0[..16]);
        short
    }
}

impl fmt::Display for EnvelopeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for EnvelopeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnvelopeHash({self})")
    }
}

impl FromStr for EnvelopeHash {
    type Err = ParseHashError;

    fn from_str(text: &str) -> Result<Self, ParseHashError> {
        let mut hash = [0; 32];
        hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut hash)
            .map_err(|_| ParseHashError)?;
        Ok(Self(hash))
    }
}

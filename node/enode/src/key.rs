//! Node keys on secp256k1. A secret key is never printed by `Debug` or `Display` and is erased when dropped.
//! Facts: `spec/devp2p.md` §1.1, §1.2.

use std::{fmt, str::FromStr};

use rand::RngCore as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use zeroize::{Zeroize as _, Zeroizing};

use crate::{NodeId, keccak256};

/// Why a key was refused. Never holds the text of a secret key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A public key's text has the wrong length.
    #[error("wrong length, want 128 hex chars")]
    PublicKeyLength,
    /// A public key's text holds something else than hex digits.
    #[error("not hexadecimal, want 128 hex chars")]
    PublicKeyHex,
    /// 64 bytes that are no point on secp256k1.
    #[error("not a point on the secp256k1 curve")]
    NotOnCurve,
    /// A node key's text is not exactly 64 hex digits.
    #[error("a node key is exactly 64 hex digits without 0x")]
    NodeKeyText,
    /// A node key outside `1..n-1`.
    #[error("a node key must be between 1 and the order of secp256k1 minus 1")]
    NodeKeyRange,
}

/// A node's public key: `X(32) ++ Y(32)`, always a point on secp256k1. Shown as 128 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 64]);

impl PublicKey {
    /// Checks that `bytes` is a point on the curve.
    pub fn from_bytes(bytes: [u8; 64]) -> Result<Self, KeyError> {
        parse_point(&bytes)?;
        Ok(Self(bytes))
    }

    /// The 64 bytes `X ++ Y`.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }

    /// Keccak-256 of the 64 bytes.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        NodeId(keccak256(&self.0))
    }

    /// The form that the curve library computes with.
    ///
    /// # Errors
    /// None in practice: every value of this type was checked when it was made.
    pub fn to_secp(&self) -> Result<secp256k1::PublicKey, KeyError> {
        parse_point(&self.0)
    }

    /// The 33-byte compressed form, as in node records.
    #[must_use]
    pub fn to_compressed(&self) -> [u8; 33] {
        let mut out = [0; 33];
        let [_, .., last] = self.0;
        out[0] = 2 + (last & 1);
        out[1..].copy_from_slice(&self.0[..32]);
        out
    }
}

fn parse_point(bytes: &[u8; 64]) -> Result<secp256k1::PublicKey, KeyError> {
    let mut uncompressed = [4; 65];
    uncompressed[1..].copy_from_slice(bytes);
    secp256k1::PublicKey::from_slice(&uncompressed).map_err(|_| KeyError::NotOnCurve)
}

impl From<&secp256k1::PublicKey> for PublicKey {
    fn from(key: &secp256k1::PublicKey) -> Self {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(&key.serialize_uncompressed()[1..]);
        Self(bytes)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text.len() != 128 {
            return Err(KeyError::PublicKeyLength);
        }
        let mut bytes = [0; 64];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| KeyError::PublicKeyHex)?;
        Self::from_bytes(bytes)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// A node's secret key with its public key. `Debug` shows the public half only.
#[derive(Clone)]
pub struct NodeKey {
    secret: secp256k1::SecretKey,
    public: PublicKey,
}

impl NodeKey {
    /// A fresh random key.
    #[must_use]
    pub fn generate() -> Self {
        loop {
            let mut bytes = Zeroizing::new([0; 32]);
            rand::rng().fill_bytes(bytes.as_mut());
            if let Ok(key) = Self::from_bytes(&bytes) {
                return key;
            }
        }
    }

    /// From 32 big-endian bytes in `1..n-1`.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let secret = secp256k1::SecretKey::from_secret_bytes(*bytes).map_err(|_| KeyError::NodeKeyRange)?;
        let public = PublicKey::from(&secp256k1::PublicKey::from_secret_key(&secret));
        Ok(Self { secret, public })
    }

    /// From exactly 64 hex digits, either case, no `0x` (`spec/devp2p.md` §1.2).
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text, bytes.as_mut()).map_err(|_| KeyError::NodeKeyText)?;
        Self::from_bytes(&bytes)
    }

    /// 64 lower-case hex digits, erased when dropped.
    #[must_use]
    pub fn to_hex(&self) -> Zeroizing<String> {
        let mut bytes = self.secret.to_secret_bytes();
        let text = Zeroizing::new(hex::encode(bytes));
        bytes.zeroize();
        text
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.public
    }

    /// The node id of the public half.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.public.node_id()
    }

    /// The form that the curve library computes with.
    #[must_use]
    pub fn secret(&self) -> &secp256k1::SecretKey {
        &self.secret
    }
}

impl Drop for NodeKey {
    fn drop(&mut self) {
        self.secret.non_secure_erase();
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey({})", self.public)
    }
}

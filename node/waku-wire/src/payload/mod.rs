//! The content of an envelope's `data`: layout, signature, encryption (`spec/waku-mailserver.md` §3).

mod asymmetric;
mod plain;
mod symmetric;

pub use asymmetric::{decrypt_asymmetric, encrypt_asymmetric, encrypt_asymmetric_with};
pub use plain::{Padding, Payload, build, parse};
pub use symmetric::{decrypt_symmetric, encrypt_symmetric, encrypt_symmetric_with};

/// Why a payload could not be made or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Longer than the three bytes of its size field can say.
    #[error("payload longer than 16777215 bytes")]
    TooLong,
    /// The decrypted bytes have no valid layout (§3.5).
    #[error("decrypted bytes are not flags, size, payload, padding and signature")]
    Layout,
    /// The signature gives no public key (§3.2).
    #[error("invalid signature")]
    Signature,
    /// Another key, or changed bytes.
    #[error("cannot be decrypted with this key")]
    Decrypt,
    /// The cipher refused to encrypt.
    #[error("cannot be encrypted")]
    Encrypt,
}

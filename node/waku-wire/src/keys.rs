//! Symmetric keys and their derivation (`spec/waku-mailserver.md` §3.6, vectors V10, V11).

use std::fmt;

use zeroize::Zeroizing;

/// Rounds of PBKDF2 for passwords and public chats: 65 356, not 65 536.
const ROUNDS: u32 = 65_356;

/// The password of history requests that the network's clients use by default.
pub const DEFAULT_MAILSERVER_PASSWORD: &str = "status-offline-inbox";

/// A 32-byte AES key, never all zero. Never printed, erased when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct SymmetricKey(Zeroizing<[u8; 32]>);

impl SymmetricKey {
    /// Takes a key; `None` when it is all zero, which senders refuse (§3.3).
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Option<Self> {
        let bytes = Zeroizing::new(bytes);
        bytes.iter().any(|byte| *byte != 0).then_some(Self(bytes))
    }

    /// PBKDF2-HMAC-SHA256 of a password or the name of a public chat, empty salt, 65 356 rounds. Takes some 20 ms: not
    /// for the event loop.
    #[must_use]
    pub fn from_password(password: &str) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        pbkdf2::pbkdf2_hmac::<sha2::Sha256>(password.as_bytes(), &[], ROUNDS, key.as_mut());
        Self(key)
    }

    /// The key's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SymmetricKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SymmetricKey(…)")
    }
}

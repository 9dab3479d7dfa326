//! AES-256-GCM with the nonce behind the tag (`spec/waku-mailserver.md` §3.3, vectors V16, V17).

use aes_gcm::{Aes256Gcm, KeyInit as _, aead::Aead as _};
use rand::RngCore as _;

use super::PayloadError;
use crate::SymmetricKey;

const NONCE_LENGTH: usize = 12;

/// `ciphertext ++ tag(16) ++ nonce(12)` under a random nonce.
///
/// # Errors
/// [`PayloadError::Encrypt`] beyond 64 GiB only.
pub fn encrypt_symmetric(plain: &[u8], key: &SymmetricKey) -> Result<Vec<u8>, PayloadError> {
    let mut nonce = [0; NONCE_LENGTH];
    rand::rng().fill_bytes(&mut nonce);
    encrypt_symmetric_with(plain, key, nonce)
}

/// The same under a given nonce, which must never be used twice with one key.
///
/// # Errors
/// As [`encrypt_symmetric`].
pub fn encrypt_symmetric_with(
    plain: &[u8],
    key: &SymmetricKey,
    nonce: [u8; NONCE_LENGTH],
) -> Result<Vec<u8>, PayloadError> {
    let cipher = Aes256Gcm::new(key.as_bytes().into());
    let mut data = cipher.encrypt(&nonce.into(), plain).map_err(|_| PayloadError::Encrypt)?;
    data.extend_from_slice(&nonce);
    Ok(data)
}

/// The plaintext of `data`.
///
/// # Errors
/// [`PayloadError::Decrypt`] when it is too short, changed, or of another key.
pub fn decrypt_symmetric(data: &[u8], key: &SymmetricKey) -> Result<Vec<u8>, PayloadError> {
    let (sealed, nonce) = data.split_last_chunk::<NONCE_LENGTH>().ok_or(PayloadError::Decrypt)?;
    let cipher = Aes256Gcm::new(key.as_bytes().into());
    cipher.decrypt(nonce.into(), sealed).map_err(|_| PayloadError::Decrypt)
}

//! ECIES as RLPx uses it: secp256k1, concatenation KDF on SHA-256, AES-128-CTR, HMAC-SHA256 over IV, ciphertext and
//! the shared MAC data. Facts: `spec/devp2p.md` §2.1, vectors §11.1.

use aes::Aes128;
use ctr::cipher::{KeyIvInit as _, StreamCipher as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::RngCore as _;
use secp256k1::{PublicKey, SecretKey};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Bytes that a message is longer than its plaintext: ephemeral key 65, IV 16, tag 32.
pub const OVERHEAD: usize = 65 + 16 + 32;

/// Why a message could not be opened. Says no more than the other side could know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EciesError {
    /// Shorter than [`OVERHEAD`].
    #[error("ECIES message too short")]
    TooShort,
    /// The ephemeral key is not `04 ++ X ++ Y` of a point on the curve.
    #[error("ECIES ephemeral key is not an uncompressed point")]
    EphemeralKey,
    /// The tag does not match: wrong recipient or altered bytes.
    #[error("ECIES tag mismatch")]
    Tag,
}

/// The x-coordinate of the shared point, big-endian.
#[must_use]
pub fn ecdh_x(public: &PublicKey, secret: &SecretKey) -> [u8; 32] {
    let point = secp256k1::ecdh::shared_secret_point(public, secret);
    let mut x = [0; 32];
    x.copy_from_slice(&point[..32]);
    x
}

/// A fresh secret key for one use.
#[must_use]
pub fn fresh_key() -> SecretKey {
    loop {
        let mut bytes = [0; 32];
        rand::rng().fill_bytes(&mut bytes);
        if let Ok(key) = SecretKey::from_secret_bytes(bytes) {
            return key;
        }
    }
}

/// NIST SP 800-56 concatenation KDF on SHA-256 without shared info; fills `out`.
fn kdf(z: &[u8], out: &mut [u8]) {
    for (counter, chunk) in (1u32..).zip(out.chunks_mut(32)) {
        let block = Sha256::new().chain_update(counter.to_be_bytes()).chain_update(z).finalize();
        chunk.copy_from_slice(&block[..chunk.len()]);
    }
}

/// AES-128 key and the 32-byte MAC key from the shared x-coordinate.
fn keys(z: &[u8; 32]) -> ([u8; 16], [u8; 32]) {
    let mut derived = [0; 32];
    kdf(z, &mut derived);
    let mut encryption = [0; 16];
    encryption.copy_from_slice(&derived[..16]);
    (encryption, Sha256::digest(&derived[16..]).into())
}

fn tag(mac_key: &[u8; 32], iv_and_ciphertext: &[u8], shared_mac_data: &[u8]) -> [u8; 32] {
    // HMAC pads a short key with zeros to the block of its hash.
    let mut block = [0; 64];
    block[..32].copy_from_slice(mac_key);
    let mut mac = Hmac::<Sha256>::new(&block.into());
    mac.update(iv_and_ciphertext);
    mac.update(shared_mac_data);
    mac.finalize().into_bytes().into()
}

/// Encrypts `plaintext` to `to`; `shared_mac_data` goes into the tag only. The result is [`OVERHEAD`] longer.
#[must_use]
pub fn encrypt(to: &PublicKey, shared_mac_data: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let mut iv = [0; 16];
    rand::rng().fill_bytes(&mut iv);
    let ephemeral = fresh_key();
    let (encryption_key, mac_key) = keys(&ecdh_x(to, &ephemeral));
    let mut out = Vec::with_capacity(plaintext.len() + OVERHEAD);
    out.extend_from_slice(&PublicKey::from_secret_key(&ephemeral).serialize_uncompressed());
    out.extend_from_slice(&iv);
    out.extend_from_slice(plaintext);
    ctr::Ctr128BE::<Aes128>::new(&encryption_key.into(), &iv.into()).apply_keystream(&mut out[81..]);
    let tag = tag(&mac_key, &out[65..], shared_mac_data);
    out.extend_from_slice(&tag);
    out
}

/// Opens a message that was encrypted to `secret`.
pub fn decrypt(secret: &SecretKey, shared_mac_data: &[u8], message: &[u8]) -> Result<Vec<u8>, EciesError> {
    let ciphertext_end =
        message.len().checked_sub(32).filter(|end| *end >= 81).ok_or(EciesError::TooShort)?;
    if message[0] != 4 {
        return Err(EciesError::EphemeralKey);
    }
    let ephemeral = PublicKey::from_slice(&message[..65]).map_err(|_| EciesError::EphemeralKey)?;
    let (encryption_key, mac_key) = keys(&ecdh_x(&ephemeral, secret));
    let expected = tag(&mac_key, &message[65..ciphertext_end], shared_mac_data);
    if !bool::from(expected.ct_eq(&message[ciphertext_end..])) {
        return Err(EciesError::Tag);
    }
    let mut iv = [0; 16];
    iv.copy_from_slice(&message[65..81]);
    let mut plaintext = message[81..ciphertext_end].to_vec();
    ctr::Ctr128BE::<Aes128>::new(&encryption_key.into(), &iv.into()).apply_keystream(&mut plaintext);
    Ok(plaintext)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secret(hex_text: &str) -> SecretKey {
        SecretKey::from_secret_bytes(hex::decode(hex_text).unwrap().try_into().unwrap()).unwrap()
    }

    /// `spec/devp2p.md` §11.1, ECIES KDF and its prefixes.
    #[test]
    fn section_11_1_kdf() {
        let want = hex::decode("858b192fa2ed4395e2bf88dd8d5770d67dc284ee539f12da8bceaa45d06ebae0700f1ab918a5f0413b8140f9940d6955f3467fd6672cce1024c5b1effccc0f61").unwrap();
        for length in [6, 32, 48, 64] {
            let mut out = vec![0; length];
            kdf(b"input", &mut out);
            assert_eq!(out, want[..length]);
        }
    }

    /// `spec/devp2p.md` §11.1, both ECDH rows; the second has a private key with leading zeros.
    #[test]
    fn section_11_1_ecdh() {
        for (own, other, want) in [
            (
                "7ebbc6a8358bc76dd73ebc557056702c8cfc34e5cfcd90eb83af0347575fd2ad",
                "6a3d6396903245bba5837752b9e0348874e72db0c4e11e9c485a81b4ea4353b9",
                "167ccc13ac5e8a26b131c3446030c60fbfac6aa8e31149d0869f93626a4cdf62",
            ),
            (
                "1adf5c18167d96a1f9a0b1ef63be8aa27eaf6032c233b2b38f7850cf5b859fd9",
                "0097a076fc7fcd9208240668e31c9abee952cbb6e375d1b8febc7499d6e16f1a",
                "c49580bf3cb140ba4ca0a140b1eb59f00a390dcce5132176a8bc0802856c4c3f",
            ),
        ] {
            let x = ecdh_x(&PublicKey::from_secret_key(&secret(other)), &secret(own));
            assert_eq!(hex::encode(x), want);
        }
    }

    proptest! {
        #[test]
        fn opens_what_it_closed(plaintext in proptest::collection::vec(any::<u8>(), 0..300), s2 in any::<[u8; 2]>()) {
            let key = fresh_key();
            let message = encrypt(&PublicKey::from_secret_key(&key), &s2, &plaintext);
            prop_assert_eq!(message.len(), plaintext.len() + OVERHEAD);
            prop_assert_eq!(decrypt(&key, &s2, &message).unwrap(), plaintext);
            prop_assert_eq!(decrypt(&key, &[s2[0] ^ 1, s2[1]], &message), Err(EciesError::Tag));
            prop_assert_eq!(decrypt(&fresh_key(), &s2, &message), Err(EciesError::Tag));
        }

        #[test]
        fn altered_and_random_bytes_are_refused(at in 0usize..213, flip in 1u8.., random in proptest::collection::vec(any::<u8>(), 0..200)) {
            let key = fresh_key();
            let mut message = encrypt(&PublicKey::from_secret_key(&key), b"", &[7; 100]);
            message[at] ^= flip;
            prop_assert!(decrypt(&key, b"", &message).is_err());
            prop_assert!(decrypt(&key, b"", &random).is_err());
        }
    }
}

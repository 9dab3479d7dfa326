//! ECIES on secp256k1 (`spec/waku-mailserver.md` §3.4, vector V18). Unlike RLPx the tag covers nothing but IV and
//! ciphertext.

use aes::Aes128;
use ctr::cipher::{KeyIvInit as _, StreamCipher as _};
use enode::{NodeKey, PublicKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::RngCore as _;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::PayloadError;

const KEY_LENGTH: usize = 65;
const IV_LENGTH: usize = 16;
const TAG_LENGTH: usize = 32;

/// `ephemeral key(65) ++ IV(16) ++ ciphertext ++ tag(32)` to the owner of `recipient`.
///
/// # Errors
/// [`PayloadError::Encrypt`] when `recipient` is no curve point, which its type excludes.
pub fn encrypt_asymmetric(plain: &[u8], recipient: &PublicKey) -> Result<Vec<u8>, PayloadError> {
    let mut iv = [0; IV_LENGTH];
    rand::rng().fill_bytes(&mut iv);
    encrypt_asymmetric_with(plain, recipient, &NodeKey::generate(), iv)
}

/// The same with a given ephemeral key and IV, neither of which may be used twice.
///
/// # Errors
/// As [`encrypt_asymmetric`].
pub fn encrypt_asymmetric_with(
    plain: &[u8],
    recipient: &PublicKey,
    ephemeral: &NodeKey,
    iv: [u8; IV_LENGTH],
) -> Result<Vec<u8>, PayloadError> {
    let point = recipient.to_secp().map_err(|_| PayloadError::Encrypt)?;
    let keys = Keys::agree(&point, ephemeral);
    let mut out = Vec::with_capacity(KEY_LENGTH + IV_LENGTH + plain.len() + TAG_LENGTH);
    out.push(4);
    out.extend_from_slice(ephemeral.public_key().as_bytes());
    out.extend_from_slice(&iv);
    out.extend_from_slice(plain);
    keys.apply_stream(iv, &mut out[KEY_LENGTH + IV_LENGTH..]);
    let tag = keys.mac(&out[KEY_LENGTH..])?.finalize().into_bytes();
    out.extend_from_slice(&tag);
    Ok(out)
}

/// The plaintext of `data`, if it was encrypted to `key`.
///
/// # Errors
/// [`PayloadError::Decrypt`] when it is too short, changed, or to somebody else.
pub fn decrypt_asymmetric(data: &[u8], key: &NodeKey) -> Result<Vec<u8>, PayloadError> {
    let (ephemeral, rest) = data.split_first_chunk::<KEY_LENGTH>().ok_or(PayloadError::Decrypt)?;
    let (body, tag) = rest.split_last_chunk::<TAG_LENGTH>().ok_or(PayloadError::Decrypt)?;
    // The body holds at least an IV (§12 Q13).
    let (iv, ciphertext) = body.split_first_chunk::<IV_LENGTH>().ok_or(PayloadError::Decrypt)?;
    let point = secp256k1::PublicKey::from_slice(ephemeral).map_err(|_| PayloadError::Decrypt)?;
    let keys = Keys::agree(&point, key);
    keys.mac(body)?.verify_slice(tag).map_err(|_| PayloadError::Decrypt)?;
    let mut plain = ciphertext.to_vec();
    keys.apply_stream(*iv, &mut plain);
    Ok(plain)
}

struct Keys {
    encryption: Zeroizing<[u8; 16]>,
    mac: Zeroizing<[u8; 32]>,
}

/// `Z`: the x-coordinate of the shared point.
fn shared_x(point: &secp256k1::PublicKey, secret: &NodeKey) -> Zeroizing<[u8; 32]> {
    let shared = Zeroizing::new(secp256k1::ecdh::shared_secret_point(point, secret.secret()));
    let mut x = Zeroizing::new([0; 32]);
    x.copy_from_slice(&shared[..32]);
    x
}

/// `K = SHA-256(00000001 ++ Z)`.
fn derive(z: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(Sha256::new().chain_update([0, 0, 0, 1]).chain_update(z).finalize().into())
}

impl Keys {
    /// The first half of `K` encrypts, the SHA-256 of the second half authenticates.
    fn agree(point: &secp256k1::PublicKey, secret: &NodeKey) -> Self {
        let key = derive(&shared_x(point, secret));
        let mut encryption = Zeroizing::new([0; 16]);
        encryption.copy_from_slice(&key[..16]);
        Self { encryption, mac: Zeroizing::new(Sha256::digest(&key[16..]).into()) }
    }

    fn apply_stream(&self, iv: [u8; IV_LENGTH], bytes: &mut [u8]) {
        ctr::Ctr128BE::<Aes128>::new(&(*self.encryption).into(), &iv.into()).apply_keystream(bytes);
    }

    fn mac(&self, body: &[u8]) -> Result<Hmac<Sha256>, PayloadError> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.mac.as_ref()).map_err(|_| PayloadError::Encrypt)?;
        mac.update(body);
        Ok(mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `spec/waku-mailserver.md` §10.4: Z, K and Km of V18, from k1 and k2.
    #[test]
    fn v18_keys_on_the_way() {
        let key = |text: &str| NodeKey::from_hex(text).unwrap();
        let recipient = key("73fd6143c48e80ed3c56ea159fe7494a0b6b393a392227b422f4c3e8f1b54f98");
        let ephemeral = key("119dd32adb1daa7a4c7bf77f847fb28730785aa92947edf42fdd997b54de40dc");
        let point = ephemeral.public_key().to_secp().unwrap();
        let z = shared_x(&point, &recipient);
        assert_eq!(hex::encode(*z), "dca9d17fc6821f4776edc778b8e2c9f5a81e5ffc5e813104c956a761df2eaf53");
        let k = "b082c2d4e83e6201aa2a9b9655d76809e70a1f864ebe08aa54bd8323f72ad9dd";
        assert_eq!(hex::encode(*derive(&z)), k);
        let keys = Keys::agree(&point, &recipient);
        assert_eq!(hex::encode(*keys.encryption), k[..32]);
        assert_eq!(
            hex::encode(*keys.mac),
            "1592ffaa3349a934f29f9c12191cbf75f8d07eb0079fec14bd50da90719784a1"
        );
    }
}

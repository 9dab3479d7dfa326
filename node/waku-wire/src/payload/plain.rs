//! Plaintext layout and signature (`spec/waku-mailserver.md` §3.1, §3.2, §3.5, vectors V12, V13, V16, V17, V46, V47).

use enode::{NodeKey, PublicKey, keccak256};
use rand::RngCore as _;
use secp256k1::Message;
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};

use super::PayloadError;

const SIGNATURE_LENGTH: usize = 65;
const SIZE_MASK: u8 = 3;
const SIGNED: u8 = 4;
/// Random padding fills up to a multiple of this.
const PAD_TO: usize = 256;

/// What stands between payload and signature.
#[derive(Debug, Clone, Copy)]
pub enum Padding<'a> {
    /// 1 to 256 random bytes, so that the plaintext's length is a multiple of 256.
    Random,
    /// These bytes as they are.
    Bytes(&'a [u8]),
}

/// A decrypted payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// Application bytes.
    pub payload: Vec<u8>,
    /// Padding as received.
    pub padding: Vec<u8>,
    /// Who signed it; `None` when unsigned.
    pub source: Option<PublicKey>,
}

/// Lays out and signs a plaintext.
///
/// # Errors
/// [`PayloadError::TooLong`] above 16 777 215 bytes.
pub fn build(
    payload: &[u8],
    padding: Padding<'_>,
    signer: Option<&NodeKey>,
) -> Result<Vec<u8>, PayloadError> {
    let size = u32::try_from(payload.len()).map_err(|_| PayloadError::TooLong)?.to_le_bytes();
    let (size_length, size): (u8, &[u8]) = match size {
        [a, 0, 0, 0] => (1, &[a]),
        [_, _, 0, 0] => (2, &size[..2]),
        [_, _, _, 0] => (3, &size[..3]),
        _ => return Err(PayloadError::TooLong),
    };
    let signature_length = if signer.is_some() { SIGNATURE_LENGTH } else { 0 };
    let unpadded = 1 + size.len() + payload.len() + signature_length;
    let mut out = Vec::with_capacity(unpadded + PAD_TO);
    out.push(size_length | if signer.is_some() { SIGNED } else { 0 });
    out.extend_from_slice(size);
    out.extend_from_slice(payload);
    match padding {
        Padding::Bytes(bytes) => out.extend_from_slice(bytes),
        Padding::Random => {
            let from = out.len();
            out.resize(from + PAD_TO - unpadded % PAD_TO, 0);
            rand::rng().fill_bytes(&mut out[from..]);
        }
    }
    if let Some(key) = signer {
        let digest = Message::from_digest(keccak256(&out));
        let signature = RecoverableSignature::sign_ecdsa_recoverable(digest, key.secret());
        let (recovery, compact) = signature.serialize_compact();
        out.extend_from_slice(&compact);
        out.push(recovery.to_u8());
    }
    Ok(out)
}

/// Reads a plaintext and recovers who signed it.
///
/// # Errors
/// [`PayloadError::Layout`] when a part does not fit, [`PayloadError::Signature`] when it says it is signed and no
/// public key can be recovered.
pub fn parse(plain: &[u8]) -> Result<Payload, PayloadError> {
    let (flags, rest) = plain.split_first().ok_or(PayloadError::Layout)?;
    let (body, source) = if flags & SIGNED != 0 {
        let split =
            rest.len().checked_sub(SIGNATURE_LENGTH).filter(|left| *left > 0).ok_or(PayloadError::Layout)?;
        let (body, signature) = rest.split_at(split);
        (body, Some(recover(&plain[..=split], signature)?))
    } else {
        (rest, None)
    };
    let (size, body) = body.split_at_checked(usize::from(flags & SIZE_MASK)).ok_or(PayloadError::Layout)?;
    let (payload, padding) = body.split_at_checked(little_endian(size)).ok_or(PayloadError::Layout)?;
    Ok(Payload { payload: payload.to_vec(), padding: padding.to_vec(), source })
}

/// The size field: little-endian, 0 to 3 bytes.
pub(super) fn little_endian(bytes: &[u8]) -> usize {
    bytes.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}

fn recover(signed: &[u8], signature: &[u8]) -> Result<PublicKey, PayloadError> {
    let (v, compact) = signature.split_last().ok_or(PayloadError::Signature)?;
    let recovery = RecoveryId::try_from(i32::from(*v)).map_err(|_| PayloadError::Signature)?;
    RecoverableSignature::from_compact(compact, recovery)
        .and_then(|signature| signature.recover(Message::from_digest(keccak256(signed))))
        .map(|key| PublicKey::from(&key))
        .map_err(|_| PayloadError::Signature)
}

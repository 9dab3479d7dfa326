//! The EIP-8 handshake, both roles: one packet each way, `BE16(size) ++ ECIES(RLP ++ padding)`.
//! The caller moves the bytes and keeps the time (5 s for both packets); everything here is computation, about 0.3 ms.
//! Legacy handshakes are neither made nor accepted. Facts: `spec/devp2p.md` §2.2, vectors §11.2.

use alloy_rlp::{Encodable as _, Header};
use enode::{NodeKey, PublicKey};
use rand::{Rng as _, RngCore as _};
use secp256k1::{
    Message, SecretKey,
    ecdsa::{RecoverableSignature, RecoveryId},
};

use crate::{
    ecies::{self, EciesError, ecdh_x},
    secrets::Secrets,
};

/// The version that is sent; a received one is ignored.
const VERSION: u8 = 4;

/// Why a handshake failed. Every failure closes TCP without a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The size prefix cannot be that of an EIP-8 packet.
    #[error("handshake packet is not EIP-8")]
    NotEip8,
    /// The packet does not have the length that its prefix says.
    #[error("handshake packet has another length than its prefix says")]
    Length,
    /// The ECIES message could not be opened.
    #[error(transparent)]
    Ecies(#[from] EciesError),
    /// The plaintext is not the expected RLP list.
    #[error("handshake body is malformed")]
    Body,
    /// A public key in the body is no point on the curve.
    #[error("handshake holds an invalid public key")]
    PublicKey,
    /// The signature recovers no key.
    #[error("handshake signature is invalid")]
    Signature,
}

/// The whole length of the packet that begins with `received`, once it can be told; `None` needs more bytes.
///
/// # Errors
/// [`HandshakeError::NotEip8`] as soon as the first three bytes rule out an EIP-8 packet (too short for an ECIES message,
/// or no uncompressed point), so that a legacy or foreign handshake does not wait for bytes that never come.
pub fn packet_length(received: &[u8]) -> Result<Option<usize>, HandshakeError> {
    let [high, low, rest @ ..] = received else { return Ok(None) };
    let size = usize::from(u16::from_be_bytes([*high, *low]));
    if size <= ecies::OVERHEAD || rest.first().is_some_and(|first| *first != 4) {
        return Err(HandshakeError::NotEip8);
    }
    Ok(Some(2 + size))
}

/// What a role contributes to one handshake: fresh for every connection.
struct Share {
    ephemeral: SecretKey,
    nonce: [u8; 32],
}

impl Share {
    fn fresh() -> Self {
        let mut nonce = [0; 32];
        rand::rng().fill_bytes(&mut nonce);
        Self { ephemeral: ecies::fresh_key(), nonce }
    }

    fn public(&self) -> PublicKey {
        PublicKey::from(&secp256k1::PublicKey::from_secret_key(&self.ephemeral))
    }
}

/// The dialing side after it made its auth packet.
pub struct Initiator {
    key: NodeKey,
    share: Share,
    auth: Vec<u8>,
}

impl Initiator {
    /// Starts a handshake with the node whose key is `remote`. Send [`Self::auth`], then give the answer to
    /// [`Self::finish`].
    pub fn new(key: &NodeKey, remote: &PublicKey) -> Result<Self, HandshakeError> {
        Self::with_share(key, remote, Share::fresh())
    }

    fn with_share(key: &NodeKey, remote: &PublicKey, share: Share) -> Result<Self, HandshakeError> {
        let remote = remote.to_secp().map_err(|_| HandshakeError::PublicKey)?;
        let token = ecdh_x(&remote, key.secret());
        let message = Message::from_digest(xor(&token, &share.nonce));
        let signature = RecoverableSignature::sign_ecdsa_recoverable(message, &share.ephemeral);
        let (recovery_id, compact) = signature.serialize_compact();
        let mut signature = [0; 65];
        signature[..64].copy_from_slice(&compact);
        signature[64] = recovery_id.to_u8();
        let auth = seal(&remote, &[&signature, key.public_key().as_bytes(), &share.nonce]);
        Ok(Self { key: key.clone(), share, auth })
    }

    /// The auth packet, 384..483 bytes.
    #[must_use]
    pub fn auth(&self) -> &[u8] {
        &self.auth
    }

    /// Opens the recipient's whole ack packet (see [`packet_length`]).
    pub fn finish(self, ack: &[u8]) -> Result<Secrets, HandshakeError> {
        let body = open(&self.key, ack)?;
        let [remote_ephemeral, remote_nonce] = fields::<2>(&body, [64, 32])?;
        let remote_ephemeral = point(remote_ephemeral)?;
        let remote_nonce = array(remote_nonce)?;
        let shared = ecdh_x(&remote_ephemeral, &self.share.ephemeral);
        Ok(Secrets::derive(&shared, &self.share.nonce, &remote_nonce, &self.auth, ack, true))
    }
}

/// The accepting side's result: who dialed, what to answer, and the session's secrets.
pub struct Accepted {
    /// The initiator's static key: it has proven neither more nor less than the knowledge of it once the first frame
    /// verifies.
    pub remote: PublicKey,
    /// The ack packet to send, 317..416 bytes.
    pub ack: Vec<u8>,
    /// The session's secrets.
    pub secrets: Secrets,
}

/// Opens the initiator's whole auth packet (see [`packet_length`]) and answers it.
pub fn accept(key: &NodeKey, auth: &[u8]) -> Result<Accepted, HandshakeError> {
    accept_with_share(key, auth, &Share::fresh())
}

fn accept_with_share(key: &NodeKey, auth: &[u8], share: &Share) -> Result<Accepted, HandshakeError> {
    let (remote, remote_nonce, remote_ephemeral) = read_auth(key, auth)?;
    let remote_static = remote.to_secp().map_err(|_| HandshakeError::PublicKey)?;
    let ack = seal(&remote_static, &[share.public().as_bytes(), &share.nonce]);
    let secrets = recipient_secrets(share, &remote_ephemeral, &remote_nonce, auth, &ack);
    Ok(Accepted { remote, ack, secrets })
}

/// The initiator's static key, nonce and ephemeral key.
fn read_auth(
    key: &NodeKey,
    auth: &[u8],
) -> Result<(PublicKey, [u8; 32], secp256k1::PublicKey), HandshakeError> {
    let body = open(key, auth)?;
    let [signature, remote, nonce] = fields::<3>(&body, [65, 64, 32])?;
    let remote_static = point(remote)?;
    let nonce = array(nonce)?;
    let token = ecdh_x(&remote_static, key.secret());
    let recovery_id =
        RecoveryId::try_from(i32::from(signature[64])).map_err(|_| HandshakeError::Signature)?;
    let signature = RecoverableSignature::from_compact(&signature[..64], recovery_id)
        .map_err(|_| HandshakeError::Signature)?;
    let ephemeral = signature
        .recover(Message::from_digest(xor(&token, &nonce)))
        .map_err(|_| HandshakeError::Signature)?;
    Ok((PublicKey::from(&remote_static), nonce, ephemeral))
}

fn recipient_secrets(
    share: &Share,
    remote_ephemeral: &secp256k1::PublicKey,
    remote_nonce: &[u8; 32],
    auth: &[u8],
    ack: &[u8],
) -> Secrets {
    let shared = ecdh_x(remote_ephemeral, &share.ephemeral);
    Secrets::derive(&shared, remote_nonce, &share.nonce, auth, ack, false)
}

/// `BE16(size) ++ ECIES([fields…, version] ++ 100..199 zero bytes)`.
fn seal(to: &secp256k1::PublicKey, fields: &[&[u8]]) -> Vec<u8> {
    let payload_length = fields.iter().map(|field| field.length()).sum::<usize>() + VERSION.length();
    let mut plaintext = Vec::with_capacity(400);
    Header { list: true, payload_length }.encode(&mut plaintext);
    for field in fields {
        field.encode(&mut plaintext);
    }
    VERSION.encode(&mut plaintext);
    plaintext.resize(plaintext.len() + rand::rng().random_range(100..200), 0);
    let size = plaintext.len() + ecies::OVERHEAD;
    // At most 169 + 199 + 113 bytes.
    let prefix = u16::try_from(size).unwrap_or(u16::MAX).to_be_bytes();
    let mut packet = prefix.to_vec();
    packet.extend_from_slice(&ecies::encrypt(to, &prefix, &plaintext));
    packet
}

fn open(key: &NodeKey, packet: &[u8]) -> Result<Vec<u8>, HandshakeError> {
    if packet_length(packet)? != Some(packet.len()) {
        return Err(HandshakeError::Length);
    }
    let (prefix, message) = packet.split_at(2);
    Ok(ecies::decrypt(key.secret(), prefix, message)?)
}

/// The leading byte strings of the list, each of the stated length, followed by an integer version; more elements and
/// any bytes after the list are ignored.
fn fields<const N: usize>(body: &[u8], lengths: [usize; N]) -> Result<[&[u8]; N], HandshakeError> {
    let mut rest = body;
    let mut list = Header::decode_bytes(&mut rest, true).map_err(|_| HandshakeError::Body)?;
    let mut out = [&[][..]; N];
    for (field, length) in out.iter_mut().zip(lengths) {
        *field = Header::decode_bytes(&mut list, false).map_err(|_| HandshakeError::Body)?;
        if field.len() != length {
            return Err(HandshakeError::Body);
        }
    }
    let version = Header::decode_bytes(&mut list, false).map_err(|_| HandshakeError::Body)?;
    if version.len() > 8 || version.first() == Some(&0) {
        return Err(HandshakeError::Body);
    }
    while !list.is_empty() {
        let header = Header::decode(&mut list).map_err(|_| HandshakeError::Body)?;
        list = list.get(header.payload_length..).ok_or(HandshakeError::Body)?;
    }
    Ok(out)
}

fn point(bytes: &[u8]) -> Result<secp256k1::PublicKey, HandshakeError> {
    let bytes = bytes.try_into().map_err(|_| HandshakeError::Body)?;
    PublicKey::from_bytes(bytes).and_then(|key| key.to_secp()).map_err(|_| HandshakeError::PublicKey)
}

fn array(bytes: &[u8]) -> Result<[u8; 32], HandshakeError> {
    bytes.try_into().map_err(|_| HandshakeError::Body)
}

fn xor(a: &[u8; 32], b: &[u8; 32]) -> [u8; 32] {
    std::array::from_fn(|i| a[i] ^ b[i])
}

#[cfg(test)]
pub(crate) mod tests;

//! Signing packets, and recovering who signed one. Facts: `spec/devp2p.md` §6.1.

use bytes::Bytes;
use enode::{NodeKey, PublicKey, keccak256};
use secp256k1::{
    Message,
    ecdsa::{RecoverableSignature, RecoveryId},
};

use super::{Kind, MAX_PACKET, MIN_PACKET, PREFIX, Packet, PacketError, Pong, rlp, topic_hash};

/// A signed packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Sealed {
    pub(crate) bytes: Vec<u8>,
    /// Keccak-256 of everything after the prefix: what answers refer to.
    pub(crate) hash: [u8; 32],
}

impl Packet {
    /// Signs the packet with `key`. The caller keeps lists so short that the result fits [`MAX_PACKET`].
    pub(crate) fn seal(&self, key: &NodeKey) -> Sealed {
        let mut bytes = Vec::with_capacity(MIN_PACKET + 128);
        bytes.extend_from_slice(PREFIX);
        bytes.extend_from_slice(&[0; 65]);
        bytes.push(self.kind() as u8);
        rlp::encode(self, &mut bytes);
        let message = Message::from_digest(keccak256(&bytes[MIN_PACKET - 1..]));
        let (recovery_id, compact) =
            RecoverableSignature::sign_ecdsa_recoverable(message, key.secret()).serialize_compact();
        bytes[PREFIX.len()..PREFIX.len() + 64].copy_from_slice(&compact);
        bytes[PREFIX.len() + 64] = recovery_id.to_u8();
        let hash = keccak256(&bytes[PREFIX.len()..]);
        Sealed { bytes, hash }
    }
}

/// A packet whose form is right and whose sender is not known yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Unverified {
    bytes: Bytes,
    pub(super) packet: Packet,
}

/// A packet and who signed it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Received {
    pub(crate) from: PublicKey,
    pub(crate) packet: Packet,
    pub(crate) hash: [u8; 32],
    /// The whole packet: a pong is sent back later as a ticket.
    pub(crate) bytes: Bytes,
    /// What a registration embeds.
    pub(crate) ticket: Option<Ticket>,
}

/// The pong inside a registration: for its topics, with a wait period at its index, signed by `signer`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ticket {
    pub(crate) signer: PublicKey,
    pub(crate) pong: Pong,
}

impl Unverified {
    /// Checks everything but the signature; allocates no more than some times the datagram.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, PacketError> {
        if !(MIN_PACKET..=MAX_PACKET).contains(&bytes.len()) {
            return Err(PacketError::Length(bytes.len()));
        }
        if !bytes.starts_with(PREFIX) {
            return Err(PacketError::Prefix);
        }
        let code = bytes[MIN_PACKET - 1];
        let kind = Kind::from_code(code).ok_or(PacketError::Type(code))?;
        let packet = rlp::decode(kind, &bytes[MIN_PACKET..])?;
        Ok(Self { bytes: Bytes::copy_from_slice(bytes), packet })
    }

    /// Recovers who signed the packet, and who signed the ticket that it may embed: some 50 µs each.
    pub(crate) fn verify(self) -> Result<Received, PacketError> {
        let ticket = match &self.packet {
            Packet::TopicRegister { topics, index, pong } => {
                let inner = Self::parse(pong).map_err(|_| PacketError::Ticket)?;
                let Packet::Pong(pong) = &inner.packet else { return Err(PacketError::Ticket) };
                let topic = usize::try_from(*index).ok().filter(|index| *index < topics.len());
                if topic.is_none()
                    || pong.waits.len() != topics.len()
                    || pong.topic_hash != topic_hash(topics)
                {
                    return Err(PacketError::Ticket);
                }
                Some(Ticket { signer: inner.recover()?, pong: pong.clone() })
            }
            _ => None,
        };
        let from = self.recover()?;
        let hash = keccak256(&self.bytes[PREFIX.len()..]);
        Ok(Received { from, packet: self.packet, hash, bytes: self.bytes, ticket })
    }

    fn recover(&self) -> Result<PublicKey, PacketError> {
        let signature = &self.bytes[PREFIX.len()..PREFIX.len() + 65];
        let recovery_id =
            RecoveryId::try_from(i32::from(signature[64])).map_err(|_| PacketError::Signature)?;
        let signature = RecoverableSignature::from_compact(&signature[..64], recovery_id)
            .map_err(|_| PacketError::Signature)?;
        let message = Message::from_digest(keccak256(&self.bytes[MIN_PACKET - 1..]));
        let key = signature.recover(message).map_err(|_| PacketError::Signature)?;
        Ok(PublicKey::from(&key))
    }
}

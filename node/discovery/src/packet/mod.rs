//! The eight packets of legacy discv5 and their exact bytes. Pure.
//!
//! A datagram is prefix, signature, type and one RLP list. [`Unverified::parse`] does what is cheap (bounds, RLP), then
//! [`Unverified::verify`] recovers the sender's key, which costs some 50 µs: a caller limits rates in between.
//! Facts: `spec/devp2p.md` §6.1, §6.2, vectors §11.9.

mod rlp;
mod seal;
#[cfg(test)]
mod vectors;

use std::net::IpAddr;

use bytes::Bytes;
use enode::keccak256;

use crate::{Node, Topic};

pub(crate) use seal::{Received, Ticket, Unverified};

/// What every packet begins with.
pub(crate) const PREFIX: &[u8; 22] = b"temporary discovery v5";
/// Longest packet, bytes: nothing longer is sent or read.
pub const MAX_PACKET: usize = 1280;
/// Shortest packet, bytes: prefix, signature and type.
const MIN_PACKET: usize = 88;
/// Nodes in one neighbors packet; 12 with IPv6 addresses make 1195 bytes.
pub(crate) const NEIGHBORS_PER_PACKET: usize = 12;
/// Topics in one ping or registration. The answer to a ping has a number for each, and must fit a packet.
pub(crate) const MAX_TOPICS: usize = 64;
/// Version in pings; receivers do not look at it.
pub(crate) const VERSION: u64 = 4;

/// Why a datagram was dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PacketError {
    /// Shorter than 88 or longer than 1280 bytes.
    #[error("{0} bytes, want 88 to 1280")]
    Length(usize),
    /// Another protocol.
    #[error("does not begin with \"temporary discovery v5\"")]
    Prefix,
    /// A type that the protocol does not have.
    #[error("unknown packet type {0:#04x}")]
    Type(u8),
    /// The data is no RLP list of this type's fields, or over a bound.
    #[error("bad fields: {0}")]
    Fields(#[from] alloy_rlp::Error),
    /// The signature recovers no key.
    #[error("invalid signature")]
    Signature,
    /// The packet inside a registration is no pong, or not for these topics.
    #[error("the ticket is no pong for the registered topics")]
    Ticket,
}

/// The types of packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// Endpoint proof, and request for tickets.
    Ping = 1,
    /// Its answer, a ticket for each topic of the ping.
    Pong = 2,
    /// Asks for the nodes closest to a public key.
    FindNode = 3,
    /// Answers the two kinds of find.
    Neighbors = 4,
    /// Asks for the nodes closest to a hash.
    FindNodeHash = 5,
    /// Uses a ticket.
    TopicRegister = 6,
    /// Asks for nodes of a topic.
    TopicQuery = 7,
    /// Its answer.
    TopicNodes = 8,
}

impl Kind {
    /// Every kind, in the order of their codes.
    pub const ALL: [Self; 8] = [
        Self::Ping,
        Self::Pong,
        Self::FindNode,
        Self::Neighbors,
        Self::FindNodeHash,
        Self::TopicRegister,
        Self::TopicQuery,
        Self::TopicNodes,
    ];

    /// The name as in `spec/devp2p.md` §6.2, for metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Pong => "pong",
            Self::FindNode => "findnode",
            Self::Neighbors => "neighbors",
            Self::FindNodeHash => "findnodeHash",
            Self::TopicRegister => "topicRegister",
            Self::TopicQuery => "topicQuery",
            Self::TopicNodes => "topicNodes",
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }
}

/// `[ip, udp, tcp]`. Receivers use `tcp` of a ping's sender and nothing else. `ip` is `None` when it has neither 4 nor
/// 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct WireEndpoint {
    pub(crate) ip: Option<IpAddr>,
    pub(crate) udp: u16,
    pub(crate) tcp: u16,
}

/// `[ip, udp, tcp, pubkey64]`, with nothing checked: the key may be no point of the curve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct WireNode {
    pub(crate) ip: Option<IpAddr>,
    pub(crate) udp: u16,
    pub(crate) tcp: u16,
    pub(crate) key: [u8; 64],
}

impl From<&Node> for WireNode {
    fn from(node: &Node) -> Self {
        Self { ip: Some(node.ip), udp: node.udp, tcp: node.tcp, key: *node.key.as_bytes() }
    }
}

/// Fields of a ping.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ping {
    pub(crate) version: u64,
    pub(crate) from: WireEndpoint,
    pub(crate) to: WireEndpoint,
    /// Unix time, seconds. Nobody checks it.
    pub(crate) expiration: u64,
    pub(crate) topics: Vec<Topic>,
}

/// Fields of a pong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Pong {
    pub(crate) to: WireEndpoint,
    /// Hash of the ping.
    pub(crate) token: [u8; 32],
    /// When the ticket was issued, seconds of the sender's own clock; no Unix time.
    pub(crate) issued: u64,
    pub(crate) topic_hash: [u8; 32],
    pub(crate) serial: u32,
    /// Seconds, one for each topic of the ping.
    pub(crate) waits: Vec<u32>,
}

/// A packet's fields.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Packet {
    Ping(Ping),
    Pong(Pong),
    FindNode { target: [u8; 64], expiration: u64 },
    Neighbors { nodes: Vec<WireNode>, expiration: u64 },
    FindNodeHash { target: [u8; 32], expiration: u64 },
    TopicRegister { topics: Vec<Topic>, index: u64, pong: Bytes },
    TopicQuery { topic: Topic, expiration: u64 },
    TopicNodes { echo: [u8; 32], nodes: Vec<WireNode> },
}

impl Packet {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Ping(_) => Kind::Ping,
            Self::Pong(_) => Kind::Pong,
            Self::FindNode { .. } => Kind::FindNode,
            Self::Neighbors { .. } => Kind::Neighbors,
            Self::FindNodeHash { .. } => Kind::FindNodeHash,
            Self::TopicRegister { .. } => Kind::TopicRegister,
            Self::TopicQuery { .. } => Kind::TopicQuery,
            Self::TopicNodes { .. } => Kind::TopicNodes,
        }
    }
}

/// What a ticket is bound to: Keccak-256 of the RLP list of `topics`.
pub(crate) fn topic_hash(topics: &[Topic]) -> [u8; 32] {
    let mut out = Vec::new();
    rlp::encode_topics(topics, &mut out);
    keccak256(&out)
}

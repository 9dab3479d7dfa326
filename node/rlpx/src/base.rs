//! The base protocol's messages: Hello, Disconnect, Ping, Pong. Facts: `spec/devp2p.md` §2.8, vectors §11.4.

use std::fmt;

use alloy_rlp::{Decodable as _, Encodable as _, Header};
use enode::PublicKey;

use crate::Capability;

/// Message code of Hello.
pub const HELLO: u64 = 0x00;
/// Message code of Disconnect.
pub const DISCONNECT: u64 = 0x01;
/// Message code of Ping.
pub const PING: u64 = 0x02;
/// Message code of Pong.
pub const PONG: u64 = 0x03;
/// Payload of Ping and of Pong: an empty list.
pub const EMPTY_LIST: &[u8] = &[0xc0];
/// Largest Hello payload, bytes; a bigger first message closes without a Disconnect.
pub const MAX_HELLO: usize = 2048;
/// The version that is sent; 5 and above switches Snappy on at the receiver.
pub const VERSION: u64 = 5;

/// Why a session ends, as it is said on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DisconnectReason {
    /// 0x00: asked for by the operator or the peer pool.
    Requested,
    /// 0x01: only inside a node, never sent.
    NetworkError,
    /// 0x02: a sub-protocol message that cannot be.
    ProtocolBreach,
    /// 0x03: no capability in common.
    UselessPeer,
    /// 0x04: the limits are reached.
    TooManyPeers,
    /// 0x05: this node id has a session already.
    AlreadyConnected,
    /// 0x06: not sent by the reference.
    IncompatibleVersion,
    /// 0x07: the Hello key is no key.
    InvalidIdentity,
    /// 0x08: shutting down, or a sub-protocol ended without error.
    ClientQuitting,
    /// 0x09: the Hello key is not the one of the handshake.
    UnexpectedIdentity,
    /// 0x0a: a node met itself.
    ConnectedToSelf,
    /// 0x0b: not sent by the reference.
    ReadTimeout,
    /// 0x10: any other sub-protocol error.
    SubprotocolError,
    /// A number without a meaning.
    Unknown(u64),
}

impl DisconnectReason {
    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> u64 {
        match self {
            Self::Requested => 0x00,
            Self::NetworkError => 0x01,
            Self::ProtocolBreach => 0x02,
            Self::UselessPeer => 0x03,
            Self::TooManyPeers => 0x04,
            Self::AlreadyConnected => 0x05,
            Self::IncompatibleVersion => 0x06,
            Self::InvalidIdentity => 0x07,
            Self::ClientQuitting => 0x08,
            Self::UnexpectedIdentity => 0x09,
            Self::ConnectedToSelf => 0x0a,
            Self::ReadTimeout => 0x0b,
            Self::SubprotocolError => 0x10,
            Self::Unknown(code) => code,
        }
    }

    /// The reason with this number.
    #[must_use]
    pub fn from_code(code: u64) -> Self {
        match code {
            0x00 => Self::Requested,
            0x01 => Self::NetworkError,
            0x02 => Self::ProtocolBreach,
            0x03 => Self::UselessPeer,
            0x04 => Self::TooManyPeers,
            0x05 => Self::AlreadyConnected,
            0x06 => Self::IncompatibleVersion,
            0x07 => Self::InvalidIdentity,
            0x08 => Self::ClientQuitting,
            0x09 => Self::UnexpectedIdentity,
            0x0a => Self::ConnectedToSelf,
            0x0b => Self::ReadTimeout,
            0x10 => Self::SubprotocolError,
            other => Self::Unknown(other),
        }
    }

    /// As the label of a metric.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::NetworkError => "network_error",
            Self::ProtocolBreach => "protocol_breach",
            Self::UselessPeer => "useless_peer",
            Self::TooManyPeers => "too_many_peers",
            Self::AlreadyConnected => "already_connected",
            Self::IncompatibleVersion => "incompatible_version",
            Self::InvalidIdentity => "invalid_identity",
            Self::ClientQuitting => "client_quitting",
            Self::UnexpectedIdentity => "unexpected_identity",
            Self::ConnectedToSelf => "connected_to_self",
            Self::ReadTimeout => "read_timeout",
            Self::SubprotocolError => "subprotocol_error",
            Self::Unknown(_) => "unknown",
        }
    }

    /// The payload of a Disconnect message: a list of one number.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        let code = self.code();
        let mut out = Vec::with_capacity(10);
        Header { list: true, payload_length: code.length() }.encode(&mut out);
        code.encode(&mut out);
        out
    }

    /// Reads both forms in use, a list and a bare integer; what cannot be read counts as [`Self::Requested`].
    #[must_use]
    pub fn decode(payload: &[u8]) -> Self {
        let mut rest = payload;
        if payload.first().is_some_and(|first| *first >= 0xc0) {
            rest = Header::decode_bytes(&mut rest, true).unwrap_or_default();
        }
        u64::decode(&mut rest).map_or(Self::Requested, Self::from_code)
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Requested => "disconnect requested",
            Self::NetworkError => "network error",
            Self::ProtocolBreach => "breach of protocol",
            Self::UselessPeer => "useless peer",
            Self::TooManyPeers => "too many peers",
            Self::AlreadyConnected => "already connected",
            Self::IncompatibleVersion => "incompatible p2p protocol version",
            Self::InvalidIdentity => "invalid node identity",
            Self::ClientQuitting => "client quitting",
            Self::UnexpectedIdentity => "unexpected identity",
            Self::ConnectedToSelf => "connected to self",
            Self::ReadTimeout => "read timeout",
            Self::SubprotocolError => "subprotocol error",
            Self::Unknown(code) => return write!(f, "unknown disconnect reason {code}"),
        };
        f.write_str(text)
    }
}

/// Why a Hello was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// Not the expected RLP: the connection is closed without a Disconnect.
    #[error("Hello is malformed")]
    Malformed,
    /// The key field is not 64 bytes or all zero: Disconnect 7.
    #[error("Hello holds an invalid node identity")]
    Identity,
}

/// What each side says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Protocol version; any number is accepted, ≥ 5 means Snappy.
    pub version: u64,
    /// Client name, by habit `Name/vVersion/os-arch/runtime`. Hostile text when received, at most 2 KB.
    pub name: String,
    /// Capabilities offered.
    pub capabilities: Vec<Capability>,
    /// Always 0 from statusd.
    pub listen_port: u64,
    /// The key field as received: 64 bytes, not all zero, not yet compared with the handshake's key.
    pub public_key: [u8; 64],
}

impl Hello {
    /// A Hello of this node, capabilities sorted by name and version.
    #[must_use]
    pub fn new(name: String, mut capabilities: Vec<Capability>, public_key: &PublicKey) -> Self {
        capabilities.sort();
        Self { version: VERSION, name, capabilities, listen_port: 0, public_key: *public_key.as_bytes() }
    }

    /// Whether the sender of this Hello wants Snappy from now on.
    #[must_use]
    pub fn wants_snappy(&self) -> bool {
        self.version >= 5
    }

    /// The payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut capabilities = Vec::new();
        for capability in &self.capabilities {
            let payload_length = capability.name.length() + capability.version.length();
            Header { list: true, payload_length }.encode(&mut capabilities);
            capability.name.encode(&mut capabilities);
            capability.version.encode(&mut capabilities);
        }
        let mut payload = Vec::with_capacity(capabilities.len() + self.name.len() + 90);
        self.version.encode(&mut payload);
        self.name.encode(&mut payload);
        Header { list: true, payload_length: capabilities.len() }.encode(&mut payload);
        payload.extend_from_slice(&capabilities);
        self.listen_port.encode(&mut payload);
        self.public_key.as_slice().encode(&mut payload);
        let mut out = Vec::with_capacity(payload.len() + 3);
        Header { list: true, payload_length: payload.len() }.encode(&mut out);
        out.extend_from_slice(&payload);
        out
    }

    /// Reads a payload of at most [`MAX_HELLO`] bytes. More elements, and bytes after the list, are ignored; a name that
    /// is not UTF-8 is shown as well as it can be.
    pub fn decode(payload: &[u8]) -> Result<Self, HelloError> {
        if payload.len() > MAX_HELLO {
            return Err(HelloError::Malformed);
        }
        let (mut hello, key) = Self::decode_fields(payload).map_err(|_| HelloError::Malformed)?;
        hello.public_key = key.try_into().map_err(|_| HelloError::Identity)?;
        if hello.public_key == [0; 64] { Err(HelloError::Identity) } else { Ok(hello) }
    }

    fn decode_fields(mut payload: &[u8]) -> alloy_rlp::Result<(Self, &[u8])> {
        let mut list = Header::decode_bytes(&mut payload, true)?;
        let version = u64::decode(&mut list)?;
        let name = text(&mut list)?;
        let mut entries = Header::decode_bytes(&mut list, true)?;
        let mut capabilities = Vec::new();
        while !entries.is_empty() {
            let mut entry = Header::decode_bytes(&mut entries, true)?;
            capabilities.push(Capability { name: text(&mut entry)?, version: u64::decode(&mut entry)? });
            if !entry.is_empty() {
                return Err(alloy_rlp::Error::Custom("a capability is exactly two elements"));
            }
        }
        let listen_port = u64::decode(&mut list)?;
        let key = Header::decode_bytes(&mut list, false)?;
        while !list.is_empty() {
            let header = Header::decode(&mut list)?;
            list = list.get(header.payload_length..).ok_or(alloy_rlp::Error::InputTooShort)?;
        }
        Ok((Self { version, name, capabilities, listen_port, public_key: [0; 64] }, key))
    }
}

fn text(buf: &mut &[u8]) -> alloy_rlp::Result<String> {
    Ok(String::from_utf8_lossy(Header::decode_bytes(buf, false)?).into_owned())
}

#[cfg(test)]
mod tests;

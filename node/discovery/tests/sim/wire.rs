//! The wire format, written here from `spec/devp2p.md` §6.1, §6.2 and §2 alone: shares no code with the crate.

use std::net::{IpAddr, SocketAddr};

use enode::{NodeKey, PublicKey, keccak256};
use secp256k1::{
    Message,
    ecdsa::{RecoverableSignature, RecoveryId},
};

pub(crate) const PING: u8 = 1;
pub(crate) const PONG: u8 = 2;
pub(crate) const FIND_NODE: u8 = 3;
pub(crate) const NEIGHBORS: u8 = 4;
pub(crate) const FIND_NODE_HASH: u8 = 5;
pub(crate) const TOPIC_REGISTER: u8 = 6;
pub(crate) const TOPIC_QUERY: u8 = 7;
pub(crate) const TOPIC_NODES: u8 = 8;

const PREFIX: &[u8; 22] = b"temporary discovery v5";

/// An RLP item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Rlp {
    Bytes(Vec<u8>),
    List(Vec<Rlp>),
}

pub(crate) fn bytes(bytes: impl AsRef<[u8]>) -> Rlp {
    Rlp::Bytes(bytes.as_ref().to_vec())
}

pub(crate) fn uint(value: u64) -> Rlp {
    bytes(&value.to_be_bytes()[value.leading_zeros() as usize / 8..])
}

pub(crate) fn topics(names: &[&str]) -> Rlp {
    Rlp::List(names.iter().map(bytes).collect())
}

pub(crate) fn endpoint(at: SocketAddr) -> Rlp {
    let ip = match at.ip() {
        IpAddr::V4(ip) => bytes(ip.octets()),
        IpAddr::V6(ip) => bytes(ip.octets()),
    };
    Rlp::List(vec![ip, uint(at.port().into()), uint(at.port().into())])
}

impl Rlp {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (base, body) = match self {
            Self::Bytes(bytes) if bytes.len() == 1 && bytes[0] < 0x80 => return bytes.clone(),
            Self::Bytes(bytes) => (0x80, bytes.clone()),
            Self::List(items) => (0xc0, items.iter().flat_map(Self::encode).collect()),
        };
        let mut out = Vec::new();
        let short = |len: usize| u8::try_from(len).unwrap();
        if body.len() < 56 {
            out.push(base + short(body.len()));
        } else {
            let len = uint(body.len() as u64);
            out.push(base + 55 + short(len.bytes().len()));
            out.extend(len.bytes());
        }
        out.extend(body);
        out
    }

    /// The first item and what follows it.
    fn decode(data: &[u8]) -> (Self, &[u8]) {
        let first = data[0];
        if first < 0x80 {
            return (bytes([first]), &data[1..]);
        }
        let base = if first < 0xc0 { 0x80 } else { 0xc0 };
        let short = usize::from(first - base);
        let (start, len) = if short < 56 {
            (1, short)
        } else {
            let digits = &data[1..short - 54];
            (short - 54, digits.iter().fold(0, |len, digit| len * 256 + usize::from(*digit)))
        };
        let (mut body, rest) = (&data[start..start + len], &data[start + len..]);
        if base == 0x80 {
            return (bytes(body), rest);
        }
        let mut items = Vec::new();
        while !body.is_empty() {
            let (item, after) = Self::decode(body);
            items.push(item);
            body = after;
        }
        (Self::List(items), rest)
    }

    pub(crate) fn items(&self) -> &[Self] {
        let Self::List(items) = self else { panic!("{self:?} is no list") };
        items
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        let Self::Bytes(bytes) = self else { panic!("{self:?} is a list") };
        bytes
    }

    pub(crate) fn uint(&self) -> u64 {
        let bytes = self.bytes();
        assert!(bytes.len() <= 8 && bytes.first() != Some(&0), "canonical: {bytes:?}");
        bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }
}

/// A packet that came.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) from: PublicKey,
    pub(crate) kind: u8,
    pub(crate) fields: Vec<Rlp>,
    pub(crate) hash: [u8; 32],
    pub(crate) raw: Vec<u8>,
}

/// The packet and its hash.
pub(crate) fn seal(key: &NodeKey, kind: u8, fields: Vec<Rlp>) -> (Vec<u8>, [u8; 32]) {
    let mut signed = vec![kind];
    signed.extend(Rlp::List(fields).encode());
    let message = Message::from_digest(keccak256(&signed));
    let (id, signature) =
        RecoverableSignature::sign_ecdsa_recoverable(message, key.secret()).serialize_compact();
    let mut packet = PREFIX.to_vec();
    packet.extend(signature);
    packet.push(id.to_u8());
    packet.extend(signed);
    let hash = keccak256(&packet[22..]);
    (packet, hash)
}

pub(crate) fn open(raw: &[u8]) -> Packet {
    assert!(raw.len() > 88 && raw.len() <= 1280, "{} bytes", raw.len());
    assert_eq!(&raw[..22], PREFIX);
    let id = RecoveryId::try_from(i32::from(raw[86])).unwrap();
    let signature = RecoverableSignature::from_compact(&raw[22..86], id).unwrap();
    let from = signature.recover(Message::from_digest(keccak256(&raw[87..]))).unwrap();
    let (list, rest) = Rlp::decode(&raw[88..]);
    assert!(rest.is_empty());
    let fields = list.items().to_vec();
    Packet {
        from: PublicKey::from(&from),
        kind: raw[87],
        fields,
        hash: keccak256(&raw[22..]),
        raw: raw.to_vec(),
    }
}

/// A node that is played here.
pub(crate) struct Peer {
    pub(crate) key: NodeKey,
    pub(crate) at: SocketAddr,
}

impl Peer {
    pub(crate) fn new(number: u32) -> Self {
        let mut secret = [1; 32];
        secret[..4].copy_from_slice(&number.to_be_bytes());
        let [a, b, c, d] = number.to_be_bytes();
        Self { key: NodeKey::from_bytes(&secret).unwrap(), at: ([30 + a, b, c, d], 30303).into() }
    }

    pub(crate) fn ping(&self, to: SocketAddr, names: &[&str]) -> (Vec<u8>, [u8; 32]) {
        let fields = vec![uint(4), endpoint(self.at), endpoint(to), uint(1_700_000_020), topics(names)];
        seal(&self.key, PING, fields)
    }

    /// The answer to a ping.
    pub(crate) fn pong(&self, to: SocketAddr, ping: &Packet) -> Vec<u8> {
        assert_eq!(ping.kind, PING);
        let topic_hash = keccak256(&ping.fields[4].encode());
        let waits = Rlp::List(vec![uint(60); ping.fields[4].items().len()]);
        let fields = vec![endpoint(to), bytes(ping.hash), uint(77), bytes(topic_hash), uint(1), waits];
        seal(&self.key, PONG, fields).0
    }

    pub(crate) fn seal(&self, kind: u8, fields: Vec<Rlp>) -> (Vec<u8>, [u8; 32]) {
        seal(&self.key, kind, fields)
    }
}

//! The fields of each packet as RLP. Decoding is strict about canonical numbers and sizes, and takes more elements than
//! it knows only where `spec/devp2p.md` §6.2 says "tail".

use std::net::IpAddr;

use alloy_rlp::{BufMut, Decodable, Encodable, Error, Header, Result};
use bytes::Bytes;

use super::{Kind, MAX_TOPICS, Packet, Ping, Pong, WireEndpoint, WireNode};
use crate::Topic;

/// The payload of the list that `data` begins with; what follows the list is ignored.
fn list<'a>(data: &mut &'a [u8]) -> Result<&'a [u8]> {
    Header::decode_bytes(data, true)
}

/// Refuses elements that are left.
fn end(rest: &[u8]) -> Result<()> {
    if rest.is_empty() { Ok(()) } else { Err(Error::Custom("more elements than this list has")) }
}

fn decode_ip(data: &mut &[u8]) -> Result<Option<IpAddr>> {
    let bytes = Header::decode_bytes(data, false)?;
    let four = <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    Ok(four.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)))
}

fn encode_ip(ip: Option<IpAddr>, out: &mut dyn BufMut) {
    match ip {
        Some(IpAddr::V4(ip)) => ip.octets().encode(out),
        Some(IpAddr::V6(ip)) => ip.octets().encode(out),
        None => [0_u8; 0].as_slice().encode(out),
    }
}

impl Decodable for WireEndpoint {
    fn decode(data: &mut &[u8]) -> Result<Self> {
        let mut fields = list(data)?;
        let endpoint = Self {
            ip: decode_ip(&mut fields)?,
            udp: u16::decode(&mut fields)?,
            tcp: u16::decode(&mut fields)?,
        };
        end(fields)?;
        Ok(endpoint)
    }
}

impl Encodable for WireEndpoint {
    fn encode(&self, out: &mut dyn BufMut) {
        encode_list(out, |fields| {
            encode_ip(self.ip, fields);
            self.udp.encode(fields);
            self.tcp.encode(fields);
        });
    }
}

impl Decodable for WireNode {
    fn decode(data: &mut &[u8]) -> Result<Self> {
        let mut fields = list(data)?;
        let node = Self {
            ip: decode_ip(&mut fields)?,
            udp: u16::decode(&mut fields)?,
            tcp: u16::decode(&mut fields)?,
            key: <[u8; 64]>::decode(&mut fields)?,
        };
        end(fields)?;
        Ok(node)
    }
}

impl Encodable for WireNode {
    fn encode(&self, out: &mut dyn BufMut) {
        encode_list(out, |fields| {
            encode_ip(self.ip, fields);
            self.udp.encode(fields);
            self.tcp.encode(fields);
            self.key.encode(fields);
        });
    }
}

impl Decodable for Topic {
    fn decode(data: &mut &[u8]) -> Result<Self> {
        Header::decode_str(data)?.parse().map_err(|_| Error::Custom("a topic has 1 to 64 bytes"))
    }
}

impl Encodable for Topic {
    fn encode(&self, out: &mut dyn BufMut) {
        self.as_str().encode(out);
    }
}

/// Everything in a list, which a packet's size bounds.
fn decode_all<T: Decodable>(data: &mut &[u8]) -> Result<Vec<T>> {
    let mut items = list(data)?;
    let mut all = Vec::new();
    while !items.is_empty() {
        all.push(T::decode(&mut items)?);
    }
    Ok(all)
}

fn decode_topics(data: &mut &[u8]) -> Result<Vec<Topic>> {
    let topics: Vec<Topic> = decode_all(data)?;
    if topics.len() > MAX_TOPICS { Err(Error::Custom("more than 64 topics")) } else { Ok(topics) }
}

/// Fields inside a list header.
fn encode_list(out: &mut dyn BufMut, fields: impl FnOnce(&mut Vec<u8>)) {
    let mut payload = Vec::new();
    fields(&mut payload);
    Header { list: true, payload_length: payload.len() }.encode(out);
    out.put_slice(&payload);
}

fn encode_all<T: Encodable>(items: &[T], out: &mut dyn BufMut) {
    encode_list(out, |payload| items.iter().for_each(|item| item.encode(payload)));
}

pub(super) fn encode_topics(topics: &[Topic], out: &mut dyn BufMut) {
    encode_all(topics, out);
}

/// The data of a packet of type `kind`.
pub(super) fn decode(kind: Kind, mut data: &[u8]) -> Result<Packet> {
    let mut f = list(&mut data)?;
    let packet = match kind {
        Kind::Ping => Packet::Ping(Ping {
            version: u64::decode(&mut f)?,
            from: WireEndpoint::decode(&mut f)?,
            to: WireEndpoint::decode(&mut f)?,
            expiration: u64::decode(&mut f)?,
            topics: decode_topics(&mut f)?,
        }),
        Kind::Pong => Packet::Pong(Pong {
            to: WireEndpoint::decode(&mut f)?,
            token: <[u8; 32]>::decode(&mut f)?,
            issued: u64::decode(&mut f)?,
            topic_hash: <[u8; 32]>::decode(&mut f)?,
            serial: u32::decode(&mut f)?,
            waits: decode_all(&mut f)?,
        }),
        Kind::FindNode => {
            Packet::FindNode { target: <[u8; 64]>::decode(&mut f)?, expiration: u64::decode(&mut f)? }
        }
        Kind::Neighbors => Packet::Neighbors { nodes: decode_all(&mut f)?, expiration: u64::decode(&mut f)? },
        Kind::FindNodeHash => {
            Packet::FindNodeHash { target: <[u8; 32]>::decode(&mut f)?, expiration: u64::decode(&mut f)? }
        }
        Kind::TopicRegister => Packet::TopicRegister {
            topics: decode_topics(&mut f)?,
            index: u64::decode(&mut f)?,
            pong: Bytes::copy_from_slice(Header::decode_bytes(&mut f, false)?),
        },
        Kind::TopicQuery => {
            Packet::TopicQuery { topic: Topic::decode(&mut f)?, expiration: u64::decode(&mut f)? }
        }
        Kind::TopicNodes => {
            Packet::TopicNodes { echo: <[u8; 32]>::decode(&mut f)?, nodes: decode_all(&mut f)? }
        }
    };
    if matches!(kind, Kind::TopicRegister | Kind::TopicQuery | Kind::TopicNodes) {
        end(f)?;
    }
    Ok(packet)
}

/// The data of `packet`.
pub(super) fn encode(packet: &Packet, out: &mut Vec<u8>) {
    encode_list(out, |f| match packet {
        Packet::Ping(ping) => {
            ping.version.encode(f);
            ping.from.encode(f);
            ping.to.encode(f);
            ping.expiration.encode(f);
            encode_all(&ping.topics, f);
        }
        Packet::Pong(pong) => {
            pong.to.encode(f);
            pong.token.encode(f);
            pong.issued.encode(f);
            pong.topic_hash.encode(f);
            pong.serial.encode(f);
            encode_all(&pong.waits, f);
        }
        Packet::FindNode { target, expiration } => {
            target.encode(f);
            expiration.encode(f);
        }
        Packet::Neighbors { nodes, expiration } => {
            encode_all(nodes, f);
            expiration.encode(f);
        }
        Packet::FindNodeHash { target, expiration } => {
            target.encode(f);
            expiration.encode(f);
        }
        Packet::TopicRegister { topics, index, pong } => {
            encode_all(topics, f);
            index.encode(f);
            pong.as_ref().encode(f);
        }
        Packet::TopicQuery { topic, expiration } => {
            topic.encode(f);
            expiration.encode(f);
        }
        Packet::TopicNodes { echo, nodes } => {
            echo.encode(f);
            encode_all(nodes, f);
        }
    });
}

//! Node records (EIP-778, "v4" identity scheme): sign, encode, decode with verification, text form.
//! Facts: `spec/devp2p.md` §1.4, vectors §11.7.

use std::{collections::BTreeMap, fmt, net::IpAddr, str::FromStr};

use alloy_rlp::{Decodable as _, Encodable as _, Header};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{Endpoint, Enode, NodeId, NodeKey, PublicKey, keccak256};

/// Largest encoded record, bytes.
pub const MAX_RECORD_SIZE: usize = 300;

/// Why a record was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The text has no `enr:` in front.
    #[error("missing 'enr:' prefix for base64-encoded record")]
    Prefix,
    /// The text after `enr:` is not URL-safe base64 without padding.
    #[error("not URL-safe base64 without padding")]
    Base64,
    /// More than [`MAX_RECORD_SIZE`] bytes.
    #[error("record bigger than 300 bytes")]
    TooBig,
    /// Not one canonical RLP list.
    #[error("malformed RLP")]
    Rlp,
    /// No signature or no sequence number.
    #[error("record contains fewer than two list elements")]
    IncompleteList,
    /// A key without a value.
    #[error("record contains incomplete k/v pair")]
    IncompletePair,
    /// Keys out of order.
    #[error("record key/value pairs are not sorted by key")]
    NotSorted,
    /// A key twice.
    #[error("record contains duplicate key")]
    DuplicateKey,
    /// `id` is missing or not `v4`.
    #[error("unknown identity scheme, want \"v4\"")]
    Scheme,
    /// `secp256k1` is missing or no compressed point.
    #[error("missing or invalid secp256k1 key")]
    PublicKey,
    /// The signature does not verify (a high S is refused too).
    #[error("invalid signature")]
    Signature,
}

/// A verified, signed record. Prints as `enr:…`.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    content: RecordContent,
    signature: [u8; 64],
    public_key: PublicKey,
}

/// What a record says: the sequence number and the pairs, unsigned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordContent {
    /// Sequence number; grows with every change that is published.
    pub seq: u64,
    /// Key to the RLP item of its value; the order of the map is the order on the wire.
    pairs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl RecordContent {
    /// A record that says no more than who the node is.
    #[must_use]
    pub fn new(seq: u64) -> Self {
        Self { seq, pairs: BTreeMap::new() }
    }

    /// Sets the address keys from `endpoint`: `ip`/`tcp`/`udp`, or `ip6`/`tcp6`/`udp6` for IPv6; port 0 adds no key.
    /// As in the reference an IPv6 node keeps the plain `tcp`/`udp` keys too, since readers fall back on them.
    #[must_use]
    pub fn with_endpoint(mut self, endpoint: &Endpoint) -> Self {
        match endpoint.ip {
            IpAddr::V4(ip) => self.set_string("ip", &ip.octets()),
            IpAddr::V6(ip) => self.set_string("ip6", &ip.octets()),
        }
        self.with_ports(endpoint.tcp, endpoint.udp)
    }

    /// Sets `tcp` and `udp` alone: what is known while the address is not. Port 0 adds no key.
    #[must_use]
    pub fn with_ports(mut self, tcp: u16, udp: u16) -> Self {
        for (key, port) in [("tcp", tcp), ("udp", udp)] {
            if port != 0 {
                self.pairs.insert(key.as_bytes().to_vec(), alloy_rlp::encode(port));
            }
        }
        self
    }

    /// Signs with `key`, which also sets `id` and `secp256k1`.
    ///
    /// # Errors
    /// [`RecordError::TooBig`] when the result would exceed [`MAX_RECORD_SIZE`].
    pub fn sign(mut self, key: &NodeKey) -> Result<Record, RecordError> {
        self.set_string("id", b"v4");
        self.set_string("secp256k1", &key.public_key().to_compressed());
        let message = secp256k1::Message::from_digest(keccak256(&self.signed_bytes()));
        let signature = secp256k1::ecdsa::sign(message, key.secret()).serialize_compact();
        let record = Record { content: self, signature, public_key: key.public_key() };
        if record.encode().len() > MAX_RECORD_SIZE { Err(RecordError::TooBig) } else { Ok(record) }
    }

    fn set_string(&mut self, key: &str, value: &[u8]) {
        self.pairs.insert(key.as_bytes().to_vec(), alloy_rlp::encode(value));
    }

    /// The payload without its list header: seq, then the pairs.
    fn payload(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(MAX_RECORD_SIZE);
        self.seq.encode(&mut out);
        for (key, value) in &self.pairs {
            key.as_slice().encode(&mut out);
            out.extend_from_slice(value);
        }
        out
    }

    fn signed_bytes(&self) -> Vec<u8> {
        let payload = self.payload();
        let mut out = Vec::with_capacity(payload.len() + 3);
        Header { list: true, payload_length: payload.len() }.encode(&mut out);
        out.extend_from_slice(&payload);
        out
    }

    fn string(&self, key: &str) -> Option<&[u8]> {
        let mut value = self.pairs.get(key.as_bytes())?.as_slice();
        Header::decode_bytes(&mut value, false).ok()
    }

    fn port(&self, key: &str) -> Option<u16> {
        u16::decode(&mut self.pairs.get(key.as_bytes())?.as_slice()).ok()
    }
}

/// The RLP structure without any check of scheme or signature: signature bytes and content.
fn decode_structure(mut bytes: &[u8]) -> Result<(Vec<u8>, RecordContent), RecordError> {
    if bytes.len() > MAX_RECORD_SIZE {
        return Err(RecordError::TooBig);
    }
    let mut list = Header::decode_bytes(&mut bytes, true).map_err(|_| RecordError::Rlp)?;
    if !bytes.is_empty() {
        return Err(RecordError::Rlp);
    }
    if list.is_empty() {
        return Err(RecordError::IncompleteList);
    }
    let signature = Header::decode_bytes(&mut list, false).map_err(|_| RecordError::Rlp)?.to_vec();
    if list.is_empty() {
        return Err(RecordError::IncompleteList);
    }
    let seq = u64::decode(&mut list).map_err(|_| RecordError::Rlp)?;
    let mut content = RecordContent::new(seq);
    let mut previous: Option<Vec<u8>> = None;
    while !list.is_empty() {
        let key = Header::decode_bytes(&mut list, false).map_err(|_| RecordError::Rlp)?.to_vec();
        if list.is_empty() {
            return Err(RecordError::IncompletePair);
        }
        match previous {
            Some(p) if p == key => return Err(RecordError::DuplicateKey),
            Some(p) if p > key => return Err(RecordError::NotSorted),
            _ => previous = Some(key.clone()),
        }
        let start = list;
        let header = Header::decode(&mut list).map_err(|_| RecordError::Rlp)?;
        list = list.get(header.payload_length..).ok_or(RecordError::Rlp)?;
        content.pairs.insert(key, start[..start.len() - list.len()].to_vec());
    }
    Ok((signature, content))
}

impl Record {
    /// Decodes and verifies.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let (signature, content) = decode_structure(bytes)?;
        if content.string("id") != Some(b"v4") {
            return Err(RecordError::Scheme);
        }
        let compressed =
            content.string("secp256k1").filter(|k| k.len() == 33).ok_or(RecordError::PublicKey)?;
        let key = secp256k1::PublicKey::from_slice(compressed).map_err(|_| RecordError::PublicKey)?;
        let signature: [u8; 64] = signature.try_into().map_err(|_| RecordError::Signature)?;
        let parsed =
            secp256k1::ecdsa::Signature::from_compact(&signature).map_err(|_| RecordError::Signature)?;
        let message = secp256k1::Message::from_digest(keccak256(&content.signed_bytes()));
        secp256k1::ecdsa::verify(&parsed, message, &key).map_err(|_| RecordError::Signature)?;
        Ok(Self { content, signature, public_key: PublicKey::from(&key) })
    }

    /// The RLP encoding, at most [`MAX_RECORD_SIZE`] bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(MAX_RECORD_SIZE);
        self.signature.as_slice().encode(&mut payload);
        payload.extend_from_slice(&self.content.payload());
        let mut out = Vec::with_capacity(payload.len() + 3);
        Header { list: true, payload_length: payload.len() }.encode(&mut out);
        out.extend_from_slice(&payload);
        out
    }

    /// Sequence number.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.content.seq
    }

    /// The signer's key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.public_key
    }

    /// The signer's node id.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.public_key.node_id()
    }

    /// The address: IPv4 before IPv6, as in the reference; `None` without `ip` and `ip6`.
    #[must_use]
    pub fn endpoint(&self) -> Option<Endpoint> {
        let c = &self.content;
        let plain = |key| c.port(key).unwrap_or(0);
        if let Some(ip) = c.string("ip").and_then(|b| <[u8; 4]>::try_from(b).ok()) {
            return Some(Endpoint::new(IpAddr::from(ip), plain("tcp"), plain("udp")));
        }
        let ip = c.string("ip6").and_then(|b| <[u8; 16]>::try_from(b).ok())?;
        let six = |key6, key| c.port(key6).unwrap_or_else(|| plain(key));
        Some(Endpoint::new(IpAddr::from(ip), six("tcp6", "tcp"), six("udp6", "udp")))
    }

    /// Key and address without the signature.
    #[must_use]
    pub fn enode(&self) -> Enode {
        Enode { public_key: self.public_key, endpoint: self.endpoint() }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "enr:{}", URL_SAFE_NO_PAD.encode(self.encode()))
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record(seq {}, {self})", self.seq())
    }
}

impl FromStr for Record {
    type Err = RecordError;

    fn from_str(text: &str) -> Result<Self, RecordError> {
        let encoded = text.strip_prefix("enr:").ok_or(RecordError::Prefix)?;
        if encoded.len() > MAX_RECORD_SIZE.div_ceil(3) * 4 {
            return Err(RecordError::TooBig);
        }
        Self::decode(&URL_SAFE_NO_PAD.decode(encoded).map_err(|_| RecordError::Base64)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `spec/devp2p.md` §11.7, structural decode results.
    #[test]
    fn section_11_7_structure() {
        for (hex_text, want) in [
            ("c0", Err(RecordError::IncompleteList)),
            ("c101", Err(RecordError::IncompleteList)),
            ("c20102", Ok(2)),
            ("c3010203", Err(RecordError::IncompletePair)),
            ("c401020304", Ok(2)),
            ("c50102030405", Err(RecordError::IncompletePair)),
        ] {
            let got = decode_structure(&hex::decode(hex_text).unwrap()).map(|(_, content)| content.seq);
            assert_eq!(got, want, "{hex_text}");
        }
    }

    #[test]
    fn keys_must_ascend() {
        let twice = hex::decode("c6010203040304").unwrap();
        assert_eq!(decode_structure(&twice), Err(RecordError::DuplicateKey));
        let down = hex::decode("c6010204040304").unwrap();
        assert_eq!(decode_structure(&down), Err(RecordError::NotSorted));
    }

    #[test]
    fn size_is_bounded() {
        assert_eq!(decode_structure(&[0xc0; 301]), Err(RecordError::TooBig));
        let long = format!("enr:{}", "A".repeat(1000));
        assert_eq!(long.parse::<Record>(), Err(RecordError::TooBig));
    }
}

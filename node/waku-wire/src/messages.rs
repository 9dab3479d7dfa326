//! Lists of envelopes: gossip (code 1) and history (code 127) (`spec/waku-mailserver.md` §4.6, §4.8, vector V31).

use bytes::Bytes;

use crate::{WireEnvelope, WireError, rlp, rlp::Items};

/// Reads a list of envelopes without copying them. Each holds a slice of `payload`.
///
/// # Errors
/// Anything but exactly one list of valid envelopes: one bad envelope spoils the packet.
pub fn decode(payload: &Bytes) -> Result<Vec<WireEnvelope>, WireError> {
    let mut items = Items(payload);
    let mut list = items.list("messages")?;
    items.end("messages")?;
    let mut envelopes = Vec::new();
    while !list.is_empty() {
        // Nothing follows the list, so what is left of it also says where in `payload` it stands.
        envelopes.push(WireEnvelope::decode_first(payload, &mut list)?);
    }
    Ok(envelopes)
}

/// The payload of a packet with these encoded envelopes ([`WireEnvelope::raw`]), in this order.
pub fn encode<'a, I>(raw_envelopes: I) -> Bytes
where
    I: IntoIterator<Item = &'a [u8]>,
    I::IntoIter: Clone,
{
    let raw_envelopes = raw_envelopes.into_iter();
    let content: usize = raw_envelopes.clone().map(<[u8]>::len).sum();
    let mut out = Vec::with_capacity(encoded_length(content));
    rlp::list_header(content, &mut out);
    for raw in raw_envelopes {
        out.extend_from_slice(raw);
    }
    Bytes::from(out)
}

/// The length of a packet's payload whose encoded envelopes have `content` bytes together.
#[must_use]
pub fn encoded_length(content: usize) -> usize {
    rlp::list_header_length(content) + content
}

/// The batch hash by which confirmations name a messages packet: Keccak-256 of its payload.
#[must_use]
pub fn batch_hash(payload: &[u8]) -> [u8; 32] {
    enode::keccak256(payload)
}

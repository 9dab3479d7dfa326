//! Lists of envelopes: gossip (code 1) and history (code 127) (`spec/waku-mailserver.md` §4.6, §4.8, vector V31).

use bytes::Bytes;

use crate::{WireEnvelope, WireError, rlp, rlp::Items};

/// Largest payload of a packet that is not forced to be larger by one envelope, in bytes: keeps a session's writer from
/// being busy with one packet for long.
pub const NORMAL_PACKET: usize = 128 << 10;
/// Largest payload that every peer takes by default, in bytes (§4.12).
const NETWORK_LIMIT: usize = 1 << 20;
/// What is left free below a limit, in bytes, for peers that count headers in.
const MARGIN: usize = 1 << 10;

/// Largest payload that a node sends, in bytes, which takes packets of `own_limit` bytes itself and grants its peers the
/// same: 1 KiB below its own and the network's limit (§12 Q18, Q31), half a limit that is below 2 KiB.
#[must_use]
pub fn largest_packet(own_limit: usize) -> usize {
    let limit = own_limit.min(NETWORK_LIMIT);
    limit - MARGIN.min(limit / 2)
}

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

//! Envelopes (`spec/waku-mailserver.md` §2.1 to §2.3).

use std::fmt;

use alloy_rlp::Encodable as _;
use bytes::{BufMut as _, Bytes};

use crate::{EnvelopeHash, Topic, WireError, rlp};

/// The constant that [`WireEnvelope::size`] adds to the length of the data (§2.3).
const SIZE_OVERHEAD: usize = 20;

/// The five fields of an envelope that is being made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// UNIX second after which it is dropped.
    pub expiry: u32,
    /// Seconds of life when it was sent; `expiry - ttl` is when that was.
    pub ttl: u32,
    /// Topic.
    pub topic: Topic,
    /// Encrypted payload.
    pub data: Bytes,
    /// Proof-of-work nonce.
    pub nonce: u64,
}

impl Envelope {
    /// The fields before the nonce, encoded without a list header.
    pub(crate) fn encode_head(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.data.len() + 24);
        self.expiry.encode(&mut out);
        self.ttl.encode(&mut out);
        self.topic.0.as_slice().encode(&mut out);
        self.data.as_ref().encode(&mut out);
        out
    }

    /// Encodes and hashes it.
    ///
    /// # Errors
    /// [`WireError::Length`] when it would be 4 GiB or longer.
    pub fn encode(&self) -> Result<WireEnvelope, WireError> {
        let head = self.encode_head();
        let length = head.len() + self.nonce.length();
        let mut out = Vec::with_capacity(length + 9);
        rlp::list_header(length, &mut out);
        out.put_slice(&head);
        self.nonce.encode(&mut out);
        WireEnvelope::decode(&Bytes::from(out))
    }
}

/// An envelope exactly as it stands on the wire, with its fields and hash. Cloning costs a reference count.
///
/// Holds a slice of the buffer it was decoded from, which lives as long as it does: [`WireEnvelope::detach`] before
/// keeping one of many.
#[derive(Clone, PartialEq, Eq)]
pub struct WireEnvelope {
    raw: Bytes,
    hash: EnvelopeHash,
    expiry: u32,
    ttl: u32,
    topic: Topic,
    nonce: u64,
    /// Where in `raw` the list's content, the data's content and the nonce begin.
    body: u32,
    data: u32,
    end: u32,
}

impl WireEnvelope {
    /// Decodes exactly one envelope without copying it; nothing may follow.
    ///
    /// # Errors
    /// Whatever §2.1 forbids: other than five items, integers that are not canonical or too long, a topic of another
    /// length than 4.
    pub fn decode(buffer: &Bytes) -> Result<Self, WireError> {
        let mut items = rlp::Items(buffer);
        let envelope = Self::decode_first(buffer, &mut items)?;
        items.end("envelope")?;
        Ok(envelope)
    }

    /// Decodes the next envelope of `items`, which reads in `buffer`.
    pub(crate) fn decode_first(buffer: &Bytes, items: &mut rlp::Items<'_>) -> Result<Self, WireError> {
        let start = buffer.len() - items.0.len();
        let mut fields = items.list("envelope")?;
        let stop = buffer.len() - items.0.len();
        let raw_length = stop - start;
        let body = raw_length - fields.0.len();
        let expiry = fields.u32("expiry")?;
        let ttl = fields.u32("ttl")?;
        let topic = Topic(fields.fixed("topic", "4")?);
        let data_length = fields.bytes("data")?.len();
        let end = raw_length - fields.0.len();
        let nonce = fields.u64("nonce")?;
        fields.end("envelope")?;
        let offset = |at: usize| {
            u32::try_from(at).map_err(|_| WireError::Length {
                field: "envelope",
                actual: raw_length,
                wanted: "less than 4 GiB",
            })
        };
        let raw = buffer.slice(start..stop);
        let hash = EnvelopeHash(enode::keccak256(&raw));
        Ok(Self {
            hash,
            expiry,
            ttl,
            topic,
            nonce,
            body: offset(body)?,
            data: offset(end - data_length)?,
            end: offset(end)?,
            raw,
        })
    }

    /// The five-item list with its header.
    #[must_use]
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// Keccak-256 of [`WireEnvelope::raw`].
    #[must_use]
    pub fn hash(&self) -> EnvelopeHash {
        self.hash
    }

    /// UNIX second after which it is dropped.
    #[must_use]
    pub fn expiry(&self) -> u32 {
        self.expiry
    }

    /// Seconds of life when it was sent.
    #[must_use]
    pub fn ttl(&self) -> u32 {
        self.ttl
    }

    /// UNIX second when it was sent, `expiry - ttl`; wraps as the reference does (§2.7).
    #[must_use]
    pub fn sent(&self) -> u32 {
        self.expiry.wrapping_sub(self.ttl)
    }

    /// Topic.
    #[must_use]
    pub fn topic(&self) -> Topic {
        self.topic
    }

    /// Encrypted payload, without copying.
    #[must_use]
    pub fn data(&self) -> Bytes {
        self.raw.slice(self.data as usize..self.end as usize)
    }

    /// Proof-of-work nonce.
    #[must_use]
    pub fn nonce(&self) -> u64 {
        self.nonce
    }

    /// `20 + len(data)`: the size that limits and histograms mean (§2.3).
    #[must_use]
    pub fn size(&self) -> usize {
        SIZE_OVERHEAD + (self.end - self.data) as usize
    }

    /// The encoded fields before the nonce, without a list header: what the proof of work covers (§2.4).
    pub(crate) fn head(&self) -> &[u8] {
        self.raw.get(self.body as usize..self.end as usize).unwrap_or_default()
    }

    /// The same envelope in a buffer of its own, so that keeping it does not keep the packet it came in.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self { raw: Bytes::copy_from_slice(&self.raw), ..self.clone() }
    }
}

impl fmt::Debug for WireEnvelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WireEnvelope")
            .field("hash", &self.hash)
            .field("expiry", &self.expiry)
            .field("ttl", &self.ttl)
            .field("topic", &self.topic)
            .field("bytes", &self.raw.len())
            .finish_non_exhaustive()
    }
}

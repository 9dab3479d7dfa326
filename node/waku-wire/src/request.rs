//! History requests (code 126) in both forms (`spec/waku-mailserver.md` §4.9, §5.6, vectors V38 to V41).

use alloy_rlp::Encodable as _;
use bytes::Bytes;

use crate::{Topic, WireEnvelope, WireError, rlp, rlp::Items};

/// What names a request in its completion: the hash of the request envelope, or the id of the plain form.
pub type RequestId = [u8; 32];

/// What a request asks for, as it was sent, not yet judged (§5.7).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessagesRequest {
    /// First second wanted ("lower").
    pub from: u32,
    /// Last second wanted ("upper"); 0 stands for now.
    pub to: u32,
    /// Bloom filter, of any length on decoding. Ignored when there are topics.
    pub bloom: Vec<u8>,
    /// Topics of 4 bytes.
    pub topics: Vec<Topic>,
    /// How many topics of another length the request had; they match nothing, but the request is not without topics.
    pub ignored_topics: usize,
    /// Most envelopes wanted in this page; 0 stands for the most allowed.
    pub limit: u32,
    /// Where the page before ended; empty for the first page; of any length on decoding.
    pub cursor: Vec<u8>,
    /// Whether envelopes may come several in a packet. Always true in the plain form.
    pub batch: bool,
}

impl MessagesRequest {
    /// The payload that goes, signed and encrypted, into the request envelope (form A). Only topics of 4 bytes are
    /// encoded.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.from.encode(&mut out);
        self.to.encode(&mut out);
        self.bloom.as_slice().encode(&mut out);
        self.encode_topics(&mut out);
        self.limit.encode(&mut out);
        self.cursor.as_slice().encode(&mut out);
        self.batch.encode(&mut out);
        rlp::wrap_list(&out)
    }

    /// Reads the payload of a request envelope (form A).
    ///
    /// # Errors
    /// Anything but exactly one list of the seven fields.
    pub fn decode(payload: &[u8]) -> Result<Self, WireError> {
        let mut items = Items(payload);
        let mut fields = items.list("request")?;
        items.end("request")?;
        let from = fields.u32("lower")?;
        let to = fields.u32("upper")?;
        let bloom = fields.bytes("bloom")?.to_vec();
        let (topics, ignored_topics) = decode_topics(&mut fields)?;
        let limit = fields.u32("limit")?;
        let cursor = fields.bytes("cursor")?.to_vec();
        let batch = fields.boolean("batch")?;
        fields.end("request")?;
        Ok(Self { from, to, bloom, topics, ignored_topics, limit, cursor, batch })
    }

    /// The payload of a code 126 packet in the plain form (form B), which cannot say `batch: false`.
    #[must_use]
    pub fn encode_plain(&self, id: &RequestId) -> Vec<u8> {
        let mut out = Vec::new();
        id.as_slice().encode(&mut out);
        self.from.encode(&mut out);
        self.to.encode(&mut out);
        self.limit.encode(&mut out);
        self.cursor.as_slice().encode(&mut out);
        self.bloom.as_slice().encode(&mut out);
        self.encode_topics(&mut out);
        rlp::wrap_list(&out)
    }

    fn decode_plain(payload: &[u8]) -> Result<(RequestId, Self), WireError> {
        let mut fields = Items(payload).list("request")?;
        let id = request_id(fields.bytes("id")?);
        let from = fields.u32("from")?;
        let to = fields.u32("to")?;
        let limit = fields.u32("limit")?;
        let cursor = fields.bytes("cursor")?.to_vec();
        let bloom = fields.bytes("bloom")?.to_vec();
        let (topics, ignored_topics) = decode_topics(&mut fields)?;
        fields.end("request")?;
        Ok((id, Self { from, to, bloom, topics, ignored_topics, limit, cursor, batch: true }))
    }

    fn encode_topics(&self, out: &mut Vec<u8>) {
        let mut content = Vec::with_capacity(self.topics.len() * 5);
        for topic in &self.topics {
            topic.0.as_slice().encode(&mut content);
        }
        out.extend_from_slice(&rlp::wrap_list(&content));
    }
}

/// A code 126 packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum P2pRequest {
    /// Form A: an envelope whose encrypted payload is a [`MessagesRequest`]. Its hash is the request id.
    Envelope(WireEnvelope),
    /// Form B: the fields in the clear.
    Plain {
        /// Names the request in its completion.
        id: RequestId,
        /// What is asked for.
        request: MessagesRequest,
    },
}

impl P2pRequest {
    /// Reads a code 126 packet: an envelope if it is one, else the plain form. Bytes behind the first item are ignored.
    ///
    /// # Errors
    /// Of the plain form, when it is neither.
    pub fn decode(payload: &Bytes) -> Result<Self, WireError> {
        if let Ok(envelope) = WireEnvelope::decode_first(payload, &mut Items(payload)) {
            return Ok(Self::Envelope(envelope));
        }
        MessagesRequest::decode_plain(payload).map(|(id, request)| Self::Plain { id, request })
    }

    /// What names the request in its completion.
    #[must_use]
    pub fn id(&self) -> RequestId {
        match self {
            Self::Envelope(envelope) => envelope.hash().0,
            Self::Plain { id, .. } => *id,
        }
    }
}

/// The right-most 32 bytes, padded with zeros on the left when there are fewer.
fn request_id(bytes: &[u8]) -> RequestId {
    let mut id = [0; 32];
    for (to, from) in id.iter_mut().rev().zip(bytes.iter().rev()) {
        *to = *from;
    }
    id
}

fn decode_topics(fields: &mut Items<'_>) -> Result<(Vec<Topic>, usize), WireError> {
    let mut list = fields.list("topics")?;
    let mut topics = Vec::new();
    let mut ignored = 0;
    while !list.is_empty() {
        match list.bytes("topics")?.try_into() {
            Ok(topic) => topics.push(Topic(topic)),
            Err(_) => ignored += 1,
        }
    }
    Ok((topics, ignored))
}

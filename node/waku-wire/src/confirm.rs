//! Confirmations: batch acknowledgement (code 11) and message response (code 12)
//! (`spec/waku-mailserver.md` §4.7, vectors V32 to V35).

use alloy_rlp::Encodable as _;

use crate::{EnvelopeHash, WireError, rlp, rlp::Items};

/// Error code: the sender's clock differs (envelope from the future or very old).
pub const TIME_NOT_SYNCED: u32 = 21;
/// Error code: any other reason.
pub const OTHER_ERROR: u32 = 22;

/// The version of message responses that is understood.
const VERSION: u64 = 1;

/// An envelope of a batch that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeError {
    /// Which.
    pub hash: EnvelopeHash,
    /// [`TIME_NOT_SYNCED`] or [`OTHER_ERROR`].
    pub code: u32,
    /// Why, for people.
    pub description: String,
}

/// A message response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageResponse {
    /// The batch it answers.
    pub batch: [u8; 32],
    /// What was refused, in the batch's order; everything else was taken.
    pub errors: Vec<EnvelopeError>,
}

/// The payload of a batch acknowledgement.
#[must_use]
pub fn encode_batch_ack(batch: &[u8; 32]) -> Vec<u8> {
    alloy_rlp::encode(batch.as_slice())
}

/// Reads a batch acknowledgement. Bytes behind it are ignored.
///
/// # Errors
/// Anything but a string of 32 bytes.
pub fn decode_batch_ack(payload: &[u8]) -> Result<[u8; 32], WireError> {
    Items(payload).fixed("batch hash", "32")
}

impl MessageResponse {
    /// The payload of a message response.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut errors = Vec::new();
        for error in &self.errors {
            let mut record = Vec::with_capacity(error.description.len() + 40);
            error.hash.0.as_slice().encode(&mut record);
            error.code.encode(&mut record);
            error.description.as_str().encode(&mut record);
            errors.extend_from_slice(&rlp::wrap_list(&record));
        }
        let mut inner = Vec::with_capacity(errors.len() + 40);
        self.batch.as_slice().encode(&mut inner);
        inner.extend_from_slice(&rlp::wrap_list(&errors));
        let mut outer = Vec::with_capacity(inner.len() + 8);
        VERSION.encode(&mut outer);
        outer.extend_from_slice(&rlp::wrap_list(&inner));
        rlp::wrap_list(&outer)
    }

    /// Reads a message response; `Ok(None)` for a version that is not understood.
    ///
    /// # Errors
    /// Bad RLP, or a hash that is not 32 bytes long.
    pub fn decode(payload: &[u8]) -> Result<Option<Self>, WireError> {
        Self::body(payload)?.map(Self::decode_body).transpose()
    }

    /// The outer half of [`MessageResponse::decode`]: what follows the version, or `None` for a version that is not
    /// understood. Metrics count failures of the halves apart (§4.7).
    ///
    /// # Errors
    /// No list that begins with a version.
    pub fn body(payload: &[u8]) -> Result<Option<&[u8]>, WireError> {
        let mut outer = Items(payload).list("message response")?;
        let version = outer.u64("message response version")?;
        Ok((version == VERSION).then_some(outer.0))
    }

    /// The inner half of [`MessageResponse::decode`].
    ///
    /// # Errors
    /// Bad RLP, or a hash that is not 32 bytes long.
    pub fn decode_body(body: &[u8]) -> Result<Self, WireError> {
        let mut inner = Items(body).list("message response body")?;
        let batch = inner.fixed("batch hash", "32")?;
        let mut list = inner.list("envelope errors")?;
        inner.end("message response body")?;
        let mut errors = Vec::new();
        while !list.is_empty() {
            let mut record = list.list("envelope error")?;
            errors.push(EnvelopeError {
                hash: EnvelopeHash(record.fixed("envelope hash", "32")?),
                code: record.u32("error code")?,
                description: String::from_utf8_lossy(record.bytes("error description")?).into_owned(),
            });
            record.end("envelope error")?;
        }
        Ok(Self { batch, errors })
    }
}

//! Completions (code 125) and cursors (`spec/waku-mailserver.md` §5.3, §5.9, vectors V37, V42 to V45).

use bytes::Bytes;

use crate::{EnvelopeHash, RequestId, WireEnvelope, WireError, rlp::Items};

const ERROR_PREFIX: &[u8] = b"ERROR=";
const HASH_LENGTH: usize = 32;
const CURSOR_LENGTH: usize = 36;
const SUCCESS_LENGTH: usize = 2 * HASH_LENGTH + CURSOR_LENGTH;

/// Where a page ended: the second its last envelope was sent, big-endian, and its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor(pub [u8; CURSOR_LENGTH]);

impl Cursor {
    /// From its parts.
    #[must_use]
    pub fn new(sent: u32, hash: EnvelopeHash) -> Self {
        let mut bytes = [0; CURSOR_LENGTH];
        bytes[..4].copy_from_slice(&sent.to_be_bytes());
        bytes[4..].copy_from_slice(&hash.0);
        Self(bytes)
    }

    /// The cursor of a page that ends with `envelope`.
    #[must_use]
    pub fn of(envelope: &WireEnvelope) -> Self {
        Self::new(envelope.sent(), envelope.hash())
    }

    /// From a request; `None` for another length than 36, which means no cursor (§12 Q26).
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The second its envelope was sent.
    #[must_use]
    pub fn sent(&self) -> u32 {
        let [a, b, c, d, ..] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }

    /// The hash of its envelope.
    #[must_use]
    pub fn hash(&self) -> EnvelopeHash {
        let mut hash = [0; HASH_LENGTH];
        hash.copy_from_slice(&self.0[4..]);
        EnvelopeHash(hash)
    }
}

/// The end of the answer to a history request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completion {
    /// The page was sent.
    Success {
        /// Which request.
        request: RequestId,
        /// The last envelope sent; [`EnvelopeHash::ZERO`] when nothing was found.
        last: EnvelopeHash,
        /// Where to go on; `None` on the last page.
        cursor: Option<Cursor>,
    },
    /// The request was not answered, or not wholly.
    Failure {
        /// Which request.
        request: RequestId,
        /// Why, for people.
        error: String,
    },
}

impl Completion {
    /// The payload of a completion packet: one RLP string.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut content = Vec::with_capacity(SUCCESS_LENGTH);
        match self {
            Self::Success { request, last, cursor } => {
                content.extend_from_slice(request);
                content.extend_from_slice(&last.0);
                if let Some(cursor) = cursor {
                    content.extend_from_slice(&cursor.0);
                }
            }
            Self::Failure { request, error } => {
                content.extend_from_slice(ERROR_PREFIX);
                content.extend_from_slice(request);
                content.extend_from_slice(error.as_bytes());
            }
        }
        Bytes::from(alloy_rlp::encode(content.as_slice()))
    }

    /// Reads a completion as the reference's clients do: a missing last hash is zero, 1 to 35 left-over bytes are
    /// ignored.
    ///
    /// # Errors
    /// No RLP string, shorter than 32 bytes, or a success longer than 100 bytes.
    pub fn decode(payload: &[u8]) -> Result<Self, WireError> {
        const FIELD: &str = "completion";
        let content = Items(payload).bytes(FIELD)?;
        let length = |wanted| WireError::Length { field: FIELD, actual: content.len(), wanted };
        if let Some((request, error)) =
            content.strip_prefix(ERROR_PREFIX).and_then(|rest| rest.split_first_chunk::<HASH_LENGTH>())
        {
            return Ok(Self::Failure {
                request: *request,
                error: String::from_utf8_lossy(error).into_owned(),
            });
        }
        if content.len() > SUCCESS_LENGTH {
            return Err(length("at most 100"));
        }
        let (request, rest) = content.split_first_chunk::<HASH_LENGTH>().ok_or(length("at least 32"))?;
        let (last, rest) = match rest.split_first_chunk::<HASH_LENGTH>() {
            Some((last, rest)) => (EnvelopeHash(*last), rest),
            None => (EnvelopeHash::ZERO, rest),
        };
        let cursor = rest.first_chunk::<CURSOR_LENGTH>().map(|cursor| Cursor(*cursor));
        Ok(Self::Success { request: *request, last, cursor })
    }
}

//! Why a request is not (wholly) answered: the text of its error completion and how it is counted.

use archive::ArchiveError;
use waku_wire::WireError;

use crate::judge::Invalid;
use crate::metrics::{DeliveryFailure, Metrics};

/// Bytes of an error text, at most (`spec/waku-mailserver.md` §12 Q39).
const MAX_TEXT: usize = 200;

/// A request that failed. The texts are those of `spec/waku-mailserver.md` §5.7 where there is one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("PoW too low")]
    LowPow,
    #[error("failed to decrypt p2p request")]
    Decrypt,
    #[error("check message signature failed: wrong signature of p2p request")]
    Unsigned,
    #[error("failed to decode data: {0}")]
    Decode(WireError),
    /// Of an encrypted request, which is checked for it before the others (§5.7 step 6).
    #[error("query range is invalid: lower > upper")]
    Inverted,
    #[error("request is invalid: {0}")]
    Invalid(#[from] Invalid),
    #[error("rate limit exceeded")]
    RateLimit,
    #[error("too many requests in progress, try again")]
    Busy,
    #[error("failed to send history")]
    Delivery,
    #[error("history is not available: {}", .0.reason())]
    Archive(#[from] ArchiveError),
}

impl Failure {
    /// The text of the error completion.
    pub(crate) fn text(&self) -> String {
        let mut text = self.to_string();
        let end = (0..=MAX_TEXT.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text
    }

    /// Counts it where the reference does (§5.7), and what the reference does not know where it fits best.
    pub(crate) fn count(&self, metrics: &Metrics) {
        match self {
            Self::LowPow | Self::Decrypt | Self::Unsigned | Self::Decode(_) | Self::Inverted => {
                metrics.delivery_failed(DeliveryFailure::Validation);
            }
            Self::Invalid(_) => metrics.invalid_request(),
            Self::RateLimit | Self::Busy => metrics.delivery_failed(DeliveryFailure::PeerReqLimit),
            Self::Delivery => metrics.delivery_failed(DeliveryFailure::Process),
            Self::Archive(_) => metrics.delivery_failed(DeliveryFailure::Iterator),
        }
    }
}

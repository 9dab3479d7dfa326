//! Why a client's call failed.

use devp2p::DisconnectReason;
use waku_wire::{EnvelopeError, InvalidSetting, WireError, payload::PayloadError, seal::SealError};

/// What kind of failure an [`Error`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// No usable session came to be.
    Connect,
    /// The node has as many peers as it takes.
    Full,
    /// No answer in time.
    Timeout,
    /// The session ended while it was needed.
    Lost,
    /// The node said no.
    Refused,
    /// The node broke the protocol.
    Breach,
    /// The call itself cannot be done.
    Local,
}

/// Why a client's call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host of the enode does not resolve.
    #[error("cannot resolve {host}: {reason}")]
    Resolve {
        /// The DNS name.
        host: String,
        /// What the resolver says.
        reason: String,
    },
    /// No devp2p session.
    #[error("cannot connect: {0}")]
    Connect(devp2p::Error),
    /// The node said so, at the Hello or right after it.
    #[error("the node has too many peers: it is there, and takes no more")]
    TooManyPeers,
    /// Connected, but no valid Waku status came.
    #[error("cannot connect: {0}")]
    Handshake(String),
    /// No answer in time.
    #[error("timed out waiting for {0}")]
    Timeout(&'static str),
    /// The session ended.
    #[error("connection lost: {0}")]
    Lost(String),
    /// A packet of the node is not what it must be.
    #[error("the node broke the protocol: {0}")]
    Breach(String),
    /// The node answered a history request with an error completion.
    #[error("the node refused the history request: {0}")]
    Refused(String),
    /// The node confirmed the packet and refused envelopes in it; never empty.
    #[error("the node refused the envelope: {}", describe(.0))]
    Rejected(Vec<EnvelopeError>),
    /// Confirmation was asked of a node that announces none.
    #[error("the node does not confirm messages: its status has confirmations off")]
    NoConfirmations,
    /// An envelope could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A payload could not be made.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The packet is more than the wire takes.
    #[error(transparent)]
    Send(devp2p::SendError),
}

fn describe(errors: &[EnvelopeError]) -> String {
    errors
        .first()
        .map_or_else(String::new, |e| format!("{} (code {}, envelope {})", e.description, e.code, e.hash))
}

impl Error {
    /// What kind of failure this is.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Resolve { .. } | Self::Connect(_) | Self::Handshake(_) => ErrorClass::Connect,
            Self::TooManyPeers => ErrorClass::Full,
            Self::Timeout(_) => ErrorClass::Timeout,
            Self::Lost(_) => ErrorClass::Lost,
            Self::Refused(_) | Self::Rejected(_) => ErrorClass::Refused,
            Self::Breach(_) => ErrorClass::Breach,
            Self::NoConfirmations | Self::Seal(_) | Self::Payload(_) | Self::Send(_) => ErrorClass::Local,
        }
    }

    /// Whether the same call may succeed later without a change on either side.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connect(error) => error.is_retryable(),
            _ => {
                matches!(self.class(), ErrorClass::Full | ErrorClass::Timeout | ErrorClass::Lost)
                    || matches!(self, Self::Resolve { .. })
            }
        }
    }
}

impl From<devp2p::Error> for Error {
    fn from(error: devp2p::Error) -> Self {
        match error {
            devp2p::Error::Disconnected(DisconnectReason::TooManyPeers) => Self::TooManyPeers,
            other => Self::Connect(other),
        }
    }
}

impl From<WireError> for Error {
    fn from(error: WireError) -> Self {
        Self::Breach(error.to_string())
    }
}

impl From<InvalidSetting> for Error {
    fn from(error: InvalidSetting) -> Self {
        Self::Handshake(format!("status of the node: {error}"))
    }
}

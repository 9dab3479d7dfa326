//! Why a connection failed or ended. Facts: `spec/devp2p.md` §2.7, §2.8, §3.2.

use std::io;

use rlpx::{DisconnectReason, base::HelloError, handshake::HandshakeError};

/// What [`Error::Io`] and [`Error::Timeout`] say of a connect that failed.
pub(crate) const TCP_CONNECT: &str = "TCP connect";

/// What kind of failure an [`Error`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The network or the clock: trying again later may help.
    Network,
    /// The other side refused us by a Disconnect.
    Refused,
    /// We refused the other side.
    Rejected,
    /// The other side broke the protocol.
    Breach,
    /// This side closed.
    Local,
}

/// Why a connection failed or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The enode has no address to dial.
    #[error("the enode has no address or no TCP port to dial")]
    NoAddress,
    /// A name did not resolve, or TCP failed.
    #[error("{during}: {source}")]
    Io {
        /// What was being done.
        during: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// A deadline passed.
    #[error("timed out: {0}")]
    Timeout(&'static str),
    /// The peer closed TCP without a Disconnect.
    #[error("connection closed by the peer during {0}")]
    Eof(&'static str),
    /// The encryption handshake failed; nothing was said on the wire.
    #[error("handshake failed: {0}")]
    Handshake(#[from] HandshakeError),
    /// A frame was refused.
    #[error("bad frame: {0}")]
    Frame(#[from] rlpx::FrameError),
    /// The Hello was refused.
    #[error(transparent)]
    Hello(#[from] HelloError),
    /// The first message was neither Hello nor Disconnect.
    #[error("first message has code {0}, want Hello")]
    FirstMessage(u64),
    /// A message code outside what was negotiated.
    #[error("message code {0} is outside the negotiated range")]
    CodeOutOfRange(u64),
    /// The other side said Disconnect.
    #[error("disconnected by the peer: {0}")]
    Disconnected(DisconnectReason),
    /// This side said Disconnect, or would have.
    #[error("{0}")]
    Closed(DisconnectReason),
    /// A sub-protocol ended the session.
    #[error("{reason}: {message}")]
    Protocol {
        /// What the peer is told.
        reason: DisconnectReason,
        /// What went wrong.
        message: String,
    },
    /// A message could not be sent because it is over the limits of the wire.
    #[error("message is too big to be sent: {0}")]
    TooBig(rlpx::FrameError),
}

impl Error {
    pub(crate) fn io(during: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { during, source }
    }

    /// What kind of failure this is.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Io { .. } | Self::Timeout(_) | Self::Eof(_) => ErrorClass::Network,
            Self::Disconnected(_) => ErrorClass::Refused,
            Self::Closed(
                DisconnectReason::UselessPeer
                | DisconnectReason::TooManyPeers
                | DisconnectReason::AlreadyConnected
                | DisconnectReason::InvalidIdentity
                | DisconnectReason::UnexpectedIdentity
                | DisconnectReason::ConnectedToSelf,
            ) => ErrorClass::Rejected,
            Self::Handshake(_)
            | Self::Frame(_)
            | Self::Hello(_)
            | Self::FirstMessage(_)
            | Self::CodeOutOfRange(_) => ErrorClass::Breach,
            Self::NoAddress | Self::Closed(_) | Self::Protocol { .. } | Self::TooBig(_) => ErrorClass::Local,
        }
    }

    /// The Disconnect reason that either side said, if one was said.
    #[must_use]
    pub fn reason(&self) -> Option<DisconnectReason> {
        match self {
            Self::Disconnected(reason) | Self::Closed(reason) | Self::Protocol { reason, .. } => {
                Some(*reason)
            }
            _ => None,
        }
    }

    /// Whether dialing again later can succeed without a change on either side.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Disconnected(reason) => !matches!(
                reason,
                DisconnectReason::UselessPeer
                    | DisconnectReason::InvalidIdentity
                    | DisconnectReason::UnexpectedIdentity
                    | DisconnectReason::ConnectedToSelf
            ),
            _ => self.class() == ErrorClass::Network,
        }
    }

    /// Whether nobody answered at the address.
    pub(crate) fn is_unreached(&self) -> bool {
        matches!(self, Self::Io { during: TCP_CONNECT, .. } | Self::Timeout(TCP_CONNECT))
    }

    /// What is said to the peer when this ends an established session; `None` closes without a word.
    pub(crate) fn farewell(&self) -> Option<DisconnectReason> {
        match self {
            // The peer's own reason comes back to it (`spec/devp2p.md` §2.8), except the internal one.
            Self::Disconnected(DisconnectReason::NetworkError)
            | Self::Closed(DisconnectReason::NetworkError) => None,
            // The sub-protocol's limit, which the reference checks there (`spec/waku-mailserver.md` §4).
            Self::Frame(rlpx::FrameError::TooBig { .. }) => Some(DisconnectReason::SubprotocolError),
            _ => self.reason(),
        }
    }
}

//! What a canary run can find, each failure with its own exit code and one plain line.

use waku_wire::EnvelopeHash;

use crate::Error;

/// A check that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Passed {
    /// The node accepted the connection and kept it.
    Static,
    /// The mailserver answered.
    Mailserver {
        /// The envelope it delivered; `None` when it says there is none, which passes as with the reference.
        last: Option<EnvelopeHash>,
        /// The marked envelope that came back, if one was posted.
        posted: Option<EnvelopeHash>,
    },
}

/// A check that failed. Codes 1 to 4 are the reference's (`spec/operations.md` §5.1), from 10 on our own.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// 1: no connection, or it did not stand.
    #[error("{0}")]
    Connect(#[source] Error),
    /// 18: the node is there and well, and has as many peers as it takes.
    #[error("{}", Error::TooManyPeers)]
    TooManyPeers,
    /// 2: the request could not be made or sent.
    #[error("the history request could not be sent: {0}")]
    Request(#[source] Error),
    /// 3: no completion with the request's id in time.
    #[error("no answer to the history request: {0}")]
    NoAnswer(#[source] Error),
    /// 4: the completion names an envelope that did not come.
    #[error("the node announced envelope {0} but did not deliver it")]
    NotDelivered(EnvelopeHash),
    /// 10: an error completion, which the reference lets pass (`spec/operations.md` §0 S9).
    #[error("the node refused the history request: {0}")]
    Refused(String),
    /// 11: the marked envelope could not be made or sent.
    #[error("the marked envelope could not be posted: {0}")]
    NotPosted(#[source] Error),
    /// 12: the node refused the marked envelope.
    #[error("the marked envelope was refused: {0}")]
    PostRejected(#[source] Error),
    /// 13: the node announces confirmations but did not send one.
    #[error("the marked envelope was not confirmed: {0}")]
    Unconfirmed(#[source] Error),
    /// 14: the marked envelope is not in history.
    #[error("the posted envelope {0} is not in the node's history")]
    NotInHistory(EnvelopeHash),
    /// 15: the marked envelope is in history more than once.
    #[error("the posted envelope {0} came back {1} times from the node's history")]
    Repeated(EnvelopeHash, usize),
    /// 16: the request that reads it back was not answered.
    #[error("no answer when reading the posted envelope back: {0}")]
    ReadBack(#[source] Error),
    /// 17: history announced envelopes when reading back, but withheld them.
    #[error("the node announced the posted envelope {0} but did not deliver it")]
    Withheld(EnvelopeHash),
}

impl Failure {
    /// Of an error that kept a session from being.
    pub(super) fn of_connecting(error: Error) -> Self {
        if matches!(error, Error::TooManyPeers) { Self::TooManyPeers } else { Self::Connect(error) }
    }

    /// The program's exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Connect(_) => 1,
            Self::Request(_) => 2,
            Self::NoAnswer(_) => 3,
            Self::NotDelivered(_) => 4,
            Self::Refused(_) => 10,
            Self::NotPosted(_) => 11,
            Self::PostRejected(_) => 12,
            Self::Unconfirmed(_) => 13,
            Self::NotInHistory(_) => 14,
            Self::Repeated(..) => 15,
            Self::ReadBack(_) => 16,
            Self::Withheld(_) => 17,
            Self::TooManyPeers => 18,
        }
    }

    /// A short word for conditions and metric labels.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Connect(_) => "NotConnected",
            Self::Request(_) => "RequestNotSent",
            Self::NoAnswer(_) => "NoAnswer",
            Self::NotDelivered(_) => "HistoryWithheld",
            Self::Refused(_) => "RequestRefused",
            Self::NotPosted(_) => "NotPosted",
            Self::PostRejected(_) => "PostRejected",
            Self::Unconfirmed(_) => "PostNotConfirmed",
            Self::NotInHistory(_) => "PostNotInHistory",
            Self::Repeated(..) => "PostRepeated",
            Self::ReadBack(_) => "ReadBackFailed",
            Self::Withheld(_) => "PostWithheld",
            Self::TooManyPeers => "TooManyPeers",
        }
    }
}

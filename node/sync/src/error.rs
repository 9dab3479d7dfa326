//! Why a round did not end well, and whether the session can go on.

use archive::ArchiveError;

/// A round that did not end well.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The session ended.
    #[error("the session ended")]
    Gone,
    /// The peer did not say what it owes, or did not read, in time.
    #[error("replica sync: nothing came of {0} in time")]
    Stalled(&'static str),
    /// The peer did what the protocol forbids.
    #[error("replica sync: {0}")]
    Breach(&'static str),
    /// Bytes that are no message.
    #[error("replica sync: {field}: {source}")]
    Malformed {
        /// What was being read.
        field: &'static str,
        /// What the RLP reader says.
        source: alloy_rlp::Error,
    },
    /// A batch of envelopes that is none.
    #[error("replica sync: {0}")]
    Envelopes(#[from] waku_wire::WireError),
    /// This side's archive failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The other side's archive failed, or it will not take more.
    #[error("the other side ended the round")]
    PeerFailed,
    /// The other side ended the round before its time.
    #[error("the other side gave the round up")]
    PeerEnded,
    /// The peer added as much as it may for now.
    #[error("the peer has added as much as it may for now")]
    OverQuota,
}

impl SyncError {
    /// Whether the session must end; otherwise a later round may succeed.
    #[must_use]
    pub fn ends_session(&self) -> bool {
        !matches!(self, Self::Archive(_) | Self::PeerFailed | Self::PeerEnded | Self::OverQuota)
    }

    /// A few stable words for metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Stalled(_) => "stalled",
            Self::Breach(_) | Self::Malformed { .. } | Self::Envelopes(_) => "breach",
            Self::Archive(_) => "archive",
            Self::PeerFailed | Self::PeerEnded => "peer_failed",
            Self::OverQuota => "quota",
        }
    }
}

//! What can go wrong in a store, classified by itself so that nobody matches on it at a distance.

use std::path::PathBuf;

/// A failure of an archive.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The directory holds something that is not an archive of ours. Nothing in it was changed.
    #[error(
        "{path} is not an archive of this node: {found}. Nothing was changed; choose an empty directory as WakuConfig.DataDir"
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// What it looks like.
        found: String,
    },
    /// There is no archive in the directory.
    #[error(
        "there is no archive in {path}; name the directory of one: WakuConfig.DataDir, by default waku in DataDir"
    )]
    Absent {
        /// The directory.
        path: PathBuf,
    },
    /// The directory was written by a newer program. Nothing in it was changed.
    #[error(
        "{path} holds an archive of format {found}, this program knows format {supported}. Nothing was changed; run the newer version"
    )]
    Newer {
        /// The directory.
        path: PathBuf,
        /// Format found.
        found: u32,
        /// Newest format this program reads.
        supported: u32,
    },
    /// Another process has the archive open. Nothing in it was changed.
    #[error("{path} is in use by another process; stop it, or choose another WakuConfig.DataDir")]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The database server answers, but cannot be used as things are set up. Nothing in it was changed. Never holds a
    /// password or an address with one.
    #[error("WakuConfig.DatabaseConfig.PGConfig.URI: {problem}; {remedy}")]
    Database {
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The database server does not answer, or does not take what is written just now.
    #[error("the database server is away: {0}")]
    Away(String),
    /// Stored bytes are not what was written.
    #[error("archive is damaged: {0}")]
    Corrupt(String),
    /// No space left to write to.
    #[error("disk is full: {0}")]
    Full(String),
    /// The store failed to read or write.
    #[error("archive I/O failed: {0}")]
    Io(String),
    /// The archive was closed.
    #[error("archive is closed")]
    Closed,
}

/// Kinds of failure by what helps against them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Class {
    /// A person must change the configuration.
    Setup,
    /// Space must be made; writes may work again later.
    Space,
    /// Data is lost or unreadable.
    Corruption,
    /// The database server must come back.
    Away,
    /// Perhaps transient.
    Io,
    /// The program is stopping.
    Closed,
}

impl ArchiveError {
    /// What kind of failure this is.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Foreign { .. }
            | Self::Absent { .. }
            | Self::Newer { .. }
            | Self::Locked { .. }
            | Self::Database { .. } => Class::Setup,
            Self::Away(_) => Class::Away,
            Self::Full(_) => Class::Space,
            Self::Corrupt(_) => Class::Corruption,
            Self::Io(_) => Class::Io,
            Self::Closed => Class::Closed,
        }
    }

    /// A few stable words for peers and metrics: no paths, no driver text.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self.class() {
            Class::Setup => "archive not usable",
            Class::Space => "disk full",
            Class::Corruption => "archive damaged",
            Class::Away => "database away",
            Class::Io => "archive failure",
            Class::Closed => "shutting down",
        }
    }

    /// Whether the same call may succeed later without anybody's hand.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.class(), Class::Space | Class::Away | Class::Io)
    }
}

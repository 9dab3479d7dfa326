//! Why a command did not do what it was told.

use std::{io, path::PathBuf};

use archive::ArchiveError;

/// One line that says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// A path that was named is not as the command needs it.
    #[error("{} {problem}; {remedy}", .path.display())]
    Path {
        /// What was named.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// What only an archive in a directory needs.
    #[error(
        "WakuConfig.DatabaseConfig.PGConfig: the archive is in a database; use its tools, pg_dump and pg_restore, or name a directory with -archive"
    )]
    InDatabase,
    /// The check of an archive found something.
    #[error(
        "{} is damaged: {differences} differences, listed above; restore a backup, or remove the directory and start anew",
        .path.display()
    )]
    Differs {
        /// The archive.
        path: PathBuf,
        /// How many things differ.
        differences: u64,
    },
    /// After an import the archive does not hold what was stored.
    #[error(
        "{} held {before} envelopes, {stored} were stored, and it holds {after}; run statusd archive verify",
        .path.display()
    )]
    Miscounted {
        /// The archive.
        path: PathBuf,
        /// Envelopes before.
        before: u64,
        /// Envelopes stored.
        stored: u64,
        /// Envelopes after.
        after: u64,
    },
    /// The database of an old node cannot be read. The error speaks of the setting that it is read by.
    #[error("-from-table {}: {}", .path.display(), old_words(.error))]
    OldTable {
        /// The file that names it.
        path: PathBuf,
        /// What is wrong.
        error: ArchiveError,
    },
    /// The archive of an old node cannot be read.
    #[error(transparent)]
    Old(#[from] archive_import::OldError),
    /// The archive is open in a process that cannot be asked.
    #[error(
        "{} is in use, and the node does not answer on {}: {source}; start it with -ipc and name its -ipcfile here, or stop it",
        .archive.display(), .socket.display()
    )]
    NoAnswer {
        /// The archive.
        archive: PathBuf,
        /// Where it was asked.
        socket: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The node that answers has another archive.
    #[error("the node on {} has the archive {}, not {}; name the -ipcfile of the node that has it", .socket.display(), .has.display(), .archive.display())]
    OtherNode {
        /// Where it was asked.
        socket: PathBuf,
        /// What it has.
        has: PathBuf,
        /// What was meant.
        archive: PathBuf,
    },
    /// The node was asked and said no.
    #[error("the node that has the archive refused: {0}; its log says more")]
    Refused(String),
}

/// What is wrong with a database that is not the one of the setting.
fn old_words(error: &ArchiveError) -> String {
    match error {
        ArchiveError::Database { problem, remedy } => format!("{problem}; {remedy}"),
        error => error.to_string(),
    }
}

//! Why an old database cannot be read.

use std::{io, path::PathBuf};

/// A failure to read an old database. Nothing was changed in it.
#[derive(Debug, thiserror::Error)]
pub enum OldError {
    /// Its node, or another program, has it open.
    #[error("{} is in use by another process; stop the old node", .0.display())]
    InUse(PathBuf),
    /// It is not what LevelDB writes, or has changed since.
    #[error("{} is damaged: {problem}; let the old node start once on a copy, it repairs what can be, and import that", .file.display())]
    Damaged {
        /// Which file.
        file: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}; name the whole directory of an old node, which this user may read", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
}

//! Why the program ends, as an exit code and one line that says what to do.
//! Facts: `spec/operations.md` §1.2 (what went wrong before), §8 (codes).

use std::{io, path::PathBuf, process::ExitCode};

use archive::ArchiveError;
use archive_import::OldError;
use node_config::{ConfigError, UsageError};

use crate::offline::CommandError;

/// Why the node did not start, or stopped on its own.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExitError {
    /// The command line.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A `-c` file that cannot be read.
    #[error("-c: cannot read {}: {source}; give a JSON file that this user may read", .path.display())]
    ConfigFile {
        /// Where.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// A file or directory the configuration names.
    #[error("{setting}: cannot {action} {path}: {source}; {remedy}", path = .path.display())]
    File {
        /// The key or flag that names it.
        setting: &'static str,
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// The node key.
    #[error("{0}")]
    Identity(String),
    /// Another process holds the data directory.
    #[error(
        "DataDir: {} is in use by another statusd; stop that one, or give this one its own DataDir", .0.display()
    )]
    Locked(PathBuf),
    /// A listener could not be bound.
    #[error("{setting}: cannot listen on {address}: {source}; {}", listen_remedy(.source))]
    Listen {
        /// The key that says where.
        setting: &'static str,
        /// Where.
        address: String,
        /// The system's words.
        source: io::Error,
    },
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// `statusd archive` could not do what it was told.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A boot node that no packet can be sent to.
    #[error("ClusterConfig.BootNodes: {0}; correct or remove it")]
    BootNode(String),
    /// A part without which the node is not a node ended.
    #[error("{0} ended unexpectedly; the log above says why, restart the node")]
    PartEnded(&'static str),
    /// Stopping took too long.
    #[error("cut off while stopping: {0}; what was confirmed is safe")]
    CutOff(String),
    /// An empty mailserver password.
    #[error(transparent)]
    Password(#[from] mailserver::EmptyPassword),
    /// A name was registered twice: this program is wrong.
    #[error("{0}; this is a fault of the program, report it")]
    Registry(String),
    /// The system refused something that every program gets.
    #[error("{what}: {source}; free resources on this machine and start again")]
    System {
        /// What was wanted.
        what: &'static str,
        /// The system's words.
        source: io::Error,
    },
}

fn listen_remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "stop the program that has the port, or choose another",
        io::ErrorKind::AddrNotAvailable => "give an address of this machine, or leave the host out",
        io::ErrorKind::PermissionDenied => "choose a port from 1024 up, or allow the program low ports",
        _ => "give an address of this machine and a free port",
    }
}

impl ExitError {
    /// The exit code, one per kind of remedy.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Config(_)
            | Self::File { .. }
            | Self::System { .. }
            | Self::Password(_)
            | Self::BootNode(_)
            | Self::Registry(_)
            | Self::Command(
                CommandError::Path { .. } | CommandError::InDatabase | CommandError::Old(OldError::Io { .. }),
            ) => 1,
            Self::Usage(_) | Self::ConfigFile { .. } => 2,
            Self::Archive(ArchiveError::Locked { .. })
            | Self::Locked(_)
            | Self::Command(
                CommandError::NoAnswer { .. }
                | CommandError::OtherNode { .. }
                | CommandError::Old(OldError::InUse(_)),
            ) => 12,
            Self::Archive(_) | Self::Command(_) => 10,
            Self::Listen { .. } => 11,
            Self::Identity(_) => 13,
            Self::PartEnded(_) => 14,
            Self::CutOff(_) => 15,
        })
    }
}

impl From<prometheus::Error> for ExitError {
    fn from(error: prometheus::Error) -> Self {
        Self::Registry(error.to_string())
    }
}

impl From<jsonrpsee::core::RegisterMethodError> for ExitError {
    fn from(error: jsonrpsee::core::RegisterMethodError) -> Self {
        Self::Registry(error.to_string())
    }
}

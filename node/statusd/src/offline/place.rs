//! Which archive is meant: the one of a node with this configuration, or a directory by name.

use std::path::{Path, PathBuf, absolute};

use archive::Retention;
use node_config::Flags;

use crate::{exit::ExitError, history::retention, source::Source};

/// Flags that name an archive.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// JSON config file of the node; may be repeated, later files win
    #[arg(long = "c", value_name = "FILE")]
    config_files: Vec<PathBuf>,
    /// The node's data directory [default: as of statusd]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The archive itself [default: what the configuration says, waku in the data directory]
    #[arg(long, value_name = "DIR")]
    archive: Option<PathBuf>,
    /// Socket of the node, if it runs; a bare name is in the data directory [default: geth.ipc]
    #[arg(long, value_name = "FILE")]
    ipcfile: Option<String>,
}

/// An archive and what its node's configuration says of it.
#[derive(Debug)]
pub(super) struct Found {
    /// Its directory, absolute.
    pub(super) archive: PathBuf,
    /// The node's socket, which need not be there.
    pub(super) socket: PathBuf,
    /// What may stay.
    pub(super) retention: Retention,
    /// Largest size of an envelope, in bytes.
    pub(super) max_size: usize,
    /// Least proof of work.
    pub(super) min_pow: f64,
}

impl Place {
    /// Reads the configuration.
    ///
    /// # Errors
    /// It cannot be used.
    pub(super) fn find(&self) -> Result<Found, ExitError> {
        let flags = Flags {
            config_files: self.config_files.clone(),
            dir: self.dir.clone(),
            ipcfile: self.ipcfile.clone(),
            // Whether the node is a mailserver or has a socket may be said by flags that only it is given.
            mailserver: Some(true),
            ipc: Some(true),
            ..Flags::default()
        };
        let config = Source::new(flags).load()?.config;
        let missing = |what: &str| ExitError::Registry(format!("no {what} although it is on"));
        let mailserver = config.mailserver.as_ref().ok_or_else(|| missing("mailserver"))?;
        let waku = config.waku.as_ref().ok_or_else(|| missing("Waku"))?;
        let archive = self.archive.as_ref().unwrap_or(&mailserver.data_dir);
        Ok(Found {
            archive: full(archive)?,
            socket: full(&config.ipc.ok_or_else(|| missing("socket"))?)?,
            retention: retention(mailserver),
            max_size: usize::try_from(waku.max_message_size).unwrap_or(usize::MAX),
            min_pow: waku.minimum_pow,
        })
    }
}

/// A path that another process understands too.
///
/// # Errors
/// It is empty, or there is no current directory.
pub(super) fn full(path: &Path) -> Result<PathBuf, ExitError> {
    absolute(path).map_err(|source| ExitError::File {
        setting: "archive",
        action: "find",
        path: path.to_owned(),
        source,
        remedy: "give an absolute path",
    })
}

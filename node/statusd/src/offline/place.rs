//! Which archive is meant: the one of a node with this configuration, or a directory by name.

use std::path::{Path, PathBuf, absolute};

use archive::{ArchiveError, History, Retention};
use archive_postgres::PostgresHistory;
use archive_rocksdb::{RocksHistory, Settings};
use node_config::{Flags, Secret};

use super::{error::CommandError, wait};
use crate::{
    exit::ExitError,
    history::{retention, uri},
    source::Source,
};

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
    /// The URI of its database, when it is in one.
    database: Option<Secret>,
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
            database: match &mailserver.postgres {
                // A directory that is named is meant.
                Some(postgres) if self.archive.is_none() => Some(uri(postgres)?),
                _ => None,
            },
            socket: full(&config.ipc.ok_or_else(|| missing("socket"))?)?,
            retention: retention(mailserver),
            max_size: usize::try_from(waku.max_message_size).unwrap_or(usize::MAX),
            min_pow: waku.minimum_pow,
        })
    }
}

impl Found {
    /// The archive to look at, as a node may be writing it.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub(super) fn view(&self) -> Result<Box<dyn History>, ExitError> {
        Ok(match &self.database {
            Some(uri) => {
                let view = PostgresHistory::view(uri.expose(), &archive_postgres::Settings::default())?;
                wait(view.open())?;
                Box::new(view)
            }
            None => Box::new(RocksHistory::view(&self.archive, &Settings::default())?),
        })
    }

    /// The same; `None`: there is no archive yet.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn view_if_any(&self) -> Result<Option<Box<dyn History>>, ExitError> {
        if let Some(uri) = &self.database {
            let view = PostgresHistory::view(uri.expose(), &archive_postgres::Settings::default())?;
            if !wait(view.exists())? {
                return Ok(None);
            }
        }
        match self.view() {
            Err(ExitError::Archive(ArchiveError::Absent { .. })) => Ok(None),
            view => view.map(Some),
        }
    }

    /// The archive to store into, made where there is none.
    ///
    /// # Errors
    /// It cannot be used, or a node has it for itself.
    pub(super) fn open(&self) -> Result<Box<dyn History>, ExitError> {
        Ok(match self.database()? {
            Some(history) => Box::new(history),
            None => Box::new(RocksHistory::open(&self.archive, &Settings::default())?),
        })
    }

    /// The database that the archive is in, if it is.
    ///
    /// # Errors
    /// It cannot be used.
    pub(super) fn database(&self) -> Result<Option<PostgresHistory>, ExitError> {
        let Some(uri) = &self.database else { return Ok(None) };
        let history = PostgresHistory::new(uri.expose(), &archive_postgres::Settings::default())?;
        wait(history.open())?;
        Ok(Some(history))
    }

    /// Whether others may write to the archive meanwhile.
    pub(super) fn is_shared(&self) -> bool {
        self.database.is_some()
    }

    /// How the archive is called.
    pub(super) fn name(&self) -> String {
        if self.is_shared() { "the database".to_owned() } else { self.archive.display().to_string() }
    }

    /// That the archive is in a directory.
    ///
    /// # Errors
    /// It is in a database.
    pub(super) fn in_directory(&self) -> Result<(), CommandError> {
        if self.is_shared() { Err(CommandError::InDatabase) } else { Ok(()) }
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

//! `statusd archive backup`.

use std::path::{Path, PathBuf};

use archive::{ArchiveError, History as _};
use archive_rocksdb::{RocksHistory, Settings};
use serde_json::json;

use super::{
    ask::ask,
    error::CommandError,
    place::{Found, Place, full},
    wait,
};
use crate::exit::ExitError;

/// Make a second archive of all that is there, at one moment
#[derive(Debug, clap::Args)]
#[command(
    after_help = "On the same file system it costs hard links: no time, and space only as the archive drops what the backup keeps;\n\
    elsewhere it is a copy. A backup is an archive: verify and stats take it. If the node runs it makes the backup itself,\n\
    asked over its socket (-ipc), and TO is a path of the node's.\n\nExamples:\n  \
    statusd archive backup -c /etc/statusd/config.json /data/backup-monday\n  \
    statusd archive verify -archive /data/backup-monday"
)]
pub(super) struct Options {
    #[command(flatten)]
    place: Place,
    /// Directory to make; must not exist
    #[arg(value_name = "TO")]
    to: PathBuf,
}

pub(super) fn run(options: &Options) -> Result<String, ExitError> {
    let found = options.place.find()?;
    found.in_directory()?;
    let to = full(&options.to)?;
    check(&found.archive, &to)?;
    match RocksHistory::open_existing(&found.archive, &Settings::default()) {
        Ok(history) => {
            wait(history.backup(to.clone()))?;
            wait(history.close())?;
        }
        Err(ArchiveError::Locked { .. }) => by_the_node(&found, &to)?,
        Err(error) => return Err(error.into()),
    }
    let backup = RocksHistory::view(&to, &Settings::default())?;
    let stats = wait(backup.stats())?;
    Ok(format!(
        "{} is a backup of {}: {} envelopes, {} bytes\n",
        to.display(),
        found.archive.display(),
        stats.envelopes,
        stats.bytes
    ))
}

fn check(archive: &Path, to: &Path) -> Result<(), CommandError> {
    let wrong = |problem: &str, remedy| {
        Err(CommandError::Path { path: to.to_owned(), problem: problem.to_owned(), remedy })
    };
    if to.starts_with(archive) {
        return wrong("is inside the archive", "name a directory outside of it");
    }
    if to.symlink_metadata().is_ok() {
        return wrong("exists already", "name a directory that does not, or remove it");
    }
    if !to.parent().is_some_and(Path::is_dir) {
        return wrong("is in a directory that does not exist", "make that directory first");
    }
    Ok(())
}

fn by_the_node(found: &Found, to: &Path) -> Result<(), CommandError> {
    let Some(text) = to.to_str() else {
        return Err(CommandError::Path {
            path: to.to_owned(),
            problem: "is no text that can be sent to the node".to_owned(),
            remedy: "name a path in UTF-8",
        });
    };
    ask(found, "mailserver_backup", json!([text])).map(drop)
}

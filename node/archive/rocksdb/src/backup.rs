//! A second archive beside the first, made while the first is written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use archive::ArchiveError;
use rocksdb::checkpoint::Checkpoint;

use crate::error::{from_io, from_rocks};
use crate::format;
use crate::store::Store;

impl Store {
    /// See [`crate::RocksHistory::backup`].
    pub(crate) fn backup(&self, to: &Path) -> Result<(), ArchiveError> {
        self.check_open()?;
        if to.symlink_metadata().is_ok() {
            return Err(from_io(to, &io::ErrorKind::AlreadyExists.into()));
        }
        let part = beside(to);
        let made = self.checkpoint(&part, to);
        if made.is_err() {
            // What remains of it stands in the way of the next try only.
            let _ = fs::remove_dir_all(&part);
        }
        made
    }

    /// Under another name until it is whole: a directory that bears the final name is a backup.
    fn checkpoint(&self, part: &Path, to: &Path) -> Result<(), ArchiveError> {
        let io = |error: io::Error| from_io(part, &error);
        match fs::remove_dir_all(part) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
        Checkpoint::new(&self.db)
            .and_then(|checkpoint| checkpoint.create_checkpoint(part))
            .map_err(from_rocks)?;
        format::write(part).map_err(io)?;
        fs::rename(part, to).map_err(|error| from_io(to, &error))?;
        let parent = to.parent().unwrap_or(Path::new("/"));
        fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(|error| from_io(parent, &error))
    }
}

fn beside(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

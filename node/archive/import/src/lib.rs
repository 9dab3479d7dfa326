//! Reading the LevelDB directory of the reference's mailserver (`spec/waku-mailserver.md` §5.4), and nothing else of LevelDB.
//!
//! Owns files that it opens for reading only: a directory of an old node is as it was afterwards. Every checksum is
//! checked and every failure is told, since a library that passes over a damaged block would lose history without a word.
//! Must never know what an envelope is: it gives keys and values.
//!
//! ```text
//! CURRENT ─► manifest (which tables, which journals) ─┬─► journal ─► newest values in memory (some 4 MB)
//!                                                     └─► table, block by block ─► merge ─► Entries
//! ```
//! Format: the LevelDB documentation's "file formats"; goleveldb writes the same.

mod bytes_of;
mod error;
mod journal;
mod manifest;
mod merge;
mod table;

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

pub use error::OldError;
pub use merge::Entries;

/// Whether `path` looks like a LevelDB directory.
#[must_use]
pub fn is_leveldb(path: &Path) -> bool {
    manifest::current(path).is_ok()
}

/// Opens the database in `path`. Gives its entries in ascending order of keys, each key once with its newest value;
/// deleted ones not. Reads the journals into memory at once, tables as they are reached.
///
/// # Errors
/// [`OldError`]: it is none, another program has it open, or it is damaged.
pub fn open(path: &Path) -> Result<Entries, OldError> {
    let lock = lock(path)?;
    let manifest = manifest::read(path)?;
    let newest = journal::replay(path, &manifest)?;
    Ok(Entries::new(path, lock, manifest.tables, newest))
}

/// goleveldb's own lock, shared: no old node starts while its files are read. A copied directory may lack it.
fn lock(path: &Path) -> Result<Option<File>, OldError> {
    let Ok(file) = File::open(path.join("LOCK")) else { return Ok(None) };
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(OldError::InUse(path.into())),
        Err(TryLockError::Error(source)) => Err(OldError::Io { path: path.join("LOCK"), source }),
    }
}

/// The content of a file that is read as a whole.
fn read(path: PathBuf) -> Result<(PathBuf, Vec<u8>), OldError> {
    match fs::read(&path) {
        Ok(content) => Ok((path, content)),
        Err(source) => Err(OldError::Io { path, source }),
    }
}

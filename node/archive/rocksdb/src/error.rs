//! RocksDB's and the file system's errors in the archive's terms.

use std::io;
use std::path::Path;

use archive::ArchiveError;
use rocksdb::ErrorKind;

/// An error of RocksDB while working.
pub(crate) fn from_rocks(error: rocksdb::Error) -> ArchiveError {
    let kind = error.kind();
    let text = error.into_string();
    match kind {
        ErrorKind::Corruption => ArchiveError::Corrupt(text),
        ErrorKind::ShutdownInProgress => ArchiveError::Closed,
        // RocksDB has no kind of its own for a full disk, only the text of the errno.
        _ if text.contains("No space left") || text.contains("Disk quota exceeded") => {
            ArchiveError::Full(text)
        }
        _ => ArchiveError::Io(text),
    }
}

/// An error of RocksDB while opening `path`.
pub(crate) fn from_open(path: &Path, error: rocksdb::Error) -> ArchiveError {
    let text: &str = error.as_ref();
    // Either another process holds the lock (errno text) or this one does (RocksDB's own table).
    if text.contains("/LOCK") && (text.contains("lock hold by") || text.contains("While lock file")) {
        return ArchiveError::Locked { path: path.into() };
    }
    from_rocks(error)
}

/// An error of the file system at `path`.
pub(crate) fn from_io(path: &Path, error: &io::Error) -> ArchiveError {
    let text = format!("{}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ArchiveError::Full(text),
        _ => ArchiveError::Io(text),
    }
}

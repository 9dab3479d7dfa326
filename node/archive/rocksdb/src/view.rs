//! Looking at an archive that another process may be writing.
//!
//! RocksDB's read-only open takes no lock: it reads the manifest, then the log. Between the two the writer may flush a
//! memtable and remove its log; such a view would lack rows. Every such step is written to the manifest before any file
//! goes, so a manifest that is the same after the open as before it says that the view is whole.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use archive::ArchiveError;
use rocksdb::DB;

use crate::error::{from_io, from_open, from_rocks};
use crate::settings::{self, Settings};
use crate::store::{Store, families, known_format};
use crate::{format, keys};

/// Opens begun before giving up on a writer that is always faster. One takes milliseconds, and a writer at its limit
/// changes the manifest a few times a second.
const ATTEMPTS: usize = 50;

impl Store {
    /// See [`crate::RocksHistory::view`].
    pub(crate) fn view(path: &Path, settings: &Settings) -> Result<Self, ArchiveError> {
        format::recognise(path)?;
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let before = manifest(path).map_err(|error| from_io(path, &error))?;
            let opened = Self::view_once(path, settings);
            match manifest(path) {
                Ok(after) if after == before => return opened,
                _ => last = opened.err(),
            }
        }
        Err(last.unwrap_or_else(|| {
            ArchiveError::Io(format!(
                "{} changed at each of {ATTEMPTS} looks at it: try again when fewer envelopes come in",
                path.display()
            ))
        }))
    }

    fn view_once(path: &Path, settings: &Settings) -> Result<Self, ArchiveError> {
        let floor = Arc::new(AtomicU32::new(0));
        let families = families(settings, &floor);
        let db = DB::open_cf_descriptors_read_only(&settings::view(settings), path, families, false)
            .map_err(|error| from_open(path, error))?;
        let version = db.get(keys::FORMAT_KEY).map_err(from_rocks)?.unwrap_or_default();
        known_format(&version, path)?;
        Self::loaded(db, floor, settings)
    }
}

/// Which manifest is current, and its length: it only grows.
fn manifest(path: &Path) -> io::Result<(String, u64)> {
    let current = fs::read_to_string(path.join("CURRENT"))?;
    let length = fs::metadata(path.join(current.trim_end()))?.len();
    Ok((current, length))
}

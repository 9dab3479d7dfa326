//! The files of the spool. Synchronous; every append is on disk when it returns.
//!
//! Files are numbered in the order of their envelopes. One is written to, never again after a restart or a failed write;
//! the oldest is read, as a whole, and removed when all of it was replayed.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use archive::ArchiveError;
use bytes::{Buf as _, Bytes};

use crate::record::{self, HEADER, Next, OVERHEAD};

/// Bytes of a file, about: what replaying holds in memory.
const FILE_BYTES: u64 = 8 << 20;

pub(crate) struct Log {
    directory: PathBuf,
    max_bytes: u64,
    /// Sizes by number.
    files: BTreeMap<u64, u64>,
    /// The last of them, while it is written to.
    writing: Option<File>,
    next: u64,
    _lock: File,
}

/// The envelopes of the oldest file.
pub(crate) struct Oldest {
    pub(crate) number: u64,
    pub(crate) envelopes: Vec<Bytes>,
    /// Bytes changed after they were written: what lies behind is lost, and the file is kept.
    pub(crate) damaged: bool,
}

impl Log {
    /// Opens `directory`.
    pub(crate) fn open(directory: &Path, max_bytes: u64) -> Result<Self, ArchiveError> {
        let failed = |error: io::Error| failure(directory, &error);
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        let lock = options().open(directory.join("LOCK")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ArchiveError::Locked { path: directory.into() }),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if let Some(number) = entry.file_name().to_str().and_then(number) {
                files.insert(number, entry.metadata().map_err(failed)?.len());
            }
        }
        let next = files.last_key_value().map_or(0, |(last, _)| last + 1);
        Ok(Self { directory: directory.into(), max_bytes, files, writing: None, next, _lock: lock })
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.values().sum()
    }

    fn path(&self, number: u64) -> PathBuf {
        self.directory.join(format!("{number:016x}.spool"))
    }

    /// Writes envelopes; they are on disk when this returns.
    ///
    /// # Errors
    /// [`ArchiveError::Full`] over the bound or on a full disk. None of them is replayed, unless all are.
    pub(crate) fn append(&mut self, envelopes: &[Bytes]) -> Result<(), ArchiveError> {
        if envelopes.is_empty() {
            return Ok(());
        }
        let mut records = Vec::with_capacity(envelopes.iter().map(|rlp| rlp.len() + OVERHEAD).sum());
        for rlp in envelopes {
            record::push(&mut records, rlp)
                .map_err(|_| ArchiveError::Io("an envelope is longer than any".to_owned()))?;
        }
        let waiting = self.bytes();
        if waiting.saturating_add((records.len() + HEADER.len()) as u64) > self.max_bytes {
            return Err(ArchiveError::Full(format!(
                "the spool {} holds {waiting} bytes of at most {}; let the database come back, or raise \
                 WakuConfig.DatabaseConfig.PGConfig.SpoolMaxBytes",
                self.directory.display(),
                self.max_bytes
            )));
        }
        let written = self.write(&records);
        if let Err(error) = written {
            // What was written in part lies behind everything acknowledged of this file, and nothing is added to it.
            self.writing = None;
            return Err(failure(&self.directory, &error));
        }
        Ok(())
    }

    fn write(&mut self, records: &[u8]) -> io::Result<()> {
        let full = self.files.last_key_value().is_some_and(|(_, size)| *size >= FILE_BYTES);
        if full || self.writing.is_none() {
            self.writing = None;
            let number = self.next;
            let mut file = options().create_new(true).open(self.path(number))?;
            self.next += 1;
            file.write_all(HEADER)?;
            File::open(&self.directory)?.sync_all()?;
            self.files.insert(number, HEADER.len() as u64);
            self.writing = Some(file);
        }
        let (Some(file), Some(mut size)) = (self.writing.as_mut(), self.files.last_entry()) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let good = *size.get();
        if let Err(error) = file.write_all(records).and_then(|()| file.sync_data()) {
            // An envelope that was refused may be sent again, elsewhere: it is not to appear here as well.
            file.set_len(good).and_then(|()| file.sync_data()).unwrap_or_else(|error| {
                tracing::warn!(%error, "the spool could not take back what it could not write");
            });
            return Err(error);
        }
        *size.get_mut() = good + records.len() as u64;
        Ok(())
    }

    /// The oldest file's envelopes; nothing is added to it from here on. `None`: nothing waits.
    pub(crate) fn oldest(&mut self) -> Result<Option<Oldest>, ArchiveError> {
        let Some((&number, _)) = self.files.first_key_value() else { return Ok(None) };
        if self.files.len() == 1 {
            self.writing = None;
        }
        let mut rest =
            Bytes::from(fs::read(self.path(number)).map_err(|error| failure(&self.directory, &error))?);
        let (mut envelopes, mut damaged) = (Vec::new(), false);
        if rest.starts_with(HEADER) {
            rest.advance(HEADER.len());
            loop {
                match record::next(&mut rest) {
                    Next::Envelope(rlp) => envelopes.push(rlp),
                    Next::End | Next::Torn => break,
                    Next::Damaged => {
                        damaged = true;
                        break;
                    }
                }
            }
        } else {
            damaged = rest.len() >= HEADER.len();
        }
        Ok(Some(Oldest { number, envelopes, damaged }))
    }

    /// A file was replayed: it goes, or is put aside for a person to look at.
    pub(crate) fn replayed(&mut self, oldest: &Oldest) -> Result<(), ArchiveError> {
        let path = self.path(oldest.number);
        let done = if oldest.damaged {
            let aside = path.with_extension("damaged");
            tracing::error!(file = %aside.display(), "a file of the spool is damaged; what could not be read of it is kept there");
            fs::rename(&path, &aside)
        } else {
            fs::remove_file(&path)
        };
        done.map_err(|error| failure(&self.directory, &error))?;
        self.files.remove(&oldest.number);
        Ok(())
    }
}

fn options() -> fs::OpenOptions {
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600);
    options
}

fn number(name: &str) -> Option<u64> {
    name.strip_suffix(".spool")
        .filter(|digits| digits.len() == 16)
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
}

fn failure(directory: &Path, error: &io::Error) -> ArchiveError {
    let text = format!("spool {}: {error}", directory.display());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ArchiveError::Full(text),
        _ => ArchiveError::Io(text),
    }
}

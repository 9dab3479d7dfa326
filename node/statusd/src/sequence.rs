//! The sequence number of the node record, kept so that it only grows over restarts.
//! Facts: `spec/devp2p.md` §1.5.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    clock::unix_now,
    datadir::{DataDir, write_atomically},
};

/// `<DataDir>/Statusd/enr-seq`.
#[derive(Clone)]
pub(crate) struct Sequence {
    path: PathBuf,
}

impl Sequence {
    /// The file of this directory.
    pub(crate) fn of(data_dir: &DataDir) -> Self {
        Self { path: data_dir.file("enr-seq") }
    }

    /// The last number that was published; 0 for none. From a damaged file the time in seconds, which no counter of
    /// changes reaches.
    pub(crate) fn read(&self) -> io::Result<u64> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Ok(text.trim().parse().unwrap_or_else(|_| {
                tracing::warn!(file = %self.path.display(), "damaged; the node record goes on from the time of day");
                unix_now().as_secs()
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Keeps `number`. Blocks for the disk.
    pub(crate) fn keep(&self, number: u64) -> io::Result<()> {
        write_atomically(&self.path, number.to_string().as_bytes())
    }

    /// Where it is kept.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devp2p_1_5_numbers_are_kept_and_never_fall() {
        let root = tempfile::tempdir().unwrap();
        let sequence = Sequence::of(&DataDir::open(root.path()).unwrap());
        assert_eq!(sequence.read().unwrap(), 0);
        sequence.keep(41).unwrap();
        assert_eq!(sequence.read().unwrap(), 41);
        fs::write(sequence.path(), "damaged").unwrap();
        assert!(sequence.read().unwrap() > 1_700_000_000);
    }
}

//! Whose directory is it: decided by looking, before RocksDB may touch anything.
//!
//! RocksDB would open, and rewrite, a goleveldb directory of the reference: both have a `CURRENT` file. So a small text
//! file stands beside the database and says whose it is and which format; it is written before the database is made, so
//! that a crash in between leaves a directory that is recognised.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use archive::ArchiveError;

/// The format this program writes and the newest it reads.
pub(crate) const FORMAT: u32 = 1;

const FILE: &str = "FORMAT";
const MAGIC: &str = "status-node archive ";

/// Makes sure that `path` is ours to open: absent or empty (it becomes ours), or ours already.
pub(crate) fn claim(path: &Path) -> Result<(), ArchiveError> {
    let io = |error: io::Error| crate::error::from_io(path, &error);
    fs::create_dir_all(path).map_err(io)?;
    match fs::read(path.join(FILE)) {
        Ok(content) => check(path, &content),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(found) = occupant(path).map_err(io)? {
                return Err(ArchiveError::Foreign { path: path.into(), found });
            }
            write(path).map_err(io)
        }
        Err(error) => Err(io(error)),
    }
}

/// Makes sure that `path` is an archive of ours. Writes nothing.
pub(crate) fn recognise(path: &Path) -> Result<(), ArchiveError> {
    let io = |error: io::Error| crate::error::from_io(path, &error);
    match fs::read(path.join(FILE)) {
        Ok(content) => check(path, &content),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            match occupant(path) {
                Ok(Some(found)) => Err(ArchiveError::Foreign { path: path.into(), found }),
                _ => Err(ArchiveError::Absent { path: path.into() }),
            }
        }
        Err(error) => Err(io(error)),
    }
}

fn check(path: &Path, content: &[u8]) -> Result<(), ArchiveError> {
    let number = std::str::from_utf8(content)
        .ok()
        .and_then(|text| text.strip_prefix(MAGIC))
        .and_then(|number| number.trim_end().parse::<u32>().ok());
    match number {
        Some(FORMAT) => Ok(()),
        Some(found) if found > FORMAT => {
            Err(ArchiveError::Newer { path: path.into(), found, supported: FORMAT })
        }
        _ => Err(ArchiveError::Foreign { path: path.into(), found: format!("its {FILE} file is not ours") }),
    }
}

/// What lives in a directory without our file; `None` when nothing does.
fn occupant(path: &Path) -> io::Result<Option<String>> {
    let mut other = None;
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        // A fresh ext4 volume has lost+found; our own half-written file may be left from a crash.
        if name == "lost+found" || name == TEMPORARY {
            continue;
        }
        let is_leveldb =
            Path::new(&name).extension().is_some_and(|extension| extension == "ldb" || extension == "sst");
        if is_leveldb || name == "CURRENT" {
            return Ok(Some("it looks like a LevelDB or RocksDB database of another program".to_owned()));
        }
        other = Some(format!("it holds {}", Path::new(&name).display()));
    }
    Ok(other)
}

const TEMPORARY: &str = "FORMAT.new";

/// Says durably that `path` is an archive of ours.
pub(crate) fn write(path: &Path) -> io::Result<()> {
    let temporary = path.join(TEMPORARY);
    let mut file = fs::File::create(&temporary)?;
    writeln!(file, "{MAGIC}{FORMAT}")?;
    file.sync_all()?;
    fs::rename(&temporary, path.join(FILE))?;
    fs::File::open(path)?.sync_all()
}

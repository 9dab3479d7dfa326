//! The data directory: created private, and locked so that one process at a time uses it.
//! Facts: `spec/operations.md` §4.8.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use crate::exit::ExitError;

/// Name of the node's own directory inside `DataDir`; the reference's.
const INSTANCE: &str = "Statusd";
const REMEDY: &str = "give a DataDir that this user may write to";

/// The locked data directory. Unlocked when dropped.
#[derive(Debug)]
pub(crate) struct DataDir {
    instance: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Creates `root` and `<root>/Statusd` (mode 0700) where missing and takes the lock.
    ///
    /// # Errors
    /// [`ExitError::Locked`] when another process has it, [`ExitError::File`] when it cannot be used.
    pub(crate) fn open(root: &Path) -> Result<Self, ExitError> {
        let file_error = |action, path: &Path| {
            let path = path.to_owned();
            move |source| ExitError::File { setting: "DataDir", action, path, source, remedy: REMEDY }
        };
        let instance = root.join(INSTANCE);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&instance)
            .map_err(file_error("create", &instance))?;
        let lock_path = instance.join("LOCK");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(file_error("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { instance, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(ExitError::Locked(root.to_owned())),
            Err(TryLockError::Error(source)) => Err(file_error("lock", &lock_path)(source)),
        }
    }

    /// A file of the node's own directory.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.instance.join(name)
    }
}

/// Writes a private file as a whole: after a crash there is the old content or the new, never half of it.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let mut file = File::options().create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn ops_4_8_the_directory_is_private_and_locked_once() {
        let root = tempfile::tempdir().unwrap();
        let first = DataDir::open(root.path()).unwrap();
        let mode = fs::metadata(root.path().join("Statusd")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert!(matches!(DataDir::open(root.path()), Err(ExitError::Locked(_))));
        drop(first);
        DataDir::open(root.path()).unwrap();
    }

    #[test]
    fn a_directory_that_cannot_be_made_names_the_setting() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), "").unwrap();
        let error = DataDir::open(&root.path().join("file")).unwrap_err().to_string();
        assert!(error.starts_with("DataDir: cannot create "), "{error}");
    }

    #[test]
    fn files_are_replaced_as_a_whole_and_private() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a");
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}

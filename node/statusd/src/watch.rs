//! Tells when something in a directory changed, including the `..data` symlink swap of mounted ConfigMaps and
//! Secrets. Only that something changed: the reader looks for itself.

use std::{
    collections::HashSet,
    ffi::OsString,
    path::{Path, PathBuf},
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};
use tokio::sync::Notify;

use crate::exit::ExitError;

/// Watches directories and files for as long as it lives.
pub(crate) struct DirWatch {
    changed: std::sync::Arc<Notify>,
    _watcher: Option<RecommendedWatcher>,
}

impl DirWatch {
    /// Watches the directories `dirs`, and in the directories of `files` for those names alone; each is given with the
    /// setting that names it. A file need not be there. Where its directory cannot be watched, that is logged.
    ///
    /// # Errors
    /// [`ExitError::File`] when one of `dirs` cannot be watched.
    pub(crate) fn new(
        dirs: &[(&'static str, PathBuf)],
        files: &[(&'static str, PathBuf)],
    ) -> Result<Self, ExitError> {
        let changed = std::sync::Arc::new(Notify::new());
        if dirs.is_empty() && files.is_empty() {
            return Ok(Self { changed, _watcher: None });
        }
        let notify = std::sync::Arc::clone(&changed);
        let wanted = Wanted {
            dirs: dirs.iter().map(|(_, dir)| dir.clone()).collect(),
            names: files.iter().filter_map(|(_, file)| file.file_name().map(OsString::from)).collect(),
        };
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.as_ref().map_or(true, |event| is_change(event) && wanted.concerns(event)) {
                // One permit however many events: a burst is one look.
                notify.notify_one();
            }
        })
        .map_err(|error| failed("LiveDir", Path::new("/"), error))?;
        let mut watched = HashSet::new();
        for (setting, dir) in dirs {
            watcher.watch(dir, RecursiveMode::NonRecursive).map_err(|error| failed(setting, dir, error))?;
            watched.insert(dir.as_path());
        }
        for (setting, file) in files {
            let dir = match file.parent() {
                Some(dir) if dir.as_os_str().is_empty() => Path::new("."),
                Some(dir) => dir,
                None => continue,
            };
            if watched.insert(dir)
                && let Err(error) = watcher.watch(dir, RecursiveMode::NonRecursive)
            {
                tracing::warn!("{}; changes there are seen at SIGHUP only", failed(setting, dir, error));
            }
        }
        Ok(Self { changed, _watcher: Some(watcher) })
    }

    /// Resolves when something changed since the last call. Never with nothing to watch.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// What is watched for.
struct Wanted {
    dirs: Vec<PathBuf>,
    names: HashSet<OsString>,
}

impl Wanted {
    /// Whether an event is of a wanted directory or name, or swaps what mounted files point to.
    fn concerns(&self, event: &Event) -> bool {
        event.paths.is_empty()
            || event.paths.iter().any(|path| {
                let in_dir = self.dirs.iter().any(|dir| path == dir || path.parent() == Some(dir.as_path()));
                let name = path.file_name().unwrap_or_default();
                in_dir || name == "..data" || self.names.contains(name)
            })
    }
}

/// Reading a file is an event too, and must not make the reader read again.
fn is_change(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

fn failed(setting: &'static str, dir: &Path, error: notify::Error) -> ExitError {
    let source = match error.kind {
        notify::ErrorKind::Io(source) => source,
        notify::ErrorKind::PathNotFound => std::io::ErrorKind::NotFound.into(),
        other => std::io::Error::other(format!("{other:?}")),
    };
    ExitError::File {
        setting,
        action: "watch",
        path: dir.to_owned(),
        source,
        remedy: "create the directory before the node starts, or raise fs.inotify.max_user_watches",
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink, time::Duration};

    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(5);
    const QUIET: Duration = Duration::from_millis(200);

    #[tokio::test]
    async fn a_configmap_symlink_swap_is_seen_and_reading_is_not() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path();
        fs::create_dir(dir.join("..1")).unwrap();
        fs::write(dir.join("..1/live.json"), "one").unwrap();
        symlink("..1", dir.join("..data")).unwrap();
        symlink("..data/live.json", dir.join("live.json")).unwrap();
        let watch = DirWatch::new(&[("LiveDir", dir.to_owned())], &[]).unwrap();
        assert_eq!(fs::read(dir.join("live.json")).unwrap(), b"one");
        assert!(timeout(QUIET, watch.changed()).await.is_err(), "reading is no change");
        // As kubelet does it.
        fs::create_dir(dir.join("..2")).unwrap();
        fs::write(dir.join("..2/live.json"), "two").unwrap();
        symlink("..2", dir.join("..data_tmp")).unwrap();
        fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
        timeout(SOON, async {
            loop {
                watch.changed().await;
                if fs::read(dir.join("live.json")).unwrap() == b"two" {
                    break;
                }
            }
        })
        .await
        .unwrap();
    }

    #[tokio::test]
    async fn plain_files_are_seen_too() {
        let root = tempfile::tempdir().unwrap();
        let watch = DirWatch::new(&[("LiveDir", root.path().to_owned())], &[]).unwrap();
        fs::write(root.path().join("password"), "new").unwrap();
        timeout(SOON, watch.changed()).await.unwrap();
    }

    #[tokio::test]
    async fn a_file_is_seen_by_its_name_and_its_neighbours_are_not() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("config.json");
        let watch = DirWatch::new(&[], &[("-c", file.clone())]).unwrap();
        fs::write(root.path().join("other.json"), "noise").unwrap();
        assert!(timeout(QUIET, watch.changed()).await.is_err(), "another file");
        fs::write(root.path().join("new"), "{}").unwrap();
        fs::rename(root.path().join("new"), &file).unwrap();
        timeout(SOON, watch.changed()).await.unwrap();
    }

    #[test]
    fn a_file_in_a_directory_that_is_not_there_is_no_error() {
        DirWatch::new(&[], &[("DataDir", PathBuf::from("/nonexistent/Statusd/static-nodes.json"))]).unwrap();
    }

    #[test]
    fn a_missing_directory_names_the_setting() {
        let missing = PathBuf::from("/nonexistent/statusd-live");
        let error = DirWatch::new(&[("LiveDir", missing)], &[]).err().unwrap().to_string();
        assert!(error.starts_with("LiveDir: cannot watch /nonexistent/statusd-live"), "{error}");
    }

    #[tokio::test]
    async fn nothing_to_watch_never_changes() {
        let watch = DirWatch::new(&[], &[]).unwrap();
        assert!(timeout(QUIET, watch.changed()).await.is_err());
    }
}

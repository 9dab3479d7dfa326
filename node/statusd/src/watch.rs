//! Tells when something in a directory changed, including the `..data` symlink swap of mounted ConfigMaps and
//! Secrets. Only that something changed: the reader looks for itself.

use std::path::{Path, PathBuf};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};
use tokio::sync::Notify;

use crate::exit::ExitError;

/// Watches directories for as long as it lives.
pub(crate) struct DirWatch {
    changed: std::sync::Arc<Notify>,
    _watcher: Option<RecommendedWatcher>,
}

impl DirWatch {
    /// Watches the directory of each path given with the setting that names it.
    ///
    /// # Errors
    /// [`ExitError::File`] when a directory cannot be watched.
    pub(crate) fn new(dirs: &[(&'static str, PathBuf)]) -> Result<Self, ExitError> {
        let changed = std::sync::Arc::new(Notify::new());
        if dirs.is_empty() {
            return Ok(Self { changed, _watcher: None });
        }
        let notify = std::sync::Arc::clone(&changed);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.as_ref().map_or(true, is_change) {
                // One permit however many events: a burst is one look.
                notify.notify_one();
            }
        })
        .map_err(|error| failed("LiveDir", Path::new("/"), error))?;
        for (setting, dir) in dirs {
            watcher.watch(dir, RecursiveMode::NonRecursive).map_err(|error| failed(setting, dir, error))?;
        }
        Ok(Self { changed, _watcher: Some(watcher) })
    }

    /// Resolves when something changed since the last call. Never with nothing to watch.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
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
        let watch = DirWatch::new(&[("LiveDir", dir.to_owned())]).unwrap();
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
        let watch = DirWatch::new(&[("LiveDir", root.path().to_owned())]).unwrap();
        fs::write(root.path().join("password"), "new").unwrap();
        timeout(SOON, watch.changed()).await.unwrap();
    }

    #[test]
    fn a_missing_directory_names_the_setting() {
        let missing = PathBuf::from("/nonexistent/statusd-live");
        let error = DirWatch::new(&[("LiveDir", missing)]).err().unwrap().to_string();
        assert!(error.starts_with("LiveDir: cannot watch /nonexistent/statusd-live"), "{error}");
    }

    #[tokio::test]
    async fn nothing_to_watch_never_changes() {
        let watch = DirWatch::new(&[]).unwrap();
        assert!(timeout(QUIET, watch.changed()).await.is_err());
    }
}

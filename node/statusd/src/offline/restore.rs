//! `statusd archive restore`: a backup takes the archive's place, whole or not at all.
//!
//! It is copied beside the archive, checked there, and then changes names with it in one step, so that a crash at any
//! moment leaves the old archive or the new one.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use archive::{ArchiveError, History as _};
use archive_rocksdb::{RocksHistory, Settings, Verified};
use rustix::fs::{CWD, FlockOperation, RenameFlags, fcntl_lock, renameat_with};

use super::{
    error::CommandError,
    place::{Place, full},
    progress::Progress,
    verify, wait,
};
use crate::exit::ExitError;

/// Bytes copied at a time.
const PIECE: usize = 1 << 20;

/// Put a backup in the place of the archive
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Stop the node first. The backup is copied beside the archive, checked, and then put in its place in one step; it stays\n\
    as it is. An archive that is there already is only replaced with -overwrite.\n\nExamples:\n  \
    statusd archive restore -c /etc/statusd/config.json /data/backup-monday -dry-run\n  \
    statusd archive restore -c /etc/statusd/config.json /data/backup-monday -overwrite"
)]
pub(super) struct Options {
    #[command(flatten)]
    place: Place,
    /// The backup
    #[arg(value_name = "FROM")]
    from: PathBuf,
    /// Replace the archive that is there
    #[arg(long)]
    overwrite: bool,
    /// Check the backup and the place, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(options: &Options) -> Result<String, ExitError> {
    let found = options.place.find()?;
    found.in_directory()?;
    let (target, from) = (found.archive, full(&options.from)?);
    let stats = wait(RocksHistory::view(&from, &Settings::default())?.stats())?;
    let there = occupied(&target)?;
    if from == target || from.starts_with(&target) {
        let problem = "is the archive itself or inside it".to_owned();
        return Err(CommandError::Path { path: from, problem, remedy: "name a backup elsewhere" }.into());
    }
    if there && !options.overwrite {
        let problem = "is not empty".to_owned();
        return Err(CommandError::Path {
            path: target,
            problem,
            remedy: "give -overwrite to replace what is there, or name an empty place",
        }
        .into());
    }
    let _lock = lock(&target)?;
    let what = format!("{} envelopes, {} bytes", stats.envelopes, stats.bytes);
    if options.dry_run {
        let verified = verify::check(&from)?;
        let does = if there { "replace" } else { "fill" };
        return Ok(format!(
            "would {does} {} with {what}; backup {}\n",
            target.display(),
            verify::sound(&verified)
        ));
    }
    let verified = replace(&from, &target, there)?;
    Ok(format!("{} restored from {}: {}\n", target.display(), from.display(), verify::sound(&verified)))
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl Fn(io::Error) -> ExitError + 'a {
    let remedy = "free space, or give a path that this user may write to; the archive is as it was";
    move |source| ExitError::File {
        setting: "archive restore",
        action,
        path: path.to_owned(),
        source,
        remedy,
    }
}

/// Whether anything is at `target`.
fn occupied(target: &Path) -> Result<bool, ExitError> {
    match fs::read_dir(target) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("look into", target)(error)),
    }
}

/// The lock that RocksDB takes, if there is an archive: a node that has it, or starts, is not cut off from its files.
fn lock(target: &Path) -> Result<Option<File>, ExitError> {
    let path = target.join("LOCK");
    let file = match File::options().write(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("open", &path)(error)),
    };
    match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(_) => Err(ArchiveError::Locked { path: target.to_owned() }.into()),
    }
}

fn replace(from: &Path, target: &Path, there: bool) -> Result<Verified, ExitError> {
    let mut name = target.as_os_str().to_owned();
    name.push(".restore");
    let new = PathBuf::from(name);
    let parent = target.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).map_err(failed("create", parent))?;
    clear(&new)?;
    let made = copy(from, &new).and_then(|()| verify::check(&new)).and_then(|verified| {
        if there {
            renameat_with(CWD, &new, CWD, target, RenameFlags::EXCHANGE).map_err(io::Error::from)
        } else {
            // An empty directory gives way.
            fs::rename(&new, target)
        }
        .map_err(failed("put the copy in the place of", target))?;
        Ok(verified)
    });
    if made.is_ok() {
        sync(parent)?;
    }
    // What lies there now is what was replaced, or a copy that cannot be used.
    clear(&new)?;
    made
}

fn clear(path: &Path) -> Result<(), ExitError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

fn sync(directory: &Path) -> Result<(), ExitError> {
    File::open(directory).and_then(|file| file.sync_all()).map_err(failed("write", directory))
}

/// Copies the files of a directory, durably.
fn copy(from: &Path, to: &Path) -> Result<(), ExitError> {
    let files: Vec<fs::DirEntry> =
        fs::read_dir(from).and_then(Iterator::collect).map_err(failed("read", from))?;
    let length = |entry: &fs::DirEntry| entry.metadata().map_or(0, |metadata| metadata.len());
    let mut progress = Progress::new("bytes copied", files.iter().map(length).sum());
    fs::create_dir(to).map_err(failed("create", to))?;
    for entry in files {
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let path = entry.path();
            copy_file(&path, &to.join(entry.file_name()), &mut progress).map_err(failed("copy", &path))?;
        }
    }
    sync(to)
}

fn copy_file(from: &Path, to: &Path, progress: &mut Progress) -> io::Result<()> {
    let (mut from, mut to) = (File::open(from)?, File::options().write(true).create_new(true).open(to)?);
    let mut piece = vec![0; PIECE];
    loop {
        let length = from.read(&mut piece)?;
        if length == 0 {
            return to.sync_all();
        }
        to.write_all(piece.get(..length).unwrap_or_default())?;
        progress.add(length as u64);
    }
}

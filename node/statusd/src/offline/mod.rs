//! `statusd archive …`: what one does with the archive of one host by hand. Facts: design §1, `docs/decisions/0010-archive-commands.md`.
//!
//! | command | beside a running node |
//! |---|---|
//! | `stats`, `verify`, `export`, any dry run | looks at a view of its own (`archive_rocksdb::RocksHistory::view`) |
//! | `backup`, `prune` | asks the node over its IPC socket, since only it may flush and delete |
//! | `restore`, `import` | refused: the node has the archive |
//!
//! An archive in a database has several writers anyway: `stats`, `prune`, `export` and `import` work on it beside the node,
//! the others are refused, since the database has its own tools for that.
//!
//! Every command is a file; [`place`] says which archive is meant, [`ask`] talks to the node.

mod admit;
mod ask;
mod backup;
mod error;
mod export;
mod import;
mod place;
mod progress;
mod prune;
mod restore;
mod stats;
mod stream;
mod text;
mod verify;

use std::{
    ffi::OsString,
    io::{self, Write as _},
    sync::OnceLock,
};

use clap::{Parser, Subcommand};
use node_config::{Parsed, parse_command};
use tokio::runtime::{Builder, Runtime};

pub(crate) use self::error::CommandError;
use crate::exit::ExitError;

/// Looks after the archive of a mailserver.
#[derive(Debug, Parser)]
#[command(
    name = "statusd archive",
    disable_version_flag = true,
    disable_help_subcommand = true,
    after_help = "Every flag may be written with one dash or two. Without -archive, -c and -dir it is the archive of a node that is\n\
        started without flags.\n\
        Exit codes: 0 done, 1 refused or failed, 2 usage, 10 archive damaged or not usable, 12 archive in use."
)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Stats(stats::Options),
    Verify(verify::Options),
    Backup(backup::Options),
    Restore(restore::Options),
    Prune(prune::Options),
    Export(export::Options),
    Import(import::Options),
}

/// Runs the command in `args`, those behind the word `archive`.
///
/// # Errors
/// It could not do what it was told; one line that says what to do.
pub(crate) fn main(args: impl Iterator<Item = OsString>) -> Result<(), ExitError> {
    let line: Line = match parse_command(args)? {
        Parsed::Run(line) => line,
        Parsed::Help(text) => return say(&text),
    };
    let said = match line.command {
        Command::Stats(options) => stats::run(&options),
        Command::Verify(options) => verify::run(&options),
        Command::Backup(options) => backup::run(&options),
        Command::Restore(options) => restore::run(&options),
        Command::Prune(options) => prune::run(&options),
        Command::Export(options) => export::run(&options),
        Command::Import(options) => import::run(&options),
    }?;
    say(&said)
}

/// Prints what a command found. A reader that has read enough is no failure.
fn say(text: &str) -> Result<(), ExitError> {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(source) if source.kind() != io::ErrorKind::BrokenPipe => {
            Err(ExitError::System { what: "cannot write to standard output", source })
        }
        _ => Ok(()),
    }
}

/// Waits for a piece of the archive's work.
fn wait<T, E>(work: impl Future<Output = Result<T, E>>) -> Result<T, ExitError>
where
    ExitError: From<E>,
{
    // One for all pieces: connections to a database live on it.
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = match RUNTIME.get() {
        Some(runtime) => runtime,
        None => {
            let new = Builder::new_current_thread().enable_all().build();
            let new = new.map_err(|source| ExitError::System { what: "cannot start threads", source })?;
            RUNTIME.get_or_init(|| new)
        }
    };
    Ok(runtime.block_on(work)?)
}

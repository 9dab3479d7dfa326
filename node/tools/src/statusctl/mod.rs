//! `statusctl`: a client on the command line. Prints JSON lines; errors are one plain line on standard error.

mod bench;
mod config;
mod cross_check;
mod history;
mod local;
mod post;
mod session;

use std::{ffi::OsString, io::Write as _, process::ExitCode};

use clap::{CommandFactory as _, Parser, Subcommand};
use node_client::{Error, ErrorClass};
use serde::Serialize;

const EXIT_CODES: &str = "Exit codes: 0 done, 1 cannot connect or run, 2 wrong usage, 3 timed out, 4 refused by the node, \
5 connection lost or protocol broken by the node, 6 the node has too many peers, 7 servers differ (cross-check).";

/// Talks to a Status node as a client does; makes keys, enodes and QR codes.
#[derive(Debug, Parser)]
#[command(name = "statusctl", version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the enode of a node key and an address.
    Enode(local::EnodeArguments),
    /// Make a node key.
    Keygen(local::KeygenArguments),
    /// Print a text as a QR code.
    Qr(local::QrArguments),
    /// Explain or make a node's configuration.
    Config(config::ConfigArguments),
    /// Open a session and print who is there.
    Connect(session::ConnectArguments),
    /// Post envelopes.
    Post(post::PostArguments),
    /// Print the envelopes that arrive, a line each.
    Watch(session::WatchArguments),
    /// Ask a mailserver for history: envelopes, a line each, then the completion.
    History(history::HistoryArguments),
    /// Ask several mailservers for the same history and print what some have and others have not.
    CrossCheck(cross_check::CrossCheckArguments),
    /// Measure a node: bounded load, and what came of it.
    Bench(bench::Arguments),
    /// Print the completion script of a shell.
    Completion {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// Cannot be done as asked.
    #[error("{0}")]
    Usage(String),
    /// The machine does not let us.
    #[error("{0}")]
    Local(String),
    /// The session.
    #[error(transparent)]
    Client(#[from] Error),
    /// Fewer envelopes than wanted came in time.
    #[error("timed out after {0} of {1} envelopes")]
    TooFew(u64, u64),
    /// One of several servers.
    #[error("{enode}: {source}")]
    Server {
        /// Its enode.
        enode: String,
        /// What is wrong with it.
        source: Error,
    },
    /// The command ran to its end, and the servers do not have the same.
    #[error("the servers differ: {holes} of {envelopes} envelopes are not on all of them")]
    Different {
        /// Envelopes that not all have.
        holes: u64,
        /// Envelopes that one has at least.
        envelopes: u64,
    },
    /// Standard output is gone.
    #[error("cannot print: {0}")]
    Output(#[from] std::io::Error),
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Local(_) | Self::Output(_) => 1,
            Self::TooFew(..) => 3,
            Self::Different { .. } => 7,
            Self::Client(error) | Self::Server { source: error, .. } => match error.class() {
                ErrorClass::Connect => 1,
                ErrorClass::Local => 2,
                ErrorClass::Full => 6,
                ErrorClass::Timeout => 3,
                ErrorClass::Refused => 4,
                ErrorClass::Lost | ErrorClass::Breach => 5,
            },
        }
    }
}

pub(crate) fn main(args: Vec<OsString>) -> ExitCode {
    let arguments = Arguments::try_parse_from(args).unwrap_or_else(|error| error.exit());
    let result = match arguments.command {
        Command::Enode(arguments) => local::enode(&arguments),
        Command::Keygen(arguments) => local::keygen(&arguments),
        Command::Qr(arguments) => local::qr(&arguments),
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "statusctl", &mut std::io::stdout());
            Ok(())
        }
        Command::Bench(arguments) => bench::bench(arguments),
        Command::Config(arguments) => config::config(arguments),
        Command::Connect(arguments) => run(session::connect(&arguments)),
        Command::Post(arguments) => run(post::post(&arguments)),
        Command::Watch(arguments) => run(session::watch(&arguments)),
        Command::History(arguments) => run(history::history(&arguments)),
        Command::CrossCheck(arguments) => run(cross_check::cross_check(&arguments)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("statusctl: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Local(format!("cannot start: {error}")))?;
    runtime.block_on(command)
}

/// For load: as many threads as there are cores, so that the receivers are no bottleneck.
fn run_on_all_cores(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Local(format!("cannot start: {error}")))?;
    runtime.block_on(command)
}

/// One JSON line, at once.
fn print(value: &impl Serialize) -> Result<(), Failure> {
    let mut line = serde_json::to_vec(value).map_err(std::io::Error::from)?;
    line.push(b'\n');
    Ok(std::io::stdout().lock().write_all(&line)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn each_class_of_error_has_its_exit_code() {
        let code = |error: Error| Failure::from(error).exit_code();
        assert_eq!(code(Error::Handshake(String::new())), 1);
        assert_eq!(code(Error::NoConfirmations), 2);
        assert_eq!(code(Error::Timeout("x")), 3);
        assert_eq!(code(Error::Refused(String::new())), 4);
        assert_eq!(code(Error::Lost(String::new())), 5);
        assert_eq!(code(Error::Breach(String::new())), 5);
        assert_eq!(code(Error::TooManyPeers), 6);
        assert_eq!(Failure::Different { holes: 1, envelopes: 2 }.exit_code(), 7);
        assert_eq!(Failure::TooFew(0, 1).exit_code(), 3);
        assert_eq!(Failure::Usage(String::new()).exit_code(), 2);
    }
}

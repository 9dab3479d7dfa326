//! `node-canary`: the reference's flags, with one dash or two, and `-post`, `-password-file`.
//! Facts: `spec/operations.md` §5.1, `spec/waku-mailserver.md` §7.3.

use std::{ffi::OsString, fs::OpenOptions, path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use enode::{EnodeUrl, NodeKey};
use node_client::canary::{Check, Config, Passed, Report, run};
use node_config::go_bool;
use tracing::level_filters::LevelFilter;
use waku_wire::{SymmetricKey, keys::DEFAULT_MAILSERVER_PASSWORD};

use crate::{files, flags::two_dashes};

const DEFAULT_POW: f64 = 0.000_002;
/// Could not begin: no or a wrong address, no key, no log (`spec/operations.md` §5.1).
const EXIT_SETUP: u8 = 1;

const EXIT_CODES: &str = "Exit codes:
  0  passed; also when the node says that it has no messages, unless -post
  1  no address, no connection, or it did not stand
  2  the history request could not be made; wrong flags
  3  no answer in time
  4  an envelope was announced but not delivered
 10  the node answered with an error
 11  the marked envelope could not be posted
 12  the node refused the marked envelope
 13  the node did not confirm it though it confirms
 14  it is not in history
 15  it is in history more than once
 16  no answer when reading it back
 17  it was announced but not delivered when reading it back
 18  the node has too many peers: it is there, and takes no more";

/// Checks whether a Status node stays connected, or whether it serves its history.
#[derive(Debug, Parser)]
#[command(name = "node-canary", version, after_help = EXIT_CODES, allow_negative_numbers = true)]
struct Flags {
    /// Enode of a node to check for a stable connection; wins when both are given.
    #[arg(long, value_name = "ENODE", default_value = "", hide_default_value = true)]
    staticnode: String,
    /// Enode of a mailserver to check for history.
    #[arg(long, value_name = "ENODE", default_value = "", hide_default_value = true)]
    mailserver: String,
    /// Also post a marked envelope and read it back from history.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true",
          hide_default_value = true, value_parser = go_bool)]
    post: bool,
    /// Public chat whose history is asked for.
    #[arg(long, default_value = "status")]
    channel: String,
    /// Seconds for each step.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    timeout: u32,
    /// Seconds of history.
    #[arg(long, default_value_t = 86_400)]
    period: u32,
    /// Proof of work of the request; 0 or less is the default.
    #[arg(long = "waku.pow", default_value_t = DEFAULT_POW)]
    pow: f64,
    /// Taken for the reference's sake and, as there, not used: requests live 50 s.
    #[arg(long = "waku.ttl", default_value_t = 120)]
    ttl: u32,
    /// Folder that keeps the identity, in .ethereum/canary.key; a relative one is taken from the program's folder.
    /// Without it each run has a fresh identity.
    #[arg(long, value_name = "DIR")]
    home_dir: Option<PathBuf>,
    /// File with the mailserver's password.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// ERROR, WARN, INFO, DEBUG or TRACE.
    #[arg(long, default_value = "INFO")]
    log: String,
    /// File that gets the log instead of standard error.
    #[arg(long, value_name = "FILE", default_value = "", hide_default_value = true)]
    logfile: String,
    /// No colours in the log.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true",
          hide_default_value = true, value_parser = go_bool)]
    log_without_color: bool,
}

pub(crate) fn main(args: Vec<OsString>) -> ExitCode {
    let flags = match Flags::try_parse_from(two_dashes(args)) {
        Ok(flags) => flags,
        // Prints help to standard output with 0, mistakes to standard error with 2.
        Err(error) => error.exit(),
    };
    match checked(&flags) {
        Err(message) => {
            eprintln!("node-canary: {message}");
            ExitCode::from(EXIT_SETUP)
        }
        Ok(report) => {
            match &report.result {
                Ok(passed) => println!("node-canary: {}", describe(passed, &report)),
                Err(failure) => eprintln!("node-canary: {failure}"),
            }
            ExitCode::from(report.exit_code())
        }
    }
}

fn checked(flags: &Flags) -> Result<Report, String> {
    init_log(flags)?;
    let config = config(flags)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    tracing::debug!(node = %config.node, check = ?config.check, "checking");
    Ok(runtime.block_on(run(&config)))
}

fn config(flags: &Flags) -> Result<Config, String> {
    let (flag, text, check) = if !flags.staticnode.is_empty() {
        ("-staticnode", &flags.staticnode, Check::Static)
    } else if !flags.mailserver.is_empty() {
        ("-mailserver", &flags.mailserver, Check::Mailserver { post: flags.post })
    } else {
        return Err("give the enode of a node with -mailserver or -staticnode".to_owned());
    };
    let node: EnodeUrl = text.parse().map_err(|error| format!("{flag}: {error}"))?;
    if node.address.is_none() {
        return Err(format!("{flag}: the enode has no address, want enode://<128 hex>@<host>:<port>"));
    }
    let password = match &flags.password_file {
        Some(path) => files::read_line(path, "password")?,
        None => DEFAULT_MAILSERVER_PASSWORD.to_owned(),
    };
    let key = match &flags.home_dir {
        Some(home) => files::read_or_make_key(&beside_program(home)?.join(".ethereum").join("canary.key"))?,
        None => NodeKey::generate(),
    };
    Ok(Config {
        channel: flags.channel.clone(),
        timeout: Duration::from_secs(flags.timeout.into()),
        period: flags.period,
        pow: if flags.pow > 0.0 { flags.pow } else { DEFAULT_POW },
        ..Config::new(node, check, key, SymmetricKey::from_password(&password))
    })
}

/// A relative home is taken from the folder of the program, as the reference does.
fn beside_program(home: &std::path::Path) -> Result<PathBuf, String> {
    if home.is_absolute() {
        return Ok(home.to_owned());
    }
    let program = std::env::current_exe().map_err(|error| format!("-home-dir: {error}"))?;
    Ok(program.parent().map_or_else(PathBuf::new, PathBuf::from).join(home))
}

fn init_log(flags: &Flags) -> Result<(), String> {
    let level: LevelFilter = flags
        .log
        .parse()
        .map_err(|_| format!("-log {:?}: want ERROR, WARN, INFO, DEBUG or TRACE", flags.log))?;
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(!flags.log_without_color && flags.logfile.is_empty());
    if flags.logfile.is_empty() {
        log.with_writer(std::io::stderr).init();
    } else {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&flags.logfile)
            .map_err(|error| format!("-logfile {}: {error}", flags.logfile))?;
        log.with_writer(file).init();
    }
    Ok(())
}

fn describe(passed: &Passed, report: &Report) -> String {
    let seconds = report.elapsed.as_secs_f64();
    match passed {
        Passed::Static => format!("passed: connected and stayed connected ({seconds:.1} s)"),
        Passed::Mailserver { last, posted } => {
            let history = last.map_or("history answers that there are no messages".to_owned(), |hash| {
                format!("history delivers envelope {hash}")
            });
            let round = posted.map(|hash| format!(", posted envelope {hash} came back")).unwrap_or_default();
            format!("passed: {history}{round} ({seconds:.1} s)")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENODE: &str = "enode://82c4d72810c43f35c57f02b1b6bb0099a1cd58a44c4b210ccd10f326330ce41f0610144ec77e28036f7eb09cf87eababb659c58d1a9a832a3097e70ec7c7ecef@127.0.0.1:30303";

    fn parse(args: &[&str]) -> Result<Flags, clap::Error> {
        let args = std::iter::once("node-canary").chain(args.iter().copied()).map(OsString::from).collect();
        Flags::try_parse_from(two_dashes(args))
    }

    #[test]
    fn flags_of_operations_5_1_with_one_dash_or_two() {
        for dash in ["-", "--"] {
            let names =
                ["staticnode", "mailserver", "channel", "home-dir", "logfile", "log", "password-file"];
            for name in names {
                parse(&[&format!("{dash}{name}"), "x"]).unwrap();
                parse(&[&format!("{dash}{name}=x")]).unwrap();
            }
            for name in ["timeout", "period", "waku.pow", "waku.ttl"] {
                parse(&[&format!("{dash}{name}"), "5"]).unwrap();
            }
            for name in ["post", "log-without-color"] {
                parse(&[&format!("{dash}{name}")]).unwrap();
                parse(&[&format!("{dash}{name}=true")]).unwrap();
            }
        }
        assert!(parse(&["-post", "-mailserver", ENODE]).unwrap().post);
        for (word, on) in
            [("true", true), ("1", true), ("T", true), ("false", false), ("0", false), ("F", false)]
        {
            assert_eq!(parse(&[&format!("-post={word}")]).unwrap().post, on, "{word}");
        }
        assert_eq!(parse(&["-post=yes"]).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn defaults_of_operations_5_1() {
        let config = config(&parse(&["-mailserver", ENODE]).unwrap()).unwrap();
        assert_eq!(config.check, Check::Mailserver { post: false });
        assert_eq!(
            (config.channel.as_str(), config.period, config.timeout.as_secs()),
            ("status", 86_400, 10)
        );
        assert!((config.pow - 0.000_002).abs() < 1e-12);
        assert_eq!(config.mailbox, SymmetricKey::from_password("status-offline-inbox"));
    }

    #[test]
    fn pow_of_zero_or_less_is_the_default() {
        for text in ["0", "-1", "-0.5"] {
            let config = config(&parse(&["-mailserver", ENODE, "-waku.pow", text]).unwrap()).unwrap();
            assert!((config.pow - DEFAULT_POW).abs() < 1e-12, "{text}");
        }
    }

    #[test]
    fn staticnode_wins_and_no_address_is_an_error() {
        let both = parse(&["-mailserver", ENODE, "-staticnode", ENODE]).unwrap();
        assert_eq!(config(&both).unwrap().check, Check::Static);
        assert!(config(&parse(&[]).unwrap()).unwrap_err().contains("-mailserver"));
        let bare = ENODE.split('@').next().unwrap();
        assert!(config(&parse(&["-mailserver", bare]).unwrap()).unwrap_err().contains("no address"));
        assert!(
            config(&parse(&["-mailserver", "nonsense"]).unwrap()).unwrap_err().starts_with("-mailserver: ")
        );
    }

    #[test]
    fn a_mistyped_flag_is_a_usage_error() {
        assert_eq!(parse(&["-mailsever", ENODE]).unwrap_err().exit_code(), 2);
        assert_eq!(parse(&["-timeout", "0"]).unwrap_err().exit_code(), 2);
        assert_eq!(parse(&["-h"]).unwrap_err().exit_code(), 0);
    }

    #[test]
    fn home_dir_keeps_the_identity() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap();
        let key =
            || config(&parse(&["-mailserver", ENODE, "-home-dir", home]).unwrap()).unwrap().key.public_key();
        assert_eq!(key(), key());
        assert!(folder.path().join(".ethereum/canary.key").exists());
    }
}

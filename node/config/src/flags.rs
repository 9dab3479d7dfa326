//! Command-line flags in the reference's spelling: one or two dashes, `-name value` or `-name=value`, booleans
//! negated by `=false` (`spec/operations.md` §1.1). Parsing itself is clap's.

use std::{ffi::OsString, path::PathBuf};

use clap::{Parser, builder::ValueParser, error::ErrorKind};

/// Flags of the reference that this version does not have. Refused instead of ignored: each one would change
/// what the node does.
const ABSENT: &[&str] = &["fleet", "register", "ipc", "ipcfile", "pprof", "pprof-port", "metrics.expensive"];

/// A command line that cannot be used; one line, ends with what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; see statusd -help")]
pub struct UsageError(String);

/// What the command line asks for.
#[derive(Debug)]
pub enum Parsed {
    /// Start the node.
    Run(Box<Flags>),
    /// Print this text on standard output and exit 0.
    Help(String),
}

/// The flags as given. `None` and `false`: not given.
#[derive(Debug, Default, Clone, Parser)]
#[command(
    name = "statusd",
    about = "A Status node: Waku v1 relay and history server.\nEvery flag may be written with one dash or two; flags win over config files.",
    disable_version_flag = true,
    after_help = "Environment: STATUSD_NODEKEY_FILE, STATUSD_NODEKEY (identity, when no flag gives it), HOME.\n\
        Exit codes: 0 stopped, 1 config or start failure, 2 usage, 10 archive, 11 port, 12 data directory locked,\n\
        13 identity, 14 a part of the running node failed, 15 not stopped in time."
)]
pub struct Flags {
    /// JSON config file; may be repeated, later files win
    #[arg(long = "c", value_name = "FILE")]
    pub config_files: Vec<PathBuf>,
    /// Data directory [default: $HOME/.statusd, or ./statusd-data without HOME]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Ethereum network: 1 mainnet, 3 Ropsten, 4 Rinkeby, 5 Goerli [default: 3]
    #[arg(long, value_name = "N")]
    pub network_id: Option<u64>,
    /// host:port of the devp2p listener [default: :30303]
    #[arg(long, value_name = "HOST:PORT")]
    pub addr: Option<String>,
    /// Archive envelopes and answer history requests
    #[arg(long, value_parser = go_bool(), num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, value_name = "BOOL")]
    pub mailserver: bool,
    /// File with the node's private key, 64 hex digits; never written
    #[arg(long, value_name = "FILE")]
    pub nodekey_file: Option<PathBuf>,
    /// Log level: ERROR, WARN, INFO, DEBUG or TRACE [default: INFO]
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<String>,
    /// Log without colours
    #[arg(long, value_parser = go_bool(), num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, value_name = "BOOL")]
    pub log_without_color: bool,
    /// Serve /metrics, /livez, /readyz, /health and /status
    #[arg(long, value_parser = go_bool(), num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, value_name = "BOOL")]
    pub metrics: bool,
    /// Port of the metrics listener [default: 9090]
    #[arg(long, value_name = "PORT")]
    pub metrics_port: Option<u16>,
    /// Threads of the event loop, 1 to 64 [default: the processors, at most 4]
    #[arg(long, value_name = "N")]
    pub worker_threads: Option<u16>,
    /// Print the version and exit
    #[arg(long, value_parser = go_bool(), num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, value_name = "BOOL")]
    pub version: bool,
}

/// Go's spellings of a boolean.
fn go_bool() -> ValueParser {
    ValueParser::from(|text: &str| match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("want true or false".to_owned()),
    })
}

impl Flags {
    /// Parses the arguments after the program's name.
    ///
    /// # Errors
    /// [`UsageError`] for an unknown flag, a value that does not parse, and positional arguments.
    pub fn parse_args(args: impl IntoIterator<Item = OsString>) -> Result<Parsed, UsageError> {
        let mut normal = vec![OsString::from("statusd")];
        for arg in args {
            normal.push(match arg.to_str().and_then(flag_name) {
                Some("h") => OsString::from("--help"),
                Some(name) if ABSENT.contains(&name) => {
                    return Err(UsageError(format!(
                        "flag -{name} is not part of this version: leave it out"
                    )));
                }
                Some(_) if !arg.to_string_lossy().starts_with("--") => {
                    let mut two = OsString::from("-");
                    two.push(&arg);
                    two
                }
                _ => arg,
            });
        }
        match Self::try_parse_from(normal) {
            Ok(flags) => Ok(Parsed::Run(Box::new(flags))),
            Err(error) if error.kind() == ErrorKind::DisplayHelp => Ok(Parsed::Help(error.to_string())),
            Err(error) => {
                let text = error.to_string();
                let line = text.lines().next().unwrap_or_default();
                Err(UsageError(line.strip_prefix("error: ").unwrap_or(line).to_owned()))
            }
        }
    }
}

/// The name in `-name`, `--name`, `-name=value`.
fn flag_name(arg: &str) -> Option<&str> {
    let name = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-'))?;
    let name = name.split_once('=').map_or(name, |(name, _)| name);
    name.starts_with(|c: char| c.is_ascii_alphabetic()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(args: &[&str]) -> Flags {
        match Flags::parse_args(args.iter().map(OsString::from)).unwrap() {
            Parsed::Run(flags) => *flags,
            Parsed::Help(text) => panic!("{text}"),
        }
    }

    fn refused(args: &[&str]) -> String {
        Flags::parse_args(args.iter().map(OsString::from)).unwrap_err().to_string()
    }

    #[test]
    fn ops_1_1_one_dash_or_two_and_both_value_forms() {
        for args in [
            ["-dir", "/d", "-addr", "127.0.0.1:1"].as_slice(),
            &["--dir", "/d", "--addr", "127.0.0.1:1"],
            &["-dir=/d", "--addr=127.0.0.1:1"],
        ] {
            let flags = run(args);
            assert_eq!(flags.dir, Some(PathBuf::from("/d")), "{args:?}");
            assert_eq!(flags.addr.as_deref(), Some("127.0.0.1:1"), "{args:?}");
        }
    }

    #[test]
    fn ops_1_1_c_may_be_repeated_and_keeps_its_order() {
        let flags = run(&["-c", "a.json", "-c=b.json", "--c", "c.json"]);
        assert_eq!(flags.config_files, ["a.json", "b.json", "c.json"].map(PathBuf::from));
    }

    #[test]
    fn ops_1_1_booleans_are_bare_words_or_have_an_equals_sign() {
        assert!(run(&["-metrics"]).metrics);
        assert!(run(&["-metrics=true", "-mailserver=T"]).mailserver);
        assert!(!run(&["-metrics=false"]).metrics);
        assert!(!run(&["-metrics=0"]).metrics);
        let flags = run(&["-metrics", "-metrics-port", "9305", "-log-without-color"]);
        assert!(flags.log_without_color);
        assert_eq!(flags.metrics_port, Some(9305));
        assert!(refused(&["-metrics=maybe"]).contains("--metrics"));
    }

    #[test]
    fn a_negative_value_is_a_value() {
        assert!(refused(&["-network-id", "-5"]).contains("-5"));
    }

    #[test]
    fn usage_errors_are_one_line_that_names_the_flag() {
        for (args, named) in [
            (["-nonsense"].as_slice(), "nonsense"),
            (&["-metrics-port", "70000"], "70000"),
            (&["positional"], "positional"),
            (&["-fleet", "eth.prod"], "-fleet"),
            (&["--ipc"], "-ipc"),
            (&["-c"], "--c"),
        ] {
            let text = refused(args);
            assert!(
                text.contains(named) && !text.contains('\n') && text.ends_with("statusd -help"),
                "{text}"
            );
        }
    }

    #[test]
    fn help_names_every_flag() {
        for word in ["-h", "-help", "--help"] {
            let Parsed::Help(text) = Flags::parse_args([OsString::from(word)]).unwrap() else {
                panic!("{word}")
            };
            for flag in [
                "--c ",
                "--dir",
                "--network-id",
                "--addr",
                "--mailserver",
                "--nodekey-file",
                "--log ",
                "--log-without-color",
                "--metrics",
                "--metrics-port",
                "--worker-threads",
                "--version",
            ] {
                assert!(text.contains(flag), "{flag} in {text}");
            }
        }
    }
}

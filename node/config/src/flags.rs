//! Command-line flags in the reference's spelling: one or two dashes, `-name value` or `-name=value`, booleans
//! negated by `=false`, the last of a repeated flag wins (`spec/operations.md` §1.1). Parsing itself is clap's.

use std::{ffi::OsString, path::PathBuf};

use clap::{ArgMatches, Command, CommandFactory as _, FromArgMatches, Parser, error::ErrorKind};

/// A command line that cannot be used; one line, ends with what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; see {program} -help")]
pub struct UsageError {
    program: String,
    problem: String,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Parsed<T> {
    /// Start the program.
    Run(T),
    /// Print this text on standard output and exit 0.
    Help(String),
}

/// The flags as given. `None`: not given.
#[derive(Debug, Default, Clone, Parser)]
#[command(
    name = "statusd",
    about = "A Status node: Waku v1 relay and history server.\nEvery flag may be written with one dash or two; flags win over config files.",
    disable_version_flag = true,
    args_override_self = true,
    after_help = "Environment: STATUSD_NODEKEY_FILE, STATUSD_NODEKEY (identity, when no flag gives it), HOME.\n\
        Signals: SIGTERM and SIGINT stop the node, SIGHUP reads the configuration again.\n\
        Exit codes: 0 stopped, 1 config or start failure, 2 usage, 10 archive, 11 port, 12 data directory locked,\n\
        13 identity, 14 a part of the running node failed, 15 not stopped in time."
)]
pub struct Flags {
    /// JSON config file; may be repeated, later files win
    #[arg(long = "c", value_name = "FILE")]
    pub config_files: Vec<PathBuf>,
    /// Refuse unknown keys in config files instead of warning of them
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub strict: Option<bool>,
    /// Data directory [default: $HOME/.statusd, or ./statusd-data without HOME]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Ethereum network: 1 mainnet, 3 Ropsten, 4 Rinkeby, 5 Goerli [default: 3]
    #[arg(long, value_name = "N")]
    pub network_id: Option<u64>,
    /// Nodes to begin with: eth.prod, eth.staging, eth.test, wakuv2.prod, wakuv2.test, or a file; config files win over it [default: none]
    #[arg(long, value_name = "NAME|FILE")]
    pub fleet: Option<String>,
    /// host:port of the devp2p listener [default: :30303]
    #[arg(long, value_name = "HOST:PORT")]
    pub addr: Option<String>,
    /// Have the home router forward the listener's port (UPnP) [default: false]
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub upnp: Option<bool>,
    /// Find peers by UDP discovery [default: as NoDiscovery says, and that is off without a fleet]
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub discovery: Option<bool>,
    /// Advertise this node under the discovery topic whisper, or whispermail with -mailserver
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub register: Option<bool>,
    /// Archive envelopes and answer history requests
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub mailserver: Option<bool>,
    /// File with the node's private key, 64 hex digits; never written
    #[arg(long, value_name = "FILE")]
    pub nodekey_file: Option<PathBuf>,
    /// Serve JSON-RPC on a Unix socket
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub ipc: Option<bool>,
    /// The socket's path; a bare name is placed in the data directory [default: geth.ipc]
    #[arg(long, value_name = "FILE")]
    pub ipcfile: Option<String>,
    /// Log level: ERROR, WARN, INFO, DEBUG or TRACE [default: INFO]
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<String>,
    /// Log without colours
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub log_without_color: Option<bool>,
    /// Serve /metrics, /livez, /readyz, /health and /status
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub metrics: Option<bool>,
    /// Port of the metrics listener [default: 9090]
    #[arg(long, value_name = "PORT")]
    pub metrics_port: Option<u16>,
    /// Threads of the event loop, 1 to 64 [default: the processors, at most 4]
    #[arg(long, value_name = "N")]
    pub worker_threads: Option<u16>,
    /// No effect: all families are always served
    #[arg(long = "metrics.expensive", value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub metrics_expensive: Option<bool>,
    /// No effect: the program has no Go profiles
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub pprof: Option<bool>,
    /// No effect, as -pprof
    #[arg(long, value_name = "PORT")]
    pub pprof_port: Option<u16>,
    /// Print the version and exit
    #[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub version: Option<bool>,
}

/// A boolean in one of the spellings that Go's flags take.
///
/// # Errors
/// It is none of them; the text says what is wanted.
pub fn go_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("want true or false".to_owned()),
    }
}

impl Flags {
    /// Parses the arguments after the program's name.
    ///
    /// # Errors
    /// [`UsageError`] for an unknown flag, a value that does not parse, and positional arguments.
    pub fn parse_args(args: impl IntoIterator<Item = OsString>) -> Result<Parsed<Self>, UsageError> {
        Self::parse_with(Self::command(), args).map(|parsed| match parsed {
            Parsed::Run((flags, _)) => Parsed::Run(flags),
            Parsed::Help(text) => Parsed::Help(text),
        })
    }

    /// The same for a command that takes more than these flags, made from `Flags::command()`.
    ///
    /// # Errors
    /// As [`Self::parse_args`].
    pub fn parse_with(
        command: Command,
        args: impl IntoIterator<Item = OsString>,
    ) -> Result<Parsed<(Self, ArgMatches)>, UsageError> {
        parse(command, args)
    }

    /// What is given although it has no effect, in words.
    pub(crate) fn idle(&self) -> Vec<String> {
        [
            (self.metrics_expensive == Some(true), "-metrics.expensive", "all families are always served"),
            (self.pprof == Some(true), "-pprof", "the program has no Go profiles"),
            (self.pprof_port.is_some(), "-pprof-port", "the program has no Go profiles"),
        ]
        .into_iter()
        .filter(|(given, ..)| *given)
        .map(|(_, flag, why)| format!("flag {flag} has no effect: {why}"))
        .collect()
    }
}

/// Parses the arguments of a command with flags of its own, in the same spelling.
///
/// # Errors
/// As [`Flags::parse_args`].
pub fn parse_command<T: Parser>(args: impl IntoIterator<Item = OsString>) -> Result<Parsed<T>, UsageError> {
    parse(T::command(), args).map(|parsed| match parsed {
        Parsed::Run((command, _)) => Parsed::Run(command),
        Parsed::Help(text) => Parsed::Help(text),
    })
}

fn parse<T: FromArgMatches>(
    command: Command,
    args: impl IntoIterator<Item = OsString>,
) -> Result<Parsed<(T, ArgMatches)>, UsageError> {
    let program = command.get_name().to_owned();
    let mut normal = vec![OsString::from(&program)];
    normal.extend(args.into_iter().map(|arg| match arg.to_str().and_then(flag_name) {
        Some("h") => OsString::from("--help"),
        Some(_) if !arg.to_string_lossy().starts_with("--") => {
            let mut two = OsString::from("-");
            two.push(&arg);
            two
        }
        _ => arg,
    }));
    let parsed = command.try_get_matches_from(normal).and_then(|matches| {
        let flags = T::from_arg_matches(&matches)?;
        Ok((flags, matches))
    });
    match parsed {
        Ok(parsed) => Ok(Parsed::Run(parsed)),
        Err(error) if error.kind() == ErrorKind::DisplayHelp => Ok(Parsed::Help(error.to_string())),
        Err(error) => {
            let text = error.to_string();
            // What is missing stands on lines of its own, before the first empty one.
            let lines: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
            let line = lines.join(" ");
            let problem = line.strip_prefix("error: ").unwrap_or(&line).to_owned();
            Err(UsageError { program, problem })
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
            Parsed::Run(flags) => flags,
            Parsed::Help(text) => panic!("{text}"),
        }
    }

    fn refused(args: &[&str]) -> String {
        Flags::parse_args(args.iter().map(OsString::from)).unwrap_err().to_string()
    }

    #[test]
    fn ops_1_1_c_may_be_repeated_and_keeps_its_order() {
        let flags = run(&["-c", "a.json", "-c=b.json", "--c", "c.json"]);
        assert_eq!(flags.config_files, ["a.json", "b.json", "c.json"].map(PathBuf::from));
    }

    /// Every boolean of the table, in every spelling Go takes; without it nothing is said.
    #[test]
    fn ops_1_1_booleans_are_bare_words_or_have_an_equals_sign() {
        type Read = fn(&Flags) -> Option<bool>;
        let all: [(&str, Read); 12] = [
            ("strict", |f| f.strict),
            ("upnp", |f| f.upnp),
            ("discovery", |f| f.discovery),
            ("register", |f| f.register),
            ("mailserver", |f| f.mailserver),
            ("ipc", |f| f.ipc),
            ("log-without-color", |f| f.log_without_color),
            ("metrics", |f| f.metrics),
            ("metrics.expensive", |f| f.metrics_expensive),
            ("pprof", |f| f.pprof),
            ("version", |f| f.version),
            ("metrics", |f| f.metrics),
        ];
        for (name, read) in all {
            for dashes in ["-", "--"] {
                for (value, want) in [
                    ("", true),
                    ("=true", true),
                    ("=T", true),
                    ("=1", true),
                    ("=false", false),
                    ("=0", false),
                ] {
                    let arg = format!("{dashes}{name}{value}");
                    assert_eq!(read(&run(&[&arg])), Some(want), "{arg}");
                }
                let arg = format!("{dashes}{name}=maybe");
                assert!(refused(&[&arg]).contains(name), "{arg}");
            }
            assert_eq!(read(&run(&[])), None, "{name}");
        }
        assert_eq!(run(&["-metrics", "-metrics=false"]).metrics, Some(false), "the last one wins");
    }

    /// Every flag with a value, with one dash or two and both value forms.
    #[test]
    fn ops_1_1_values() {
        type Read = fn(&Flags) -> Option<String>;
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let all: [(&str, &str, Read); 11] = [
            ("dir", "/d", |f| f.dir.as_ref().map(|it| it.display().to_string())),
            ("network-id", "5", |f| f.network_id.map(|it| it.to_string())),
            ("fleet", "eth.test", |f| f.fleet.clone()),
            ("fleet", "", |f| f.fleet.clone()),
            ("addr", "127.0.0.1:1", |f| f.addr.clone()),
            ("ipcfile", "x.ipc", |f| f.ipcfile.clone()),
            ("log", "DEBUG", |f| f.log.clone()),
            ("metrics-port", "9305", |f| f.metrics_port.map(|it| it.to_string())),
            ("pprof-port", "52525", |f| f.pprof_port.map(|it| it.to_string())),
            ("worker-threads", "2", |f| f.worker_threads.map(|it| it.to_string())),
            ("nodekey-file", "/k", |f| f.nodekey_file.as_ref().map(|it| it.display().to_string())),
        ];
        for (name, value, read) in all {
            for args in [
                vec![format!("-{name}"), value.to_owned()],
                vec![format!("--{name}"), value.to_owned()],
                vec![format!("-{name}={value}")],
                vec![format!("--{name}={value}")],
            ] {
                let args: Vec<&str> = args.iter().map(String::as_str).collect();
                assert_eq!(read(&run(&args)).as_deref(), Some(value), "{args:?}");
            }
            assert_eq!(read(&run(&[])), None, "{name}");
        }
        assert_eq!(path(&run(&["-dir", "/a", "-dir", "/b"]).dir).as_deref(), Some("/b"), "the last one wins");
    }

    #[test]
    fn ops_1_1_what_has_no_effect_is_taken_and_said() {
        let said = run(&["-pprof", "-pprof-port=1", "-metrics.expensive"]).idle();
        assert_eq!(said.len(), 3);
        for flag in ["-pprof ", "-pprof-port ", "-metrics.expensive "] {
            assert!(said.iter().any(|text| text.contains(flag)), "{flag} in {said:?}");
        }
        assert!(run(&["-pprof=false", "-metrics"]).idle().is_empty());
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
            (&["-pprof-port", "x"], "pprof-port"),
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
                "c",
                "strict",
                "dir",
                "network-id",
                "fleet",
                "addr",
                "upnp",
                "discovery",
                "register",
                "mailserver",
                "nodekey-file",
                "ipc",
                "ipcfile",
                "log",
                "log-without-color",
                "metrics",
                "metrics.expensive",
                "metrics-port",
                "pprof",
                "pprof-port",
                "worker-threads",
                "version",
            ] {
                let words: Vec<&str> = text.split([' ', '[', '=', '\n']).collect();
                assert!(words.contains(&format!("--{flag}").as_str()), "{flag} in {text}");
            }
        }
    }
}

//! `config`: what a node's configuration comes to, and a first one to begin with.

use std::{env, ffi::OsString, fs, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::PathBuf};

use clap::{Arg, ArgAction, Args, CommandFactory as _, Subcommand, value_parser};
use node_config::{Environment, Flags, Loaded, Parsed, Setting, generate, load};
use serde::Serialize;

use super::{Failure, print};
use crate::files::read_text;

/// Most bytes of a config file, as statusd reads it.
const LONGEST: u64 = 1024 * 1024;

#[derive(Debug, Args)]
pub(super) struct ConfigArguments {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print every effective value and where it comes from, for statusd's flags; FILES stand behind -c. --json: as JSON.
    #[command(disable_help_flag = true)]
    Explain {
        /// Flags of statusd, with one dash or two, files, and --json.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FLAGS|FILES")]
        arguments: Vec<OsString>,
    },
    /// Write the config file of a mailserver from the environment names of the reference's scripts (DATA_PATH, LISTEN_PORT,
    /// RPC_HOST, RPC_PORT, API_MODULES, MAX_PEERS, FLEET_NAME, REGISTER_TOPIC, MAIL_PASSWORD, METRICS_PORT, LOG_LEVEL,
    /// PUBLIC_IP, CONFIG_PATH). A file that is there stays as it is.
    Generate {
        /// Print it instead.
        #[arg(long)]
        stdout: bool,
    },
}

pub(super) fn config(arguments: ConfigArguments) -> Result<(), Failure> {
    match arguments.command {
        ConfigCommand::Explain { arguments } => explain(arguments),
        ConfigCommand::Generate { stdout } => write_generated(stdout),
    }
}

#[derive(Serialize)]
struct Explained<'a> {
    settings: &'a [Setting],
    warnings: Vec<&'a str>,
}

fn explain(arguments: Vec<OsString>) -> Result<(), Failure> {
    let command = Flags::command()
        .name("statusctl config explain")
        .about("Prints every effective value of a node's configuration and where it comes from.")
        .after_help(
            "The flags are those of statusd; the environment counts as it does there. Secrets are not shown.",
        )
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print JSON"))
        .arg(
            Arg::new("files")
                .value_name("FILES")
                .num_args(0..)
                .value_parser(value_parser!(PathBuf))
                .help("Config files, after those of -c"),
        );
    let (mut flags, matches) = match Flags::parse_with(command, arguments) {
        Ok(Parsed::Run(parsed)) => parsed,
        Ok(Parsed::Help(text)) => return Ok(write!(std::io::stdout(), "{text}")?),
        Err(error) => return Err(Failure::Usage(error.to_string())),
    };
    flags.config_files.extend(matches.get_many::<PathBuf>("files").into_iter().flatten().cloned());
    let environment = Environment::collect(|name| env::var_os(name));
    let loaded = load(&flags, &environment, |path| read_text(path, LONGEST))
        .map_err(|error| Failure::Local(error.to_string()))?;
    if matches.get_flag("json") {
        let warnings = loaded.warnings.iter().map(|warning| warning.0.as_str()).collect();
        return print(&Explained { settings: &loaded.settings, warnings });
    }
    Ok(std::io::stdout().lock().write_all(table(&loaded).as_bytes())?)
}

/// A line for each setting, its origin first in a column of its own, then what is to be said.
fn table(loaded: &Loaded) -> String {
    let origins: Vec<String> = loaded.settings.iter().map(|setting| setting.origin.to_string()).collect();
    let width = origins.iter().map(|origin| origin.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (setting, origin) in loaded.settings.iter().zip(&origins) {
        text += &format!("{origin:width$}  {} = {}\n", setting.key, setting.value);
    }
    for warning in &loaded.warnings {
        text += &format!("warning: {warning}\n");
    }
    text
}

fn write_generated(to_stdout: bool) -> Result<(), Failure> {
    let made = generate(|name| env::var(name).ok()).map_err(|error| Failure::Usage(error.to_string()))?;
    let text = format!("{:#}\n", made.config);
    if to_stdout {
        return Ok(std::io::stdout().lock().write_all(text.as_bytes())?);
    }
    let path = PathBuf::from(&made.path);
    let failed = |error: std::io::Error| Failure::Local(format!("cannot write {}: {error}", made.path));
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    // It holds the password.
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Ok(mut file) => {
            file.write_all(text.as_bytes()).map_err(failed)?;
            println!("{}", made.path);
            Ok(())
        }
        // As the reference's script, so that it can be run again and again.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            eprintln!("statusctl: {} is there already and stays as it is", made.path);
            Ok(())
        }
        Err(error) => Err(failed(error)),
    }
}

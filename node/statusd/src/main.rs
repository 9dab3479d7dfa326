//! statusd: a Status node, Waku v1 relay and history server.
//!
//! The program around the node's crates: configuration, identity, wiring, RPC, metrics, health, live settings, stop.
//! Must never know a protocol's bytes or a store's keys. Facts: `spec/operations.md` §1–§3, §8; design §2.
//!
//! Startup, in the order of this file: arguments → config files → log → runtime → [`run::run`].

mod clock;
mod datadir;
mod exit;
mod files;
mod health;
mod history;
mod http;
mod identity;
mod live;
mod logging;
mod metrics;
mod node;
mod parts;
mod report;
mod rpc;
mod run;
mod sequence;
mod stop;
mod watch;
mod web;

use std::{env, path::PathBuf, process::ExitCode, thread::available_parallelism, time::Duration};

use node_config::{Environment, Flags, NodeConfig, Parsed, Secret, Warning};

use crate::exit::ExitError;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Event loop threads unless configured: more help only beyond what one node carries, and each costs memory.
const MAX_DEFAULT_WORKERS: usize = 4;
/// Threads for the archive's turns and name resolution.
const MAX_BLOCKING_THREADS: usize = 16;
/// What is still blocked after a clean stop is abandoned.
const RUNTIME_STOP: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    match launch() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("statusd: {error}");
            error.code()
        }
    }
}

fn launch() -> Result<(), ExitError> {
    let flags = match Flags::parse_args(env::args_os().skip(1))? {
        Parsed::Run(flags) => flags,
        Parsed::Help(text) => {
            print!("{text}");
            return Ok(());
        }
    };
    if flags.version {
        println!("{}", node::client_name());
        return Ok(());
    }
    let (config, warnings) = configure(&flags)?;
    logging::init(config.log_level, config.log_without_color);
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let workers = config
        .worker_threads
        .map_or_else(|| available_parallelism().map_or(1, usize::from).min(MAX_DEFAULT_WORKERS), usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .max_blocking_threads(MAX_BLOCKING_THREADS)
        .enable_all()
        .build()
        .map_err(|source| ExitError::System { what: "cannot start threads", source })?;
    let result = runtime.block_on(run::run(config));
    runtime.shutdown_timeout(RUNTIME_STOP);
    result
}

fn configure(flags: &Flags) -> Result<(NodeConfig, Vec<Warning>), ExitError> {
    let mut texts = Vec::with_capacity(flags.config_files.len());
    for path in &flags.config_files {
        let text = files::read_text(path, files::MAX_CONFIG_BYTES)
            .map_err(|source| ExitError::ConfigFile { path: path.clone(), source })?;
        texts.push((path.display().to_string(), text));
    }
    let environment = Environment {
        home: env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from),
        nodekey_file: env::var_os("STATUSD_NODEKEY_FILE").map(PathBuf::from),
        nodekey: env::var("STATUSD_NODEKEY").ok().map(Secret::new),
    };
    Ok(NodeConfig::assemble(flags, &texts, &environment)?)
}

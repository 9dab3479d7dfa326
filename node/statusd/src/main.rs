//! statusd: a Status node, Waku v1 relay and history server.
//!
//! The program around the node's crates: configuration, identity, wiring, RPC, metrics, health, live settings, stop.
//! Must never know a protocol's bytes or a store's keys. Facts: `spec/operations.md` §1–§3, §8; design §2.
//!
//! Startup, in the order of this file: arguments → configuration → log → runtime → [`run::run`]. With the first argument
//! `archive` it is another program: [`offline`].

mod clock;
mod datadir;
mod exit;
mod files;
mod health;
mod history;
mod http;
mod identity;
mod kernel_clock;
mod live;
mod logging;
mod metrics;
mod node;
mod ntp;
mod offline;
mod parts;
mod peer_finder;
mod reload;
mod report;
mod rpc;
mod run;
mod sequence;
mod source;
mod stop;
mod sync;
mod upnp;
mod watch;
mod web;

use std::{env, process::ExitCode, thread::available_parallelism, time::Duration};

use node_config::{Flags, Parsed};

use crate::{exit::ExitError, source::Source};

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
    let mut args = env::args_os().skip(1).peekable();
    if args.next_if(|first| first == "archive").is_some() {
        return offline::main(args);
    }
    let flags = match Flags::parse_args(args)? {
        Parsed::Run(flags) => flags,
        Parsed::Help(text) => {
            print!("{text}");
            return Ok(());
        }
    };
    if flags.version == Some(true) {
        println!("{}", node::client_name());
        return Ok(());
    }
    let source = Source::new(flags);
    let loaded = source.load()?;
    let level = logging::init(loaded.config.log_level, loaded.config.log_without_color);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let workers = loaded
        .config
        .worker_threads
        .map_or_else(|| available_parallelism().map_or(1, usize::from).min(MAX_DEFAULT_WORKERS), usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .max_blocking_threads(MAX_BLOCKING_THREADS)
        .enable_all()
        .build()
        .map_err(|source| ExitError::System { what: "cannot start threads", source })?;
    let result = runtime.block_on(run::run(loaded, source, level));
    runtime.shutdown_timeout(RUNTIME_STOP);
    result
}

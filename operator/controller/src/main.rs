//! `status-operator`: see the library.

use std::process::ExitCode;

use clap::Parser;
use status_operator::cli::{Args, LogFormat};
use tracing_subscriber::EnvFilter;

// Returns memory to the system; the chart sets `_RJEM_MALLOC_CONF`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let args = Args::parse();
    let filter = match EnvFilter::try_new(&args.log_level) {
        Ok(filter) => filter,
        Err(error) => {
            eprintln!("status-operator: --log-level {:?}: {error}", args.log_level);
            return ExitCode::from(2);
        }
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Json => {
            log.json().flatten_event(true).with_current_span(false).with_span_list(false).init()
        }
        LogFormat::Text => log.init(),
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(4)
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(status_operator::run::run(args));
            // Watches are not waited for.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            eprintln!("status-operator: cannot start threads: {error}");
            ExitCode::FAILURE
        }
    }
}

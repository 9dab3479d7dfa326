//! Log lines on standard error. Facts: `spec/operations.md` §4.7 (levels).

use std::io::IsTerminal as _;

use node_config::LogLevel;
use tracing_subscriber::{
    Registry, filter::LevelFilter, layer::SubscriberExt as _, reload, util::SubscriberInitExt as _,
};

/// Changes the level of the running log.
#[derive(Clone)]
pub(crate) struct Level(reload::Handle<LevelFilter, Registry>);

impl Level {
    /// Logs from `level` up from now on.
    pub(crate) fn set(&self, level: LogLevel) {
        // Fails only when the log is gone, which lives as long as the process.
        let _ = self.0.reload(filter(level));
    }
}

/// Starts logging; colours only on a terminal and unless forbidden.
pub(crate) fn init(level: LogLevel, without_color: bool) -> Level {
    let colored = !without_color && std::io::stderr().is_terminal();
    let (filter, handle) = reload::Layer::new(filter(level));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colored);
    tracing_subscriber::registry().with(filter).with(lines).init();
    Level(handle)
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

//! Log lines on standard error. Facts: `spec/operations.md` §4.7 (levels).

use std::io::IsTerminal as _;

use node_config::LogLevel;
use tracing_subscriber::filter::LevelFilter;

/// Starts logging; colours only on a terminal and unless forbidden.
pub(crate) fn init(level: LogLevel, without_color: bool) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let colored = !without_color && std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(colored).with_max_level(level).init();
}

//! The real binary, started on loopback with temporary directories.

mod history;
mod identity;
mod live;
mod metrics;
mod peers;
mod program;
mod rpc;
mod start;
mod stop;

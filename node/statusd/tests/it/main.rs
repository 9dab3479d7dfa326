//! The real binary, started on loopback with temporary directories.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod archive;
mod canary;
mod cross_check;
mod exchange;
mod families;
mod fleet;
mod history;
mod hostile;
mod identity;
mod live;
mod metrics;
mod peers;
mod postgres;
mod program;
mod reload;
mod rpc;
mod sockets;
mod start;
mod stop;
mod sync;
mod upnp;
mod waku;

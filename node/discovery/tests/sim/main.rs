//! Many cores in one simulated network: deterministic time, latency and loss from a seed, no sockets. And one core against
//! packets that are written and read here from the specification alone. Facts: `spec/devp2p.md` §6.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod finding;
mod floods;
mod network;
mod replay;
mod wire;

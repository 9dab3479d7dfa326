//! The archive on real servers. PostgreSQL's own programs must be installed (`scripts/deps.sh build`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod away;
mod conformance;
mod refusals;
mod replicas;
mod retention;
mod tls;

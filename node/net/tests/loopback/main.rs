//! Servers and clients on loopback: one file a subject, one function a claim.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod common;
mod dialing;
mod flow;
mod hostile;
mod limits;
mod sessions;

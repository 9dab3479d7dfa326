//! The mailserver through its front door: bytes of code 126 in, packets of codes 127 and 125 out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod metrics;
mod requests;
mod sessions;
mod support;
mod vectors;

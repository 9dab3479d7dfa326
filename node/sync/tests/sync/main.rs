//! Rounds of two and three archives, with good and bad peers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod budgets;
mod failures;
mod hostile;
mod rounds;
mod support;

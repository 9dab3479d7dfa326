//! What every end-to-end test stands on: a real cluster that is already up, the operator installed in it by Helm,
//! a namespace of its own per test, and the programs that a user would run.
//!
//! Owns: set-up, waiting, running programs, the dump after a failure. Must never: decide whether a claim holds (the
//! tests do), or wait for a time instead of a condition. A test that disturbs the operator takes the cluster for itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // test support: a failure here is a failed test

mod caller;
mod cluster;
mod env;
mod envelopes;
mod nodes;
mod outside;
mod process;
mod program;
mod wait;

pub use caller::Caller;
pub use cluster::{
    OPERATOR_NAMESPACE, helm, install_crds, install_operator, kubectl, kubectl_file, lb, object, operator_pod,
};
pub use env::{Access, Env, test};
pub use envelopes::{Envelopes, history, post, reachable};
pub use nodes::{Node, mailserver, relay};
pub use outside::{Client, Running, reached_enodes, shown_enodes};
pub use process::{Process, only_process};
pub use program::{Output, node_canary, run, status_peer, statusctl};
pub use wait::{eventually, within};

//! The other side of a Status node: connect, post, watch, ask for history, and judge by canary whether it serves.
//!
//! Owns one Waku session as a client ([`Client`]), the history requests it makes ([`history`]), the canary
//! ([`canary`]), the comparison of several servers' history ([`cross_check`]) and the status document ([`status`]). Must never serve: it answers no request, forwards and stores
//! nothing. Facts: `spec/waku-mailserver.md` §4, §5.6, §5.9, §7; `spec/operations.md` §5.1.
//!
//! The types that matter: [`Client`] is a session after the Waku handshake; [`history::Page`] is the answer to one
//! request; [`canary::Report`] is a verdict with an exit code.

pub mod canary;
mod client;
mod clock;
pub mod cross_check;
mod error;
pub mod history;
mod inbox;
mod post;
pub mod status;

pub use client::{Client, Options, Watch};
pub use error::{Error, ErrorClass};
pub use post::{Confirmation, seal};

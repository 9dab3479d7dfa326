//! What a fuzzer calls: one function a decoder, each with the promises that hold for every input.
//!
//! A decoder never panics and never allocates by a size that the input only claims; and what it accepts it can write
//! again so that reading it gives the same. The fuzzer (`fuzz/`, cargo-fuzz) drives these; the committed corpus is
//! replayed through them by an ordinary test.

// A broken promise is a panic: that is what a fuzzer looks for.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "the oracle of a fuzz target")]

mod config;
mod datagram;
mod identity;
mod rpc;
mod sync;
mod transport;
mod waku;

/// A target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Name of its corpus and of its program.
    pub name: &'static str,
    /// Feeds it one input.
    pub run: fn(&[u8]),
}

macro_rules! targets {
    ($($module:ident::$name:ident),* $(,)?) => {
        /// All targets.
        pub const TARGETS: &[Target] = &[$(Target { name: stringify!($name), run: $module::$name }),*];
        $(pub use $module::$name;)*
    };
}

targets!(
    transport::auth,
    transport::ack,
    transport::frame,
    transport::hello,
    transport::base_messages,
    waku::status,
    waku::status_update,
    waku::messages,
    waku::confirmations,
    waku::request,
    waku::completion,
    waku::envelope,
    waku::payload,
    identity::enode_url,
    identity::node_record,
    config::config_file,
    config::live_file,
    datagram::discovery,
    rpc::rpc_body,
    rpc::rpc_stream,
    sync::sync_message,
);

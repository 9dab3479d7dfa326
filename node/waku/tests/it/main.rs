//! A server with real devp2p sessions over loopback, and clients that say exactly what a test wants
//! (`spec/waku-mailserver.md` §4.14, §9.1 to §9.4).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod confirmations;
mod direct;
mod filters;
mod gossip;
mod handshake;
mod history;
mod light;
mod malformed;
mod nodes;
mod rates;
mod settings;
mod support;
mod versions;

//! The mailserver: serves history to peers that were offline.
//!
//! Owns reading and judging a request (code 126), limits, the walk through the archive, bundles (code 127) and the
//! completion (code 125). Must never touch a socket (packets go to a [`Deliver`]) or a store (rows come from a
//! [`archive::History`]). Facts: `spec/waku-mailserver.md` §5.6–§5.10 and §12; metrics §6.2.
//!
//! ```text
//! payload ─► Session (1 served, 8 queued) ─► open (decrypt, signature) ─► judge ─► limiter ─► share
//!         ─► History::page, one turn after the other ─► bundle ─► Deliver::p2p_messages … ─► Deliver::complete
//! ```
//!
//! The types that matter: [`Mailserver`], one a node; [`Session`], one a connected peer. Every request that can be read
//! is answered by exactly one completion, as long as its peer is there.

mod bundle;
mod cost;
mod deliver;
mod failure;
mod judge;
mod limiter;
mod metrics;
mod open;
mod serve;
mod session;
mod share;

pub use deliver::{Deliver, Undelivered};
pub use judge::MAX_LIMIT;
pub use metrics::Metrics;
pub use serve::{Clock, Config, EmptyPassword, Mailserver, Password};
pub use session::{QUEUE_LENGTH, Session};

//! The relay core: which peer gets which envelope.
//!
//! Owns the pool of unexpired envelopes, the index of what peers want, and what each peer still has to get. Never opens
//! a socket, never reads a clock (every call takes `now`, UNIX seconds of the adjusted clock), never blocks, never
//! starts a task. The owner puts a [`RelayCore`] behind a short mutex and calls it once per input packet.
//! Facts: `spec/waku-mailserver.md` §2.7 (admission), §2.8 (pool), §4.5 (what a peer wants).
//!
//! ```text
//! session ─► Admission::check (no lock) ─► RelayCore::ingest ─► peers to wake
//!                                          RelayCore::drain  ─► one messages packet for one peer
//! ```
//!
//! A peer costs constant memory however slow it is: one that wants everything is a cursor into the arrival-ordered
//! log; one that wants little has a small queue, and when that overflows it becomes a scan from a cursor. Each pooled
//! envelope knows who has it, so nothing is sent twice or back to its sender.

mod admission;
mod core;
mod holders;
mod index;
mod matrix;
mod peer;
mod pool;
mod seen;
mod types;

pub use admission::{Admission, Rejection};
pub use core::RelayCore;
pub use peer::{PeerSlot, SourceId};
pub use types::{Config, Drained, Expired, Outcome, Packet, Prepared, Stats, Verdict};

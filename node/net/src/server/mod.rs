//! The server: accepts, dials, keeps the peer set within its limits.
//!
//! One mutex guards [`state::State`], a pure structure that is told the time; it is never held across I/O. Tasks: one
//! accepts, one schedules dials, and each session has its two. Facts: `spec/devp2p.md` §3.

mod dialing;
mod handle;
mod inbound;
mod local;
mod manager;
mod peers;
mod pending;
mod schedule;
mod state;
mod throttle;

pub use handle::Handle;
pub use manager::{Dropped, Manager, PeerEvent, StartError};

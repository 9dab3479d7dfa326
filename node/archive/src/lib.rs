//! History: what a store of envelopes must do, and everything about it that is the same for every backend.
//!
//! Owns the [`History`] trait, its types, the rules of admission, quotas and retention (pure), the group-commit [`Writer`], an
//! in-memory model, and the conformance suite that every backend passes. Must never know a socket, a peer, a packet
//! or a database. Facts: `spec/waku-mailserver.md` §5.2–5.4 (keys, order, cursors), §5.11 (retention).
//!
//! ```text
//! relay ─► Writer (queue, groups of ≤ 5 ms) ─► History::append ─► durable ack
//! mailserver ─► History::page (one bounded turn a call) ─► rows in (sent, hash) order
//! replica sync ─► History::windows / ids / get
//! ```
//!
//! The two types that matter: [`Position`] (a row's place in the one order of all history) and [`Query`].

mod admission;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod history;
mod layer;
pub mod memory;
pub mod plan;
mod quota;
mod retention;
mod types;
mod writer;

pub use admission::{Admission, NotAdmitted};
pub use error::{ArchiveError, Class};
pub use history::{Appended, Budget, Evicted, History, NewRow, Page, Stats, TURN_BYTES};
pub use layer::Layer;
pub use quota::{OverQuota, Quota, Source};
pub use retention::{HOUR, Retention, floor_after};
pub use types::{
    Accumulator, EnvelopeId, Filter, Position, Query, ROW_OVERHEAD, Row, TimeRange, TopicSet, Window,
};
pub use writer::{Ack, Outcome, Refusal, Submission, Writer, WriterConfig, WriterObserver, WriterTask};

//! Replica sync, `wakusync/1`: two archives compare what they hold and give each other what is missing.
//!
//! Owns the messages, both sides of a round ([`initiate`] and [`respond`] over a [`Wire`], which carries packets and knows
//! nothing), and when there are rounds ([`ReplicaSync`], a [`devp2p::Protocol`]). Must never touch a socket, delete anything, take what was not asked for, or take what is below the
//! retention floor. Facts: design §2 "Replica sync"; the format and why: `docs/decisions/0011-replica-sync.md`.
//!
//! ```text
//! begin ─► range      the time that both keep, up to a minute ago
//! compare ─► differs  all of it, then days, then hours of days that differ, by salted fingerprints
//! open, more ─► cells inside an hour that differs: which ids one has and the other has not
//! want ─► envelopes   what this side misses
//! offer ─► stored     what the other side misses; it wants it, and gets envelopes
//! end ─► end
//! ```
//!
//! A round needs no memory of the one before: what was transferred before a connection broke is there, and no longer
//! differs.

mod accept;
mod claims;
mod compare;
mod error;
mod fetch;
mod initiate;
mod link;
mod manager;
mod message;
mod metrics;
mod progress;
mod quota;
mod reconcile;
mod respond;
mod serve;
mod session;
mod site;
mod sketch;
mod span;

pub use error::SyncError;
pub use initiate::initiate;
pub use link::{Gone, Wire};
pub use manager::{Config, OnRound, ReplicaSync};
pub use message::{CODES, Message};
pub use metrics::Metrics;
pub use progress::History as HistoryState;
pub use quota::{Quota, QuotaConfig};
pub use respond::respond;
pub use site::{Clock, Report, Site, SiteConfig};
pub use span::Span;

//! The Status operator: the only place of the operator that does I/O. What to do is decided by `statusnode_plan`.
//!
//! ```text
//!  watch ──► caches ─┐                              ┌─► apply ─► API server
//!  Secrets by name ──┼─► Observed ─► plan ─► Plan ──┼─► status
//!  probe ────────────┘        (statusnode_plan)     └─► events
//!     └──────────────► triggers ─► controller ─► reconcile
//! ```
//!
//! [`run`] wires it; [`controller`] runs it; [`reconcile`] is one round. [`lease`] says who may write. A restarted
//! operator reads everything again and writes nothing that is there already ([`drift`]).

pub mod api_calls;
pub mod apply;
pub mod caches;
pub mod cli;
pub mod controller;
pub mod drift;
pub mod error;
pub mod events;
pub mod lease;
pub mod memory;
pub mod metrics;
pub mod monitors;
pub mod probe;
pub mod reconcile;
pub mod run;
pub mod secrets;
pub mod server;
pub mod store;
pub mod triggers;
pub mod watch;

//! The operator's decisions, pure: [`Observed`] in, [`Plan`] out.
//!
//! No client, no clock, no randomness: time is [`Observed::now`], generated keys come from [`Entropy`]. The controller
//! reads, calls [`plan()`], and carries out what it says; nothing else decides. Facts: design §3;
//! `spec/operators.md` §3.3, §4.9.
//!
//! ```text
//! Observed ─► validate ─► identities, addresses ─► build ─► steps
//!                                              └─► conditions ─► status ─► events
//! ```

mod action;
pub mod hash;
pub mod names;
mod observed;

pub use action::{Deletion, Entropy, EventIntent, Object, ObjectKind, Plan, PodTouch, Step};
pub use names::Ordinal;
pub use observed::{
    CanaryFacts, Environment, Failure, NodeFacts, Objects, Observed, OperatorPods, RESYNC, SecretView,
    Stranger,
};

//! The plan, driven through a model of the cluster: what it wants, in which order, and that it comes to rest.
#![allow(missing_docs, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

mod addresses;
mod cluster;
mod conditions;
mod failures;
mod identity;
mod ownership;
mod retention;
mod robust;
mod rollout;
mod snapshots;
mod sync;
mod workload;

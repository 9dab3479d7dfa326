//! Every claim of the README on a real Kubernetes: one file a feature, one function a claim. Run by `make e2e`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failure here is a failed test

mod address;
mod canary;
mod columns;
mod confirmed;
mod healed;
mod helm;
mod identity;
mod policy;
mod published;
mod refused;
mod restarts;
mod sizes;
mod soak;

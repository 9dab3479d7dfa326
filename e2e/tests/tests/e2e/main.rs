//! Every claim of the README on a real Kubernetes: one file a feature, one function a claim. Run by `make e2e`.

mod address;
mod columns;
mod helm;
mod refused;
mod restarts;

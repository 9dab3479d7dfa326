//! Servers and clients on loopback: one file a subject, one function a claim.

mod common;
mod dialing;
mod flow;
mod hostile;
mod limits;
mod sessions;

//! The core against peers that are made of packets. Networks of many cores are in `tests/sim`.

mod finding;
mod peer;
mod proving;
mod refreshing;
mod topics;

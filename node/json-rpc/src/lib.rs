//! JSON-RPC 2.0 texts as the reference reads and writes them: bodies, calls, arguments, answers, and values one behind
//! the other in a stream.
//!
//! Pure, and it knows no method: everything that bytes of a caller pass before a method sees them is here, so that it
//! can be fuzzed. Facts: `spec/operations.md` §2.1.
//!
//! The order data takes: [`Splitter`] (streams only) → [`Body::parse`] → [`Call::parse`] → [`Args::read`] → a method →
//! [`result`] or [`error`].

mod answer;
mod args;
mod body;
mod split;

pub use answer::{crashed, error, failure, fault, invalid, parse_error, result};
pub use args::{Args, Kind, Param};
pub use body::{Body, Call, MAX_BATCH};
pub use jsonrpsee_types::ErrorObjectOwned;
pub use split::{Received, Splitter};

#[cfg(test)]
mod properties;

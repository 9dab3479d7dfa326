//! Where answers go.

use std::future::Future;

use bytes::Bytes;

/// A packet could not be queued: the peer is gone or does not read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the peer is gone or does not read")]
pub struct Undelivered;

/// Sends packets to the peer whose request is served, in the order of the calls. Each future resolves when its packet is
/// queued on the history lane, which is bounded: that is what slows serving down to the peer's pace.
pub trait Deliver: Send + Sync + 'static {
    /// Sends a code 127 packet: a list of envelopes.
    fn p2p_messages(&self, payload: Bytes) -> impl Future<Output = Result<(), Undelivered>> + Send;

    /// Sends a code 125 packet: the completion, as one RLP string.
    fn complete(&self, payload: Bytes) -> impl Future<Output = Result<(), Undelivered>> + Send;
}

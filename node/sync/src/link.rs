//! One session's packets as messages, each awaited for a bounded time.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use tokio::time::timeout;

use crate::{SyncError, message::Message};

/// The session is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gone;

/// Carries packets of one session in order. Bounded: sending waits while the peer does not read.
pub trait Wire: Send {
    /// Queues a packet.
    fn send(&mut self, code: u64, payload: Bytes) -> impl Future<Output = Result<(), Gone>> + Send;

    /// The next packet. Dropping the future loses none.
    fn recv(&mut self) -> impl Future<Output = Result<(u64, Bytes), Gone>> + Send;
}

/// Messages over a wire.
pub(crate) struct Link<'a, W> {
    wire: &'a mut W,
    patience: Duration,
}

impl<'a, W: Wire> Link<'a, W> {
    pub(crate) fn new(wire: &'a mut W, patience: Duration) -> Self {
        Self { wire, patience }
    }

    pub(crate) async fn send(&mut self, message: &Message) -> Result<(), SyncError> {
        let (code, payload) = message.encode();
        match timeout(self.patience, self.wire.send(code, payload)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Gone)) => Err(SyncError::Gone),
            Err(_) => Err(SyncError::Stalled("sending")),
        }
    }

    /// What the peer owes.
    pub(crate) async fn recv(&mut self, owed: &'static str) -> Result<Message, SyncError> {
        match timeout(self.patience, self.wire.recv()).await {
            Ok(packet) => decode(packet),
            Err(_) => Err(SyncError::Stalled(owed)),
        }
    }

    /// The next message, however long it takes: between two rounds nobody owes any.
    pub(crate) async fn recv_idle(&mut self) -> Result<Message, SyncError> {
        decode(self.wire.recv().await)
    }
}

fn decode(packet: Result<(u64, Bytes), Gone>) -> Result<Message, SyncError> {
    let (code, payload) = packet.map_err(|Gone| SyncError::Gone)?;
    Message::decode(code, &payload)
}

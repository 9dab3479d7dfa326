//! Posting envelopes and waiting for their confirmation. Facts: `spec/waku-mailserver.md` §2.5, §4.6, §4.7.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use devp2p::Lane;
use tokio::{sync::oneshot, time::timeout};
use waku_wire::{Envelope, EnvelopeError, WireEnvelope, codes, messages, seal::SealError};

use crate::{
    Client, Error,
    inbox::{Batch, Inbox},
};

/// Seals on a thread of its own; gives up after `work_time`.
///
/// # Errors
/// [`SealError`].
pub async fn seal(envelope: Envelope, pow: f64, work_time: Duration) -> Result<WireEnvelope, SealError> {
    let work = move || {
        let start = Instant::now();
        waku_wire::seal::seal(envelope, pow, || start.elapsed() < work_time)
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(sealed) => sealed,
        // The pool never cancels a closure that runs, so this is its panic, which goes on here.
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(SealError::OutOfTime { target: pow, best: 0.0, tried: 0 }),
        },
    }
}

impl Client {
    /// Sends `envelopes` in one packet. Done when the packet is queued; the [`Confirmation`] tells what became of it.
    ///
    /// # Errors
    /// [`Error::Lost`], [`Error::Send`] when the packet is over 16 MiB.
    pub async fn post(&self, envelopes: &[WireEnvelope]) -> Result<Confirmation, Error> {
        let payload = messages::encode(envelopes.iter().map(|envelope| envelope.raw().as_ref()));
        let batch = messages::batch_hash(&payload);
        let confirmation = Confirmation {
            batch,
            receiver: self.settings().confirmations.then(|| self.inbox().expect_confirmation(batch)),
            inbox: Arc::clone(self.inbox()),
        };
        self.send(Lane::Live, codes::MESSAGES, payload).await?;
        Ok(confirmation)
    }
}

/// The outcome of [`Client::post`] that is to come.
#[derive(Debug)]
pub struct Confirmation {
    batch: Batch,
    receiver: Option<oneshot::Receiver<Vec<EnvelopeError>>>,
    inbox: Arc<Inbox>,
}

impl Confirmation {
    /// Whether the node announced that it confirms.
    #[must_use]
    pub fn is_expected(&self) -> bool {
        self.receiver.is_some()
    }

    /// Keccak-256 of the packet's payload, by which the node names it.
    #[must_use]
    pub fn batch(&self) -> [u8; 32] {
        self.batch
    }

    /// Waits until the node says that it took the packet.
    ///
    /// # Errors
    /// [`Error::Rejected`] when it refused envelopes of it; [`Error::NoConfirmations`] when it announced none;
    /// [`Error::Timeout`]; [`Error::Lost`].
    pub async fn wait(mut self, patience: Duration) -> Result<(), Error> {
        let Some(receiver) = self.receiver.take() else { return Err(Error::NoConfirmations) };
        match timeout(patience, receiver).await {
            Err(_) => Err(Error::Timeout("the confirmation")),
            Ok(Err(_)) => Err(self.inbox.lost()),
            Ok(Ok(errors)) if errors.is_empty() => Ok(()),
            Ok(Ok(errors)) => Err(Error::Rejected(errors)),
        }
    }
}

impl Drop for Confirmation {
    fn drop(&mut self) {
        self.inbox.forget_confirmation(&self.batch);
    }
}

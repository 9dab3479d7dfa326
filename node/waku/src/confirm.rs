//! Confirmations of messages packets (`spec/waku-mailserver.md` §4.7): a message response (12), then a batch
//! acknowledgement (11).
//!
//! A confirmation without an error record for an envelope is a promise: with an archive it is only given once the
//! envelope is durable. A confirmation that cannot be given in full is not given at all.

use std::sync::Arc;

use archive::{Ack, Outcome};
use bytes::Bytes;
use devp2p::{Lane, PeerSender, SendError};
use waku_wire::{EnvelopeError, EnvelopeHash, MessageResponse, OTHER_ERROR, codes, encode_batch_ack};

use crate::shared::SharedRelay;

/// Bytes of error records of one batch beyond which it is not confirmed: well below every peer's packet limit.
const MAX_RECORD_BYTES: usize = 512 << 10;
/// What an error record takes beyond its text.
const RECORD_OVERHEAD: usize = 64;

/// Error records of one batch, bounded.
#[derive(Debug, Default)]
pub(crate) struct Records {
    errors: Vec<EnvelopeError>,
    bytes: usize,
}

impl Records {
    /// Adds a record, unless there are too many already.
    pub(crate) fn push(&mut self, hash: EnvelopeHash, code: u32, text: impl FnOnce() -> String) {
        if self.is_full() {
            return;
        }
        let description = text();
        self.bytes += description.len() + RECORD_OVERHEAD;
        self.errors.push(EnvelopeError { hash, code, description });
    }

    /// Whether some were left out.
    fn is_full(&self) -> bool {
        self.bytes > MAX_RECORD_BYTES
    }
}

/// A confirmation in the making.
#[derive(Debug)]
pub(crate) struct Confirmation {
    batch: [u8; 32],
    records: Records,
}

impl Confirmation {
    pub(crate) fn new(batch: [u8; 32], records: Records) -> Self {
        Self { batch, records }
    }

    /// Bytes that it holds while it waits.
    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>() + self.records.bytes
    }

    /// Waits for the archive, then confirms.
    ///
    /// # Errors
    /// The session has ended.
    pub(crate) async fn give_when_archived(
        mut self,
        relay: Arc<SharedRelay>,
        submitted: Vec<EnvelopeHash>,
        ack: Ack,
        sender: PeerSender,
    ) -> Result<(), SendError> {
        let outcomes = ack.await;
        let archived = submitted.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_archived());
        relay.set_archived(archived.map(|(hash, _)| hash));
        for (hash, outcome) in submitted.into_iter().zip(outcomes) {
            if let Outcome::Refused(refusal) = outcome {
                self.records.push(hash, OTHER_ERROR, || format!("not archived: {refusal}"));
            }
        }
        self.give(sender).await
    }

    /// Confirms.
    ///
    /// # Errors
    /// The session has ended.
    pub(crate) async fn give(self, sender: PeerSender) -> Result<(), SendError> {
        if self.records.is_full() {
            tracing::debug!("too many errors in one batch: not confirmed");
            return Ok(());
        }
        let ack = encode_batch_ack(&self.batch);
        let response = MessageResponse { batch: self.batch, errors: self.records.errors };
        sender.send(Lane::Control, codes::MESSAGE_RESPONSE, Bytes::from(response.encode())).await?;
        sender.send(Lane::Control, codes::BATCH_ACK, Bytes::from(ack)).await
    }
}

//! Confirmations of messages packets (`spec/waku-mailserver.md` §4.7): a message response (12), then a batch
//! acknowledgement (11).
//!
//! A confirmation without an error record for an envelope is a promise: with an archive it is only given once the
//! envelope is durable. A confirmation that cannot be given in full is not given at all.

use std::{future::Future, sync::Arc};

use archive::{Ack, Outcome};
use bytes::Bytes;
use devp2p::{Lane, PeerSender, SendError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use waku_wire::{EnvelopeError, EnvelopeHash, MessageResponse, OTHER_ERROR, codes, encode_batch_ack};

use crate::shared::SharedRelay;

/// Bytes of error records of one batch beyond which it is not confirmed: well below every peer's packet limit.
const MAX_RECORD_BYTES: usize = 512 << 10;
/// What an error record takes beyond its text.
const RECORD_OVERHEAD: usize = 64;
/// Confirmations of one session that may wait for the archive or the socket; what comes beyond is not confirmed.
const MAX_WAITING: usize = 1024;
/// Bytes of the same.
const MAX_WAITING_BYTES: usize = 1 << 20;
/// Bytes of the same of all sessions together.
pub(crate) const MAX_WAITING_BYTES_OF_ALL: usize = 16 << 20;

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

/// What there is to say about a batch, but for what the archive says.
#[derive(Debug)]
pub(crate) struct Confirmation {
    batch: [u8; 32],
    records: Records,
}

impl Confirmation {
    pub(crate) fn new(batch: [u8; 32], records: Records) -> Self {
        Self { batch, records }
    }
}

/// Envelopes of a batch that were submitted to the archive, and what will come of them.
pub(crate) struct Submitted {
    pub(crate) hashes: Vec<EnvelopeHash>,
    pub(crate) ack: Ack,
}

struct Job {
    confirmation: Confirmation,
    submitted: Option<Submitted>,
    _room: [OwnedSemaphorePermit; 2],
}

/// Takes a session's confirmations; its future gives them, one after the other in the order of the batches.
pub(crate) struct Confirmer {
    /// Boxed: a channel is made with room for 32, in every session.
    jobs: mpsc::Sender<Box<Job>>,
    /// The session's, and that of all.
    room: [Arc<Semaphore>; 2],
}

impl Confirmer {
    /// `room` has [`MAX_WAITING_BYTES_OF_ALL`] permits for all sessions. The future never ends before the session does.
    pub(crate) fn new(
        relay: Arc<SharedRelay>,
        room: Arc<Semaphore>,
        sender: PeerSender,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (jobs, mut waiting) = mpsc::channel::<Box<Job>>(MAX_WAITING);
        let run = async move {
            while let Some(job) = waiting.recv().await {
                // An error means that the session has ended, which its reader finds out too.
                let _ = give(&relay, &sender, *job).await;
            }
        };
        (Self { jobs, room: [Arc::new(Semaphore::new(MAX_WAITING_BYTES)), room] }, run)
    }

    /// Never waits: reading goes on however slowly the peer takes its confirmations.
    pub(crate) fn push(&self, confirmation: Confirmation, submitted: Option<Submitted>) {
        let hashes =
            submitted.as_ref().map_or(0, |submitted| submitted.hashes.len() * size_of::<EnvelopeHash>());
        let weight = u32::try_from(confirmation.records.bytes + hashes).unwrap_or(u32::MAX);
        let take = |room: &Arc<Semaphore>| Arc::clone(room).try_acquire_many_owned(weight).ok();
        let [own, of_all] = &self.room;
        let queued = take(own).zip(take(of_all)).is_some_and(|(own, of_all)| {
            self.jobs.try_send(Box::new(Job { confirmation, submitted, _room: [own, of_all] })).is_ok()
        });
        if !queued {
            tracing::debug!("too many confirmations wait: batch not confirmed");
        }
    }
}

/// Waits for the archive, then confirms.
async fn give(relay: &SharedRelay, sender: &PeerSender, job: Job) -> Result<(), SendError> {
    let Confirmation { batch, mut records } = job.confirmation;
    if let Some(Submitted { hashes, ack }) = job.submitted {
        let outcomes = ack.await;
        let archived = hashes.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_archived());
        relay.set_archived(archived.map(|(hash, _)| hash));
        for (hash, outcome) in hashes.into_iter().zip(outcomes) {
            if let Outcome::Refused(refusal) = outcome {
                records.push(hash, OTHER_ERROR, || format!("not archived: {refusal}"));
            }
        }
    }
    if records.is_full() {
        tracing::debug!("too many errors in one batch: not confirmed");
        return Ok(());
    }
    let response = MessageResponse { batch, errors: records.errors };
    sender.send(Lane::Control, codes::MESSAGE_RESPONSE, Bytes::from(response.encode())).await?;
    sender.send(Lane::Control, codes::BATCH_ACK, Bytes::from(encode_batch_ack(&batch))).await
}

//! Envelopes of this node itself: relayed and archived as a peer's are (`spec/waku-mailserver.md` §2.7, §5.2).

use std::time::Instant;

use archive::{Outcome, Refusal, Submission};
use relay::{Admission, Prepared, Rejection, Verdict};
use waku_wire::{PeerInterest, WireEnvelope};

use crate::Node;

/// Why an envelope of this node was not taken.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum PostError {
    /// It is not relayed either.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// It is on its way to peers all the same.
    #[error("not archived: {0}")]
    NotArchived(#[from] Refusal),
}

impl Node {
    /// Relays an envelope, whatever this node itself is interested in; with an archive, returns when it is durable.
    pub(crate) async fn post(&self, envelope: WireEnvelope) -> Result<(), PostError> {
        self.metrics.received.inc();
        let everything = Admission {
            interest: PeerInterest::Full,
            tolerated: None,
            ..Admission::clone(&self.local.admission(Instant::now()))
        };
        let now = self.relay.now();
        let checked = everything.check(now, &envelope, self.relay.highest_requirement());
        let pow = checked.inspect_err(|rejection| self.metrics.cache_failure(rejection))?;
        match self.relay.ingest_own(&Prepared { envelope: envelope.clone(), pow }) {
            Some(Verdict::New) => {
                self.metrics.observe_size(envelope.size());
                self.metrics.count_cached("miss", 1);
                self.filters.offer(&envelope, pow, false);
            }
            Some(Verdict::Rejected(rejection)) => {
                self.metrics.cache_failure(&rejection);
                return Err(rejection.into());
            }
            Some(Verdict::Duplicate { .. }) | None => self.metrics.count_cached("hit", 1),
        }
        let Some(archive) = &self.archive else { return Ok(()) };
        let hash = envelope.hash();
        let submission = Submission { envelope, known_new: false, source: None };
        for outcome in archive.submit(now, vec![submission]).await.await {
            match outcome {
                Outcome::Refused(refusal) => return Err(refusal.into()),
                Outcome::Stored | Outcome::Duplicate => self.relay.set_archived([&hash]),
            }
        }
        Ok(())
    }
}

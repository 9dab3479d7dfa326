//! Asking for envelopes that the peer has, checking them, storing them. The same on both sides of a round.

use std::collections::{HashSet, VecDeque};

use archive::{Appended, EnvelopeId, NewRow};
use waku_wire::WireEnvelope;

use crate::{
    Quota, Report, Site, Span, SyncError,
    accept::accept,
    link::{Link, Wire},
    message::{MAX_WANT, Message},
};

/// Wants that wait for their answers. Answers are one packet each, and a session queues four for its sub-protocol: so
/// gossip behind them never waits for the archive.
const IN_FLIGHT: usize = 4;

/// This side of a round that is on.
pub(crate) struct Party<'a, W> {
    pub(crate) link: Link<'a, W>,
    pub(crate) site: &'a Site,
    pub(crate) quota: &'a Quota,
    pub(crate) report: &'a mut Report,
}

impl<W: Wire> Party<'_, W> {
    /// Stores what the peer has of `ids` in `span`; whether all of it is here or refused now.
    ///
    /// # Errors
    /// [`SyncError`]. What came before is stored.
    pub(crate) async fn fetch(&mut self, span: &Span, ids: Vec<EnvelopeId>) -> Result<bool, SyncError> {
        let wanted = ids.len();
        let claim = self.site.claims.claim(ids);
        let missing = self.report.missing;
        let mut queue: VecDeque<EnvelopeId> = claim.ids.iter().copied().collect();
        if self.site.rounds() > 1 && !queue.is_empty() {
            // What another session fetched since the ids were listed.
            let listed = span.list(&*self.site.history, usize::MAX).await?;
            let here: HashSet<EnvelopeId> = listed.into_iter().map(|position| position.id).collect();
            queue.retain(|id| !here.contains(id));
        }
        let mut in_flight: VecDeque<Vec<EnvelopeId>> = VecDeque::with_capacity(IN_FLIGHT);
        while !queue.is_empty() || !in_flight.is_empty() {
            while in_flight.len() < IN_FLIGHT && !queue.is_empty() {
                let batch: Vec<EnvelopeId> = queue.drain(..MAX_WANT.min(queue.len())).collect();
                self.link.send(&Message::Want(batch.clone())).await?;
                in_flight.push_back(batch);
            }
            let (covered, envelopes) = match self.link.recv("envelopes").await? {
                Message::Envelopes { covered, envelopes } => (usize::from(covered), envelopes),
                Message::Failed => return Err(SyncError::PeerFailed),
                Message::End { complete: false } => return Err(SyncError::PeerEnded),
                _ => return Err(SyncError::Breach("another message than the envelopes that are owed")),
            };
            let asked = in_flight.pop_front().unwrap_or_default();
            if covered == 0 || covered > asked.len() {
                return Err(SyncError::Breach("an answer to nothing, or to more than was wanted"));
            }
            let (asked, rest) = asked.split_at(covered);
            for id in rest.iter().rev() {
                queue.push_front(*id);
            }
            self.report.missing += (covered - envelopes.len()) as u64;
            let (taken, refused) = accept(&self.site.config, span, asked, envelopes)?;
            self.report.refused += refused;
            self.store(taken).await?;
        }
        Ok(claim.ids.len() == wanted && self.report.missing == missing)
    }

    async fn store(&mut self, envelopes: Vec<WireEnvelope>) -> Result<(), SyncError> {
        let sizes: Vec<usize> = envelopes.iter().map(WireEnvelope::size).collect();
        let bytes = envelopes.iter().map(|envelope| envelope.raw().len() as u64).sum();
        if envelopes.is_empty() {
            return Ok(());
        }
        if !self.quota.take(self.site.now(), bytes) {
            return Err(SyncError::OverQuota);
        }
        self.report.bytes += bytes;
        // They may come by gossip meanwhile.
        let rows = envelopes.into_iter().map(|envelope| NewRow { envelope, known_new: false }).collect();
        let appended = match self.site.history.append(rows).await {
            Ok(appended) => appended,
            Err(error) => {
                self.site.observer.failed(sizes.len());
                return Err(error.into());
            }
        };
        for (outcome, size) in appended.into_iter().zip(sizes) {
            match outcome {
                Appended::Stored => {
                    self.site.observer.stored(size);
                    self.report.stored += 1;
                }
                Appended::Duplicate => self.report.duplicates += 1,
                Appended::BelowFloor => self.report.refused += 1,
            }
        }
        Ok(())
    }
}

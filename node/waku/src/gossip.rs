//! One messages packet: decode, judge, relay; what is left to archive and to confirm
//! (`spec/waku-mailserver.md` §2.7, §4.6).

use archive::Submission;
use bytes::Bytes;
use relay::{Admission, Prepared, Rejection, Verdict};
use waku_wire::{EnvelopeHash, messages};

use crate::{
    confirm::{Confirmation, Records},
    filters::Filters,
    metrics::{Metrics, RejectedPacket},
    shared::{Membership, SharedRelay},
    skew::Times,
};

/// What relaying a packet leaves to be done.
pub(crate) struct Taken {
    /// For the archive.
    pub(crate) submissions: Vec<Submission>,
    /// What to confirm, when this node confirms.
    pub(crate) confirmation: Option<Confirmation>,
    /// The times its envelopes were from.
    pub(crate) times: Times,
}

/// What [`take_in`] needs of the node.
pub(crate) struct Gossip<'a> {
    pub(crate) relay: &'a SharedRelay,
    pub(crate) admission: &'a Admission,
    pub(crate) metrics: &'a Metrics,
    pub(crate) confirmations: bool,
    pub(crate) archiving: bool,
    pub(crate) filters: &'a Filters,
    /// Nothing is forwarded.
    pub(crate) light: bool,
    /// Whose quota of the archive pays.
    pub(crate) source: Option<archive::Source>,
}

impl Gossip<'_> {
    /// Takes in a packet of `member`. `None` when it cannot be decoded: then nothing of it counts.
    pub(crate) fn take_in(&self, member: &Membership, payload: &Bytes) -> Option<Taken> {
        let Ok(envelopes) = messages::decode(payload) else {
            self.metrics.packet_rejected(RejectedPacket::InvalidData);
            return None;
        };
        self.metrics.received.inc_by(envelopes.len() as u64);
        let (now, highest) = (self.relay.now(), self.relay.highest_requirement());
        let mut times = Times { envelopes: envelopes.len(), ..Times::default() };
        let mut records = Records::default();
        let mut prepared = Vec::with_capacity(envelopes.len());
        for envelope in envelopes {
            match self.admission.check(now, &envelope, highest) {
                Ok(pow) => prepared.push(Prepared { envelope, pow }),
                Err(rejection) => {
                    times.refused(&rejection);
                    self.reject(&mut records, envelope.hash(), &rejection);
                }
            }
        }
        let verdicts = if self.light { member.remember(&prepared) } else { member.ingest(&prepared) };
        let mut submissions = Vec::new();
        let (mut hits, mut misses) = (0, 0);
        for (Prepared { envelope, pow }, verdict) in prepared.into_iter().zip(verdicts) {
            let submit = match verdict {
                Verdict::New => {
                    misses += 1;
                    self.metrics.observe_size(envelope.size());
                    self.filters.offer(&envelope, pow, false);
                    self.archiving
                }
                Verdict::Duplicate { archived } => {
                    hits += 1;
                    // Its sender is told when the first one is durable.
                    self.archiving && self.confirmations && !archived
                }
                Verdict::Rejected(rejection) => {
                    self.reject(&mut records, envelope.hash(), &rejection);
                    false
                }
            };
            if submit {
                submissions.push(Submission { envelope, known_new: false, source: self.source });
            }
        }
        let kept: usize = submissions.iter().map(|submission| submission.envelope.raw().len()).sum();
        if 2 * kept < payload.len() {
            // A few envelopes do not keep a large packet in memory while they wait for the archive.
            for submission in &mut submissions {
                submission.envelope = submission.envelope.detach();
            }
        }
        self.metrics.validated.inc_by(times.envelopes as u64);
        self.metrics.count_cached("hit", hits);
        self.metrics.count_cached("miss", misses);
        let confirmation =
            self.confirmations.then(|| Confirmation::new(messages::batch_hash(payload), records));
        Some(Taken { submissions, confirmation, times })
    }

    /// Discards a packet of a blacklisted peer, which is to notice nothing (§2.7).
    pub(crate) fn discard(&self, payload: &Bytes) -> Option<Taken> {
        if messages::decode(payload).is_err() {
            self.metrics.packet_rejected(RejectedPacket::InvalidData);
            return None;
        }
        let confirm = || Confirmation::new(messages::batch_hash(payload), Records::default());
        let confirmation = self.confirmations.then(confirm);
        Some(Taken { submissions: Vec::new(), confirmation, times: Times::default() })
    }

    fn reject(&self, records: &mut Records, hash: EnvelopeHash, rejection: &Rejection) {
        self.metrics.cache_failure(rejection);
        if self.confirmations
            && let Some(code) = rejection.error_code()
        {
            records.push(hash, code, || rejection.to_string());
        }
    }
}

//! Which of the envelopes that come are stored. Pure.
//!
//! Their hash is the one that was asked for, so nothing else can come in; their time lies in what is compared, which lies
//! above the retention floor and below now.

use archive::{EnvelopeId, Position};
use waku_wire::{WireEnvelope, pow::Pow};

use crate::{Span, SyncError, site::SiteConfig};

/// Sorts out what answers `asked`, whose envelopes may come in this order: those to store, and how many are refused for
/// their size or proof of work.
///
/// # Errors
/// One was not asked for, or lies outside `span`.
pub(crate) fn accept(
    config: &SiteConfig,
    span: &Span,
    asked: &[EnvelopeId],
    envelopes: Vec<WireEnvelope>,
) -> Result<(Vec<WireEnvelope>, u64), SyncError> {
    let mut open = asked.iter();
    let mut refused = 0;
    let mut taken = Vec::with_capacity(envelopes.len());
    for envelope in envelopes {
        let position = Position::of(envelope.sent(), &envelope.hash());
        // Each id once, and in order: what was passed over is not there.
        if !open.any(|id| *id == position.id) {
            return Err(SyncError::Breach("an envelope that was not asked for"));
        }
        if !span.contains(&position) {
            return Err(SyncError::Breach("an envelope of another time than compared"));
        }
        if envelope.size() <= config.max_message_size && has_work(config, &envelope) {
            taken.push(envelope);
        } else {
            refused += 1;
        }
    }
    Ok((taken, refused))
}

fn has_work(config: &SiteConfig, envelope: &WireEnvelope) -> bool {
    config.min_pow <= 0.0 || Pow::settle(envelope, 0, config.min_pow).reaches(config.min_pow) == Some(true)
}

#[cfg(test)]
mod tests {
    use archive::conformance::{DAY_START, envelope};

    use super::*;

    #[test]
    fn only_what_was_asked_for_in_its_order_and_time() {
        let all: Vec<WireEnvelope> = (0..4).map(|at| envelope(DAY_START + at, [1; 4], 0, 40)).collect();
        let ids: Vec<EnvelopeId> = all.iter().map(|envelope| EnvelopeId::of(&envelope.hash())).collect();
        let config = SiteConfig { min_pow: 0.0, ..SiteConfig::default() };
        let span = Span::seconds(DAY_START, DAY_START + 2);
        let check = |asked: &[EnvelopeId], envelopes: Vec<WireEnvelope>| {
            accept(&config, &span, asked, envelopes).map(|(taken, refused)| (taken.len(), refused)).ok()
        };
        assert_eq!(check(&ids[..3], all[..3].to_vec()), Some((3, 0)));
        assert_eq!(check(&ids[..3], vec![all[2].clone()]), Some((1, 0)), "some are not there");
        assert_eq!(check(&ids[..2], vec![all[2].clone()]), None, "not asked for");
        assert_eq!(check(&ids[..1], vec![all[0].clone(); 2]), None, "twice");
        assert_eq!(check(&ids, vec![all[3].clone()]), None, "outside the span");
    }

    #[test]
    fn size_and_proof_of_work_are_checked() {
        let one = envelope(DAY_START, [1; 4], 0, 400);
        let ids = [EnvelopeId::of(&one.hash())];
        let span = Span::seconds(DAY_START, DAY_START);
        let count = |min_pow, max_message_size| {
            let config = SiteConfig { min_pow, max_message_size, ..SiteConfig::default() };
            accept(&config, &span, &ids, vec![one.clone()])
                .map(|(taken, refused)| (taken.len(), refused))
                .unwrap()
        };
        let pow = Pow::exact(&one, 0).value();
        assert_eq!(count(pow, one.size()), (1, 0));
        assert_eq!(count(pow * 2.0, one.size()), (0, 1));
        assert_eq!(count(pow, one.size() - 1), (0, 1));
    }
}

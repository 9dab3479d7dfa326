//! Which envelopes are being fetched, so that two sessions do not fetch the same one.

use std::{collections::HashSet, sync::Arc};

use archive::EnvelopeId;
use parking_lot::Mutex;

/// The ids that all sessions of a node are fetching now. Bounded by what a session may want at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims(Arc<Mutex<HashSet<EnvelopeId>>>);

/// Ids that one session fetches; free again when dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    claims: Claims,
    pub(crate) ids: Vec<EnvelopeId>,
}

impl Claims {
    /// Those of `ids` that nobody else fetches.
    pub(crate) fn claim(&self, ids: Vec<EnvelopeId>) -> Claim {
        let mut claimed = self.0.lock();
        let ids = ids.into_iter().filter(|id| claimed.insert(*id)).collect();
        Claim { claims: self.clone(), ids }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claimed = self.claims.0.lock();
        for id in &self.ids {
            claimed.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_fetched_by_one_and_free_after_it() {
        let (claims, ids) = (Claims::default(), vec![EnvelopeId([1; 16]), EnvelopeId([2; 16])]);
        let first = claims.claim(ids.clone());
        assert_eq!(first.ids, ids);
        assert!(claims.claim(ids.clone()).ids.is_empty());
        drop(first);
        assert_eq!(claims.claim(ids.clone()).ids, ids);
    }
}

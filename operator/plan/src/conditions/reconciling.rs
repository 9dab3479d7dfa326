//! Reconciling: the operator is still working towards the spec. Absent otherwise, and while Stalled.

use statusnode_api::condition::Verdict;

use super::Outcome;

pub(super) fn reconciling(ready: &Outcome, stalled: Option<&Outcome>) -> Option<Outcome> {
    (stalled.is_none() && ready.verdict == Verdict::False).then(|| ready.turned(Verdict::True))
}

//! Paused: nothing is changed. The other verdicts stay as they were.

use statusnode_api::condition::{ConditionType, Reason, Verdict};

use super::Outcome;

/// What is said of a paused resource beside its last verdicts; `never_ready` when it has none yet.
pub(crate) fn paused(never_ready: bool) -> Vec<(ConditionType, Outcome)> {
    let outcome = |verdict| Outcome::new(verdict, Reason::Paused, "spec.paused is true: nothing is changed");
    let mut outcomes = vec![(ConditionType::Paused, outcome(Verdict::True))];
    if never_ready {
        outcomes.insert(0, (ConditionType::Ready, outcome(Verdict::Unknown)));
    }
    outcomes
}

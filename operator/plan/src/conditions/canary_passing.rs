//! CanaryPassing: the last canary passed against each node.

use statusnode_api::condition::{ConditionType, Reason, Verdict};

use super::{Outcome, ordinals, standing};
use crate::world::{Replica, World};

pub(super) fn canary_passing(world: &World<'_>) -> Outcome {
    if !world.runs_pods() {
        return Outcome::new(Verdict::Unknown, Reason::CanaryPending, "there are no pods");
    }
    if world.replicas.iter().any(Replica::is_unheard)
        && let Some(before) = standing(world, ConditionType::CanaryPassing)
    {
        return before;
    }
    let failed: Vec<String> = world
        .replicas
        .iter()
        .filter_map(|replica| Some((replica.ordinal, replica.canary.filter(|canary| !canary.passing)?)))
        .map(|(ordinal, canary)| format!("ordinal {ordinal}: {}", canary.message))
        .collect();
    if !failed.is_empty() {
        return Outcome::new(Verdict::False, Reason::CanaryFailed, failed.join("; "));
    }
    let pending: Vec<_> =
        world.replicas.iter().filter(|replica| replica.canary.is_none()).map(|r| r.ordinal).collect();
    if pending.is_empty() {
        Outcome::new(Verdict::True, Reason::CanaryPassed, "the last canary passed against each node")
    } else {
        Outcome::new(Verdict::Unknown, Reason::CanaryPending, format!("{}: no canary yet", ordinals(pending)))
    }
}

//! Stalled: the operator cannot go on without a person. Absent otherwise.

use statusnode_api::condition::{Reason, Verdict};

use super::Outcome;
use crate::{identity::Identity, names, world::World};

pub(super) fn stalled(world: &World<'_>) -> Option<Outcome> {
    let lost: Vec<&str> = world
        .replicas
        .iter()
        .filter_map(|replica| match &replica.identity {
            Identity::Lost(problem) => Some(problem.as_str()),
            _ => None,
        })
        .collect();
    if !lost.is_empty() {
        return Some(Outcome::new(Verdict::True, Reason::IdentityLost, lost.join("; ")));
    }
    let mut taken: Vec<String> = world
        .replicas
        .iter()
        .filter(|replica| matches!(replica.identity, Identity::Conflict))
        .map(|replica| format!("Secret {}", names::identity(&world.settings.name, replica.ordinal)))
        .collect();
    taken.extend(world.conflicts.borrow().iter().cloned());
    taken.sort();
    taken.dedup();
    (!taken.is_empty()).then(|| {
        Outcome::new(
            Verdict::True,
            Reason::NameConflict,
            format!(
                "{} exist{} and do{} not belong to this StatusNode; remove or rename, or give the StatusNode another name",
                taken.join(", "),
                if taken.len() == 1 { "s" } else { "" },
                if taken.len() == 1 { "es" } else { "" },
            ),
        )
    })
}

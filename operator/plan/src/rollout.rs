//! Which StatefulSets may be changed now: one node at a time.
//!
//! A changed template is applied to the next node only when every node that has it already is ready (and, with strategy
//! CanaryGated, has passed a canary since, and says that its history is complete). A node that is not ready goes first: a better template may mend it, and it
//! serves nobody meanwhile.

use k8s_openapi::api::apps::v1::StatefulSet;
use statusnode_api::UpdateStrategy;

use crate::{
    Object, Ordinal,
    names::{self, ANNOTATION_TEMPLATE_HASH},
    world::{Replica, World},
};

/// The decision.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Rollout {
    /// Nodes that keep their former template for now.
    pub(crate) held: Vec<Ordinal>,
    /// The node whose template is changed by this plan.
    pub(crate) next: Option<Ordinal>,
    /// The nodes that the others wait for.
    pub(crate) waiting_for: Vec<Ordinal>,
    /// Nodes whose StatefulSet has not finished its update.
    pub(crate) moving: Vec<Ordinal>,
}

impl Rollout {
    /// Whether a change is under way.
    pub(crate) fn is_under_way(&self) -> bool {
        self.next.is_some() || !self.held.is_empty() || !self.moving.is_empty()
    }
}

/// Decides for `wanted`, the StatefulSets that could be applied.
pub(crate) fn decide(world: &World<'_>, wanted: &[(Ordinal, Object)]) -> Rollout {
    let mut rollout = Rollout::default();
    if !world.runs_pods() {
        return rollout;
    }
    let mut pending = Vec::new();
    for replica in &world.replicas {
        let Some(live) = live(world, replica) else { continue };
        let wanted = wanted.iter().find(|(ordinal, _)| *ordinal == replica.ordinal);
        // One that is scaled to zero has no pod to lose.
        let runs = live.spec.as_ref().and_then(|spec| spec.replicas) != Some(0);
        let differs = wanted.is_some_and(|(_, object)| template_hash(&object.manifest) != live_hash(live));
        if differs && runs {
            pending.push(replica);
            continue;
        }
        if is_moving(live) {
            rollout.moving.push(replica.ordinal);
        }
        let complete = world.settings.history.is_none() || replica.history.is_some_and(|it| it.complete);
        let proved =
            world.settings.spec.update.strategy == UpdateStrategy::Ready || (replica.is_green() && complete);
        if !(is_current(live) && replica.ready_since().is_some() && proved) {
            rollout.waiting_for.push(replica.ordinal);
        }
    }
    let broken = pending.iter().position(|replica| replica.ready_since().is_none());
    if !pending.is_empty() && rollout.waiting_for.is_empty() {
        rollout.next = Some(pending.remove(broken.unwrap_or(0)).ordinal);
    }
    rollout.held = pending.into_iter().map(|replica| replica.ordinal).collect();
    rollout
}

/// Whether every pod of the StatefulSet was made from its present template.
fn is_current(live: &StatefulSet) -> bool {
    let Some(status) = &live.status else { return false };
    status.observed_generation >= live.metadata.generation
        && status.update_revision.is_some()
        && status.update_revision == status.current_revision
}

/// Whether a change of an existing StatefulSet is still being carried out; a new one is not changing.
fn is_moving(live: &StatefulSet) -> bool {
    let seen = live.status.as_ref().is_some_and(|status| status.observed_generation.is_some());
    seen && !is_current(live)
}

fn live<'a>(world: &World<'a>, replica: &Replica<'_>) -> Option<&'a StatefulSet> {
    let name = names::stateful_set(&world.settings.name, replica.ordinal);
    world.observed.objects.stateful_sets.get(&name).map(AsRef::as_ref)
}

fn live_hash(live: &StatefulSet) -> Option<&str> {
    live.metadata.annotations.as_ref()?.get(ANNOTATION_TEMPLATE_HASH).map(String::as_str)
}

fn template_hash(manifest: &serde_json::Value) -> Option<&str> {
    manifest.get("metadata")?.get("annotations")?.get(ANNOTATION_TEMPLATE_HASH)?.as_str()
}

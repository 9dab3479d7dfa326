//! Events: what changed from the present status to the new one, and what was done. Nothing is said twice, and nothing
//! before it is true.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use statusnode_api::{
    StatusNodeStatus,
    condition::{ConditionType, Reason},
};

use crate::{Deletion, EventIntent, ObjectKind, Step, Told, names, world::World};

/// Events of the conditions that changed.
pub(crate) fn transitions(before: &[Condition], after: &[Condition]) -> Vec<EventIntent> {
    let of = |list: &[Condition], type_: ConditionType| {
        list.iter().find(|condition| condition.type_ == type_.as_str()).cloned()
    };
    let mut events = Vec::new();
    for type_ in ConditionType::ALL {
        let (old, new) = (of(before, type_), of(after, type_));
        let state = |c: &Option<Condition>| c.as_ref().map(|c| (c.status.clone(), c.reason.clone()));
        if state(&old) == state(&new) {
            continue;
        }
        // Reconciling says what Ready says; Unknown says nothing; the first word of a condition is none of a change
        // unless it is bad news.
        let Some(new) = new.filter(|new| type_ != ConditionType::Reconciling && new.status != "Unknown")
        else {
            continue;
        };
        let abnormal = matches!(type_, ConditionType::Stalled | ConditionType::Degraded);
        // What the user asked for is no warning: another generation, a rollout.
        let fell = new.status == "False"
            && new.reason != Reason::UpdateInProgress.as_str()
            && old.as_ref().is_some_and(|old| {
                old.status == "True" && old.observed_generation == new.observed_generation
            });
        let canary_failed = type_ == ConditionType::CanaryPassing && new.status == "False";
        // Stalled tells it already, with the remedy.
        let told =
            type_ == ConditionType::Ready && after.iter().any(|c| c.type_ == ConditionType::Stalled.as_str());
        let first_good = old.is_none() && new.status == "True" && !abnormal && type_ != ConditionType::Paused;
        if told || (first_good && type_ != ConditionType::Ready) {
            continue;
        }
        let Some(reason) = Reason::ALL.into_iter().find(|reason| reason.as_str() == new.reason) else {
            continue;
        };
        // Degraded repeats what another condition says.
        if events.iter().any(|event: &EventIntent| event.reason == reason && event.note == new.message) {
            continue;
        }
        events.push(EventIntent {
            warning: abnormal || fell || canary_failed,
            reason,
            action: type_.as_str(),
            note: new.message,
            told: Told::WithStatus,
        });
    }
    events
}

/// Events of what this plan does, and of addresses that changed.
pub(crate) fn deeds(world: &World<'_>, steps: &[Step], after: &StatusNodeStatus) -> Vec<EventIntent> {
    let mut events = Vec::new();
    for replica in &world.replicas {
        let secret = names::identity(&world.settings.name, replica.ordinal);
        let created = |step: &Step| matches!(step, Step::Create(object) if object.name == secret);
        if let (Some(key), Some(step)) = (&replica.generated, steps.iter().position(created)) {
            events.push(EventIntent {
                warning: false,
                reason: Reason::IdentityCreated,
                action: "CreateIdentity",
                note: format!("ordinal {}: node id {}", replica.ordinal, key.node_id()),
                told: Told::AfterStep(step),
            });
        }
        let address = |node: Option<&statusnode_api::NodeEntry>| {
            node.and_then(|node| node.external.as_ref()).map(|external| external.address.clone())
        };
        let new = after.nodes.iter().find(|node| node.ordinal == i32::from(replica.ordinal.index()));
        if let (Some(old), Some(new)) = (address(replica.before), address(new))
            && old != new
        {
            events.push(EventIntent {
                warning: false,
                reason: Reason::AddressChanged,
                action: "Advertise",
                note: format!("ordinal {}: {old} became {new}", replica.ordinal),
                told: Told::WithStatus,
            });
        }
    }
    for (index, step) in steps.iter().enumerate() {
        if let Step::Delete(Deletion { kind: ObjectKind::StatefulSet, name, .. }) = step {
            events.push(EventIntent {
                warning: false,
                reason: Reason::ScaledDown,
                action: "ScaleDown",
                note: format!("removed {name}"),
                told: Told::AfterStep(index),
            });
        }
    }
    events
}

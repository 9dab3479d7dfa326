//! Events: what changed from the present status to the new one. Nothing is said twice.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use statusnode_api::{
    StatusNodeStatus,
    condition::{ConditionType, Reason},
};

use crate::{Deletion, EventIntent, ObjectKind, Step, world::World};

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
        let fell = new.status == "False" && old.as_ref().is_some_and(|old| old.status == "True");
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
        events.push(EventIntent {
            warning: abnormal || fell || canary_failed,
            reason,
            action: type_.as_str(),
            note: new.message,
        });
    }
    events
}

/// Events of what this plan does, and of addresses that changed.
pub(crate) fn deeds(world: &World<'_>, steps: &[Step], after: &StatusNodeStatus) -> Vec<EventIntent> {
    let mut events = Vec::new();
    for replica in &world.replicas {
        if let Some(key) = &replica.generated {
            events.push(EventIntent {
                warning: false,
                reason: Reason::IdentityCreated,
                action: "CreateIdentity",
                note: format!("ordinal {}: node id {}", replica.ordinal, key.node_id()),
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
            });
        }
    }
    let removed: Vec<&str> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Delete(Deletion { kind: ObjectKind::StatefulSet, name, .. }) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    if !removed.is_empty() {
        events.push(EventIntent {
            warning: false,
            reason: Reason::ScaledDown,
            action: "ScaleDown",
            note: format!("removed {}", removed.join(", ")),
        });
    }
    events
}

//! The status: a pure function of what was read and decided.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use statusnode_api::{ExposureType, NodeEntry, StatusNodeStatus, WhenGone, condition::ConditionType};

use crate::{
    Observed, Ordinal, SecretView,
    build::CONTAINER,
    conditions,
    names::{self, Claim},
    rollout::Rollout,
    validate::{FieldError, Settings},
    world::{Replica, World},
};

/// The status of a resource that is reconciled.
pub(crate) fn reconciled(world: &World<'_>, rollout: &Rollout) -> StatusNodeStatus {
    let settings = world.settings;
    let mut nodes: Vec<NodeEntry> = world.replicas.iter().map(|replica| entry(settings, replica)).collect();
    let ready = nodes.iter().filter(|node| node.ready).count();
    let wanted = if settings.spec.suspend { 0 } else { nodes.len() };
    nodes.extend(leaving(world));
    let outcomes = conditions::all(world, rollout);
    StatusNodeStatus {
        observed_generation: settings.generation,
        replicas: count(wanted),
        ready_replicas: count(ready),
        ready_summary: Some(format!("{ready}/{wanted}")),
        external_summary: Some(external_summary(world)),
        selector: Some(selector(&settings.name)),
        image: Some(settings.image.clone()),
        conditions: conditions::to_api(
            outcomes,
            conditions_of(world.observed),
            settings.generation,
            world.observed.now,
        ),
        nodes,
    }
}

/// The status of a resource whose spec cannot be meant: what was there stays, but for the verdict.
pub(crate) fn invalid(observed: &Observed, errors: &[FieldError]) -> StatusNodeStatus {
    let before = observed.node.status.clone().unwrap_or_default();
    let generation = observed.node.metadata.generation.unwrap_or_default();
    let message = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let mut fresh =
        conditions::to_api(conditions::invalid(message), &before.conditions, generation, observed.now);
    let replaced =
        [ConditionType::Ready, ConditionType::Stalled, ConditionType::Reconciling, ConditionType::Paused];
    fresh.extend(
        before.conditions.iter().filter(|old| !replaced.iter().any(|t| t.as_str() == old.type_)).cloned(),
    );
    StatusNodeStatus { observed_generation: generation, conditions: fresh, ..before }
}

/// The status of a paused resource: the last verdict, and that it is the last. `observedGeneration` stays too: the spec
/// of now has not been carried out.
pub(crate) fn paused(observed: &Observed) -> StatusNodeStatus {
    let mut status = observed
        .node
        .status
        .clone()
        .unwrap_or(StatusNodeStatus { observed_generation: -1, ..StatusNodeStatus::default() });
    let generation = observed.node.metadata.generation.unwrap_or_default();
    let is = |condition: &Condition, type_: ConditionType| condition.type_ == type_.as_str();
    let never_ready = !status.conditions.iter().any(|condition| is(condition, ConditionType::Ready));
    let fresh =
        conditions::to_api(conditions::paused(never_ready), &status.conditions, generation, observed.now);
    status.conditions.retain(|old| !is(old, ConditionType::Paused));
    status.conditions.extend(fresh);
    status
}

/// Conditions of the present status.
pub(crate) fn conditions_of(observed: &Observed) -> &[Condition] {
    observed.node.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()
}

/// Nodes that are scaled away and whose key is still to be deleted. Keys are found by name only: without the entry a
/// deletion that failed would never be tried again.
fn leaving<'a>(world: &'a World<'_>) -> impl Iterator<Item = NodeEntry> + 'a {
    let settings = world.settings;
    let before = world.observed.node.status.iter().flat_map(|status| &status.nodes);
    before.filter_map(move |before| {
        let ordinal = Ordinal::new(i64::from(before.ordinal)).filter(|o| !settings.ordinals.contains(o))?;
        let goes = settings.spec.retention.identities.when_scaled == WhenGone::Delete;
        let SecretView::Present(secret) =
            world.observed.secrets.get(&names::identity(&settings.name, ordinal)).filter(|_| goes)?
        else {
            return None;
        };
        let ours = names::claim(&secret.metadata, &settings.name, &settings.uid) != Claim::Foreign;
        ours.then(|| NodeEntry {
            ordinal: before.ordinal,
            node_id: before.node_id.clone(),
            ..NodeEntry::default()
        })
    })
}

fn entry(settings: &Settings<'_>, replica: &Replica<'_>) -> NodeEntry {
    // A key that this plan makes is not stored yet: a record of one that cannot be stored would make it a lost one.
    let stored = replica.generated.is_none();
    NodeEntry {
        ordinal: i32::from(replica.ordinal.index()),
        pod: Some(names::pod(&settings.name, replica.ordinal)),
        node_id: replica.record.clone().filter(|_| stored),
        enode: replica.enode().filter(|_| stored),
        internal_enode: replica.internal_enode(settings.ports.service).filter(|_| stored),
        external: replica.external().cloned(),
        ready: replica.ready_since().is_some(),
        canary: replica.canary_state(),
        history_complete: replica.history_complete(),
        image: replica.pod.filter(|_| replica.ready_since().is_some()).and_then(|pod| {
            pod.spec.as_ref()?.containers.iter().find(|c| c.name == CONTAINER)?.image.clone()
        }),
    }
}

/// Addresses by ordinal as in the column EXTERNAL-IP of Services; beyond four, how many more.
fn external_summary(world: &World<'_>) -> String {
    const SHOWN: usize = 4;
    if world.settings.spec.p2p.exposure.type_ == ExposureType::None || world.replicas.is_empty() {
        return "<none>".to_owned();
    }
    let address = |replica: &Replica<'_>| {
        replica.external().map_or_else(|| "<pending>".to_owned(), |external| external.address.clone())
    };
    let mut shown: Vec<String> = world.replicas.iter().take(SHOWN).map(address).collect();
    if world.replicas.len() > SHOWN {
        shown.push(format!("+{}", world.replicas.len() - SHOWN));
    }
    shown.join(",")
}

fn selector(name: &str) -> String {
    let pairs = names::pod_selector(name, None);
    pairs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

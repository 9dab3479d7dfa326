//! The operator's decisions, pure: [`Observed`] in, [`Plan`] out.
//!
//! No client, no clock, no randomness: time is [`Observed::now`], generated keys come from [`Entropy`]. The controller
//! reads, calls [`plan()`], and carries out what it says; nothing else decides. Facts: design §3;
//! `spec/operators.md` §3.3, §4.9.
//!
//! ```text
//! Observed ─► validate ─► identities, addresses ─► build ─► steps
//!                                              └─► conditions ─► status ─► events
//! ```

mod action;
mod build;
mod conditions;
mod events;
pub mod hash;
mod identity;
pub mod names;
mod observed;
mod orphans;
mod rollout;
mod status;
mod steps;
pub mod validate;
mod world;

pub use build::{CONTAINER, PORT_METRICS, PORT_P2P};

pub use action::{Deletion, Entropy, EventIntent, Object, ObjectKind, Plan, PodTouch, Step, Told};
pub use identity::secrets_to_read;
pub use names::Ordinal;
pub use observed::{
    CanaryFacts, Environment, Failure, HistoryFacts, NodeFacts, Objects, Observed, OperatorPods, RESYNC,
    RESYNC_GOING, SecretView, Stranger,
};

use statusnode_api::StatusNodeStatus;

use crate::{validate::validate, world::World};

/// What to do about `observed`.
///
/// A resource that is being deleted gets nothing: what goes with it carries its owner reference. A paused one gets a
/// status only, one whose spec cannot be meant as well.
#[must_use]
pub fn plan(observed: &Observed, entropy: &mut dyn Entropy) -> Plan {
    let node = &observed.node;
    if node.metadata.deletion_timestamp.is_some() {
        return Plan { steps: Vec::new(), status: None, events: Vec::new(), requeue_after: None };
    }
    if node.spec.paused {
        return without_steps(observed, status::paused(observed));
    }
    let settings = match validate(node, &observed.environment.default_image) {
        Ok(settings) => settings,
        Err(errors) => return without_steps(observed, status::invalid(observed, &errors)),
    };
    let world = World::read(observed, &settings, entropy);
    let steps::Steps { steps, rollout } = steps::steps(&world, entropy);
    let new = status::reconciled(&world, &rollout);
    let mut events = events::deeds(&world, &steps, &new);
    // The very first status waits for the cluster addresses, which the next look has at once: one write less for each
    // resource. Until then the schema's `observedGeneration: -1` says that nothing is known.
    let requeue_after = Some(if waits_for_a_secret_to_go(&world) { RESYNC_GOING } else { RESYNC });
    let is_first = node.status.as_ref().is_none_or(|status| status.observed_generation < 0);
    if is_first && world.is_coming_up() {
        return Plan { steps, status: None, events, requeue_after };
    }
    events.extend(events::transitions(status::conditions_of(observed), &new.conditions));
    Plan { steps, status: changed(observed, new), events, requeue_after }
}

/// Whether a Secret of a wanted name is going: nothing tells when it is gone, Secrets are not watched.
fn waits_for_a_secret_to_go(world: &World<'_>) -> bool {
    let settings = world.settings;
    world.observed.secrets.values().any(|view| {
        matches!(view, SecretView::Present(secret)
            if names::claim(&secret.metadata, &settings.name, &settings.uid) == names::Claim::Going)
    })
}

fn without_steps(observed: &Observed, new: StatusNodeStatus) -> Plan {
    let events = events::transitions(status::conditions_of(observed), &new.conditions);
    Plan { steps: Vec::new(), status: changed(observed, new), events, requeue_after: None }
}

fn changed(observed: &Observed, new: StatusNodeStatus) -> Option<StatusNodeStatus> {
    (observed.node.status.as_ref() != Some(&new)).then_some(new)
}

//! Ready: all wanted pods are ready at this generation, no update is under way, first addresses are there.

use statusnode_api::{
    UpdateStrategy,
    condition::{Reason, Verdict},
};

use super::{Outcome, ordinals, pod_trouble};
use crate::{
    identity::Identity,
    rollout::Rollout,
    world::{Exposed, SharedSecret, World},
};

pub(super) fn ready(world: &World<'_>, rollout: &Rollout, stalled: Option<&Outcome>) -> Outcome {
    if let Some(stalled) = stalled {
        return stalled.turned(Verdict::False);
    }
    if let Some(waiting) = waiting(world) {
        return waiting;
    }
    if !world.runs_pods() {
        return stopped(world);
    }
    if rollout.is_under_way() {
        return updating(rollout, world.settings.spec.update.strategy, world.settings.history.is_some());
    }
    let down: Vec<_> = world.replicas.iter().filter(|replica| replica.ready_since().is_none()).collect();
    if !down.is_empty() {
        let mut message = format!("{}: the pod is not ready", ordinals(down.iter().map(|r| r.ordinal)));
        for replica in down {
            if let Some(why) = replica.pod.and_then(pod_trouble::of) {
                message.push_str(&format!("; ordinal {}: {why}", replica.ordinal));
            }
        }
        return Outcome::new(Verdict::False, Reason::PodsNotReady, message);
    }
    let unaddressed = world.replicas.iter().filter(|replica| {
        !matches!(replica.exposed, Exposed::Nothing | Exposed::Address(_)) && !world.had_address(replica)
    });
    let unaddressed: Vec<_> = unaddressed.map(|replica| replica.ordinal).collect();
    if !unaddressed.is_empty() {
        let message = format!("{}: no address yet; see ExternalAddressesReady", ordinals(unaddressed));
        return Outcome::new(Verdict::False, Reason::WaitingForAddress, message);
    }
    Outcome::new(Verdict::True, Reason::AllReady, "all nodes are ready")
}

/// What has to come from elsewhere before the pods can be right.
fn waiting(world: &World<'_>) -> Option<Outcome> {
    let failures: Vec<String> = world
        .observed
        .failures
        .iter()
        .map(|failure| format!("{} {}: {}", failure.kind.kind(), failure.name, line(&failure.message)))
        .collect();
    if !failures.is_empty() {
        return Some(Outcome::new(Verdict::False, Reason::ApplyFailed, failures.join("; ")));
    }
    let mut secrets: Vec<&str> = Vec::new();
    for replica in &world.replicas {
        if let Identity::Waiting(problem) = &replica.identity {
            secrets.push(problem);
        }
    }
    for shared in [&world.token, &world.password] {
        if let SharedSecret::Waiting(problem) = shared {
            secrets.push(problem);
        }
    }
    if !secrets.is_empty() {
        return Some(Outcome::new(Verdict::False, Reason::WaitingForSecret, secrets.join("; ")));
    }
    let going = world.going.borrow();
    (!going.is_empty()).then(|| {
        let message = format!("still being removed: {}", going.join(", "));
        Outcome::new(Verdict::False, Reason::WaitingForDeletion, message)
    })
}

/// An answer of the API server on one line, as much of it as leaves room for others.
fn line(answer: &str) -> String {
    const MOST: usize = 300;
    let words = answer.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().count() <= MOST { words } else { words.chars().take(MOST - 1).chain(['…']).collect() }
}

fn stopped(world: &World<'_>) -> Outcome {
    let (reason, message) = if world.settings.spec.suspend {
        (Reason::Suspended, "suspended: no pods; identities, volumes and addresses are kept")
    } else {
        (Reason::ScaledToZero, "replicas is 0: no pods")
    };
    let running = world.observed.objects.pods.len();
    if running == 0 {
        Outcome::new(Verdict::True, reason, message)
    } else {
        Outcome::new(Verdict::False, reason, "the pods are being stopped")
    }
}

fn updating(rollout: &Rollout, strategy: UpdateStrategy, history: bool) -> Outcome {
    let mut parts = Vec::new();
    if let Some(next) = rollout.next {
        parts.push(format!("changing ordinal {next}"));
    }
    if !rollout.held.is_empty() {
        parts.push(format!("{} to come", ordinals(rollout.held.iter().copied())));
    }
    let waiting: Vec<_> = rollout.waiting_for.iter().chain(&rollout.moving).copied().collect();
    let mut distinct = waiting.clone();
    distinct.sort_unstable();
    distinct.dedup();
    if !distinct.is_empty() {
        let proved = match (strategy, history) {
            (UpdateStrategy::Ready, _) => "",
            (UpdateStrategy::CanaryGated, false) => " and proved by the canary",
            (UpdateStrategy::CanaryGated, true) => ", proved by the canary, and complete in its history",
        };
        parts.push(format!("waiting until {} is ready{proved}", ordinals(distinct)));
    }
    Outcome::new(Verdict::False, Reason::UpdateInProgress, parts.join("; "))
}

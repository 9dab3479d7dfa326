//! The verdicts, one condition a file: each a pure function of what was read. Facts: design §3 (Conditions);
//! `spec/operators.md` §5.9.

mod canary_passing;
mod degraded;
mod external_addresses;
mod history_complete;
mod paused;
mod pod_trouble;
mod ready;
mod reconciling;
mod stalled;
mod storage_ready;

pub(crate) use paused::paused;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use statusnode_api::condition::{ConditionType, Reason, Verdict};

use crate::{Ordinal, rollout::Rollout, world::World};

/// One verdict.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) reason: Reason,
    pub(crate) message: String,
}

impl Outcome {
    pub(crate) fn new(verdict: Verdict, reason: Reason, message: impl Into<String>) -> Self {
        Self { verdict, reason, message: message.into() }
    }

    /// The same with another verdict, for conditions that say why another one is as it is.
    fn turned(&self, verdict: Verdict) -> Self {
        Self { verdict, ..self.clone() }
    }
}

/// The verdict as the status has it; `None` when it has none, or one that this version does not know.
fn standing(world: &World<'_>, type_: ConditionType) -> Option<Outcome> {
    let conditions = crate::status::conditions_of(world.observed);
    let condition = conditions.iter().find(|condition| condition.type_ == type_.as_str())?;
    let verdicts = [Verdict::True, Verdict::False, Verdict::Unknown];
    let verdict = verdicts.into_iter().find(|verdict| verdict.as_str() == condition.status)?;
    let reason = Reason::ALL.into_iter().find(|reason| reason.as_str() == condition.reason)?;
    Some(Outcome::new(verdict, reason, condition.message.clone()))
}

/// All conditions that are to be there.
pub(crate) fn all(world: &World<'_>, rollout: &Rollout) -> Vec<(ConditionType, Outcome)> {
    let stalled = stalled::stalled(world);
    let external = external_addresses::external_addresses(world);
    let canary = canary_passing::canary_passing(world);
    let storage = storage_ready::storage_ready(world);
    let history = history_complete::history_complete(world);
    let ready = ready::ready(world, rollout, stalled.as_ref());
    let reconciling = reconciling::reconciling(&ready, stalled.as_ref());
    let degraded =
        degraded::degraded(world, &ready, [Some(&external), Some(&canary), Some(&storage), history.as_ref()]);
    let present = [
        (ConditionType::Ready, Some(ready)),
        (ConditionType::Reconciling, reconciling),
        (ConditionType::Stalled, stalled),
        (ConditionType::ExternalAddressesReady, Some(external)),
        (ConditionType::CanaryPassing, Some(canary)),
        (ConditionType::StorageReady, Some(storage)),
        (ConditionType::HistoryComplete, history),
        (ConditionType::Degraded, degraded),
    ];
    present.into_iter().filter_map(|(type_, outcome)| Some((type_, outcome?))).collect()
}

/// The conditions of a resource whose spec cannot be meant.
pub(crate) fn invalid(message: String) -> Vec<(ConditionType, Outcome)> {
    let ready = Outcome::new(Verdict::False, Reason::InvalidSpec, message);
    let stalled = ready.turned(Verdict::True);
    vec![(ConditionType::Ready, ready), (ConditionType::Stalled, stalled)]
}

/// The API form. The time of a transition stays while the verdict stays.
pub(crate) fn to_api(
    outcomes: Vec<(ConditionType, Outcome)>,
    before: &[Condition],
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    let condition = |(type_, outcome): (ConditionType, Outcome)| {
        let status = outcome.verdict.as_str();
        let same = before.iter().find(|old| old.type_ == type_.as_str() && old.status == status);
        let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
        Condition {
            type_: type_.as_str().to_owned(),
            status: status.to_owned(),
            reason: outcome.reason.as_str().to_owned(),
            message: shorten(outcome.message),
            observed_generation: Some(generation),
            last_transition_time: same.map_or(Time(now), |old| old.last_transition_time.clone()),
        }
    };
    outcomes.into_iter().map(condition).collect()
}

/// Messages are for people: at most 1024 characters.
fn shorten(message: String) -> String {
    const MOST: usize = 1024;
    if message.chars().count() <= MOST {
        return message;
    }
    message.chars().take(MOST - 1).chain(['…']).collect()
}

/// `ordinal 1` or `ordinals 0, 2`.
fn ordinals(list: impl IntoIterator<Item = Ordinal>) -> String {
    let list: Vec<String> = list.into_iter().map(|ordinal| ordinal.to_string()).collect();
    format!("ordinal{} {}", if list.len() == 1 { "" } else { "s" }, list.join(", "))
}

//! Degraded: the nodes run, and something that users notice is wrong. Absent otherwise.

use statusnode_api::{
    ServiceMonitorPolicy,
    condition::{Reason, Verdict},
};

use super::Outcome;
use crate::world::World;

pub(super) fn degraded(world: &World<'_>, ready: &Outcome, others: [Option<&Outcome>; 4]) -> Option<Outcome> {
    if ready.verdict != Verdict::True || !world.runs_pods() {
        return None;
    }
    if let Some(fault) = others.into_iter().flatten().find(|other| other.verdict == Verdict::False) {
        return Some(fault.turned(Verdict::True));
    }
    let wanted = world.settings.spec.metrics.service_monitor.policy == ServiceMonitorPolicy::Always;
    (wanted && !world.observed.environment.service_monitor_api).then(|| {
        Outcome::new(
            Verdict::True,
            Reason::ServiceMonitorApiMissing,
            "metrics.serviceMonitor.policy is Always and the cluster has not the API monitoring.coreos.com/v1",
        )
    })
}

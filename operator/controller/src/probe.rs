//! Asks the nodes themselves how they are: `/status` of each pod, and a canary against its peer-to-peer port.
//!
//! Owns one task a pod, started, replaced and ended as reconciles see pods come and go, and the last answers. A result
//! that differs from the one before, or is the first about a pod, asks for a reconcile; any other is only kept. Both
//! probes are bounded in number at a time. Has no RPC access and writes nothing.

mod canary;
mod status;
mod target;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use parking_lot::Mutex;
use rand::Rng;
use statusnode_plan::{CanaryFacts, HistoryFacts, NodeFacts, Observed, Ordinal};
use tokio::{
    sync::Semaphore,
    task::AbortHandle,
    time::{Instant, sleep_until},
};
use tracing::{debug, info};

use crate::{metrics::Metrics, store::OwnerKey, triggers::Triggers};
use target::{CanaryTarget, Target};

/// Pause between two polls of `/status`.
const POLL_INTERVAL: Duration = Duration::from_secs(15);
/// Longest pause before a canary that failed is run again.
const RETRY_CANARY: Duration = Duration::from_secs(15);
/// Polls at the same time.
const POLLS: usize = 16;
/// Pauses are longer or shorter by up to this part, so that nodes that began together do not stay together.
const JITTER: f64 = 0.1;

/// The last answers of the nodes of one resource.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Results {
    /// From `/status`.
    pub facts: BTreeMap<Ordinal, NodeFacts>,
    /// From canaries.
    pub canaries: BTreeMap<Ordinal, CanaryFacts>,
}

/// Starts and ends probes; clones are the same prober.
#[derive(Clone)]
pub struct Prober(Arc<Inner>);

struct Inner {
    probes: Mutex<HashMap<OwnerKey, BTreeMap<Ordinal, Probe>>>,
    triggers: Triggers,
    metrics: Metrics,
    http: status::Http,
    polls: Semaphore,
    canaries: Arc<canary::Canaries>,
    canary_permits: Semaphore,
}

/// One pod that is, or was last, probed.
struct Probe {
    target: Option<Target>,
    task: Option<AbortHandle>,
    facts: Option<NodeFacts>,
    canary: Option<CanaryFacts>,
    /// Whether this pod has had no canary yet.
    new: bool,
}

impl Drop for Probe {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Prober {
    /// A prober that runs at most `canaries` canaries at a time.
    pub fn new(triggers: Triggers, metrics: Metrics, canaries: u16) -> Self {
        Self(Arc::new(Inner {
            probes: Mutex::default(),
            triggers,
            metrics,
            http: status::Http::default(),
            polls: Semaphore::new(POLLS),
            canaries: Arc::default(),
            canary_permits: Semaphore::new(canaries.into()),
        }))
    }

    /// Probes the pods that `observed` shows, and no others, of one resource.
    pub fn follow(&self, key: &OwnerKey, observed: &Observed) {
        let wanted = target::targets(observed);
        let mut all = self.0.probes.lock();
        let probes = all.entry(key.clone()).or_default();
        // The last canary of a pod stays until its successor has one; that of an ordinal that is gone does not.
        probes.retain(|ordinal, _| target::is_wanted(observed, *ordinal));
        for (ordinal, probe) in probes.iter_mut() {
            if !wanted.contains_key(ordinal) {
                probe.stop();
            }
        }
        for (ordinal, target) in wanted {
            let probe = probes.entry(ordinal).or_insert_with(|| Probe {
                target: None,
                task: None,
                facts: None,
                canary: None,
                new: true,
            });
            if probe.target.as_ref() != Some(&target) {
                probe.stop();
                let task = tokio::spawn(run(self.clone(), key.clone(), ordinal, target.clone()));
                probe.task = Some(task.abort_handle());
                probe.target = Some(target);
                // Another process, or one in another state: what the former said of itself proves nothing.
                probe.facts = None;
                probe.new = true;
            }
        }
        if probes.is_empty() {
            all.remove(key);
        }
    }

    /// The last answers of the nodes of one resource.
    pub fn results(&self, key: &OwnerKey) -> Results {
        let all = self.0.probes.lock();
        let mut results = Results::default();
        for (ordinal, probe) in all.get(key).into_iter().flatten() {
            results.facts.extend(probe.facts.clone().map(|facts| (*ordinal, facts)));
            results.canaries.extend(probe.canary.clone().map(|canary| (*ordinal, canary)));
        }
        results
    }

    /// Ends all probes of a resource.
    pub fn drop_owner(&self, key: &OwnerKey) {
        self.0.probes.lock().remove(key);
    }

    async fn poll(&self, key: &OwnerKey, ordinal: Ordinal, target: &Target) {
        let Ok(_permit) = self.0.polls.acquire().await else { return };
        match self.0.http.status(target.status_address).await {
            Ok(status) => {
                self.count("status", "ok");
                let facts = NodeFacts {
                    archive_writable: status.archive.map(|archive| archive.writable),
                    history: status.history.map(|history| HistoryFacts {
                        complete: history.complete,
                        agreed: history.agreed_to.is_some(),
                    }),
                };
                self.keep(key, ordinal, target, |probe| {
                    let changed = probe.facts.as_ref() != Some(&facts);
                    probe.facts = Some(facts);
                    changed
                });
            }
            // The pod's own readiness says that it is not well; what is known stays.
            Err(error) => {
                self.count("status", "failed");
                debug!(resource = %key, %ordinal, %error, "no status");
            }
        }
    }

    /// Runs a canary; returns whether it passed.
    async fn canary(&self, key: &OwnerKey, ordinal: Ordinal, target: &Target, canary: &CanaryTarget) -> bool {
        let Ok(_permit) = self.0.canary_permits.acquire().await else { return false };
        let message = self.0.canaries.run(canary).await.err();
        let passing = message.is_none();
        self.count("canary", if passing { "ok" } else { "failed" });
        let result = CanaryFacts { at: Timestamp::now(), passing, message: message.unwrap_or_default() };
        self.keep(key, ordinal, target, |probe| {
            let same = probe
                .canary
                .as_ref()
                .is_some_and(|before| (before.passing, &before.message) == (result.passing, &result.message));
            let changed = std::mem::take(&mut probe.new) || !same;
            if changed {
                info!(resource = %key, %ordinal, passing, message = result.message, "canary");
            }
            probe.canary = Some(result);
            changed
        });
        passing
    }

    /// Takes in a result, unless the pod is no longer the one that is probed.
    fn keep(&self, key: &OwnerKey, ordinal: Ordinal, target: &Target, put: impl FnOnce(&mut Probe) -> bool) {
        let mut all = self.0.probes.lock();
        let Some(probe) = all.get_mut(key).and_then(|probes| probes.get_mut(&ordinal)) else { return };
        if probe.target.as_ref() == Some(target) && put(probe) {
            self.0.triggers.add(key.clone());
        }
    }

    fn count(&self, probe: &str, outcome: &str) {
        self.0.metrics.probes.with_label_values(&[probe, outcome]).inc();
    }
}

impl Probe {
    fn stop(&mut self) {
        self.target = None;
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

/// Probes one pod for as long as it is the same.
async fn run(prober: Prober, key: OwnerKey, ordinal: Ordinal, target: Target) {
    let mut poll_at = Instant::now();
    let mut canary_at = Instant::now();
    loop {
        match &target.canary {
            Some(canary) if canary_at <= poll_at => {
                sleep_until(canary_at).await;
                let passed = prober.canary(&key, ordinal, &target, canary).await;
                let pause = if passed { canary.interval } else { canary.interval.min(RETRY_CANARY) };
                canary_at = Instant::now() + spread(pause);
            }
            _ => {
                sleep_until(poll_at).await;
                prober.poll(&key, ordinal, &target).await;
                poll_at = Instant::now() + spread(POLL_INTERVAL);
            }
        }
    }
}

fn spread(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(1.0 - JITTER..=1.0 + JITTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_spread_about_their_length() {
        let pauses: Vec<Duration> = (0..200).map(|_| spread(Duration::from_secs(60))).collect();
        assert!(pauses.iter().all(|p| (54.0..=66.0).contains(&p.as_secs_f64())), "{pauses:?}");
        let (least, most) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
        assert!(*most - *least > Duration::from_secs(6), "{least:?} to {most:?}");
    }
}

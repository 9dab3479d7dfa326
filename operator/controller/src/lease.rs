//! Leader election on one `coordination.k8s.io/v1` Lease.
//!
//! Owns the Lease object. Every write carries the resourceVersion it was decided on, so two instances can never both
//! believe in a won election. A standby *watches* the Lease: a released one is taken over at once, and a silent
//! holder's after its duration, counted on this machine's monotonic clock from the last change seen (clocks of other
//! machines are never compared). Must never write anything but the Lease. The protocol is that of client-go's
//! `leaderelection`: empty holder = released; `leaseTransitions` counts changes of holder.
//!
//! Not `kube-lease-manager`: a standby of that crate sleeps until the expiry it last read, by wall clock, so that a
//! release is noticed only after up to a whole lease duration.

use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{
    Api, Client,
    api::PostParams,
    runtime::{WatchStreamExt, watcher},
};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{info, warn};

/// Shortest pause between two attempts after an error.
const RETRY: Duration = Duration::from_secs(1);
/// Longest time a release may take: hand-over on SIGTERM is promised within two seconds.
const RELEASE_TIMEOUT: Duration = Duration::from_millis(900);

/// What identifies the election and this candidate.
#[derive(Debug, Clone)]
pub struct Config {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// Unique name of this candidate.
    pub identity: String,
    /// Time without renewal after which the Lease is free for others.
    pub duration: Duration,
}

/// A candidate.
pub struct Elector {
    api: Api<Lease>,
    config: Config,
}

/// A won election; valid until [`Leadership::keep`] returns.
pub struct Leadership {
    elector: Elector,
    lease: Lease,
    renewed: Instant,
}

impl Elector {
    /// A candidate that has not asked yet.
    pub fn new(client: Client, config: Config) -> Self {
        Self { api: Api::namespaced(client, &config.namespace), config }
    }

    /// Waits until this candidate holds the Lease.
    pub async fn acquire(self) -> Leadership {
        let selector = format!("metadata.name={}", self.config.name);
        let events =
            watcher(self.api.clone(), watcher::Config::default().fields(&selector)).default_backoff();
        tokio::pin!(events);
        // None: not known yet. Some(None): the Lease does not exist.
        let mut seen: Option<Option<Lease>> = None;
        let mut listed = None;
        let mut free_at: Option<Instant> = None;
        loop {
            let wake = free_at.unwrap_or_else(|| Instant::now() + self.config.duration);
            match timeout_at(wake, events.next()).await {
                Ok(Some(Ok(event))) => {
                    let now = match event {
                        watcher::Event::Init => {
                            listed = None;
                            continue;
                        }
                        watcher::Event::InitApply(lease) => {
                            listed = Some(lease);
                            continue;
                        }
                        watcher::Event::InitDone => listed.take(),
                        watcher::Event::Apply(lease) => Some(lease),
                        watcher::Event::Delete(_) => None,
                    };
                    // The same once more, after an interruption of the watch, is no sign of life.
                    if seen.as_ref() != Some(&now) {
                        free_at = Some(self.free_at(now.as_ref()));
                        seen = Some(now);
                    }
                }
                Ok(Some(Err(error))) => {
                    warn!(%error, lease = %self.config.name, "cannot watch the lease");
                    continue;
                }
                Ok(None) => sleep(RETRY).await,
                Err(_) => {}
            }
            let Some(current) = &seen else { continue };
            if free_at.is_some_and(|at| at <= Instant::now()) {
                let asked = Instant::now();
                match self.take(current.as_ref()).await {
                    Ok(lease) => {
                        info!(lease = %self.config.name, identity = %self.config.identity, "leading");
                        return Leadership { elector: self, lease, renewed: asked };
                    }
                    // Someone was faster; the watch brings what is there now.
                    Err(error) => {
                        info!(%error, lease = %self.config.name, "lease not taken");
                        free_at = Some(Instant::now() + RETRY);
                    }
                }
            }
        }
    }

    /// The instant at which a Lease seen just now becomes free.
    fn free_at(&self, lease: Option<&Lease>) -> Instant {
        let now = Instant::now();
        let Some(spec) = lease.and_then(|l| l.spec.as_ref()) else { return now };
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        // One's own name in the Lease is that of a former life of this pod: nobody else uses it.
        if holder.is_empty() || holder == self.config.identity {
            return now;
        }
        let seconds = spec.lease_duration_seconds.and_then(|s| u64::try_from(s).ok()).unwrap_or_default();
        now + Duration::from_secs(seconds.min(600))
    }

    async fn take(&self, current: Option<&Lease>) -> Result<Lease, kube::Error> {
        let now = MicroTime(Timestamp::now());
        let before = current.and_then(|l| l.spec.clone()).unwrap_or_default();
        let same = before.holder_identity.as_deref() == Some(&self.config.identity);
        let spec = LeaseSpec {
            holder_identity: Some(self.config.identity.clone()),
            lease_duration_seconds: Some(self.seconds()),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(
                before.lease_transitions.unwrap_or(0).saturating_add(i32::from(current.is_some() && !same)),
            ),
            ..Default::default()
        };
        let call = async {
            match current {
                None => {
                    let metadata = ObjectMeta { name: Some(self.config.name.clone()), ..Default::default() };
                    self.api.create(&PostParams::default(), &Lease { metadata, spec: Some(spec) }).await
                }
                Some(lease) => self.replace(lease, spec).await,
            }
        };
        bounded(self.config.duration / 3, call).await
    }

    async fn replace(&self, lease: &Lease, spec: LeaseSpec) -> Result<Lease, kube::Error> {
        let mut next = lease.clone();
        next.metadata.managed_fields = None;
        next.spec = Some(spec);
        self.api.replace(&self.config.name, &PostParams::default(), &next).await
    }

    fn seconds(&self) -> i32 {
        i32::try_from(self.config.duration.as_secs()).unwrap_or(i32::MAX)
    }
}

impl Leadership {
    /// Renews the Lease until it is lost; returns why. The caller must stop writing at once.
    ///
    /// Gives up at two thirds of the duration without a renewal, so that a successor never overlaps.
    pub async fn keep(&mut self) -> String {
        let duration = self.elector.config.duration;
        let deadline = duration * 2 / 3;
        let mut pause = duration / 3;
        loop {
            sleep(pause).await;
            let left = (self.renewed + deadline).saturating_duration_since(Instant::now());
            if left.is_zero() {
                return format!("not renewed for {} s", deadline.as_secs());
            }
            let asked = Instant::now();
            pause = match bounded(left, self.renew()).await {
                Ok(lease) => {
                    self.lease = lease;
                    self.renewed = asked;
                    duration / 3
                }
                Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => {
                    if let Some(holder) = self.other_holder().await {
                        return format!("taken by {holder:?}");
                    }
                    Duration::ZERO
                }
                Err(error) => {
                    warn!(%error, "lease not renewed");
                    RETRY.min(duration / 6)
                }
            };
        }
    }

    /// Frees the Lease for the next candidate. Call only when nothing is written any more.
    pub async fn release(self) {
        let spec = LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(1),
            renew_time: Some(MicroTime(Timestamp::now())),
            ..self.lease.spec.clone().unwrap_or_default()
        };
        match timeout(RELEASE_TIMEOUT, self.elector.replace(&self.lease, spec)).await {
            Ok(Ok(_)) => info!("lease released"),
            Ok(Err(error)) => warn!(%error, "lease not released"),
            Err(_) => warn!("lease not released in time"),
        }
    }

    async fn renew(&self) -> Result<Lease, kube::Error> {
        let spec = LeaseSpec {
            renew_time: Some(MicroTime(Timestamp::now())),
            ..self.lease.spec.clone().unwrap_or_default()
        };
        self.elector.replace(&self.lease, spec).await
    }

    /// Reads the Lease after a conflict. `Some(who)` when it is no longer this candidate's.
    async fn other_holder(&mut self) -> Option<String> {
        let config = &self.elector.config;
        match bounded(config.duration / 6, self.elector.api.get_opt(&config.name)).await {
            Ok(Some(lease)) => {
                let holder = lease.spec.as_ref().and_then(|s| s.holder_identity.clone()).unwrap_or_default();
                if holder != config.identity {
                    return Some(holder);
                }
                self.lease = lease;
                None
            }
            Ok(None) => Some("nobody: the lease was deleted".into()),
            Err(error) => {
                warn!(%error, "lease not read");
                sleep(RETRY.min(self.elector.config.duration / 6)).await;
                None
            }
        }
    }
}

async fn bounded<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, kube::Error> {
    timeout(limit, call).await.unwrap_or_else(|_| Err(kube::Error::Service("request timed out".into())))
}

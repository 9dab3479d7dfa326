//! Who syncs with this node, and what came of it: a protocol for [`devp2p::Manager`].

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use devp2p::{Capability, Peer, Protocol, ProtocolError};
use enode::NodeId;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    CODES, HistoryState, Metrics, Quota, QuotaConfig, Report, Site, SyncError, progress::Progress, session,
};

/// When there are rounds, and what a peer may add.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Between two rounds with a replica that agreed, at first; see [`ReplicaSync::set_period`].
    pub period: Duration,
    /// After a round that was not complete, or did not reach the start.
    pub retry: Duration,
    /// What each replica may add.
    pub quota: QuotaConfig,
    /// How long history waits for a replica to agree.
    pub timeout: Duration,
}

impl Config {
    /// The period, when nobody says another.
    pub const PERIOD: Duration = Duration::from_mins(5);

    /// Every [`Self::PERIOD`]; after half a minute when there is more to do.
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        Self { period: Self::PERIOD, retry: Duration::from_secs(30), quota: QuotaConfig::default(), timeout }
    }
}

/// Is told of each round: whether it failed.
pub type OnRound = Box<dyn Fn(bool) + Send + Sync>;

/// The replicas of a node. One a node.
pub struct ReplicaSync {
    shared: Arc<Shared>,
    capabilities: [Capability; 1],
}

/// What all sessions share.
pub(crate) struct Shared {
    pub(crate) own: NodeId,
    pub(crate) site: Site,
    pub(crate) config: Config,
    /// Quotas outlive sessions, and a peer that is taken off the list and put on it again.
    quotas: Mutex<HashMap<NodeId, Arc<Quota>>>,
    peers: Mutex<HashSet<NodeId>>,
    pub(crate) period: watch::Sender<Duration>,
    progress: Mutex<Progress>,
    metrics: Metrics,
    on_round: OnRound,
}

impl ReplicaSync {
    /// The node `own` with `peers` to sync with, itself not counted.
    #[must_use]
    pub fn new(
        own: NodeId,
        site: Site,
        config: Config,
        peers: HashSet<NodeId>,
        metrics: Metrics,
        on_round: OnRound,
    ) -> Arc<Self> {
        let progress = Progress::new(Instant::now(), site.now(), config.timeout);
        let shared = Shared {
            own,
            site,
            config,
            quotas: Mutex::default(),
            peers: Mutex::default(),
            period: watch::Sender::new(config.period),
            progress: Mutex::new(progress),
            metrics,
            on_round,
        };
        let sync = Self { shared: Arc::new(shared), capabilities: [Capability::new("wakusync", 1)] };
        sync.set_peers(peers);
        Arc::new(sync)
    }

    /// Syncs with these from now on. Gives back those that came or went: they have to connect anew, for a protocol is
    /// offered at the beginning of a connection.
    pub fn set_peers(&self, mut peers: HashSet<NodeId>) -> Vec<NodeId> {
        peers.remove(&self.shared.own);
        let mut known = self.shared.peers.lock();
        let changed = known.symmetric_difference(&peers).copied().collect();
        *known = peers;
        changed
    }

    /// Time between two rounds with a replica that agreed, from now on: also of a session that waits for the next one.
    pub fn set_period(&self, period: Duration) {
        self.shared.period.send_replace(period);
    }

    /// Whether history is complete.
    #[must_use]
    pub fn history(&self) -> HistoryState {
        let replicas = self.shared.peers.lock().len();
        self.shared.progress.lock().history(Instant::now(), replicas)
    }
}

impl Shared {
    /// The quota of a peer to sync with.
    pub(crate) fn quota(&self, peer: &NodeId) -> Option<Arc<Quota>> {
        if !self.peers.lock().contains(peer) {
            return None;
        }
        let mut quotas = self.quotas.lock();
        let new = || Arc::new(Quota::new(self.config.quota, self.site.now()));
        Some(Arc::clone(quotas.entry(*peer).or_insert_with(new)))
    }

    /// Takes note of a round; whether that was all for a while.
    pub(crate) fn ended(&self, peer: NodeId, report: &Report, outcome: &Result<(), SyncError>) -> bool {
        self.metrics.round(report, outcome);
        (self.on_round)(outcome.is_err());
        match outcome {
            Ok(()) if report.stored + report.given > 0 || report.missing + report.refused > 0 => {
                tracing::info!(%peer, ?report, "synced with a replica");
            }
            Ok(()) => tracing::debug!(%peer, ?report, "synced with a replica"),
            Err(SyncError::Gone) => tracing::debug!(%peer, ?report, "a replica left during a round"),
            Err(error) => tracing::warn!(%peer, %error, ?report, "sync with a replica failed"),
        }
        outcome.is_ok() && report.complete && self.progress.lock().agreed(peer, report.to)
    }
}

impl Protocol for ReplicaSync {
    fn capabilities(&self) -> &[Capability] {
        &self.capabilities
    }

    fn length(&self) -> u64 {
        CODES
    }

    fn is_offered_to(&self, peer: &NodeId) -> bool {
        self.shared.peers.lock().contains(peer)
    }

    fn run(&self, peer: Peer) -> BoxFuture<'static, Result<(), ProtocolError>> {
        Box::pin(session::run(Arc::clone(&self.shared), peer))
    }
}

impl fmt::Debug for ReplicaSync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicaSync").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

//! Replica sync wired: who the replicas are, and what the node says of its history. Facts: design §2 "Replica sync".

use std::{collections::HashSet, sync::Arc, time::Duration};

use archive::WriterObserver;
use enode::NodeId;
use node_config::{LiveFile, MailserverConfig, NodeConfig};
use replica_sync::{Config, HistoryState, ReplicaSync, Site, SiteConfig};

use crate::{
    clock::unix_seconds,
    exit::ExitError,
    history::Archive,
    live,
    metrics::{Metrics, live::Gauges},
    reload,
};

/// Replicas by who names them.
#[derive(Default)]
pub(crate) struct Peers {
    /// `WakuConfig.MailServerSyncPeers`.
    pub(crate) configured: HashSet<NodeId>,
    /// `syncPeers` of the live file.
    pub(crate) live: HashSet<NodeId>,
}

impl Peers {
    /// As of the start.
    pub(crate) fn new(config: Option<&MailserverConfig>, live_file: &LiveFile) -> Self {
        Self {
            configured: config.map(|config| reload::ids(&config.sync_peers)).unwrap_or_default(),
            live: live::ids("syncPeers", &live_file.sync_peers),
        }
    }

    /// All of them.
    pub(crate) fn all(&self) -> HashSet<NodeId> {
        self.configured.union(&self.live).copied().collect()
    }
}

/// Time between two rounds with a replica that agreed.
pub(crate) fn period(live_file: &LiveFile) -> Duration {
    live_file.sync_interval_seconds.map_or(Config::PERIOD, |seconds| Duration::from_secs(seconds.into()))
}

/// Name, help and value.
type Figure = (&'static str, &'static str, fn(&HistoryState) -> usize);

/// Replica sync of the node `own`, if it has an archive, with these replicas and that time between two rounds.
///
/// # Errors
/// A metric of the same name is registered already.
pub(crate) fn start(
    config: &NodeConfig,
    own: NodeId,
    archive: Option<&Archive>,
    (peers, period): (&Peers, Duration),
    metrics: &Metrics,
) -> Result<Option<Arc<ReplicaSync>>, ExitError> {
    let (Some(archive), Some(settings), Some(waku)) = (archive, &config.mailserver, &config.waku) else {
        return Ok(None);
    };
    let site = Site::new(
        Arc::clone(&archive.history),
        Arc::clone(&archive.metrics) as Arc<dyn WriterObserver>,
        SiteConfig {
            min_pow: waku.minimum_pow,
            max_message_size: usize::try_from(waku.max_message_size).unwrap_or(usize::MAX),
            ..SiteConfig::default()
        },
        Arc::new(unix_seconds),
    );
    let counted = Arc::clone(&archive.metrics);
    let sync = ReplicaSync::new(
        own,
        site,
        Config { period, ..Config::new(settings.sync_timeout) },
        peers.all(),
        replica_sync::Metrics::new(metrics.registry())?,
        Box::new(move |failed| counted.sync_round(failed)),
    );
    let asked = Arc::clone(&sync);
    let figures: [Figure; 2] = [
        (
            "statusd_history_complete",
            "1 when a replica agreed, none is configured or none agreed in time, else 0.",
            |it| usize::from(it.is_complete()),
        ),
        (
            "statusd_sync_agreed_timestamp_seconds",
            "UNIX time up to which a replica agreed, 0 for none.",
            |it| it.agreed_to().and_then(|to| usize::try_from(to).ok()).unwrap_or(0),
        ),
    ];
    metrics.registry().register(Box::new(Gauges::new(move || Some(asked.history()), figures)?))?;
    Ok(Some(sync))
}

//! What the node says of itself as a whole: at `/status` for the operator, and by `status_*` and `mailserver_stats`.
//! Read-only, no secrets. Facts: design §2 "Metrics"; `spec/operations.md` §8 (RPC).

use std::{path::PathBuf, sync::Arc};

use archive::{History, Stats};
use node_client::status::{Advertised, ArchiveStatus, DiskStatus, HistoryStatus, NodeStatus};
use replica_sync::ReplicaSync;

use crate::{
    health::{Health, Verdict},
    kernel_clock,
    rpc::Backend,
};

/// The parts that are looked at.
pub(crate) struct Report {
    /// Version of the program, without `v`.
    pub(crate) version: &'static str,
    /// Name of the configuration.
    pub(crate) config_hash: String,
    /// For the size of its volume.
    pub(crate) data_dir: PathBuf,
    /// Key, address, peers.
    pub(crate) backend: Arc<dyn Backend>,
    /// The archive of a mailserver.
    pub(crate) history: Option<Arc<dyn History>>,
    /// Verdicts.
    pub(crate) health: Arc<Health>,
    /// The replicas of a mailserver.
    pub(crate) sync: Option<Arc<ReplicaSync>>,
}

impl Report {
    /// The document, as of now.
    pub(crate) async fn status(&self) -> NodeStatus {
        let verdict = self.health.verdict().await;
        let live = self.health.is_live().await;
        self.document(live, &verdict, self.stats().await)
    }

    /// Counts of the archive, if there is one that can be read.
    pub(crate) async fn stats(&self) -> Option<Stats> {
        self.history.as_ref()?.stats().await.ok()
    }

    fn document(&self, live: bool, verdict: &Verdict, stats: Option<Stats>) -> NodeStatus {
        let enode = self.backend.enode();
        NodeStatus {
            version: self.version.to_owned(),
            node_id: enode.node_id().to_string(),
            public_key: enode.public_key.to_string(),
            enode: enode.endpoint.is_some().then(|| enode.to_string()),
            config_hash: self.config_hash.clone(),
            advertised: enode.endpoint.map(|endpoint| Advertised {
                address: endpoint.ip.to_string(),
                tcp_port: endpoint.tcp,
                udp_port: endpoint.udp,
            }),
            peers: u32::try_from(self.backend.peer_count()).unwrap_or(u32::MAX),
            live,
            ready: verdict.reasons.is_empty(),
            not_ready_reasons: verdict.reasons.clone(),
            archive: stats.map(|stats| ArchiveStatus {
                floor: stats.floor,
                oldest: stats.oldest,
                newest: stats.newest,
                envelopes: stats.envelopes,
                bytes: stats.bytes,
                writable: verdict.archive_writable,
            }),
            history: self.sync.as_ref().map(|sync| {
                let history = sync.history();
                HistoryStatus {
                    complete: history.is_complete(),
                    reason: history.to_string(),
                    agreed_to: history.agreed_to(),
                }
            }),
            disk: rustix::fs::statvfs(&self.data_dir).ok().map(|volume| DiskStatus {
                total_bytes: volume.f_blocks.saturating_mul(volume.f_frsize),
                free_bytes: volume.f_bavail.saturating_mul(volume.f_frsize),
            }),
            clock_synchronized: kernel_clock::is_synchronized(),
        }
    }
}

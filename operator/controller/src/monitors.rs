//! Whether the cluster has ServiceMonitors, and their watch while it has.
//!
//! Asked at the start and then once a minute, of the discovery document of the one group version; a cluster without
//! the Prometheus operator costs one small request a minute.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use kube::Client;
use statusnode_plan::ObjectKind;
use tracing::{info, warn};

use crate::{
    apply::bounded,
    watch::{NodeStore, Watches, node_keys},
};

/// Pause between two questions.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// What is known; clones share it.
#[derive(Clone, Default)]
pub struct Monitors(Arc<AtomicBool>);

impl Monitors {
    /// Whether the API is there.
    pub fn available(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Asks once.
    pub async fn ask(&self, client: &Client) {
        match is_served(client).await {
            Ok(there) => self.0.store(there, Ordering::Relaxed),
            Err(error) => warn!(%error, "cannot ask for ServiceMonitors"),
        }
    }

    /// Keeps asking; watches ServiceMonitors while the API is there, and has all resources looked at when that changes.
    pub async fn follow(self, watches: Watches, nodes: NodeStore) {
        loop {
            let there = self.available();
            let changed = async {
                loop {
                    tokio::time::sleep(ASK_AGAIN).await;
                    self.ask(&watches.client).await;
                    if self.available() != there {
                        break;
                    }
                }
            };
            if there {
                tokio::select! { () = changed => {}, () = watches.service_monitors() => {} }
                watches.caches.service_monitors.replace_all(None, Vec::new());
            } else {
                changed.await;
            }
            info!(available = self.available(), "ServiceMonitor API");
            watches.triggers.extend(node_keys(&nodes));
        }
    }
}

async fn is_served(client: &Client) -> Result<bool, kube::Error> {
    let resource = ObjectKind::ServiceMonitor.api_resource();
    match bounded(client.list_api_group_resources(&resource.api_version)).await {
        Ok(list) => Ok(list.resources.iter().any(|r| r.name == resource.plural)),
        // An unknown group is answered in plain text, without a reason.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(error),
    }
}

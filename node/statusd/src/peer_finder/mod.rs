//! Discovery in the running node: the UDP driver, and the task that makes peers of what it finds.
//!
//! Owns when the driver runs ([`Discovery`], which RPC, metrics and live settings also ask), and carries out what the pool
//! of peers decides. Decides nothing itself: that is [`discovery::pool`]. Facts: `spec/devp2p.md` §4, §5.

mod cache;
mod task;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use discovery::{Config, Handle, Manager, StartError, Stats, Topic};
use enode::{Endpoint, Enode, EnodeUrl, NodeKey};
use node_config::{Cidr, DiscoveryConfig};
use parking_lot::Mutex;

pub(crate) use task::run;

/// Longest look-up of the name of one boot node.
const LOOKUP: Duration = Duration::from_secs(5);

/// What the node is found by and looks for.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) key: NodeKey,
    /// UDP address: that of the TCP listener, port included, for others take them to be the same (§6.3).
    pub(crate) listen: SocketAddr,
    pub(crate) config: DiscoveryConfig,
    /// Mailservers that are believed (§4.5).
    pub(crate) trusted_mailservers: Vec<EnodeUrl>,
    pub(crate) shared_sources: Vec<Cidr>,
    /// File of the peers that were found, for the next start.
    pub(crate) cache: PathBuf,
}

/// The driver, while it runs. The pool stops and starts it.
pub(crate) struct Discovery {
    settings: Settings,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: Option<Handle>,
    advertised: Option<Endpoint>,
}

impl Discovery {
    /// Binds the port and begins, so that a port that is taken fails the start of the node.
    ///
    /// # Errors
    /// [`StartError`].
    pub(crate) async fn start(
        settings: Settings,
        advertised: Option<Endpoint>,
    ) -> Result<Arc<Self>, StartError> {
        let state = Mutex::new(State { running: None, advertised });
        let discovery = Arc::new(Self { settings, state });
        discovery.begin().await?;
        Ok(discovery)
    }

    /// Starts the driver unless it runs, and registers this node's topics.
    async fn begin(&self) -> Result<Handle, StartError> {
        if let Some(running) = self.running() {
            return Ok(running);
        }
        let boot_nodes = self.boot_nodes().await;
        let advertised = self.state.lock().advertised;
        let handle = Manager::start(Config {
            advertised,
            boot_nodes,
            shared_sources: self.settings.shared_sources.clone(),
            ..Config::new(self.settings.key.clone(), self.settings.listen)
        })?;
        for name in &self.settings.config.register {
            // The configuration has found each to be a topic.
            let Ok(topic) = name.parse::<Topic>() else { continue };
            if let Err(error) = handle.register(topic) {
                tracing::warn!(topic = name, %error, "not registered");
            }
        }
        let mut state = self.state.lock();
        // It may have changed while names were looked up.
        if state.advertised != advertised {
            handle.set_advertised(state.advertised);
        }
        state.running = Some(handle.clone());
        drop(state);
        tracing::info!(udp = %handle.local_addr(), "discovery started");
        Ok(handle)
    }

    /// Stops the driver; done when the port is free.
    async fn end(&self) {
        let running = self.state.lock().running.take();
        if let Some(handle) = running {
            handle.shutdown().await;
            tracing::info!("discovery stopped");
        }
    }

    fn running(&self) -> Option<Handle> {
        self.state.lock().running.clone()
    }

    /// Says from now on that the node is reached there.
    pub(crate) fn set_advertised(&self, advertised: Option<Endpoint>) {
        let mut state = self.state.lock();
        state.advertised = advertised;
        if let Some(handle) = &state.running {
            handle.set_advertised(advertised);
        }
    }

    /// What the driver did since its start; `None` while it does not run.
    pub(crate) fn stats(&self) -> Option<Stats> {
        self.running().map(|handle| handle.stats())
    }

    /// The boot nodes with an address each; names are looked up anew at each start.
    async fn boot_nodes(&self) -> Vec<Enode> {
        let lookups = self.settings.config.boot_nodes.iter().map(|url| async move {
            let found = devp2p::resolve(url, LOOKUP).await;
            if let Err(error) = &found {
                tracing::warn!(boot_node = %url, %error, "this boot node is left out");
            }
            found.ok()
        });
        futures::future::join_all(lookups).await.into_iter().flatten().collect()
    }
}

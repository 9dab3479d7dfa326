//! Between the pool and everything it acts on: the driver, the server, the file of cached peers.

use std::{collections::HashSet, sync::Arc, time::Instant};

use devp2p::PeerEvent;
use discovery::{
    Event, Handle, Topic,
    pool::{Limits, Pool, PoolAction, PoolConfig, Wanted},
};
use enode::NodeId;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio_util::sync::CancellationToken;

use super::{
    Discovery,
    cache::{self, Cached},
};
use crate::node::Node;

/// What discovery and the pool have between them.
struct Task {
    discovery: Arc<Discovery>,
    node: Arc<Node>,
    pool: Pool,
    /// Of the running driver.
    found: Option<Receiver<Event>>,
    peers: Receiver<PeerEvent>,
    known: HashSet<NodeId>,
}

/// Makes peers of what is found, until the node stops.
pub(crate) async fn run(discovery: Arc<Discovery>, node: Arc<Node>, stop: CancellationToken) {
    let pool = Pool::new(pool_config(&discovery, &node));
    // Subscribed before the first look, so that nobody comes unseen between the two.
    let peers = node.p2p().events();
    let mut task = Task { discovery, node, pool, found: None, peers, known: HashSet::new() };
    task.look_again();
    task.pool.start();
    loop {
        task.carry_out().await;
        tokio::select! {
            () = stop.cancelled() => break,
            event = task.peers.recv() => task.peer_event(event),
            event = next(&mut task.found) => task.found_event(event),
            () = until(task.pool.poll_timeout()) => task.pool.handle_timeout(Instant::now()),
        }
    }
    task.discovery.end().await;
}

fn pool_config(discovery: &Discovery, node: &Node) -> PoolConfig {
    let settings = &discovery.settings;
    let mut cached = cache::read(&settings.cache);
    let wanted = settings.config.require.iter().filter_map(|(name, limits)| {
        let as_count = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        // The configuration has found each to be a topic with limits in bounds.
        let limits = Limits::new(as_count(limits.min), as_count(limits.max)).ok()?;
        Some(Wanted { topic: name.parse().ok()?, limits, cached: cached.remove(name).unwrap_or_default() })
    });
    PoolConfig {
        local: node.p2p().enode().node_id(),
        wanted: wanted.collect(),
        allow_stop: settings.config.register.is_empty(),
        trusted_mailservers: settings
            .trusted_mailservers
            .iter()
            .map(|url| url.public_key.node_id())
            .collect(),
    }
}

async fn next(found: &mut Option<Receiver<Event>>) -> Result<Event, RecvError> {
    match found {
        Some(found) => found.recv().await,
        None => std::future::pending().await,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

impl Task {
    fn found_event(&mut self, event: Result<Event, RecvError>) {
        match event {
            Ok(Event::Found { topic, node }) => self.pool.found(Instant::now(), &topic, node),
            // What was missed is found again.
            Ok(Event::TableReady) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => self.found = None,
        }
    }

    fn peer_event(&mut self, event: Result<PeerEvent, RecvError>) {
        let now = Instant::now();
        match event {
            Ok(PeerEvent::Added(info)) => {
                if self.known.insert(info.id) {
                    self.pool.peer_added(now, info.id);
                }
            }
            Ok(PeerEvent::Dropped(dropped)) => {
                if self.known.remove(&dropped.info.id) {
                    self.pool.peer_dropped(now, dropped.info.id);
                }
            }
            Err(RecvError::Lagged(_)) => self.look_again(),
            // The server has ended; the node stops.
            Err(RecvError::Closed) => {}
        }
    }

    /// Finds out by itself who came and who went.
    fn look_again(&mut self) {
        let now = Instant::now();
        let connected: HashSet<NodeId> = self.node.p2p().peers().iter().map(|peer| peer.id).collect();
        for gone in self.known.difference(&connected) {
            self.pool.peer_dropped(now, *gone);
        }
        for came in connected.difference(&self.known) {
            self.pool.peer_added(now, *came);
        }
        self.known = connected;
    }

    /// Does what the pool wants, until it wants nothing more.
    async fn carry_out(&mut self) {
        let mut keep = false;
        while let Some(action) = self.pool.poll_action() {
            match action {
                PoolAction::StartDiscovery => self.start().await,
                PoolAction::StopDiscovery => {
                    self.found = None;
                    self.discovery.end().await;
                }
                PoolAction::Search { topic, period } => self.with_driver(|driver| {
                    if let Err(error) = driver.search(topic.clone(), period) {
                        tracing::warn!(%topic, %error, "not searched");
                    }
                }),
                PoolAction::StopSearch(topic) => self.with_driver(|driver| driver.stop_search(&topic)),
                PoolAction::AddPeer(found) => self.node.keep_found(&found.enode()),
                PoolAction::RemovePeer(id) => self.node.release_found(&id),
                PoolAction::CacheChanged(_) => keep = true,
                PoolAction::MailserverFound(id) => tracing::info!(%id, "a trusted mailserver was found"),
            }
        }
        if keep {
            self.keep_cached().await;
        }
    }

    async fn start(&mut self) {
        match self.discovery.begin().await {
            Ok(driver) => {
                self.found = Some(driver.events());
                self.pool.discovery_started(Instant::now());
            }
            Err(error) => {
                tracing::warn!(%error, "discovery does not start; tried again");
                self.pool.discovery_failed(Instant::now());
            }
        }
    }

    fn with_driver(&self, act: impl FnOnce(&Handle)) {
        if let Some(driver) = self.discovery.running() {
            act(&driver);
        }
    }

    async fn keep_cached(&self) {
        let names = self.discovery.settings.config.require.keys();
        let cached: Cached = names
            .filter_map(|name| Some((name.clone(), self.pool.cached(&name.parse::<Topic>().ok()?).to_vec())))
            .collect();
        let path = self.discovery.settings.cache.clone();
        let written = tokio::task::spawn_blocking(move || cache::write(&path, &cached)).await;
        if let Err(error) = written.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            tracing::warn!(%error, "the peers that were found are not kept for the next start");
        }
    }
}

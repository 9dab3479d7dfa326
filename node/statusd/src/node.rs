//! The running node as RPC, metrics and live settings see it: its devp2p server, its record, its static peers.
//! Facts: `spec/operations.md` §2.2, `spec/devp2p.md` §2.8 (peer name).

use std::{
    collections::{BTreeMap, HashSet},
    io,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use devp2p::{Handle, PeerEvent};
use enode::{Endpoint, Enode, EnodeUrl, NodeId, RecordError};
use futures::{
    FutureExt as _, StreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use parking_lot::Mutex;
use replica_sync::ReplicaSync;
use tokio::sync::broadcast::error::RecvError;
use waku::Waku;

use crate::{
    peer_finder::Discovery,
    rpc::{Backend, NodeInfo, PeerChange, PeerEntry, PeerNetwork, Ports, peer_protocols, waku_protocol},
    sequence::Sequence,
    sync,
};

/// Most peers added by RPC, and most trusted by RPC.
const MAX_ADDED_PEERS: usize = 1000;

/// Version of the program, without a leading `v`.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The peer name: four segments, which other clients split.
pub(crate) fn client_name() -> String {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("Statusd/v{VERSION}/{}-{arch}/rust{}", std::env::consts::OS, env!("CARGO_PKG_RUST_VERSION"))
}

/// Why an address is not advertised. The old one stays.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdvertiseError {
    /// Signing.
    #[error("cannot sign the node record: {0}")]
    Sign(#[from] RecordError),
    /// Keeping the sequence number.
    #[error("cannot keep the record's sequence number in {}: {source}; free space in DataDir", .path.display())]
    Keep { path: PathBuf, source: io::Error },
}

/// The running node.
pub(crate) struct Node {
    p2p: Handle,
    network_id: u64,
    data_dir: PathBuf,
    waku: Option<Arc<Waku>>,
    sequence: Sequence,
    addresses: tokio::sync::Mutex<Addresses>,
    statics: Mutex<Statics>,
    trusted: Mutex<Trusted>,
    /// Told of the advertised address.
    discovery: Option<Arc<Discovery>>,
    sync: Option<Arc<ReplicaSync>>,
    sync_peers: Mutex<sync::Peers>,
}

/// Where others reach the node, by who says so.
#[derive(Clone, Copy)]
struct Addresses {
    /// By the configuration or the live file.
    configured: Option<Endpoint>,
    /// By the router that forwards to it; counts only where nothing is configured.
    learned: Option<Endpoint>,
}

/// Static peers by who wants them.
struct Statics {
    configured: Vec<EnodeUrl>,
    live: Vec<EnodeUrl>,
    added: Vec<EnodeUrl>,
    /// By discovery, as many as its pool keeps.
    found: Vec<EnodeUrl>,
}

/// Trusted peers by who names them.
struct Trusted {
    configured: HashSet<NodeId>,
    live: HashSet<NodeId>,
    added: HashSet<NodeId>,
}

impl Trusted {
    fn all(&self) -> HashSet<NodeId> {
        [&self.configured, &self.live, &self.added].into_iter().flatten().copied().collect()
    }

    fn forget(&mut self, peer: &NodeId) {
        for peers in [&mut self.configured, &mut self.live, &mut self.added] {
            peers.remove(peer);
        }
    }
}

impl Node {
    /// A node around a running server that keeps `configured` and `live` peers and trusts `trusted`, likewise.
    pub(crate) fn new(
        p2p: Handle,
        network_id: u64,
        data_dir: PathBuf,
        waku: Option<Arc<Waku>>,
        sequence: Sequence,
        (configured, live): (Vec<EnodeUrl>, Vec<EnodeUrl>),
        trusted: (HashSet<NodeId>, HashSet<NodeId>),
    ) -> Self {
        let addresses = tokio::sync::Mutex::new(Addresses { configured: p2p.advertised(), learned: None });
        let statics = Mutex::new(Statics { configured, live, added: Vec::new(), found: Vec::new() });
        let trusted = Mutex::new(Trusted { configured: trusted.0, live: trusted.1, added: HashSet::new() });
        Self {
            p2p,
            network_id,
            data_dir,
            waku,
            sequence,
            addresses,
            statics,
            trusted,
            discovery: None,
            sync: None,
            sync_peers: Mutex::default(),
        }
    }

    /// The same with discovery, which is told of the advertised address from then on.
    pub(crate) fn with_discovery(self, discovery: Option<Arc<Discovery>>) -> Self {
        Self { discovery, ..self }
    }

    /// The same with replicas, which are `peers`.
    pub(crate) fn with_sync(self, sync: Option<Arc<ReplicaSync>>, peers: sync::Peers) -> Self {
        Self { sync, sync_peers: Mutex::new(peers), ..self }
    }

    /// Changes who the replicas are. Those that come or go connect anew: what is offered is said in Hello.
    pub(crate) fn change_sync_peers(&self, change: impl FnOnce(&mut sync::Peers)) {
        let Some(sync) = &self.sync else { return };
        let mut peers = self.sync_peers.lock();
        change(&mut peers);
        for peer in sync.set_peers(peers.all()) {
            self.p2p.reconnect(&peer);
        }
    }

    /// Time between two rounds of sync, from now on.
    pub(crate) fn set_sync_period(&self, period: Duration) {
        if let Some(sync) = &self.sync {
            sync.set_period(period);
        }
    }

    /// The devp2p server.
    pub(crate) fn p2p(&self) -> &Handle {
        &self.p2p
    }

    /// Makes `configured` the address of the configuration or the live file.
    ///
    /// # Errors
    /// [`AdvertiseError`]; the old address stays.
    pub(crate) async fn advertise(&self, configured: Option<Endpoint>) -> Result<(), AdvertiseError> {
        self.change_addresses(|addresses| addresses.configured = configured).await
    }

    /// Makes `learned` the address that the router says. It is advertised where none is configured.
    ///
    /// # Errors
    /// [`AdvertiseError`]; the old address stays.
    pub(crate) async fn advertise_learned(&self, learned: Option<Endpoint>) -> Result<(), AdvertiseError> {
        self.change_addresses(|addresses| addresses.learned = learned).await
    }

    async fn change_addresses(&self, change: impl FnOnce(&mut Addresses)) -> Result<(), AdvertiseError> {
        let mut addresses = self.addresses.lock().await;
        let mut changed = *addresses;
        change(&mut changed);
        let endpoint = changed.configured.or(changed.learned);
        if self.p2p.advertised() != endpoint {
            self.publish(endpoint).await?;
        }
        *addresses = changed;
        Ok(())
    }

    /// One at a time: the record's number is read, kept and used.
    async fn publish(&self, endpoint: Option<Endpoint>) -> Result<(), AdvertiseError> {
        // Kept before it is published: after a crash a number may be skipped, but never used twice.
        let next = self.p2p.record().seq().saturating_add(1);
        let keep = |source| AdvertiseError::Keep { path: self.sequence.path().to_owned(), source };
        let sequence = self.sequence.clone();
        tokio::task::spawn_blocking(move || sequence.keep(next))
            .await
            .map_err(|error| keep(io::Error::other(error)))?
            .map_err(keep)?;
        self.p2p.set_advertised(endpoint)?;
        if let Some(discovery) = &self.discovery {
            discovery.set_advertised(endpoint);
        }
        tracing::info!(enode = %self.p2p.enode(), "the advertised address changed");
        Ok(())
    }

    /// Makes `configured` the static peers of the configuration.
    pub(crate) fn set_configured_peers(&self, configured: Vec<EnodeUrl>) {
        let mut statics = self.statics.lock();
        statics.configured = configured;
        self.p2p.set_static_peers(statics.all());
    }

    /// Trusts those that the configuration names, and those that it named before only if the live file or RPC does.
    pub(crate) fn set_configured_trusted(&self, configured: HashSet<NodeId>) {
        self.change_trust(|trusted| trusted.configured = configured);
    }

    /// The same for the live file.
    pub(crate) fn set_live_trusted(&self, live: HashSet<NodeId>) {
        self.change_trust(|trusted| trusted.live = live);
    }

    fn change_trust(&self, change: impl FnOnce(&mut Trusted)) {
        let mut trusted = self.trusted.lock();
        let old = trusted.all();
        change(&mut trusted);
        let new = trusted.all();
        old.difference(&new).for_each(|id| self.p2p.remove_trusted(*id));
        new.difference(&old).for_each(|id| self.p2p.add_trusted(*id));
    }

    /// Keeps a connection to a node that discovery found, unless somebody else wants it kept.
    pub(crate) fn keep_found(&self, found: &Enode) {
        let mut statics = self.statics.lock();
        if !statics.has(&found.node_id()) {
            let url = EnodeUrl::from(*found);
            statics.found.push(url.clone());
            self.p2p.add_peer(url);
        }
    }

    /// Takes that back and disconnects in the background, unless somebody else wants the node kept.
    pub(crate) fn release_found(&self, peer: &NodeId) {
        let mut statics = self.statics.lock();
        let before = statics.found.len();
        statics.found.retain(|known| known.public_key.node_id() != *peer);
        if statics.found.len() < before && !statics.has(peer) {
            self.p2p.release_peer(peer);
        }
    }

    /// Makes `live` the static peers of the live file.
    pub(crate) fn set_live_peers(&self, live: Vec<EnodeUrl>) {
        let mut statics = self.statics.lock();
        statics.live = live;
        self.p2p.set_static_peers(statics.all());
    }
}

impl Statics {
    fn all(&self) -> Vec<EnodeUrl> {
        self.lists().into_iter().flatten().cloned().collect()
    }

    /// Later ones win where one node is in two lists.
    fn lists(&self) -> [&Vec<EnodeUrl>; 4] {
        [&self.found, &self.configured, &self.live, &self.added]
    }

    fn has(&self, peer: &NodeId) -> bool {
        self.lists().into_iter().flatten().any(|known| known.public_key.node_id() == *peer)
    }

    fn forget(&mut self, peer: &NodeId) {
        for peers in [&mut self.configured, &mut self.live, &mut self.added, &mut self.found] {
            peers.retain(|known| known.public_key.node_id() != *peer);
        }
    }
}

impl Backend for Node {
    fn client_name(&self) -> String {
        self.p2p.hello().name.clone()
    }

    fn network_id(&self) -> u64 {
        self.network_id
    }

    fn is_listening(&self) -> bool {
        self.p2p.local_addr().is_some()
    }

    fn data_dir(&self) -> String {
        // Only an empty path has no absolute form.
        std::path::absolute(&self.data_dir).unwrap_or_else(|_| self.data_dir.clone()).display().to_string()
    }

    fn peer_count(&self) -> usize {
        self.p2p.peer_count()
    }

    fn peer_names(&self) -> Vec<String> {
        self.p2p.peers().iter().map(|peer| peer.name.clone()).collect()
    }

    fn enode(&self) -> Enode {
        self.p2p.enode()
    }

    fn info(&self) -> NodeInfo {
        let (enode, listen) = (self.p2p.enode(), self.p2p.local_addr());
        NodeInfo {
            id: enode.node_id().to_string(),
            name: self.client_name(),
            enode: enode.to_string(),
            enr: self.p2p.record().to_string(),
            ip: enode.endpoint.map(|endpoint| endpoint.ip.to_string()).unwrap_or_default(),
            ports: match enode.endpoint {
                Some(endpoint) => Ports { discovery: endpoint.udp, listener: endpoint.tcp },
                None => Ports { discovery: 0, listener: listen.map_or(0, |listen| listen.port()) },
            },
            listen_addr: listen.map(|listen| listen.to_string()).unwrap_or_default(),
            protocols: self
                .waku
                .as_ref()
                .map_or_else(BTreeMap::new, |waku| waku_protocol(waku.max_message_size(), waku.min_pow())),
        }
    }

    fn peers(&self) -> Vec<PeerEntry> {
        self.p2p
            .peers()
            .iter()
            .map(|peer| PeerEntry {
                enode: peer.enode.to_string(),
                id: peer.id.to_string(),
                name: peer.name.clone(),
                caps: peer.capabilities.iter().map(|cap| format!("{}/{}", cap.name, cap.version)).collect(),
                network: PeerNetwork {
                    local_address: peer.local_addr.to_string(),
                    remote_address: peer.remote_addr.to_string(),
                    inbound: peer.inbound,
                    trusted: peer.trusted(),
                    is_static: peer.is_static,
                },
                protocols: peer_protocols(peer.shared.iter().map(|cap| cap.name.clone())),
            })
            .collect()
    }

    fn add_peer(&self, peer: EnodeUrl) -> Result<(), String> {
        if peer.address.is_none() {
            return Err("invalid enode: no address to dial, want enode://<128 hex>@<host>:<port>".to_owned());
        }
        let mut statics = self.statics.lock();
        statics.added.retain(|known| known.public_key != peer.public_key);
        if statics.added.len() >= MAX_ADDED_PEERS {
            return Err(format!(
                "{MAX_ADDED_PEERS} peers were added already; restart the node to forget them"
            ));
        }
        statics.added.push(peer.clone());
        self.p2p.add_peer(peer);
        Ok(())
    }

    fn remove_peer(&self, peer: NodeId) -> BoxFuture<'_, ()> {
        self.statics.lock().forget(&peer);
        async move { self.p2p.remove_peer(&peer).await }.boxed()
    }

    fn set_trusted(&self, peer: NodeId, trusted: bool) -> Result<(), String> {
        if !trusted {
            self.change_trust(|known| known.forget(&peer));
            return Ok(());
        }
        let mut full = false;
        self.change_trust(|known| {
            full = known.added.len() >= MAX_ADDED_PEERS && !known.added.contains(&peer);
            if !full {
                known.added.insert(peer);
            }
        });
        if full {
            Err(format!("{MAX_ADDED_PEERS} peers are trusted already; remove some first"))
        } else {
            Ok(())
        }
    }

    fn peer_events(&self) -> BoxStream<'static, PeerChange> {
        stream::unfold(self.p2p.events(), async |mut events| {
            loop {
                match events.recv().await {
                    Ok(event) => return Some((change(&event), events)),
                    Err(RecvError::Lagged(missed)) => {
                        tracing::warn!(missed, "a reader of admin_peerEvents is too slow and misses some");
                    }
                    Err(RecvError::Closed) => return None,
                }
            }
        })
        .boxed()
    }
}

fn change(event: &PeerEvent) -> PeerChange {
    let (kind, info, error) = match event {
        PeerEvent::Added(info) => ("add", info, None),
        PeerEvent::Dropped(dropped) => ("drop", &dropped.info, Some(dropped.error.clone())),
    };
    PeerChange {
        kind,
        peer: info.id.to_string(),
        error,
        local: info.local_addr.to_string(),
        remote: info.remote_addr.to_string(),
    }
}

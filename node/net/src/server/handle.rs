//! The handle of a running server: what RPC, health and the rest of a node ask of it and tell it.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use enode::{Endpoint, Enode, EnodeUrl, NodeId, Record, RecordError};
use tokio::{sync::broadcast, time::timeout};

use super::{
    manager::{Manager, PeerEvent},
    peers::Entry,
};
use crate::{DisconnectReason, LocalHello, PeerInfo, Totals, TrafficTotals};

/// Controls a running server. Cheap to clone; dropping it does not stop the server.
#[derive(Clone)]
pub struct Handle(Arc<Manager>);

impl Handle {
    pub(crate) fn new(manager: Arc<Manager>) -> Self {
        Self(manager)
    }

    /// The TCP address that is bound, with the real port; `None` when not listening.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.0.local_addr
    }

    /// What the server says in Hello, at most: some protocols are offered to some nodes only.
    #[must_use]
    pub fn hello(&self) -> &LocalHello {
        &self.0.hello
    }

    /// The connected peers, sorted by id.
    #[must_use]
    pub fn peers(&self) -> Vec<Arc<PeerInfo>> {
        let mut peers: Vec<_> =
            self.0.state.lock().peers.iter().map(|entry| Arc::clone(&entry.info)).collect();
        peers.sort_by_key(|info| info.id);
        peers
    }

    /// Connected peers.
    #[must_use]
    pub fn peer_count(&self) -> usize {
        self.0.state.lock().peers.len()
    }

    /// The limit on peers.
    #[must_use]
    pub fn max_peers(&self) -> usize {
        self.0.state.lock().peers.max()
    }

    /// Changes [`crate::Config::max_peers`] and [`crate::Config::max_pending`]. Nobody is disconnected for it; who is
    /// above the new limits leaves in the course of time.
    pub fn set_limits(&self, max_peers: usize, max_pending: usize) {
        let mut state = self.0.state.lock();
        state.peers.set_max(max_peers);
        state.pending.set_capacity(max_pending);
        state.schedule.set_max_pending(max_pending);
        drop(state);
        self.0.dial.notify_one();
    }

    /// Inbound connections that are not yet peers.
    #[must_use]
    pub fn pending_count(&self) -> usize {
        self.0.state.lock().pending.len()
    }

    /// What the server did since its start.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.0.counters.totals()
    }

    /// What passed its sockets since its start.
    #[must_use]
    pub fn traffic(&self) -> TrafficTotals {
        self.0.traffic.totals()
    }

    /// Inbound peers for which there is room.
    #[must_use]
    pub fn inbound_slots_left(&self) -> usize {
        self.0.state.lock().peers.inbound_left()
    }

    /// Peers that come and go from now on. A listener that falls 1024 events behind is told that it missed some.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<PeerEvent> {
        self.0.events.subscribe()
    }

    /// Keeps a node connected from now on; a known one at another address is dialed there. Dialing is asynchronous.
    pub fn add_peer(&self, url: EnodeUrl) {
        if self.0.state.lock().schedule.add(url) {
            self.0.dial.notify_one();
        }
    }

    /// Forgets a static peer and, if it is connected, ends its session with Disconnect 0; done when it is gone.
    pub async fn remove_peer(&self, id: &NodeId) {
        if let Some(entry) = self.let_go(id) {
            entry.over.cancelled().await;
        }
    }

    /// The same, but its session ends in the background.
    pub fn release_peer(&self, id: &NodeId) {
        self.let_go(id);
    }

    /// Ends the session of a peer, if there is one, with Disconnect 0 in the background. A static peer is dialed again, and
    /// both sides say Hello anew.
    pub fn reconnect(&self, id: &NodeId) {
        if let Some(entry) = self.0.state.lock().peers.get(id) {
            entry.outbox.close(DisconnectReason::Requested);
        }
    }

    /// The session that was told to end.
    fn let_go(&self, id: &NodeId) -> Option<Entry> {
        let connected = {
            let mut state = self.0.state.lock();
            state.schedule.remove(id);
            state.peers.get(id).cloned()
        };
        connected.inspect(|entry| entry.outbox.close(DisconnectReason::Requested))
    }

    /// Makes `urls` the static peers: adds what is new, moves what moved, and forgets the rest, whose sessions end with
    /// Disconnect 0 in the background.
    pub fn set_static_peers(&self, urls: Vec<EnodeUrl>) {
        let wanted: std::collections::HashSet<NodeId> =
            urls.iter().map(|url| url.public_key.node_id()).collect();
        let mut state = self.0.state.lock();
        let gone: Vec<NodeId> = state
            .schedule
            .statics()
            .map(|url| url.public_key.node_id())
            .filter(|id| !wanted.contains(id))
            .collect();
        for id in gone {
            state.schedule.remove(&id);
            if let Some(entry) = state.peers.get(&id).filter(|entry| entry.info.is_static) {
                entry.outbox.close(DisconnectReason::Requested);
            }
        }
        for url in urls {
            state.schedule.add(url);
        }
        drop(state);
        self.0.dial.notify_one();
    }

    /// Whether a node is in the static list.
    #[must_use]
    pub fn is_static(&self, id: &NodeId) -> bool {
        self.0.state.lock().schedule.is_static(id)
    }

    /// Lets a node in above the limits from now on; dials nobody.
    pub fn add_trusted(&self, id: NodeId) {
        self.change_trust(id, true);
    }

    /// Takes that back; disconnects nobody.
    pub fn remove_trusted(&self, id: NodeId) {
        self.change_trust(id, false);
    }

    fn change_trust(&self, id: NodeId, trusted: bool) {
        let mut state = self.0.state.lock();
        if trusted {
            state.trusted.insert(id);
        } else {
            state.trusted.remove(&id);
        }
        if let Some(entry) = state.peers.get(&id) {
            entry.info.set_trusted(trusted);
        }
    }

    /// This node's enode; without an endpoint while the address is unknown.
    #[must_use]
    pub fn enode(&self) -> Enode {
        self.0.state.lock().local.enode()
    }

    /// This node's signed record. Its sequence number is to be kept by the caller for [`crate::Config::record_seq`].
    #[must_use]
    pub fn record(&self) -> Record {
        self.0.state.lock().local.record().clone()
    }

    /// The advertised endpoint, if it is known.
    #[must_use]
    pub fn advertised(&self) -> Option<Endpoint> {
        self.0.state.lock().local.advertised()
    }

    /// Changes the advertised endpoint; whether it was another one. The record then has the next sequence number.
    ///
    /// # Errors
    /// When the record cannot be signed; everything is then as before.
    pub fn set_advertised(&self, endpoint: Option<Endpoint>) -> Result<bool, RecordError> {
        self.0.state.lock().local.advertise(endpoint)
    }

    /// Stops: accepts and dials nobody, says what is queued and Disconnect 8 to every peer, waits for the sessions and
    /// their sub-protocols for at most `patience`. Whether all ended in time.
    pub async fn shutdown(&self, patience: Duration) -> bool {
        self.0.stop();
        timeout(patience, self.0.tasks.wait()).await.is_ok()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({:?})", self.0.local_addr)
    }
}

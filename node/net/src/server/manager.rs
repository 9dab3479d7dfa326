//! Starting a server, and what its parts share.

use std::{
    collections::HashSet,
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use enode::{NodeId, NodeKey, RecordError};
use parking_lot::Mutex;
use rlpx::Offer;
use socket2::{Domain, Protocol as SocketProtocol, Socket, Type};
use tokio::{
    net::TcpListener,
    sync::{Notify, broadcast},
    task::AbortHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    dialing, inbound, local::Local, peers::Peers, pending::Pending, schedule::Schedule, state::State,
    throttle::Throttle,
};
use crate::{
    Config, DisconnectReason, Error, Handle, LocalHello, PeerInfo, Protocol, Timeouts, budget::Budget,
    counters::Counters, outbox::Outbox, server::peers::Entry, traffic::Traffic,
};

/// Events that a slow listener may lag behind before it misses some.
const EVENTS: usize = 1024;
/// Connections that the kernel queues for accepting.
const BACKLOG: i32 = 1024;

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The TCP port could not be bound.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The node record could not be signed.
    #[error("cannot sign the node record: {0}")]
    Record(#[from] RecordError),
}

/// The end of a peer.
#[derive(Debug)]
pub struct Dropped {
    /// Who it was.
    pub info: Arc<PeerInfo>,
    /// The Disconnect reason that either side said, if one was said.
    pub reason: Option<DisconnectReason>,
    /// What happened, for people.
    pub error: String,
}

/// A change of the peer set (`spec/devp2p.md` §3.7).
#[derive(Debug, Clone)]
pub enum PeerEvent {
    /// In the set; its sub-protocols start.
    Added(Arc<PeerInfo>),
    /// Out of the set.
    Dropped(Arc<Dropped>),
}

/// Owns a server's state and tasks.
pub struct Manager {
    pub(crate) key: NodeKey,
    pub(crate) hello: LocalHello,
    pub(crate) timeouts: Timeouts,
    pub(crate) protocols: Vec<Arc<dyn Protocol>>,
    pub(crate) budget: Budget,
    pub(crate) counters: Counters,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) local_addr: Option<SocketAddr>,
    pub(crate) state: Mutex<State>,
    pub(crate) events: broadcast::Sender<PeerEvent>,
    /// Something changed that may allow a dial.
    pub(crate) dial: Notify,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Manager {
    /// Binds, and starts accepting and dialing. Runs on the current tokio runtime until [`Handle::shutdown`].
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub fn start(config: Config, protocols: Vec<Arc<dyn Protocol>>) -> Result<Handle, StartError> {
        let own = config.key.node_id();
        let offers = offers(&protocols, |_| true);
        let listener = config
            .listen
            .map(|address| listen(address).map_err(|source| StartError::Listen { address, source }))
            .transpose()?;
        let local_addr = listener.as_ref().and_then(|listener| listener.local_addr().ok());
        let mut schedule = Schedule::new(own, config.timeouts.redial, config.max_pending);
        for url in config.static_peers {
            schedule.add(url);
        }
        let state = State {
            peers: Peers::new(own, config.max_peers),
            pending: Pending::new(config.max_pending),
            throttle: Throttle::new(
                config.timeouts.inbound_throttle,
                config.shared_sources,
                config.throttle_private_sources,
            ),
            schedule,
            trusted: config.trusted_peers.into_iter().collect(),
            greeting: HashSet::new(),
            local: Local::new(config.key.clone(), config.advertised, config.record_seq)?,
            stopping: false,
        };
        let manager = Arc::new(Self {
            key: config.key,
            hello: LocalHello { name: config.client_name, offers, max_message_size: config.max_message_size },
            timeouts: config.timeouts,
            protocols,
            budget: Budget::new(
                config.inbound_budget,
                config.message_budget,
                rlpx::largest_frame(config.max_message_size),
            ),
            counters: Counters::default(),
            traffic: Arc::default(),
            local_addr,
            state: Mutex::new(state),
            events: broadcast::channel(EVENTS).0,
            dial: Notify::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        if let Some(listener) = listener {
            manager.tasks.spawn(inbound::accept_loop(Arc::clone(&manager), listener));
        }
        manager.tasks.spawn(dialing::dial_loop(Arc::clone(&manager)));
        Ok(Handle::new(manager))
    }

    /// What Hello says to this node.
    pub(crate) fn hello_to(&self, peer: &NodeId) -> LocalHello {
        let offers = offers(&self.protocols, |protocol| protocol.is_offered_to(peer));
        LocalHello { offers, ..self.hello.clone() }
    }

    /// Before [`State::greet`]: a session of the same node id that does not answer a ping any more makes room for the
    /// new one, which its owner opened because the old one is dead.
    pub(crate) async fn replace_dead_session(&self, id: &NodeId) {
        let Some(entry) = self.state.lock().peers.get(id).cloned() else { return };
        if entry.outbox.probe(self.timeouts.probe).await {
            return;
        }
        tracing::debug!(peer = %id, "replacing a session that does not answer");
        self.evict(&entry, DisconnectReason::AlreadyConnected);
    }

    /// Takes a peer out at once and closes its session in the background.
    fn evict(&self, entry: &Entry, reason: DisconnectReason) {
        let event = self.state.lock().drop_peer(&entry.info, &Error::Closed(reason));
        entry.outbox.close(reason);
        self.publish(event);
    }

    /// Tells the listeners; also something that may allow a dial.
    pub(crate) fn publish(&self, event: Option<PeerEvent>) {
        if let Some(event) = event {
            // Nobody listening is fine.
            let _ = self.events.send(event);
        }
        self.dial.notify_one();
    }

    /// Closes every session with Disconnect 8 and refuses new ones.
    pub(crate) fn stop(&self) {
        let (pending, outboxes): (Vec<AbortHandle>, Vec<Arc<Outbox>>) = {
            let mut state = self.state.lock();
            state.stopping = true;
            (
                state.pending.drain().collect(),
                state.peers.iter().map(|entry| Arc::clone(&entry.outbox)).collect(),
            )
        };
        for connection in pending {
            connection.abort();
        }
        for outbox in outboxes {
            outbox.close(DisconnectReason::ClientQuitting);
        }
        self.stop.cancel();
        self.tasks.close();
    }
}

/// The capabilities of those protocols that are `wanted`.
fn offers(protocols: &[Arc<dyn Protocol>], wanted: impl Fn(&dyn Protocol) -> bool) -> Vec<Offer> {
    let offer = |protocol: &Arc<dyn Protocol>| {
        let length = protocol.length();
        protocol.capabilities().to_vec().into_iter().map(move |capability| Offer { capability, length })
    };
    protocols.iter().filter(|protocol| wanted(&***protocol)).flat_map(offer).collect()
}

/// `[::]` also takes IPv4; where the machine has no IPv6 it means `0.0.0.0`.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    match bind(address) {
        Err(_) if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && !has_ipv6() => {
            bind(SocketAddr::from(([0, 0, 0, 0], address.port())))
        }
        done => done,
    }
}

fn has_ipv6() -> bool {
    Socket::new(Domain::IPV6, Type::STREAM, Some(SocketProtocol::TCP)).is_ok()
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(SocketProtocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // A restart must not wait for the last run's connections to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

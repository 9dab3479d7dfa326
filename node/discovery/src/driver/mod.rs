//! The driver: a [`Core`] over a UDP socket.
//!
//! Owns the socket, the clock and the rates. One task reads and drops what is too much; a thread of its own checks
//! signatures and lets the core answer; one task sends and keeps the time. The core is behind a mutex that is never held
//! across I/O.

mod handle;
mod limits;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use enode::{Endpoint, Enode, NodeKey, PublicKey};
use node_config::Cidr;
use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::UdpSocket,
    sync::{Notify, broadcast},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::limits::Limits;
pub use self::{
    handle::Handle,
    limits::{Rate, Rates},
};
use crate::{Core, CoreConfig, Event, MAX_PACKET, Node, Transmit, address, packet::Unverified};

/// Events that a slow listener may lag behind before it misses some.
const EVENTS: usize = 1024;
/// Datagrams that wait for their signature to be checked.
const VERIFY_QUEUE: usize = 256;
/// Pause after a failed read: an error that stays does not take a core.
const READ_PAUSE: Duration = Duration::from_millis(100);

/// Settings of a driver.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node's identity.
    pub key: NodeKey,
    /// UDP address to bind; `[::]` takes IPv4 too.
    pub listen: SocketAddr,
    /// RLPx port to tell others, 0 for the same as UDP, which others take it for anyway (`spec/devp2p.md` §6.3).
    pub tcp: u16,
    /// Where the node is reached from outside; `None` while that is not known.
    pub advertised: Option<Endpoint>,
    /// Nodes to begin with. Each needs an address; names are resolved by the caller.
    pub boot_nodes: Vec<Enode>,
    /// Source addresses that many nodes share (SNAT): no rate per source.
    pub shared_sources: Vec<Cidr>,
    /// What is taken from the network.
    pub rates: Rates,
}

impl Config {
    /// A node without boot nodes, with the default rates.
    #[must_use]
    pub fn new(key: NodeKey, listen: SocketAddr) -> Self {
        Self {
            key,
            listen,
            tcp: 0,
            advertised: None,
            boot_nodes: Vec::new(),
            shared_sources: Vec::new(),
            rates: Rates::default(),
        }
    }
}

/// Why a driver could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The UDP port could not be bound.
    #[error("cannot listen on UDP {address}: {source}")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// A boot node has no address that packets can be sent to.
    #[error("boot node {0} cannot be reached: want enode://<128 hex>@<ip>:<port> with a port that is not 0")]
    BootNode(Enode),
}

/// Owns a driver's state and tasks; the socket is the tasks', and closed when they end.
pub struct Manager {
    public_key: PublicKey,
    local_addr: SocketAddr,
    core: Mutex<Core>,
    advertised: Mutex<Option<Endpoint>>,
    tcp: u16,
    events: broadcast::Sender<Event>,
    /// The core has something to send or another deadline.
    wake: Notify,
    counters: Counters,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What the core cannot count.
#[derive(Default)]
struct Counters {
    malformed: AtomicU64,
    throttled: AtomicU64,
    verify_overflow: AtomicU64,
    send_errors: AtomicU64,
    receive_errors: AtomicU64,
    received_bytes: AtomicU64,
    sent_bytes: AtomicU64,
}

impl Manager {
    /// Binds, and begins to look for the boot nodes. Runs on the current tokio runtime until [`Handle::shutdown`].
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub fn start(config: Config) -> Result<Handle, StartError> {
        let boot_nodes = config.boot_nodes.iter().map(boot_node).collect::<Result<Vec<Node>, _>>()?;
        let failed = |source| StartError::Listen { address: config.listen, source };
        let socket = Arc::new(bind(config.listen).map_err(failed)?);
        let local_addr = socket.local_addr().map_err(failed)?;
        let now = Instant::now();
        let unix_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let public_key = config.key.public_key();
        let core = CoreConfig {
            key: config.key,
            bound: local_addr,
            tcp: config.tcp,
            advertised: config.advertised,
            boot_nodes,
            unix_s,
        };
        let manager = Arc::new(Self {
            public_key,
            local_addr,
            core: Mutex::new(Core::new(core, rand::random(), now)),
            advertised: Mutex::new(config.advertised),
            tcp: if config.tcp == 0 { local_addr.port() } else { config.tcp },
            events: broadcast::channel(EVENTS).0,
            wake: Notify::new(),
            counters: Counters::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let limits = Limits::new(config.rates, config.shared_sources, now);
        let (verify, unverified) = sync_channel(VERIFY_QUEUE);
        manager.tasks.spawn(Arc::clone(&manager).receive(Arc::clone(&socket), limits, verify));
        let verifier = Arc::clone(&manager);
        manager.tasks.spawn_blocking(move || verifier.verify(&unverified));
        manager.tasks.spawn(Arc::clone(&manager).drive(socket));
        Ok(Handle::new(manager))
    }

    /// Reads until the end; what passes the rates goes to the verifier, which ends when this does.
    async fn receive(
        self: Arc<Self>,
        socket: Arc<UdpSocket>,
        mut limits: Limits,
        verify: SyncSender<(SocketAddr, Unverified)>,
    ) {
        // A longer datagram is seen to be longer by one byte.
        let mut buffer = [0; MAX_PACKET + 1];
        loop {
            let read = tokio::select! {
                () = self.stop.cancelled() => return,
                read = socket.recv_from(&mut buffer) => read,
            };
            let (length, from) = match read {
                Ok(read) => read,
                Err(error) => {
                    tracing::debug!(%error, "UDP read failed");
                    count(&self.counters.receive_errors);
                    tokio::time::sleep(READ_PAUSE).await;
                    continue;
                }
            };
            self.counters.received_bytes.fetch_add(length as u64, Ordering::Relaxed);
            let Ok(unverified) = Unverified::parse(&buffer[..length]) else {
                count(&self.counters.malformed);
                continue;
            };
            let proven = self.core.lock().is_proven(from.ip());
            if !limits.take(Instant::now(), from.ip(), proven) {
                count(&self.counters.throttled);
            } else if verify.try_send((from, unverified)).is_err() {
                count(&self.counters.verify_overflow);
            }
        }
    }

    /// Checks signatures and lets the core handle what is signed, on a thread of its own.
    fn verify(&self, unverified: &Receiver<(SocketAddr, Unverified)>) {
        for (from, packet) in unverified {
            match packet.verify() {
                Ok(received) => {
                    self.core.lock().handle_received(Instant::now(), from, received);
                    self.wake.notify_one();
                }
                Err(error) => {
                    tracing::trace!(%from, %error, "dropped");
                    count(&self.counters.malformed);
                }
            }
        }
    }

    /// Sends what the core wants sent, reports its events and tells it the time.
    async fn drive(self: Arc<Self>, socket: Arc<UdpSocket>) {
        let mut transmits: Vec<Transmit> = Vec::new();
        loop {
            let next = {
                let mut core = self.core.lock();
                let now = Instant::now();
                if core.poll_timeout().is_some_and(|at| at <= now) {
                    core.handle_timeout(now);
                }
                transmits.extend(std::iter::from_fn(|| core.poll_transmit()));
                while let Some(event) = core.poll_event() {
                    // Nobody has to listen.
                    let _ = self.events.send(event);
                }
                core.poll_timeout()
            };
            for Transmit { to, bytes } in transmits.drain(..) {
                let to = self.in_socket_family(to);
                tokio::select! {
                    () = self.stop.cancelled() => return,
                    sent = socket.send_to(&bytes, to) => match sent {
                        Ok(sent) => {
                            self.counters.sent_bytes.fetch_add(sent as u64, Ordering::Relaxed);
                        }
                        Err(error) => {
                            tracing::debug!(%to, %error, "UDP send failed");
                            count(&self.counters.send_errors);
                        }
                    },
                }
            }
            let due = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.wake.notified() => {}
                () = due => {}
            }
        }
    }

    /// An IPv6 socket sends to IPv4 by the mapped address.
    fn in_socket_family(&self, to: SocketAddr) -> SocketAddr {
        match (self.local_addr, to.ip()) {
            (SocketAddr::V6(_), IpAddr::V4(ip)) => SocketAddr::new(ip.to_ipv6_mapped().into(), to.port()),
            _ => to,
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn boot_node(enode: &Enode) -> Result<Node, StartError> {
    let node = enode.endpoint.map(|at| Node::new(enode.public_key, at.ip, at.udp, at.tcp));
    node.filter(|node| address::is_reachable(node.ip, node.udp)).ok_or(StartError::BootNode(*enode))
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

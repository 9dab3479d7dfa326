//! Accepting, and the way of a connection of either direction from keys to peer. Facts: `spec/devp2p.md` §3.2, §3.3.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use enode::NodeId;
use futures::stream::FuturesUnordered;
use tokio::net::{TcpListener, TcpStream};

use super::{
    manager::{Manager, PeerEvent},
    peers::Entry,
};
use crate::{
    Connection, DisconnectReason, Error,
    connection::{inbound_enode, tune},
    counters::Direction,
    handshake::{self, Encrypted},
    outbox::Outbox,
    peer::{Peer, PeerSender},
    session::{self, Ended, Route},
};

/// Pause after an accept error such as "too many open files" (`spec/devp2p.md` §3.3): the listener stays readable, and
/// without a pause the loop would only burn a core.
const ACCEPT_ERROR_PAUSE: Duration = Duration::from_millis(200);

/// Accepts until the server stops.
pub(crate) async fn accept_loop(manager: Arc<Manager>, listener: TcpListener) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = manager.stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, address)) => admit(&manager, stream, address.ip()),
            Err(error) => {
                tracing::warn!(%error, "cannot accept");
                tokio::time::sleep(ACCEPT_ERROR_PAUSE).await;
            }
        }
    }
}

/// Throttles, makes room in the pending table, and starts the connection's task.
fn admit(manager: &Arc<Manager>, stream: TcpStream, source: std::net::IpAddr) {
    let mut state = manager.state.lock();
    if state.stopping || !state.throttle.allow(Instant::now(), source) {
        let throttled = !state.stopping;
        // Closed without a byte; under the lock only memory is touched.
        drop(state);
        drop(stream);
        if throttled {
            manager.counters.throttled();
        }
        return;
    }
    manager.counters.accepted();
    let ticket = state.pending.next_ticket();
    let guard = Ticket { manager: Arc::clone(manager), ticket };
    let task = manager.tasks.spawn(Box::pin(serve_inbound(guard, stream)));
    let evicted = state.pending.insert(task.abort_handle());
    drop(state);
    if let Some(evicted) = evicted {
        evicted.abort();
    }
}

/// Takes the connection out of the pending table however its task ends.
struct Ticket {
    manager: Arc<Manager>,
    ticket: u64,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.manager.state.lock().pending.remove(self.ticket);
    }
}

async fn serve_inbound(guard: Ticket, stream: TcpStream) {
    let manager = Arc::clone(&guard.manager);
    // Boxed, as the session is: what a handshake needs is given back when it is over, the task stays as long as the peer.
    match Box::pin(welcome(&manager, guard.ticket, stream)).await {
        Ok(session) => {
            drop(guard);
            Box::pin(session.run(&manager)).await;
        }
        Err(error) => {
            manager.counters.failed(Direction::Inbound, &error);
            tracing::debug!(%error, "inbound connection failed");
        }
    }
}

async fn welcome(manager: &Arc<Manager>, ticket: u64, stream: TcpStream) -> Result<Established, Error> {
    tune(&stream);
    let encrypted =
        handshake::accept(stream, &manager.key, &manager.timeouts, &manager.budget, &manager.traffic).await?;
    manager.state.lock().pending.authenticated(ticket);
    let enode = inbound_enode(encrypted.remote, encrypted.remote_addr);
    establish(manager, encrypted, enode, Some(ticket)).await
}

/// A connection that became a peer.
pub(crate) struct Established {
    connection: Connection,
    entry: Entry,
}

/// Checkpoint 1, Hello, checkpoint 2. `ticket` is that of an inbound connection; a dialed one is static.
pub(crate) async fn establish(
    manager: &Arc<Manager>,
    encrypted: Encrypted,
    enode: enode::Enode,
    ticket: Option<u64>,
) -> Result<Established, Error> {
    let inbound = ticket.is_some();
    let id = encrypted.remote.node_id();
    manager.replace_dead_session(&id).await;
    let checked = manager.state.lock().greet(&id, inbound);
    if let Err(reason) = checked {
        return Err(encrypted.refuse(reason).await);
    }
    let _greeting = Greeting { manager, id };
    let connection = Connection::exchange_hello(
        encrypted,
        enode,
        inbound,
        &manager.key,
        &manager.hello_to(&id),
        &manager.timeouts,
    )
    .await?;
    let outbox = Arc::new(Outbox::default());
    let admitted = manager.state.lock().admit(ticket, connection.info(!inbound, false), &outbox);
    match admitted {
        Ok(entry) => {
            manager.publish(Some(PeerEvent::Added(Arc::clone(&entry.info))));
            Ok(Established { connection, entry })
        }
        Err(reason) => Err(connection.close(reason).await),
    }
}

/// A connection between the two checkpoints; says [`super::state::State::greeted`] when dropped.
struct Greeting<'a> {
    manager: &'a Manager,
    id: NodeId,
}

impl Drop for Greeting<'_> {
    fn drop(&mut self) {
        self.manager.state.lock().greeted(&self.id);
    }
}

impl Established {
    /// Runs the session and its sub-protocols to the end, then takes the peer out of the set.
    pub(crate) async fn run(self, manager: &Manager) {
        let Self { mut connection, entry } = self;
        // Also when this task is dropped or panics the peer leaves the set.
        let mut leave = Leave { manager, entry, why: Error::Closed(DisconnectReason::NetworkError) };
        let ended = Arc::new(Ended::default());
        let (mut routes, mut works) = (Vec::new(), FuturesUnordered::new());
        for shared in connection.shared().to_vec() {
            let served = |p: &&Arc<dyn crate::Protocol>| p.capabilities().contains(&shared.capability);
            let Some(protocol) = manager.protocols.iter().find(served) else { continue };
            let codes = manager.traffic.codes(&shared.capability, shared.length);
            connection.writer.count(shared.offset, Arc::clone(&codes));
            let (route, receiver) = Route::new(&shared, codes);
            let sender = PeerSender::new(Arc::clone(&leave.entry.outbox), &shared);
            let info = Arc::clone(&leave.entry.info);
            let peer = Peer::new(info, shared.capability.clone(), receiver, sender, Arc::clone(&ended));
            routes.push(route);
            works.push(protocol.run(peer));
        }
        let Connection { reader, writer, .. } = connection;
        let outbox = Arc::clone(&leave.entry.outbox);
        let why = session::run(reader, writer, outbox, routes, &mut works, &ended).await;
        session::finish(works).await;
        tracing::debug!(peer = %leave.entry.info.id, error = %why, "session ended");
        leave.why = why;
    }
}

/// Takes a peer out of the set when dropped.
struct Leave<'a> {
    manager: &'a Manager,
    entry: Entry,
    why: Error,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let event = self.manager.state.lock().drop_peer(&self.entry.info, &self.why);
        self.manager.publish(event);
        self.manager.counters.ended(&self.why);
        self.entry.over.cancel();
    }
}

//! Everything of a server that changes, behind one mutex. Told the time; does no I/O.

use std::{collections::HashSet, sync::Arc, time::Instant};

use enode::{EnodeUrl, NodeId};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::{
    local::Local,
    manager::{Dropped, PeerEvent},
    peers::{Entry, Peers},
    pending::Pending,
    schedule::Schedule,
    throttle::Throttle,
};
use crate::{DisconnectReason, Error, outbox::Outbox, peer::PeerInfo};

/// See the module's documentation.
pub(crate) struct State {
    pub(crate) peers: Peers,
    pub(crate) pending: Pending<AbortHandle>,
    pub(crate) throttle: Throttle,
    pub(crate) schedule: Schedule,
    pub(crate) trusted: HashSet<NodeId>,
    /// Peers of smaller ids with a connection between the two checkpoints; see [`Self::greet`].
    pub(crate) greeting: HashSet<NodeId>,
    pub(crate) local: Local,
    /// No new peers any more.
    pub(crate) stopping: bool,
}

impl State {
    /// Checkpoint 1 (`spec/devp2p.md` §3.2). After `Ok`, [`Self::greeted`] is owed.
    ///
    /// Two nodes that dial each other at the same time could each take the connection that the other one drops, and be
    /// left with none, again and again. So the node of the greater id lets one connection of a peer at a time past this
    /// point, and the other node takes what comes of it.
    pub(crate) fn greet(&mut self, id: &NodeId, inbound: bool) -> Result<(), DisconnectReason> {
        self.check(id, inbound)?;
        if self.peers.is_greater_than(id) && !self.greeting.insert(*id) {
            return Err(DisconnectReason::AlreadyConnected);
        }
        Ok(())
    }

    /// The connection that passed [`Self::greet`] is in, or over.
    pub(crate) fn greeted(&mut self, id: &NodeId) {
        self.greeting.remove(id);
    }

    fn check(&self, id: &NodeId, inbound: bool) -> Result<(), DisconnectReason> {
        if self.stopping {
            return Err(DisconnectReason::ClientQuitting);
        }
        self.peers.check(id, inbound, self.trusted.contains(id))
    }

    /// Checkpoint 2: the same rules again, and the peer is in. `ticket` leaves the pending table.
    pub(crate) fn admit(
        &mut self,
        ticket: Option<u64>,
        info: PeerInfo,
        outbox: &Arc<Outbox>,
    ) -> Result<Entry, DisconnectReason> {
        self.check(&info.id, info.inbound)?;
        if let Some(ticket) = ticket {
            self.pending.remove(ticket);
        }
        info.set_trusted(self.trusted.contains(&info.id));
        let entry =
            Entry { info: Arc::new(info), outbox: Arc::clone(outbox), over: CancellationToken::new() };
        self.peers.insert(entry.clone());
        Ok(entry)
    }

    /// Takes the session of `info` out of the set; the event to send if it was in.
    pub(crate) fn drop_peer(&mut self, info: &Arc<PeerInfo>, why: &Error) -> Option<PeerEvent> {
        self.peers.remove(info)?;
        let dropped = Dropped { info: Arc::clone(info), reason: why.reason(), error: why.to_string() };
        Some(PeerEvent::Dropped(Arc::new(dropped)))
    }

    /// The dials to start now and when to look again.
    pub(crate) fn dials_due(&mut self, now: Instant) -> (Vec<EnodeUrl>, Option<Instant>) {
        if self.stopping {
            return (Vec::new(), None);
        }
        let Self { peers, schedule, .. } = self;
        schedule.due(now, peers.dialed(), peers.max_dialed(), |id| peers.contains(id))
    }
}

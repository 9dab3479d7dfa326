//! What goes to or comes from one peer alone: history for this node, and direct messages
//! (`spec/waku-mailserver.md` §4.8 to §4.10). Owns the list of connected peers and whom of them this node trusts.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use devp2p::{Lane, PeerSender, SendError};
use enode::NodeId;
use parking_lot::Mutex;
use tokio::sync::broadcast;
use waku_wire::{Completion, WireEnvelope, codes, messages, pow::Pow};

use crate::filters::Filters;

/// Completions that a slow reader may be behind.
const COMPLETIONS: usize = 64;

/// Why a peer was not sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DirectError {
    /// No session with it.
    #[error("could not find peer with ID: {0}")]
    NotConnected(NodeId),
    /// It ended meanwhile, or the packet is over the limits of the wire.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// The end of an answer to a history request of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completed {
    /// Who answered.
    pub peer: NodeId,
    /// What it said.
    pub completion: Completion,
}

struct Entry {
    sender: PeerSender,
    /// Shared with the session, and its name here: a node id may connect again before its old session has ended.
    trusted: Arc<AtomicBool>,
}

/// The connected peers, and whoever waits for completions.
pub(crate) struct Directory {
    peers: Mutex<HashMap<NodeId, Entry>>,
    completions: broadcast::Sender<Completed>,
}

impl Directory {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { peers: Mutex::default(), completions: broadcast::Sender::new(COMPLETIONS) })
    }

    /// Lists a peer until its place is dropped. Nobody is trusted at first.
    pub(crate) fn enter(self: &Arc<Self>, id: NodeId, sender: PeerSender) -> Place {
        let trusted = Arc::new(AtomicBool::new(false));
        self.peers.lock().insert(id, Entry { sender, trusted: Arc::clone(&trusted) });
        Place { directory: Arc::clone(self), id, trusted }
    }

    /// Every completion from a trusted peer from now on, behind the envelopes that came before it.
    pub(crate) fn completions(&self) -> broadcast::Receiver<Completed> {
        self.completions.subscribe()
    }

    /// Takes history and direct messages of this peer for as long as it is connected.
    pub(crate) fn trust(&self, id: NodeId) -> Result<(), DirectError> {
        let peers = self.peers.lock();
        let entry = peers.get(&id).ok_or(DirectError::NotConnected(id))?;
        entry.trusted.store(true, Ordering::Release);
        Ok(())
    }

    fn sender(&self, id: NodeId) -> Result<PeerSender, DirectError> {
        self.peers.lock().get(&id).map(|entry| entry.sender.clone()).ok_or(DirectError::NotConnected(id))
    }

    /// Asks a peer for history; whom we ask we trust.
    pub(crate) async fn request(&self, id: NodeId, request: Bytes) -> Result<(), DirectError> {
        let sender = self.sender(id)?;
        self.trust(id)?;
        Ok(sender.send(Lane::History, codes::P2P_REQUEST, request).await?)
    }

    /// Sends an envelope to a peer directly; it takes it only if it trusts this node.
    pub(crate) async fn send(&self, id: NodeId, envelope: &WireEnvelope) -> Result<(), DirectError> {
        let packet = messages::encode([envelope.raw().as_ref()]);
        Ok(self.sender(id)?.send(Lane::Live, codes::P2P_MESSAGE, packet).await?)
    }
}

/// A session's entry in the [`Directory`].
pub(crate) struct Place {
    directory: Arc<Directory>,
    id: NodeId,
    trusted: Arc<AtomicBool>,
}

impl Place {
    /// Code 127: to the filters, neither pooled nor relayed nor archived. Unread unless the peer is trusted.
    pub(crate) fn messages(&self, payload: &Bytes, filters: &Filters) {
        if !self.trusted.load(Ordering::Acquire) {
            return;
        }
        match messages::decode(payload) {
            Ok(envelopes) => {
                for envelope in envelopes {
                    filters.offer(&envelope, Pow::at_least(&envelope, 0), true);
                }
            }
            Err(error) => tracing::debug!(%error, "history dropped"),
        }
    }

    /// Code 125. Unread unless the peer is trusted.
    pub(crate) fn complete(&self, payload: &[u8]) {
        if !self.trusted.load(Ordering::Acquire) {
            return;
        }
        match Completion::decode(payload) {
            // An error means that nobody waits.
            Ok(completion) => drop(self.directory.completions.send(Completed { peer: self.id, completion })),
            Err(error) => tracing::debug!(%error, "completion dropped"),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut peers = self.directory.peers.lock();
        if peers.get(&self.id).is_some_and(|entry| Arc::ptr_eq(&entry.trusted, &self.trusted)) {
            peers.remove(&self.id);
        }
    }
}

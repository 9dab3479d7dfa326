//! The peer set and its limits: checkpoint 1 and 2. Pure. Facts: `spec/devp2p.md` §3.1, §3.2.

use std::{collections::HashMap, sync::Arc};

use enode::NodeId;
use rlpx::DisconnectReason;
use tokio_util::sync::CancellationToken;

use crate::{outbox::Outbox, peer::PeerInfo};

/// A connected peer.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) info: Arc<PeerInfo>,
    pub(crate) outbox: Arc<Outbox>,
    /// Cancelled when the peer has left the set and its session is over.
    pub(crate) over: CancellationToken,
}

/// The connected peers by id.
pub(crate) struct Peers {
    own: NodeId,
    max: usize,
    entries: HashMap<NodeId, Entry>,
    inbound: usize,
}

impl Peers {
    pub(crate) fn new(own: NodeId, max: usize) -> Self {
        Self { own, max, entries: HashMap::new(), inbound: 0 }
    }

    pub(crate) fn max(&self) -> usize {
        self.max
    }

    /// Changes the limit; nobody is removed for it.
    pub(crate) fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    /// Whether this node has the greater id of the two.
    pub(crate) fn is_greater_than(&self, id: &NodeId) -> bool {
        self.own > *id
    }

    /// How many may be dialed: a third, at least one (`spec/devp2p.md` §3.1).
    pub(crate) fn max_dialed(&self) -> usize {
        if self.max == 0 { 0 } else { (self.max / 3).max(1) }
    }

    /// Whether a connection may go on; the first rule that matches refuses it (`spec/devp2p.md` §3.2).
    pub(crate) fn check(&self, id: &NodeId, inbound: bool, trusted: bool) -> Result<(), DisconnectReason> {
        let full = self.entries.len() >= self.max;
        let inbound_full = inbound && self.inbound >= self.max.saturating_sub(self.max_dialed());
        if !trusted && (full || inbound_full) {
            Err(DisconnectReason::TooManyPeers)
        } else if self.entries.contains_key(id) {
            Err(DisconnectReason::AlreadyConnected)
        } else if *id == self.own {
            Err(DisconnectReason::ConnectedToSelf)
        } else {
            Ok(())
        }
    }

    /// Adds a peer that passed [`Self::check`].
    pub(crate) fn insert(&mut self, entry: Entry) {
        self.inbound += usize::from(entry.info.inbound);
        if let Some(old) = self.entries.insert(entry.info.id, entry) {
            self.inbound -= usize::from(old.info.inbound);
        }
    }

    /// Removes the peer `id` if it is still the session of `info`.
    pub(crate) fn remove(&mut self, info: &Arc<PeerInfo>) -> Option<Entry> {
        if !self.entries.get(&info.id).is_some_and(|entry| Arc::ptr_eq(&entry.info, info)) {
            return None;
        }
        let entry = self.entries.remove(&info.id)?;
        self.inbound -= usize::from(entry.info.inbound);
        Some(entry)
    }

    pub(crate) fn get(&self, id: &NodeId) -> Option<&Entry> {
        self.entries.get(id)
    }

    pub(crate) fn contains(&self, id: &NodeId) -> bool {
        self.entries.contains_key(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many more inbound peers [`Self::check`] lets in that are not trusted.
    pub(crate) fn inbound_left(&self) -> usize {
        let inbound = (self.max - self.max_dialed()).saturating_sub(self.inbound);
        inbound.min(self.max.saturating_sub(self.entries.len()))
    }

    pub(crate) fn dialed(&self) -> usize {
        self.entries.len() - self.inbound
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }
}

#[cfg(test)]
mod tests {
    use enode::NodeKey;
    use rlpx::Hello;

    use super::*;

    fn entry(inbound: bool) -> Entry {
        let key = NodeKey::generate().public_key();
        let hello = Hello::new("x".into(), Vec::new(), &key);
        let addr = "127.0.0.1:1".parse().unwrap();
        let enode = enode::Enode { public_key: key, endpoint: None };
        let info = PeerInfo::new(key, &hello, Vec::new(), enode, (addr, addr), (inbound, false, false));
        Entry { info: Arc::new(info), outbox: Arc::default(), over: CancellationToken::new() }
    }

    fn peers(max: usize, inbound: usize, dialed: usize) -> Peers {
        let mut peers = Peers::new(NodeId([9; 32]), max);
        (0..inbound).for_each(|_| peers.insert(entry(true)));
        (0..dialed).for_each(|_| peers.insert(entry(false)));
        peers
    }

    /// `spec/devp2p.md` §3.1, dial ratio.
    #[test]
    fn section_3_1_dial_ratio() {
        for (max, dialed) in [(0, 0), (1, 1), (2, 1), (3, 1), (25, 8), (50, 16), (100, 33)] {
            assert_eq!(peers(max, 0, 0).max_dialed(), dialed, "MaxPeers {max}");
        }
    }

    #[test]
    fn ops_3_5_inbound_slots_left() {
        for (max, inbound, dialed, left) in
            [(25, 0, 0, 17), (25, 10, 0, 7), (25, 17, 0, 0), (25, 0, 20, 5), (25, 18, 8, 0), (0, 0, 0, 0)]
        {
            assert_eq!(peers(max, inbound, dialed).inbound_left(), left, "{max} {inbound} {dialed}");
        }
    }

    /// `spec/devp2p.md` §3.2, checkpoint 1, every rule and their order.
    #[test]
    fn section_3_2_checkpoint_1() {
        use DisconnectReason::{AlreadyConnected, ConnectedToSelf, TooManyPeers};
        let (stranger, own) = (NodeId([1; 32]), NodeId([9; 32]));
        // MaxPeers 25: 8 dialed, 17 inbound.
        assert_eq!(peers(25, 16, 8).check(&stranger, true, false), Ok(()));
        assert_eq!(peers(25, 17, 0).check(&stranger, true, false), Err(TooManyPeers));
        assert_eq!(peers(25, 17, 0).check(&stranger, true, true), Ok(()), "trusted");
        assert_eq!(peers(25, 17, 7).check(&stranger, false, false), Ok(()), "dialed ones have no own limit");
        assert_eq!(peers(25, 10, 15).check(&stranger, false, false), Err(TooManyPeers));
        assert_eq!(peers(25, 10, 15).check(&stranger, false, true), Ok(()), "trusted");
        let mut some = peers(25, 3, 3);
        let known = entry(true);
        some.insert(known.clone());
        assert_eq!(some.check(&known.info.id, false, false), Err(AlreadyConnected));
        assert_eq!(some.check(&known.info.id, true, true), Err(AlreadyConnected));
        assert_eq!(some.check(&own, true, false), Err(ConnectedToSelf));
        // Limits come first.
        let full = peers(25, 17, 8);
        assert_eq!(full.check(&own, true, false), Err(TooManyPeers));
        let held = full.iter().next().unwrap().info.id;
        assert_eq!(full.check(&held, true, false), Err(TooManyPeers));
    }

    #[test]
    fn a_replaced_session_does_not_remove_its_successor() {
        let mut peers = peers(25, 0, 0);
        let old = entry(true);
        peers.insert(old.clone());
        assert_eq!((peers.len(), peers.dialed()), (1, 0));
        assert!(peers.remove(&old.info).is_some());
        let new = Entry {
            info: Arc::new(PeerInfo::new(
                old.info.public_key,
                &Hello::new("y".into(), Vec::new(), &old.info.public_key),
                Vec::new(),
                old.info.enode,
                (old.info.local_addr, old.info.remote_addr),
                (false, true, false),
            )),
            ..old.clone()
        };
        peers.insert(new.clone());
        assert!(peers.remove(&old.info).is_none());
        assert!(peers.contains(&new.info.id));
        assert_eq!((peers.len(), peers.dialed()), (1, 1));
    }
}

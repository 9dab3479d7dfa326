//! Topics: the registrar's table and tickets, the client's registration and search loops.
//! Pure: time is an argument, randomness a seed. Facts: `spec/devp2p.md` §6.7 to §6.9.
//!
//! ```text
//! ping with topics ─► Registrar::wait_periods ─► pong: a ticket      TopicClient ─► Action::Ping     ─► pong ─► ticket
//! topicRegister    ─► Registrar::register                            (a registrar  ◄─ Action::Register ◄─ when it is due
//! topicQuery       ─► Registrar::entries      ─► topicNodes           elsewhere)   ◄─ Action::Query    ─► query_answered
//! ```
//!
//! Both sides hold a bounded amount, whatever comes in: the caps are constants beside what they bound.

mod client;
mod pacing;
mod radius;
mod recent;
mod registrar;
mod wait;

use bytes::Bytes;
use enode::NodeId;
use rand::{Rng as _, rngs::StdRng};

pub use client::TooManyTopics;
pub(crate) use client::TopicClient;
pub(crate) use registrar::Registrar;

use crate::{Node, Topic};

/// Names a lookup that the client asked for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct LookupId(pub(crate) u64);

/// What the client wants done. Core pings only if no ping to that node is outstanding. A `Query` to a node that is not
/// proven becomes a ping and `query_failed`; one that is not answered in 5 s ends in `query_failed` too. A `Register` to a
/// node that is not proven is dropped. Every pong with waits for topics gives `ticket`, whoever wanted the ping.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    /// Find the nodes closest to `target` and report them by `lookup_finished`, always.
    Lookup { id: LookupId, target: [u8; 32] },
    /// Ping `node` (every ping carries all registered topics), for a ticket or for the endpoint proof.
    Ping { node: Node },
    /// Use a ticket: `pong` is the raw packet that it came in.
    Register { to: NodeId, topics: Vec<Topic>, index: usize, pong: Bytes },
    /// Ask `to` for nodes of `topic`. The caller reports `query_answered` or `query_failed`.
    Query { to: Node, topic: Topic },
}

/// Exp(1): exponentially distributed with mean 1, cut at `most`.
fn exponential(rng: &mut StdRng, most: f64) -> f64 {
    (-(1.0 - rng.random::<f64>()).ln()).min(most)
}

/// What unit tests of this folder share.
#[cfg(test)]
mod testing {
    use std::net::Ipv4Addr;

    use enode::{NodeId, NodeKey, PublicKey};

    use crate::Node;

    /// One key for all: what is tested here goes by the id.
    pub(super) fn key() -> PublicKey {
        NodeKey::from_bytes(&[7; 32]).unwrap().public_key()
    }

    /// A node whose id begins with `prefix`.
    pub(super) fn node(prefix: u64) -> Node {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&prefix.to_be_bytes());
        Node { key: key(), id: NodeId(id), ip: Ipv4Addr::new(10, 0, 0, 1).into(), udp: 30303, tcp: 30303 }
    }
}

//! Between the packets and the two sides of topics: [`Registrar`](crate::topics::Registrar) and
//! [`TopicClient`](crate::topics::TopicClient). Facts: `spec/devp2p.md` §6.7, §6.8.

use std::time::{Duration, Instant};

use bytes::Bytes;
use enode::{NodeId, PublicKey};
use rand::seq::SliceRandom as _;

use super::{Core, Event, Purpose};
use crate::{
    Node, Topic, address,
    packet::{Packet, Pong, Ticket, WireNode, topic_hash},
    timers::Timer,
    topics::Action,
};

/// Nodes in one topicNodes packet.
const MAX_TOPIC_NODES: usize = 10;
/// How long an answer to a topic query counts.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);
/// Topic queries that wait for an answer.
const MAX_QUERIES: usize = 256;

/// A topic query that is not answered yet.
pub(super) struct PendingQuery {
    topic: Topic,
    deadline: Instant,
}

impl Core {
    /// A pong for our ping with `topics`: tickets, if it fits them.
    pub(super) fn on_ticket(
        &mut self,
        now: Instant,
        id: &NodeId,
        topics: &[Topic],
        pong: &Pong,
        bytes: Bytes,
    ) {
        let fits = pong.waits.len() == topics.len() && pong.topic_hash == topic_hash(topics);
        let Some(entry) = self.nodes.get(id).filter(|_| fits && !topics.is_empty()) else { return };
        self.client.ticket(now, &entry.node, topics, &pong.waits, bytes);
    }

    pub(super) fn on_register(
        &mut self,
        now: Instant,
        sender: NodeId,
        topics: &[Topic],
        index: u64,
        ticket: Option<Ticket>,
    ) {
        let now_s = self.clock_s(now);
        let Some(entry) = self.nodes.get(&sender) else { return };
        let ours = ticket.filter(|ticket| ticket.signer == self.config.key.public_key());
        let (Some(Ticket { pong, .. }), Ok(index)) = (ours, usize::try_from(index)) else {
            self.stats.refused_registrations += 1;
            return;
        };
        let result = self.registrar.register(
            now,
            now_s,
            &entry.node,
            topics,
            index,
            pong.serial,
            pong.issued,
            &pong.waits,
        );
        if let Err(refused) = result {
            self.stats.refused_registrations += 1;
            tracing::debug!(node = %sender, %refused, "registration refused");
        }
    }

    /// Answers with entries that may be named to the sender, and with this node if it registers the topic itself.
    pub(super) fn on_query(&mut self, now: Instant, sender: NodeId, topic: &Topic, echo: [u8; 32]) {
        let Some(to) = self.nodes.get(&sender).map(|entry| entry.node.socket()) else { return };
        let mut listed = self.registrar.entries(now, topic);
        listed.shuffle(&mut self.rng);
        let bound = self.config.bound.ip().to_canonical();
        let mut nodes: Vec<WireNode> = listed
            .iter()
            .filter(|node| node.ip == bound || address::may_relay(to.ip(), node.ip))
            .map(WireNode::from)
            .collect();
        if self.client.registered().any(|registered| registered == topic) {
            nodes.push((&self.local()).into());
        }
        nodes.truncate(MAX_TOPIC_NODES);
        self.send(to, &Packet::TopicNodes { echo, nodes });
    }

    pub(super) fn on_topic_nodes(
        &mut self,
        now: Instant,
        sender: NodeId,
        echo: [u8; 32],
        nodes: &[WireNode],
    ) {
        let Some(PendingQuery { topic, .. }) = self.queries.remove(&(sender, echo)) else {
            self.stats.unsolicited += 1;
            self.count_failure(now, &sender);
            return;
        };
        let Some(entry) = self.nodes.get_mut(&sender) else { return };
        entry.failures = 0;
        let by = entry.node;
        let named = |node: &WireNode| {
            let ip =
                node.ip.map(|ip| ip.to_canonical()).filter(|ip| !ip.is_unspecified() && !ip.is_loopback());
            let node =
                Node::new(PublicKey::from_bytes(node.key).ok()?, ip.unwrap_or(by.ip), node.udp, node.tcp);
            let usable = node.tcp != 0 && address::is_reachable(node.ip, node.udp) && node.id != self.id;
            usable.then_some(node)
        };
        let nodes: Vec<Node> = nodes.iter().filter_map(named).collect();
        self.client.query_answered(now, &by, &topic, &nodes);
        for node in nodes {
            self.emit(Event::Found { topic: topic.clone(), node });
        }
    }

    pub(super) fn on_query_timeout(&mut self, now: Instant, at: Instant, id: NodeId, hash: [u8; 32]) {
        if self.queries.get(&(id, hash)).is_none_or(|query| query.deadline != at) {
            return;
        }
        let Some(PendingQuery { topic, .. }) = self.queries.remove(&(id, hash)) else { return };
        self.stats.query_timeouts += 1;
        if let Some(entry) = self.nodes.get(&id) {
            self.client.query_failed(now, &entry.node, &topic);
        }
        // Perhaps it has forgotten us, as after a restart: then another proof is what helps.
        self.count_failure(now, &id);
    }

    /// Does what the topic client wants.
    pub(super) fn act(&mut self, now: Instant, action: Action) {
        match action {
            Action::Lookup { id, target } => {
                if !self.start_lookup(target, Purpose::Topic(id)) {
                    self.client.lookup_finished(now, id, &[]);
                }
            }
            Action::Ping { node } => {
                if self.prove(now, &node) {
                    self.ping(now, &node.id);
                }
            }
            Action::Register { to, topics, index, pong } => {
                let Some(entry) = self.nodes.get(&to).filter(|entry| entry.state().may_query()) else {
                    return;
                };
                let packet = Packet::TopicRegister { topics, index: index as u64, pong };
                self.send(entry.node.socket(), &packet);
            }
            Action::Query { to, topic } => self.query(now, &to, topic),
        }
    }

    fn query(&mut self, now: Instant, to: &Node, topic: Topic) {
        let proven = self.nodes.get(&to.id).filter(|entry| entry.state().may_query());
        let Some(at) = proven.map(|entry| entry.node.socket()) else {
            self.prove(now, to);
            return self.client.query_failed(now, to, &topic);
        };
        let packet = Packet::TopicQuery { topic: topic.clone(), expiration: 0 };
        let room = self.queries.len() < MAX_QUERIES;
        let Some(hash) = room.then(|| self.send(at, &packet)).flatten() else {
            return self.client.query_failed(now, to, &topic);
        };
        let deadline = now + QUERY_TIMEOUT;
        self.queries.insert((to.id, hash), PendingQuery { topic, deadline });
        self.timers.set(deadline, Timer::Query(to.id, hash));
    }
}

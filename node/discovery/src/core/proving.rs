//! Endpoint proof: pings, pongs, and what follows from a node's state. Facts: `spec/devp2p.md` §6.3, §6.5.

use std::{net::SocketAddr, time::Instant};

use bytes::Bytes;
use enode::{NodeId, PublicKey};
use rand::seq::SliceRandom as _;

use super::{Core, REPLY_TIMEOUT};
use crate::{
    Node, Topic, address,
    nodes::{Entry, Outstanding},
    packet::{Packet, Ping, Pong, VERSION, WireEndpoint, topic_hash},
    proof::{Input, State},
    timers::Timer,
};

/// Pings to a contested node before it counts as gone: one lost packet is no reason.
const ATTEMPTS: u8 = 3;

impl Core {
    pub(super) fn on_ping(
        &mut self,
        now: Instant,
        from: SocketAddr,
        key: PublicKey,
        ping: Ping,
        hash: [u8; 32],
    ) {
        let id = key.node_id();
        let tcp = ping.from.tcp;
        let known = self.nodes.get(&id).is_some();
        if !known {
            let node = Node { key, id, ip: from.ip(), udp: from.port(), tcp: from.port() };
            if !self.remember(now, node, State::VerifyWait) {
                self.stats.full += 1;
                return;
            }
            self.nodes.set_endpoint(&id, from, tcp);
        }
        self.answer_ping(now, from, &id, &ping, hash);
        if !known {
            self.ping(now, &id);
            return;
        }
        if self.nodes.get(&id).is_some_and(|entry| entry.node.socket() == from) {
            self.heard(now, &id);
            self.nodes.set_endpoint(&id, from, tcp);
            self.step(now, &id, Input::Ping);
        } else {
            self.on_other_address(now, id, from, tcp);
        }
    }

    /// The pong, which is a ticket for each topic of the ping (`spec/devp2p.md` §6.7).
    fn answer_ping(&mut self, now: Instant, from: SocketAddr, id: &NodeId, ping: &Ping, token: [u8; 32]) {
        let Some(entry) = self.nodes.get_mut(id) else { return };
        entry.serial = entry.serial.saturating_add(1);
        let serial = entry.serial;
        let waits = self.registrar.wait_periods(now, &ping.topics);
        let pong = Pong {
            to: WireEndpoint { ip: Some(from.ip()), udp: from.port(), tcp: ping.from.tcp },
            token,
            issued: self.clock_s(now),
            topic_hash: topic_hash(&ping.topics),
            serial,
            waits,
        };
        self.send(from, &Packet::Pong(pong));
    }

    pub(super) fn on_pong(&mut self, now: Instant, id: NodeId, pong: Pong, bytes: Bytes) {
        let Some(entry) = self.nodes.get_mut(&id) else {
            self.stats.unsolicited += 1;
            return;
        };
        let Some(ping) = entry.ping.take_if(|ping| ping.hash == pong.token) else {
            self.stats.unsolicited += 1;
            return;
        };
        entry.heard = now;
        if ping.to != entry.node.socket() {
            let tcp = entry.candidate.take_if(|(at, _)| *at == ping.to).map_or(0, |(_, tcp)| tcp);
            self.nodes.set_endpoint(&id, ping.to, tcp);
        }
        self.step(now, &id, Input::Pong);
        self.on_ticket(now, &id, &ping.topics, &pong, bytes);
        self.ping_candidate(now, &id);
    }

    /// A tracked node was heard from another address than the one it is proven at, or is being proven at.
    pub(super) fn on_other_address(&mut self, now: Instant, id: NodeId, from: SocketAddr, tcp: u16) {
        let Some(entry) = self.nodes.get_mut(&id) else { return };
        if entry.node.socket() != from {
            entry.candidate = Some((from, tcp));
            self.ping_candidate(now, &id);
        }
    }

    /// Pings the other address of a node when no ping is outstanding.
    fn ping_candidate(&mut self, now: Instant, id: &NodeId) {
        let Some(entry) = self.nodes.get_mut(id) else { return };
        match entry.candidate {
            Some((at, _)) if at == entry.node.socket() => entry.candidate = None,
            Some((at, _)) if entry.ping.is_none() => self.ping_at(now, id, at),
            _ => {}
        }
    }

    pub(super) fn on_ping_timeout(&mut self, now: Instant, at: Instant, id: NodeId) {
        let Some(entry) = self.nodes.get_mut(&id) else { return };
        let Some(ping) = entry.ping.take_if(|ping| ping.deadline == at) else { return };
        if ping.to != entry.node.socket() {
            // Nobody is there: the proof of the old address stands, or goes on.
            entry.candidate = entry.candidate.filter(|(at, _)| *at != ping.to);
            if entry.state() == State::Contested {
                self.ping(now, &id);
            }
        } else if entry.state() == State::Known {
            self.count_failure(now, &id);
        } else if entry.state() == State::Contested && entry.attempts + 1 < ATTEMPTS {
            entry.attempts += 1;
            self.ping(now, &id);
        } else if let (State::VerifyInit | State::VerifyWait, Some((at, tcp))) =
            (entry.state(), entry.candidate)
            && at != ping.to
        {
            // It is not where we were told, but was heard from elsewhere.
            self.nodes.set_endpoint(&id, at, tcp);
            self.nodes.set_state(&id, State::VerifyWait);
            self.ping(now, &id);
            return;
        } else {
            self.step(now, &id, Input::PingTimeout);
        }
        self.seed_resolved(now, &id);
        self.ping_candidate(now, &id);
    }

    pub(super) fn on_wait_over(&mut self, now: Instant, at: Instant, id: NodeId) {
        if self.nodes.get(&id).is_some_and(|entry| entry.wait == Some(at)) {
            self.step(now, &id, Input::WaitOver);
        }
    }

    /// Counts a failed query; too many in a row contest a node (`spec/devp2p.md` §6.4).
    pub(super) fn count_failure(&mut self, now: Instant, id: &NodeId) {
        const MAX_FAILURES: u32 = 5;
        let Some(entry) = self.nodes.get_mut(id) else { return };
        entry.failures = entry.failures.saturating_add(1);
        if entry.failures > MAX_FAILURES {
            self.step(now, id, Input::Contest);
        }
    }

    /// Begins to remember a node; false if there is no room.
    pub(super) fn remember(&mut self, now: Instant, node: Node, state: State) -> bool {
        let serial = self.registrar.last_serial(&node.id);
        let table = &self.table;
        self.nodes.insert(Entry::new(node, state, serial, now), |id| table.holds(id))
    }

    /// Begins to remember a node that we heard of, by pinging it, unless it is remembered already. False if that cannot
    /// be.
    pub(super) fn prove(&mut self, now: Instant, node: &Node) -> bool {
        if self.nodes.get(&node.id).is_some() {
            return true;
        }
        if node.id == self.id
            || !address::is_reachable(node.ip, node.udp)
            || !self.remember(now, *node, State::VerifyInit)
        {
            return false;
        }
        self.ping(now, &node.id);
        true
    }

    /// Moves a node's state and does what the new one asks for on entry.
    pub(super) fn step(&mut self, now: Instant, id: &NodeId, input: Input) {
        let Some(entry) = self.nodes.get_mut(id) else { return };
        let old = entry.state();
        let Some(new) = State::next(Some(old), input) else { return self.forget(id) };
        if new == old {
            return;
        }
        tracing::trace!(node = %id, ?old, ?new, "endpoint proof");
        entry.wait = None;
        self.nodes.set_state(id, new);
        match new {
            State::VerifyInit | State::VerifyWait => self.ping(now, id),
            State::RemoteVerifyWait => {
                let at = now + REPLY_TIMEOUT;
                if let Some(entry) = self.nodes.get_mut(id) {
                    entry.wait = Some(at);
                }
                self.timers.set(at, Timer::Wait(*id));
            }
            State::Known => self.on_known(now, id),
            State::Contested => {
                if let Some(entry) = self.nodes.get_mut(id) {
                    entry.attempts = 0;
                }
                self.ping(now, id);
            }
            State::Unresponsive => {
                self.table.remove(id);
                let finds = self.nodes.get_mut(id).map(Entry::take_finds).unwrap_or_default();
                self.finds_failed(id, finds);
            }
        }
    }

    fn on_known(&mut self, now: Instant, id: &NodeId) {
        if let Some(entry) = self.nodes.get_mut(id) {
            entry.failures = 0;
            entry.attempts = 0;
        }
        if let Some(contested) = self.table.add(*id) {
            self.step(now, &contested, Input::Contest);
        }
        self.start_find(now, id);
        self.seed_resolved(now, id);
    }

    /// Forgets a node that is not proven.
    fn forget(&mut self, id: &NodeId) {
        if let Some(mut entry) = self.nodes.remove(id) {
            let finds = entry.take_finds();
            self.finds_failed(id, finds);
        }
    }

    /// Pings a node where it is proven, or is to be, unless a ping to it is outstanding.
    pub(super) fn ping(&mut self, now: Instant, id: &NodeId) {
        if let Some(entry) = self.nodes.get(id) {
            self.ping_at(now, id, entry.node.socket());
        }
    }

    fn ping_at(&mut self, now: Instant, id: &NodeId, to: SocketAddr) {
        if self.nodes.get(id).is_none_or(|entry| entry.ping.is_some()) {
            return;
        }
        let mut topics: Vec<Topic> = self.client.registered().cloned().collect();
        topics.shuffle(&mut self.rng);
        let ping = Ping {
            version: VERSION,
            from: self.local_endpoint(),
            to: WireEndpoint { ip: Some(to.ip()), udp: to.port(), tcp: to.port() },
            expiration: self.expiration(now),
            topics: topics.clone(),
        };
        // Also a ping that could not be sent has its time: its timeout is what moves the node's state.
        let hash = self.send(to, &Packet::Ping(ping)).unwrap_or_default();
        let deadline = now + REPLY_TIMEOUT;
        if let Some(entry) = self.nodes.get_mut(id) {
            entry.ping = Some(Outstanding { hash, to, topics, deadline });
            self.timers.set(deadline, Timer::Ping(*id));
        }
    }
}

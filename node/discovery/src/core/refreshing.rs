//! What happens by time alone: refreshing the table, asking silent nodes whether they are there, forgetting.
//! Facts: `spec/devp2p.md` §6.4.
//!
//! Boot nodes are pinged before they are in the table, not after: others never hear of one that is not there. A table
//! whose nodes are only asked by lookups keeps vanished ones for long; so the longest silent are asked every ten seconds.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use enode::NodeId;

use super::{Core, Event, Purpose};
use crate::{
    proof::{Input, State},
    timers::Timer,
};

const BUCKET_REFRESH: Duration = Duration::from_secs(60);
const FULL_REFRESH: Duration = Duration::from_secs(3600);
const RETRY_WITHOUT_SEEDS: Duration = Duration::from_secs(10);
/// Between refreshes that find nobody. The original has none, but each of its refreshes lasts as long as a ping.
const RETRY_EMPTY: Duration = Duration::from_millis(500);
const REVALIDATE: Duration = Duration::from_secs(10);
/// A node of the table that was heard within this time is not asked whether it is there.
const FRESH: Duration = Duration::from_secs(60);
const SWEEP: Duration = Duration::from_secs(60);
/// Proven nodes outside the table are forgotten after so long a silence.
const FORGET: Duration = Duration::from_secs(3600);

enum Phase {
    /// Until the timer.
    Idle,
    /// Until each of these boot nodes answered or not.
    Seeding(BTreeSet<NodeId>),
    /// Until the lookup ends.
    Looking,
}

pub(super) struct Refresh {
    phase: Phase,
    /// When the timer goes off.
    next: Instant,
    /// When the boot nodes are to be pinged again.
    next_full: Instant,
    ready: bool,
}

impl Refresh {
    pub(super) fn new(now: Instant) -> Self {
        Self { phase: Phase::Idle, next: now, next_full: now, ready: false }
    }
}

impl Core {
    /// Sets the timers of a new core.
    pub(super) fn schedule(&mut self, now: Instant) {
        self.timers.set(now, Timer::Refresh);
        self.timers.set(now + REVALIDATE, Timer::Revalidate);
        self.timers.set(now + SWEEP, Timer::Sweep);
    }

    pub(super) fn on_refresh(&mut self, now: Instant, at: Instant) {
        if !matches!(self.refresh.phase, Phase::Idle) || self.refresh.next != at {
            return;
        }
        if now >= self.refresh.next_full || self.table.len() == 0 {
            self.seed(now);
        } else {
            let target = self.table.refresh_target(&mut self.rng);
            self.look(now, target);
        }
    }

    /// Pings the boot nodes that are not in the table.
    fn seed(&mut self, now: Instant) {
        self.refresh.next_full = now + FULL_REFRESH;
        let mut waiting = BTreeSet::new();
        for node in self.config.boot_nodes.clone() {
            let known = self
                .nodes
                .get(&node.id)
                .is_some_and(|entry| matches!(entry.state(), State::Known | State::Contested));
            if !known && self.prove(now, &node) {
                self.ping(now, &node.id);
                waiting.insert(node.id);
            }
        }
        if waiting.is_empty() {
            self.look(now, self.id.0);
        } else {
            self.refresh.phase = Phase::Seeding(waiting);
        }
    }

    /// A node answered our ping or did not: if it is a boot node that we wait for, we wait no longer.
    pub(super) fn seed_resolved(&mut self, now: Instant, id: &NodeId) {
        if let Phase::Seeding(waiting) = &mut self.refresh.phase {
            waiting.remove(id);
            if waiting.is_empty() {
                self.look(now, self.id.0);
            }
        }
    }

    fn look(&mut self, now: Instant, target: [u8; 32]) {
        if self.start_lookup(target, Purpose::Refresh) {
            self.refresh.phase = Phase::Looking;
        } else {
            self.idle(now, RETRY_EMPTY);
        }
    }

    pub(super) fn refresh_finished(&mut self, now: Instant) {
        if self.table.len() != 0 {
            if !self.refresh.ready {
                self.refresh.ready = true;
                self.client.table_ready(now);
                self.emit(Event::TableReady);
            }
            self.idle(now, BUCKET_REFRESH);
        } else if self.config.boot_nodes.iter().any(|node| node.id != self.id) {
            self.idle(now, RETRY_EMPTY);
        } else {
            self.idle(now, RETRY_WITHOUT_SEEDS);
        }
    }

    fn idle(&mut self, now: Instant, pause: Duration) {
        self.refresh.phase = Phase::Idle;
        self.refresh.next = now + pause;
        self.timers.set(self.refresh.next, Timer::Refresh);
    }

    pub(super) fn on_revalidate(&mut self, now: Instant) {
        self.timers.set(now + REVALIDATE, Timer::Revalidate);
        let mut silent: Vec<(Instant, NodeId)> = self
            .table
            .iter()
            .filter_map(|id| self.nodes.get(id))
            .filter(|entry| now.saturating_duration_since(entry.heard) >= FRESH)
            .map(|entry| (entry.heard, entry.node.id))
            .collect();
        silent.sort_unstable();
        // The whole table within three minutes, whatever its size.
        for (_, id) in silent.iter().take(1 + self.table.len() / 16) {
            self.step(now, id, Input::Contest);
        }
    }

    pub(super) fn on_sweep(&mut self, now: Instant) {
        self.timers.set(now + SWEEP, Timer::Sweep);
        let silent: Vec<NodeId> = self
            .nodes
            .iter()
            .filter(|entry| entry.is_idle() && now.saturating_duration_since(entry.heard) >= FORGET)
            .map(|entry| entry.node.id)
            .filter(|id| !self.table.holds(id))
            .collect();
        for id in silent {
            self.nodes.remove(&id);
        }
        self.registrar.collect(now);
    }
}

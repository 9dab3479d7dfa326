//! What all sessions share: the relay behind its mutex, and each peer's waker.
//!
//! The mutex is held for one call of the core and never across an await, an encryption or a write to a socket. Wake-ups
//! follow after it is released.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use bytes::Bytes;
use devp2p::{LiveSource, LiveWaker};
use parking_lot::Mutex;
use prometheus::Histogram;
use relay::{Drained, PeerSlot, Prepared, RelayCore, SourceId, Stats, Verdict};
use waku_wire::{EnvelopeHash, PeerSettings, codes, messages};

use crate::config::Clock;

/// Envelopes that one hold of the lock takes in: a packet of tens of thousands of tiny ones must not keep everybody else
/// out until it is done.
const INGEST_TURN: usize = 512;

/// To so many peers a packet is written by who relays it, where they rest: a task that is woken costs more than the write.
const AT_ONCE_PEERS: usize = 64;
/// Only if its envelopes have at most so many bytes: encrypting for one after the other must not keep its own session
/// for long.
const AT_ONCE_BYTES: usize = 16 * 1024;

/// A session's right to a slot; slots are used again, sessions are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SessionId(u64);

struct Seat {
    session: SessionId,
    waker: LiveWaker,
    /// When it was first told of what it has not been given yet.
    told: Option<Instant>,
}

struct Inner {
    core: RelayCore,
    /// By slot.
    seats: Vec<Option<Seat>>,
    next_session: u64,
}

/// The relay, for all sessions.
pub(crate) struct SharedRelay {
    inner: Mutex<Inner>,
    /// [`RelayCore::highest_requirement`] as bits, to be read without the lock.
    highest_requirement: AtomicU64,
    clock: Clock,
    /// Seconds from taking in to making a peer's packet.
    fan_out: Histogram,
}

impl SharedRelay {
    pub(crate) fn new(config: relay::Config, clock: Clock, fan_out: Histogram) -> Self {
        let inner = Inner { core: RelayCore::new(config), seats: Vec::new(), next_session: 0 };
        Self { inner: Mutex::new(inner), highest_requirement: AtomicU64::new(0), clock, fan_out }
    }

    pub(crate) fn now(&self) -> u32 {
        (self.clock)()
    }

    pub(crate) fn highest_requirement(&self) -> f64 {
        f64::from_bits(self.highest_requirement.load(Ordering::Relaxed))
    }

    /// Adds a peer; it leaves with the [`Membership`].
    pub(crate) fn join(
        self: &std::sync::Arc<Self>,
        source: SourceId,
        settings: &PeerSettings,
        waker: LiveWaker,
    ) -> Membership {
        let mut inner = self.inner.lock();
        let slot = inner.core.add_peer(source, settings.interest.clone(), settings.pow_requirement);
        let session = SessionId(inner.next_session);
        inner.next_session += 1;
        if inner.seats.len() <= slot.index() {
            inner.seats.resize_with(slot.index() + 1, || None);
        }
        if let Some(seat) = inner.seats.get_mut(slot.index()) {
            *seat = Some(Seat { session, waker, told: None });
        }
        self.publish(&inner);
        drop(inner);
        Membership { relay: self.clone(), slot, session }
    }

    /// Takes in an envelope of this node itself and wakes who is to get it.
    pub(crate) fn ingest_own(&self, prepared: &Prepared) -> Option<Verdict> {
        self.ingest(None, std::slice::from_ref(prepared)).pop()
    }

    /// One hold of the lock; wake-ups follow.
    fn ingest(&self, from: Option<PeerSlot>, turn: &[Prepared]) -> Vec<Verdict> {
        let now = Instant::now();
        let (verdicts, wakers) = {
            let mut inner = self.inner.lock();
            let outcome = inner.core.ingest(from, turn);
            let tell = |slot: &PeerSlot| {
                let seat = inner.seats.get_mut(slot.index())?.as_mut()?;
                seat.told = Some(now);
                Some(seat.waker.clone())
            };
            let wakers: Vec<LiveWaker> = outcome.woken.iter().filter_map(tell).collect();
            (outcome.verdicts, wakers)
        };
        let small = turn.iter().map(|prepared| prepared.envelope.size()).sum::<usize>() <= AT_ONCE_BYTES;
        let at_once = if small { AT_ONCE_PEERS.min(wakers.len()) } else { 0 };
        let (at_once, later) = wakers.split_at(at_once);
        // First those whose tasks may begin meanwhile on other threads.
        for waker in later {
            waker.wake();
        }
        for waker in at_once {
            waker.write_or_wake(now);
        }
        verdicts
    }

    pub(crate) fn set_archived<'a>(&self, hashes: impl IntoIterator<Item = &'a EnvelopeHash>) {
        self.inner.lock().core.set_archived(hashes);
    }

    /// Drops what has expired; how many envelopes that were.
    pub(crate) fn expire(&self) -> usize {
        let now = self.now();
        let mut envelopes = 0;
        loop {
            let expired = self.inner.lock().core.expire(now);
            envelopes += expired.envelopes;
            if !expired.again {
                return envelopes;
            }
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        self.inner.lock().core.stats()
    }

    fn publish(&self, inner: &Inner) {
        self.highest_requirement.store(inner.core.highest_requirement().to_bits(), Ordering::Relaxed);
    }
}

/// A peer's place in the relay; dropping it removes the peer.
pub(crate) struct Membership {
    relay: std::sync::Arc<SharedRelay>,
    slot: PeerSlot,
    session: SessionId,
}

impl Membership {
    /// Takes in one packet's envelopes and wakes who is to get them. One verdict an envelope.
    pub(crate) fn ingest(&self, batch: &[Prepared]) -> Vec<Verdict> {
        let turns = batch.chunks(INGEST_TURN);
        turns.flat_map(|turn| self.relay.ingest(Some(self.slot), turn)).collect()
    }

    /// Takes in one packet's envelopes without giving them to anybody.
    pub(crate) fn remember(&self, batch: &[Prepared]) -> Vec<Verdict> {
        let turns = batch.chunks(INGEST_TURN);
        turns.flat_map(|turn| self.relay.inner.lock().core.remember(turn)).collect()
    }

    /// Puts changed settings in force. Whether the peer is to be drained.
    pub(crate) fn update(&self, settings: &PeerSettings) -> bool {
        let mut inner = self.relay.inner.lock();
        let wake = inner.core.update_interest(self.slot, settings.interest.clone(), settings.pow_requirement);
        self.relay.publish(&inner);
        wake
    }

    /// What the session's writer pulls gossip from.
    pub(crate) fn live_source(&self) -> Box<dyn LiveSource> {
        Box::new(Gossip { relay: self.relay.clone(), slot: self.slot, session: self.session })
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut inner = self.relay.inner.lock();
        inner.core.remove_peer(self.slot);
        if let Some(seat) = inner.seats.get_mut(self.slot.index()) {
            *seat = None;
        }
        self.relay.publish(&inner);
    }
}

/// The gossip for one peer. May outlive the peer's membership, and then has nothing.
struct Gossip {
    relay: std::sync::Arc<SharedRelay>,
    slot: PeerSlot,
    session: SessionId,
}

impl LiveSource for Gossip {
    fn next_packet(&mut self, max_bytes: usize) -> Option<(u64, Bytes)> {
        let now = self.relay.now();
        let mut told = None;
        loop {
            let mut inner = self.relay.inner.lock();
            let seat = inner.seats.get_mut(self.slot.index())?.as_mut()?;
            if seat.session != self.session {
                return None;
            }
            told = told.or(seat.told.take());
            match inner.core.drain(self.slot, now, max_bytes.min(messages::NORMAL_PACKET)) {
                Drained::Packet(packet) => {
                    drop(inner);
                    if let Some(told) = told {
                        self.relay.fan_out.observe(told.elapsed().as_secs_f64());
                    }
                    return Some((codes::MESSAGES, packet.payload));
                }
                Drained::Nothing => return None,
                // A long search lets others have the relay in between.
                Drained::Again => drop(inner),
            }
        }
    }
}

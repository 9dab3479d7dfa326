//! [`RelayCore`]: takes envelopes in, tells which peers to wake, and makes each peer's packets.

use bytes::Bytes;
use waku_wire::{EnvelopeHash, PeerInterest, WireEnvelope, messages};

use crate::{
    Config, Drained, Expired, Outcome, Packet, PeerSlot, Prepared, Rejection, SourceId, Stats, Verdict,
    holders::Holders,
    index::InterestIndex,
    peer::{Feed, Peer, Seat},
    pool::Pool,
    seen::SeenSet,
};

/// Log places that one [`RelayCore::drain`] looks at, at most: bounds how long the lock is held.
const SCAN_TURN: usize = 4096;
/// Envelopes, and hashes, that one [`RelayCore::expire`] drops, at most: the same.
const EXPIRY_TURN: usize = 2048;
/// Slots of removed peers that wait for a sweep of the pool before they are used again.
const SWEEP_AT: usize = 64;

/// The relay. See the crate's documentation.
#[derive(Debug)]
pub struct RelayCore {
    config: Config,
    pool: Pool,
    seen: SeenSet,
    index: InterestIndex,
    peers: Vec<Option<Peer>>,
    /// Slots that want everything.
    full: Vec<u32>,
    free_slots: Vec<u32>,
    /// Slots of removed peers whose bits may still be set in holders.
    dirty_slots: Vec<u32>,
    highest_requirement: f64,
    /// The envelopes of the packet encoded last, and its payload.
    last_packet: (Vec<Seat>, Bytes),
    selected: Vec<Seat>,
}

impl RelayCore {
    /// An empty relay.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            pool: Pool::new(config.max_envelopes, config.max_bytes),
            seen: SeenSet::new(config.max_remembered),
            index: InterestIndex::new(config.max_topics),
            peers: Vec::new(),
            full: Vec::new(),
            free_slots: Vec::new(),
            dirty_slots: Vec::new(),
            highest_requirement: 0.0,
            last_packet: (Vec::new(), Bytes::new()),
            selected: Vec::new(),
            config,
        }
    }

    /// Adds a peer, which is to be drained at once: it gets the matching pool.
    pub fn add_peer(&mut self, source: SourceId, interest: PeerInterest, pow_requirement: f64) -> PeerSlot {
        let slot = self.take_slot();
        let interest = self.index.fit(interest);
        let place = self.index.insert(slot, &interest);
        if interest == PeerInterest::Full {
            self.full.push(slot);
        }
        let peer = Peer { source, interest, pow_requirement, place, feed: Feed::Scan(0), told: true };
        if let Some(seat) = self.peers.get_mut(slot as usize) {
            *seat = Some(peer);
        }
        self.find_highest_requirement();
        PeerSlot(slot)
    }

    /// Removes a peer. Its slot must not be used again by the caller.
    pub fn remove_peer(&mut self, slot: PeerSlot) {
        let Some(peer) = self.peers.get_mut(slot.index()).and_then(Option::take) else { return };
        self.index.remove(slot.0, peer.place, &peer.interest);
        self.full.retain(|other| *other != slot.0);
        self.dirty_slots.push(slot.0);
        self.find_highest_requirement();
    }

    /// Changes what a peer wants. If it may want more than before it gets what the pool has of it, and is to be drained
    /// when this returns true.
    pub fn update_interest(&mut self, slot: PeerSlot, interest: PeerInterest, pow_requirement: f64) -> bool {
        let interest = self.index.fit(interest);
        let Some(peer) = self.peers.get_mut(slot.index()).and_then(Option::as_mut) else { return false };
        let widened = pow_requirement < peer.pow_requirement || !interest.is_within(&peer.interest);
        self.index.remove(slot.0, peer.place, &peer.interest);
        self.full.retain(|other| *other != slot.0);
        peer.place = self.index.insert(slot.0, &interest);
        if interest == PeerInterest::Full {
            self.full.push(slot.0);
        }
        peer.interest = interest;
        peer.pow_requirement = pow_requirement;
        // What is queued may not be wanted any more: a scan looks again.
        match &peer.feed {
            _ if widened => peer.feed = Feed::Scan(0),
            Feed::Queue(queue) => {
                peer.feed = Feed::Scan(queue.front().map_or(self.pool.next_seq(), |(seq, _)| *seq));
            }
            Feed::Scan(_) => {}
        }
        let wake = widened && peer.tell();
        self.find_highest_requirement();
        wake
    }

    /// The highest proof of work that any peer requires: what [`crate::Admission::check`] wants to know.
    #[must_use]
    pub fn highest_requirement(&self) -> f64 {
        self.highest_requirement
    }

    /// Takes in the envelopes of one packet of `from`, or of this node when `None`.
    pub fn ingest(&mut self, from: Option<PeerSlot>, batch: &[Prepared]) -> Outcome {
        let mut outcome = Outcome { verdicts: Vec::with_capacity(batch.len()), woken: Vec::new() };
        let source = from
            .and_then(|slot| self.peers.get(slot.index())?.as_ref())
            .map_or(SourceId::default(), |peer| peer.source);
        let mut highest_pow = None;
        for prepared in batch {
            let verdict = self.ingest_one(from, source, prepared, &mut outcome.woken);
            if verdict == Verdict::New {
                let pow = prepared.pow;
                // An inexact value is below the true one; such an envelope may reach any requirement.
                let bound = if pow.is_exact() { pow.value() } else { f64::INFINITY };
                highest_pow = Some(bound.max(highest_pow.unwrap_or(0.0)));
            }
            outcome.verdicts.push(verdict);
        }
        if let Some(highest_pow) = highest_pow {
            for slot in &self.full {
                if from != Some(PeerSlot(*slot))
                    && let Some(Some(peer)) = self.peers.get_mut(*slot as usize)
                    && highest_pow >= peer.pow_requirement
                    && peer.tell()
                {
                    outcome.woken.push(PeerSlot(*slot));
                }
            }
        }
        outcome
    }

    fn ingest_one(
        &mut self,
        from: Option<PeerSlot>,
        source: SourceId,
        prepared: &Prepared,
        woken: &mut Vec<PeerSlot>,
    ) -> Verdict {
        let envelope = &prepared.envelope;
        let short = envelope.hash().short();
        if let Some(seen) = self.seen.get(&short) {
            if let (Some(slot), Some(entry)) = (from, seen.entry.and_then(|index| self.pool.by_index(index)))
            {
                entry.holders.insert(slot.0);
            }
            return Verdict::Duplicate { archived: seen.archived };
        }
        let length = envelope.raw().len();
        if messages::encoded_length(length) > self.config.max_packet {
            return Verdict::Rejected(Rejection::Oversized {
                hash: envelope.hash(),
                size: length,
                max: self.config.max_packet,
            });
        }
        loop {
            match self.pool.victim(envelope.expiry(), source, length) {
                Ok(None) => break,
                Ok(Some(victim)) => {
                    if let Some(evicted) = self.pool.remove(victim) {
                        self.seen.set_gone(evicted.hash().short(), evicted.expiry());
                    }
                }
                Err(()) => return Verdict::Rejected(Rejection::PoolFull),
            }
        }
        let seat = self.pool.insert(envelope, prepared.pow, source);
        self.seen.insert(short, seat.1);
        let Some(entry) = self.pool.get_mut(seat) else { return Verdict::New };
        if let Some(slot) = from {
            entry.holders.insert(slot.0);
        }
        let peers = &mut self.peers;
        self.index.matching(envelope.topic(), |slot| {
            if from != Some(PeerSlot(slot))
                && let Some(Some(peer)) = peers.get_mut(slot as usize)
                && entry.pow.resolve(&entry.envelope, peer.pow_requirement)
            {
                peer.offer(seat);
                if peer.tell() {
                    woken.push(PeerSlot(slot));
                }
            }
        });
        Verdict::New
    }

    /// Remembers the envelopes of one packet and relays none: for a node that does not forward.
    pub fn remember(&mut self, batch: &[Prepared]) -> Vec<Verdict> {
        let remember = |prepared: &Prepared| {
            let short = prepared.envelope.hash().short();
            if let Some(seen) = self.seen.get(&short) {
                return Verdict::Duplicate { archived: seen.archived };
            }
            self.seen.insert_gone(short, prepared.envelope.expiry());
            Verdict::New
        };
        batch.iter().map(remember).collect()
    }

    /// The archive holds these envelopes durably.
    pub fn set_archived<'a>(&mut self, hashes: impl IntoIterator<Item = &'a EnvelopeHash>) {
        for hash in hashes {
            self.seen.set_archived(&hash.short());
        }
    }

    /// The next packet for a peer: of what it wants, has not got and did not send itself, in order of arrival, and has
    /// not expired at `now`. Its payload has at most `max_bytes`, unless a single envelope alone is longer, and never more
    /// than [`Config::max_packet`].
    pub fn drain(&mut self, slot: PeerSlot, now: u32, max_bytes: usize) -> Drained {
        let Some(peer) = self.peers.get_mut(slot.index()).and_then(Option::as_mut) else {
            return Drained::Nothing;
        };
        self.selected.clear();
        let mut turn = Turn {
            slot: slot.0,
            now,
            max_bytes: max_bytes.min(self.config.max_packet),
            requirement: peer.pow_requirement,
            content: 0,
            selected: &mut self.selected,
        };
        let more = match &mut peer.feed {
            Feed::Queue(queue) => loop {
                let Some(seat) = queue.front().copied() else { break false };
                if !turn.offer(&mut self.pool, seat, |_| true) {
                    break true;
                }
                queue.pop_front();
            },
            Feed::Scan(next) => {
                let start = self.pool.position(*next);
                let mut position = start;
                loop {
                    let Some(seat) = self.pool.seat(position) else {
                        *next = self.pool.next_seq();
                        if peer.interest != PeerInterest::Full {
                            peer.feed = Feed::Queue(std::collections::VecDeque::new());
                        }
                        break false;
                    };
                    let interest = &peer.interest;
                    if position - start == SCAN_TURN
                        || !turn.offer(&mut self.pool, seat, |envelope| interest.wants(envelope.topic()))
                    {
                        *next = seat.0;
                        break true;
                    }
                    position += 1;
                }
            }
        };
        if self.selected.is_empty() {
            if more {
                return Drained::Again;
            }
            peer.told = false;
            return Drained::Nothing;
        }
        Drained::Packet(self.packet())
    }

    /// The packet of what is selected; peers at the same place of the log get the same bytes.
    fn packet(&mut self) -> Packet {
        if self.last_packet.0 != self.selected {
            let raw = |seat: &Seat| self.pool.get(*seat).map_or(&[][..], |entry| entry.envelope.raw());
            let payload = messages::encode(self.selected.iter().map(raw));
            std::mem::swap(&mut self.last_packet.0, &mut self.selected);
            self.last_packet.1 = payload;
        }
        Packet { payload: self.last_packet.1.clone(), envelopes: self.last_packet.0.len() }
    }

    /// Drops what has expired before `now`; to be called every second. One call does a bounded part of the work.
    pub fn expire(&mut self, now: u32) -> Expired {
        let seen = &mut self.seen;
        let envelopes = self.pool.expire(now, EXPIRY_TURN, |envelope| {
            seen.set_gone(envelope.hash().short(), envelope.expiry());
        });
        let forgotten = self.seen.expire(now, EXPIRY_TURN);
        // A payload shared by sequence numbers stays right for ever, but need not stay in memory.
        self.last_packet = (Vec::new(), Bytes::new());
        Expired { envelopes, again: envelopes == EXPIRY_TURN || forgotten == EXPIRY_TURN }
    }

    /// Whether an envelope is pooled.
    #[must_use]
    pub fn contains(&self, hash: &EnvelopeHash) -> bool {
        self.seen.get(&hash.short()).is_some_and(|seen| seen.entry.is_some())
    }

    /// Counts for metrics and health.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            envelopes: self.pool.len(),
            bytes: self.pool.bytes(),
            remembered: self.seen.len(),
            peers: self.peers.iter().flatten().count(),
            topics: self.index.entries(),
        }
    }

    /// A slot that no entry names as a holder.
    fn take_slot(&mut self) -> u32 {
        if self.free_slots.is_empty()
            && (self.dirty_slots.len() >= SWEEP_AT || (self.pool.len() == 0 && !self.dirty_slots.is_empty()))
        {
            let mut gone = Holders::default();
            for slot in &self.dirty_slots {
                gone.insert(*slot);
            }
            self.pool.forget_holders(&gone);
            self.free_slots.append(&mut self.dirty_slots);
        }
        self.free_slots.pop().unwrap_or_else(|| {
            self.peers.push(None);
            u32::try_from(self.peers.len() - 1).unwrap_or(u32::MAX)
        })
    }

    fn find_highest_requirement(&mut self) {
        self.highest_requirement =
            self.peers.iter().flatten().map(|peer| peer.pow_requirement).fold(0.0, f64::max);
    }
}

/// One call of [`RelayCore::drain`].
struct Turn<'a> {
    slot: u32,
    now: u32,
    max_bytes: usize,
    requirement: f64,
    content: usize,
    selected: &'a mut Vec<Seat>,
}

impl Turn<'_> {
    /// Selects `seat` if the peer is to get it. False when it is, but the packet is full.
    fn offer(&mut self, pool: &mut Pool, seat: Seat, wants: impl Fn(&WireEnvelope) -> bool) -> bool {
        let Some(entry) = pool.get_mut(seat) else { return true };
        if entry.holders.contains(self.slot)
            || entry.envelope.expiry() < self.now
            || !wants(&entry.envelope)
            || !entry.pow.resolve(&entry.envelope, self.requirement)
        {
            return true;
        }
        let content = self.content + entry.envelope.raw().len();
        if !self.selected.is_empty() && messages::encoded_length(content) > self.max_bytes {
            return false;
        }
        self.content = content;
        entry.holders.insert(self.slot);
        self.selected.push(seat);
        true
    }
}

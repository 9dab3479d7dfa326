//! The pool: unexpired envelopes in arrival order, found by expiry, bounded by count and bytes
//! (`spec/waku-mailserver.md` §2.8, §12 Q07).

use std::collections::{BTreeMap, HashMap, VecDeque};

use waku_wire::{WireEnvelope, pow::Pow};

use crate::{SourceId, holders::Holders, peer::Seat};

/// Sources that are compared for the heaviest, at most: with very many, the cost of an eviction must not grow with them.
const SOURCES_COMPARED: usize = 64;
/// Dead places that the log may keep beyond as many as there are live ones.
const DEAD_ALLOWANCE: usize = 1024;

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) seq: u64,
    pub(crate) envelope: WireEnvelope,
    pub(crate) pow: Pow,
    pub(crate) holders: Holders,
    source: SourceId,
    /// Where it stands in its wheel bucket.
    position: u32,
}

/// Entries of one expiry second by source.
type Bucket = HashMap<SourceId, Vec<u32>>;

#[derive(Debug)]
pub(crate) struct Pool {
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    log: VecDeque<Seat>,
    next_seq: u64,
    live: usize,
    bytes: usize,
    wheel: BTreeMap<u32, Bucket>,
    bytes_by_source: HashMap<SourceId, usize>,
    max_envelopes: usize,
    max_bytes: usize,
}

impl Pool {
    pub(crate) fn new(max_envelopes: usize, max_bytes: usize) -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            log: VecDeque::new(),
            next_seq: 0,
            live: 0,
            bytes: 0,
            wheel: BTreeMap::new(),
            bytes_by_source: HashMap::new(),
            max_envelopes,
            max_bytes,
        }
    }

    /// Number of envelopes.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// Encoded bytes of all envelopes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The sequence number that the next envelope gets.
    pub(crate) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Where in the log sequence numbers from `seq` on begin.
    pub(crate) fn position(&self, seq: u64) -> usize {
        self.log.partition_point(|(other, _)| *other < seq)
    }

    /// The place at `position` of the log, live or not.
    pub(crate) fn seat(&self, position: usize) -> Option<Seat> {
        self.log.get(position).copied()
    }

    /// The entry that had `seat`, if it is still pooled.
    pub(crate) fn get_mut(&mut self, seat: Seat) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(seat.1 as usize)?.as_mut()?;
        (entry.seq == seat.0).then_some(entry)
    }

    /// The same, to read.
    pub(crate) fn get(&self, seat: Seat) -> Option<&Entry> {
        let entry = self.entries.get(seat.1 as usize)?.as_ref()?;
        (entry.seq == seat.0).then_some(entry)
    }

    /// The entry with this index, whatever its sequence number.
    pub(crate) fn by_index(&mut self, index: u32) -> Option<&mut Entry> {
        self.entries.get_mut(index as usize)?.as_mut()
    }

    /// The index of an entry that has to go so that `bytes` more of `source`, expiring at `expiry`, fit; `None` when
    /// they fit already. Latest expiry first, then the source with most bytes, of 64 at most.
    ///
    /// # Errors
    /// `Err(())` when the newcomer itself is first to go.
    pub(crate) fn victim(&self, expiry: u32, source: SourceId, bytes: usize) -> Result<Option<u32>, ()> {
        if self.live < self.max_envelopes && self.bytes + bytes <= self.max_bytes {
            return Ok(None);
        }
        let (latest, bucket) = self.wheel.last_key_value().ok_or(())?;
        if *latest < expiry {
            return Err(());
        }
        let of = |source: &SourceId| self.bytes_by_source.get(source).copied().unwrap_or(0);
        let compared = bucket.iter().take(SOURCES_COMPARED);
        let (heaviest, entries) = compared.max_by_key(|(source, _)| (of(source), **source)).ok_or(())?;
        if *latest == expiry && of(&source) + bytes >= of(heaviest) {
            return Err(());
        }
        entries.last().copied().map(Some).ok_or(())
    }

    /// Takes in an envelope, copied out of the packet it came in, for which there is room.
    pub(crate) fn insert(&mut self, envelope: &WireEnvelope, pow: Pow, source: SourceId) -> Seat {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
        });
        let bucket = self.wheel.entry(envelope.expiry()).or_default().entry(source).or_default();
        bucket.push(index);
        let position = u32::try_from(bucket.len() - 1).unwrap_or(u32::MAX);
        let seat = (self.next_seq, index);
        self.next_seq += 1;
        self.live += 1;
        self.bytes += envelope.raw().len();
        *self.bytes_by_source.entry(source).or_default() += envelope.raw().len();
        self.log.push_back(seat);
        let entry = Entry {
            seq: seat.0,
            envelope: envelope.detach(),
            pow,
            holders: Holders::default(),
            source,
            position,
        };
        if let Some(place) = self.entries.get_mut(index as usize) {
            *place = Some(entry);
        }
        seat
    }

    /// Takes out the entry with this index.
    pub(crate) fn remove(&mut self, index: u32) -> Option<WireEnvelope> {
        let entry = self.entries.get_mut(index as usize)?.take()?;
        let expiry = entry.envelope.expiry();
        if let Some(bucket) = self.wheel.get_mut(&expiry) {
            if let Some(of_source) = bucket.get_mut(&entry.source) {
                of_source.swap_remove(entry.position as usize);
                if let Some(moved) = of_source.get(entry.position as usize)
                    && let Some(Some(moved)) = self.entries.get_mut(*moved as usize)
                {
                    moved.position = entry.position;
                }
                if of_source.is_empty() {
                    bucket.remove(&entry.source);
                }
            }
            if bucket.is_empty() {
                self.wheel.remove(&expiry);
            }
        }
        self.release(index, &entry);
        self.tidy();
        Some(entry.envelope)
    }

    /// Takes out envelopes whose expiry is before `now`, at most `most`, and hands them to `removed`. How many.
    pub(crate) fn expire(&mut self, now: u32, most: usize, mut removed: impl FnMut(WireEnvelope)) -> usize {
        let mut count = 0;
        while count < most
            && let Some(mut first) = self.wheel.first_entry()
            && *first.key() < now
        {
            let bucket = first.get_mut();
            let source = bucket.keys().next().copied();
            let last = source.and_then(|source| {
                let of_source = bucket.get_mut(&source)?;
                let last = of_source.pop();
                if of_source.is_empty() {
                    bucket.remove(&source);
                }
                last
            });
            if bucket.is_empty() {
                first.remove();
            }
            if let Some(index) = last
                && let Some(entry) = self.entries.get_mut(index as usize).and_then(Option::take)
            {
                count += 1;
                self.release(index, &entry);
                removed(entry.envelope);
            }
        }
        self.tidy();
        count
    }

    /// Clears `gone` from the holders of every entry.
    pub(crate) fn forget_holders(&mut self, gone: &Holders) {
        for entry in self.entries.iter_mut().flatten() {
            entry.holders.subtract(gone);
        }
    }

    /// Gives back what an entry that was taken out had, but for its place in the wheel.
    fn release(&mut self, index: u32, entry: &Entry) {
        let bytes = entry.envelope.raw().len();
        self.live -= 1;
        self.bytes -= bytes;
        if let Some(of_source) = self.bytes_by_source.get_mut(&entry.source) {
            *of_source -= bytes;
            if *of_source == 0 {
                self.bytes_by_source.remove(&entry.source);
            }
        }
        self.free.push(index);
    }

    /// Keeps the log proportional to what is live, and gives memory back after a burst.
    fn tidy(&mut self) {
        if self.live == 0 {
            self.log = VecDeque::new();
            self.entries = Vec::new();
            self.free = Vec::new();
            return;
        }
        while self.log.front().is_some_and(|seat| self.get(*seat).is_none()) {
            self.log.pop_front();
        }
        if self.log.len() > 2 * self.live + DEAD_ALLOWANCE {
            let entries = &self.entries;
            self.log.retain(|(seq, index)| {
                entries.get(*index as usize).and_then(Option::as_ref).is_some_and(|entry| entry.seq == *seq)
            });
            self.log.shrink_to(2 * self.live + DEAD_ALLOWANCE);
        }
    }
}

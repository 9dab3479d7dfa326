//! The nouns of history: where a row stands, what a reader asks for, what comes back.
//!
//! Pure values. Times are UNIX seconds as `u32`; a row's time is `sent = expiry - ttl` of its envelope.
//! Facts: `spec/waku-mailserver.md` §5.3 (key and cursor), §2.6 (bloom).

use std::sync::Arc;

use bytes::Bytes;
use waku_wire::{Bloom, Cursor, EnvelopeHash, Topic};

/// What a stored row is reckoned to cost beyond its RLP, in bytes: its keys in both orders and the share of index and
/// filter. Used by every backend for byte caps, so that a cap means the same everywhere.
pub const ROW_OVERHEAD: u64 = 60;

/// The first 16 bytes of an envelope hash: what keys hold. The full hash follows from the stored envelope.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EnvelopeId(pub [u8; 16]);

impl EnvelopeId {
    /// The id of an envelope with this hash.
    #[must_use]
    pub fn of(hash: &EnvelopeHash) -> Self {
        Self(hash.short())
    }
}

impl std::fmt::Debug for EnvelopeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A place in the one order of all history: by `sent`, ties by hash. It need not be the place of a row: a cursor whose
/// row was evicted, or that comes from another server, is still a place to go on from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Position {
    /// UNIX seconds.
    pub sent: u32,
    /// Ties within one second.
    pub id: EnvelopeId,
}

impl Position {
    /// The first place of a second.
    #[must_use]
    pub fn first_of(sent: u32) -> Self {
        Self { sent, id: EnvelopeId([0; 16]) }
    }

    /// The last place of a second.
    #[must_use]
    pub fn last_of(sent: u32) -> Self {
        Self { sent, id: EnvelopeId([0xff; 16]) }
    }

    /// The place of an envelope.
    #[must_use]
    pub fn of(sent: u32, hash: &EnvelopeHash) -> Self {
        Self { sent, id: EnvelopeId::of(hash) }
    }

    /// The next place; `None` after the last of all.
    #[must_use]
    pub fn successor(self) -> Option<Self> {
        match u128::from_be_bytes(self.id.0).checked_add(1) {
            Some(next) => Some(Self { sent: self.sent, id: EnvelopeId(next.to_be_bytes()) }),
            None => self.sent.checked_add(1).map(Self::first_of),
        }
    }

    /// The place before; the first of all has itself.
    #[must_use]
    pub fn predecessor(self) -> Self {
        match (u128::from_be_bytes(self.id.0).checked_sub(1), self.sent.checked_sub(1)) {
            (Some(previous), _) => Self { sent: self.sent, id: EnvelopeId(previous.to_be_bytes()) },
            (None, Some(before)) => Self::last_of(before),
            (None, None) => self,
        }
    }

    /// The place that a wire cursor names.
    #[must_use]
    pub fn of_cursor(cursor: &Cursor) -> Self {
        Self::of(cursor.sent(), &cursor.hash())
    }
}

/// A stored envelope as it comes back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Its place.
    pub position: Position,
    /// Its topic.
    pub topic: Topic,
    /// The envelope, byte for byte as it was received (five-item RLP list).
    pub rlp: Bytes,
}

impl Row {
    /// The full envelope hash. Computed (one Keccak over the row), so ask only for rows that need it.
    #[must_use]
    pub fn hash(&self) -> EnvelopeHash {
        EnvelopeHash(enode::keccak256(&self.rlp))
    }

    /// The wire cursor of this row (`spec/waku-mailserver.md` §5.3, V37). Costs what [`Row::hash`] costs.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor::new(self.position.sent, self.hash())
    }
}

/// Seconds from `from` to `to`, both included. Empty when `from > to`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeRange {
    /// First second.
    pub from: u32,
    /// Last second.
    pub to: u32,
}

impl TimeRange {
    /// All of time.
    pub const ALL: Self = Self { from: 0, to: u32::MAX };

    /// Whether `sent` lies within.
    #[must_use]
    pub fn contains(&self, sent: u32) -> bool {
        self.from <= sent && sent <= self.to
    }
}

/// A sorted set of topics. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicSet(Arc<[Topic]>);

impl TopicSet {
    /// The topics in order, each once.
    #[must_use]
    pub fn as_slice(&self) -> &[Topic] {
        &self.0
    }

    /// Whether `topic` is in the set.
    #[must_use]
    pub fn contains(&self, topic: &Topic) -> bool {
        self.0.binary_search(topic).is_ok()
    }
}

impl FromIterator<Topic> for TopicSet {
    fn from_iter<I: IntoIterator<Item = Topic>>(topics: I) -> Self {
        let mut topics: Vec<Topic> = topics.into_iter().collect();
        topics.sort_unstable();
        topics.dedup();
        Self(topics.into())
    }
}

/// Which envelopes a reader wants.
#[derive(Clone, Debug)]
pub enum Filter {
    /// Every topic.
    All,
    /// These topics.
    Topics(TopicSet),
    /// Topics whose bloom is covered by this one.
    Bloom(Box<Bloom>),
}

impl Filter {
    /// Whether envelopes of `topic` are wanted.
    #[must_use]
    pub fn matches(&self, topic: &Topic) -> bool {
        match self {
            Self::All => true,
            Self::Topics(topics) => topics.contains(topic),
            Self::Bloom(bloom) => bloom.matches(*topic),
        }
    }
}

/// A range of history and a filter.
#[derive(Clone, Debug)]
pub struct Query {
    /// Seconds wanted.
    pub range: TimeRange,
    /// Topics wanted.
    pub filter: Filter,
}

/// A 256-bit sum of envelope hashes modulo 2^256 (hashes read as little-endian numbers). Two sets with equal counts and
/// sums are equal but for a collision; adding is independent of order, so replicas agree.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Accumulator(pub [u8; 32]);

impl Accumulator {
    /// Adds one hash.
    pub fn add(&mut self, hash: &EnvelopeHash) {
        let mut carry = 0u16;
        for (sum, byte) in self.0.iter_mut().zip(hash.0) {
            let total = u16::from(*sum) + u16::from(byte) + carry;
            [*sum, _] = total.to_le_bytes();
            carry = total >> 8;
        }
    }

    /// Adds the sum of another set, which shares nothing with this one.
    pub fn merge(&mut self, other: &Self) {
        self.add(&EnvelopeHash(other.0));
    }

    /// Takes out the sum of a subset.
    pub fn take_out(&mut self, subset: &Self) {
        // -x = !x + 1 modulo 2^256.
        let mut one = [0; 32];
        one[0] = 1;
        self.add(&EnvelopeHash(subset.0.map(|byte| !byte)));
        self.add(&EnvelopeHash(one));
    }
}

impl std::fmt::Debug for Accumulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What one hour holds: enough to tell whether two archives agree on it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Window {
    /// Hours since the epoch: rows with `sent / 3600 == hour`.
    pub hour: u32,
    /// Rows.
    pub count: u64,
    /// Sum over rows of RLP length + [`ROW_OVERHEAD`].
    pub bytes: u64,
    /// Sum of the rows' full hashes.
    pub accumulator: Accumulator,
}

impl Window {
    /// Counts one row in.
    pub fn add(&mut self, rlp_len: usize, hash: &EnvelopeHash) {
        self.count += 1;
        self.bytes += rlp_len as u64 + ROW_OVERHEAD;
        self.accumulator.add(hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn successor_and_predecessor_step_over_the_ends_of_a_second() {
        let last = Position::last_of(5);
        assert_eq!(last.successor(), Some(Position::first_of(6)));
        assert_eq!(Position::first_of(6).predecessor(), last);
        assert_eq!(Position::last_of(u32::MAX).successor(), None);
        assert_eq!(Position::first_of(0).predecessor(), Position::first_of(0));
        let some = Position::first_of(9);
        assert_eq!(some.successor().map(Position::predecessor), Some(some));
    }

    #[test]
    fn v37_a_row_has_the_cursor_that_names_its_position() {
        let raw = hex(
            "f842843b9aca3232840f010200b5aadb80b6cd6285c292e5ef90d2cfa700c5694aa56ce687e44a86c713a10ff7d2e7380ca29765\
             aba30a000102030405060708090a0b80",
        );
        let envelope = waku_wire::WireEnvelope::decode(&raw.clone().into()).unwrap();
        let position = Position::of(envelope.sent(), &envelope.hash());
        let row = Row { position, topic: envelope.topic(), rlp: raw.into() };
        let cursor = hex("3b9aca00fe1436549a3c95387719b1ec481928bc9b5612edc277b5cf427ab4b831c8a839");
        assert_eq!(row.cursor().0[..], cursor);
        assert_eq!(Position::of_cursor(&row.cursor()), position);
        assert_eq!(position.id.0[..], cursor[4..20]);
    }

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn the_accumulator_is_a_sum_with_carry_modulo_2_256() {
        let (mut max, mut one) = ([0xff; 32], [0; 32]);
        one[0] = 1;
        let mut sum = Accumulator::default();
        sum.add(&EnvelopeHash(max));
        assert_eq!(sum.0, max);
        sum.add(&EnvelopeHash(one));
        assert_eq!(sum.0, [0; 32], "wraps");
        max[0] = 0x80;
        sum.add(&EnvelopeHash(max));
        max[0] = 0x81;
        sum.add(&EnvelopeHash(max));
        assert_eq!((sum.0[0], sum.0[1], sum.0[31]), (1, 0xff, 0xff), "carries into the next byte");
    }

    #[test]
    fn what_was_merged_can_be_taken_out() {
        let of = |bytes: &[u8]| Accumulator(enode::keccak256(bytes));
        let (a, b) = (of(b"a"), of(b"b"));
        let mut sum = a;
        sum.merge(&b);
        assert_ne!(sum, a);
        sum.take_out(&b);
        assert_eq!(sum, a);
        sum.take_out(&a);
        assert_eq!(sum, Accumulator::default());
    }

    #[test]
    fn topic_sets_are_sorted_and_without_repeats() {
        let set: TopicSet = [Topic([3; 4]), Topic([1; 4]), Topic([3; 4])].into_iter().collect();
        assert_eq!(set.as_slice(), [Topic([1; 4]), Topic([3; 4])]);
        assert!(set.contains(&Topic([3; 4])) && !set.contains(&Topic([2; 4])));
    }
}

//! Peers that announced a bloom filter, as a transposed bit matrix: one row per filter bit, one column per peer. The
//! peers that want a topic are the AND of its one to three rows, 64 peers a word.

use waku_wire::{BLOOM_BYTES, Bloom, Topic};

const BITS: usize = BLOOM_BYTES * 8;

/// Rows of `words` words each; column `c` is bit `c mod 64` of word `c div 64`.
#[derive(Debug, Default)]
pub(crate) struct BloomMatrix {
    words: usize,
    rows: Vec<u64>,
    /// The peer slot of each column; `None` when the column is free.
    columns: Vec<Option<u32>>,
    free: Vec<u32>,
}

impl BloomMatrix {
    /// Adds a peer and says in which column.
    pub(crate) fn insert(&mut self, slot: u32, bloom: &Bloom) -> u32 {
        let column = self.free.pop().unwrap_or_else(|| {
            self.columns.push(None);
            u32::try_from(self.columns.len() - 1).unwrap_or(u32::MAX)
        });
        let (word, bit) = (column as usize / 64, 1 << (column % 64));
        if word >= self.words {
            self.widen(word + 1);
        }
        if let Some(place) = self.columns.get_mut(column as usize) {
            *place = Some(slot);
        }
        for index in (0..BITS).filter(|index| bloom.has_bit(*index)) {
            if let Some(cell) = self.rows.get_mut(index * self.words + word) {
                *cell |= bit;
            }
        }
        column
    }

    pub(crate) fn remove(&mut self, column: u32) {
        let (word, bit) = (column as usize / 64, 1u64 << (column % 64));
        for cell in self.rows.iter_mut().skip(word).step_by(self.words.max(1)) {
            *cell &= !bit;
        }
        if let Some(place) = self.columns.get_mut(column as usize)
            && place.take().is_some()
        {
            self.free.push(column);
        }
    }

    /// Calls `found` with the slot of each peer whose filter matches `topic`.
    pub(crate) fn matching(&self, topic: Topic, mut found: impl FnMut(u32)) {
        if self.columns.len() == self.free.len() {
            return;
        }
        for word in 0..self.words {
            let mut left = Bloom::topic_bits(topic).fold(u64::MAX, |all, bit| {
                all & self.rows.get(bit * self.words + word).copied().unwrap_or(0)
            });
            while left != 0 {
                let column = word * 64 + left.trailing_zeros() as usize;
                left &= left - 1;
                // Every filter bit of a free column is clear, and a topic has at least one bit.
                if let Some(Some(slot)) = self.columns.get(column) {
                    found(*slot);
                }
            }
        }
    }

    fn widen(&mut self, words: usize) {
        let mut rows = vec![0; words * BITS];
        for (wide, narrow) in rows.chunks_mut(words).zip(self.rows.chunks(self.words.max(1))) {
            for (to, from) in wide.iter_mut().zip(narrow) {
                *to = *from;
            }
        }
        self.words = words;
        self.rows = rows;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_each_filter_alone_while_columns_come_and_go() {
        let topic = |n: u32| Topic(n.wrapping_mul(0x9e37_79b9).to_be_bytes());
        let filter = |slot: u32| Bloom::of_topics((0..slot % 40).map(|n| topic(slot * 100 + n)));
        let mut matrix = BloomMatrix::default();
        let mut columns: Vec<(u32, u32)> =
            (0..200).map(|slot| (slot, matrix.insert(slot, &filter(slot)))).collect();
        for round in 0..3u32 {
            for probe in (0..20_000).step_by(7).map(topic) {
                let mut found = Vec::new();
                matrix.matching(probe, |slot| found.push(slot));
                found.sort_unstable();
                let mut wanted: Vec<u32> = columns
                    .iter()
                    .map(|(slot, _)| *slot)
                    .filter(|slot| filter(*slot).matches(probe))
                    .collect();
                wanted.sort_unstable();
                assert_eq!(found, wanted);
            }
            columns.retain(|(slot, column)| {
                let stays = slot % 3 != round;
                if !stays {
                    matrix.remove(*column);
                }
                stays
            });
            let new = 1000 * (round + 1);
            columns.extend((new..new + 50).map(|slot| (slot, matrix.insert(slot, &filter(slot)))));
        }
        assert!(matrix.columns.len() <= 300, "free columns are used again");
    }
}

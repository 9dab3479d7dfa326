//! Which peers have an envelope: a bit per peer slot.

/// Bits by slot. The first 64 slots cost no allocation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Holders {
    first: u64,
    rest: Vec<u64>,
}

impl Holders {
    pub(crate) fn contains(&self, slot: u32) -> bool {
        self.word(slot / 64) & bit(slot) != 0
    }

    pub(crate) fn insert(&mut self, slot: u32) {
        match slot / 64 {
            0 => self.first |= bit(slot),
            word => {
                let index = word as usize - 1;
                if self.rest.len() <= index {
                    self.rest.resize(index + 1, 0);
                }
                if let Some(word) = self.rest.get_mut(index) {
                    *word |= bit(slot);
                }
            }
        }
    }

    /// Clears all of `others`' bits.
    pub(crate) fn subtract(&mut self, others: &Self) {
        self.first &= !others.first;
        for (word, gone) in self.rest.iter_mut().zip(&others.rest) {
            *word &= !gone;
        }
    }

    fn word(&self, index: u32) -> u64 {
        match index {
            0 => self.first,
            index => self.rest.get(index as usize - 1).copied().unwrap_or(0),
        }
    }
}

fn bit(slot: u32) -> u64 {
    1 << (slot % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_of_all_words() {
        let mut holders = Holders::default();
        let slots = [0, 1, 63, 64, 127, 128, 1000];
        for slot in slots {
            assert!(!holders.contains(slot));
            holders.insert(slot);
        }
        let held: Vec<u32> = (0..2000).filter(|slot| holders.contains(*slot)).collect();
        assert_eq!(held, slots);
        let mut gone = Holders::default();
        gone.insert(63);
        gone.insert(128);
        holders.subtract(&gone);
        let held: Vec<u32> = (0..2000).filter(|slot| holders.contains(*slot)).collect();
        assert_eq!(held, [0, 1, 64, 127, 1000]);
    }
}

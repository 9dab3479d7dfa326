//! Which ids of a span one side has and the other has not, from the other side's cells. Pure.

use archive::EnvelopeId;

use crate::{
    SyncError,
    sketch::{Cell, Sketch, Symbol},
};

/// Ids in a span that is reconciled at once.
pub(crate) const MAX_IDS: usize = 65_536;
/// Cells of the first answer: enough for a few differences.
const FIRST: usize = 12;
/// Cells in one message.
pub(crate) const MAX_CELLS: usize = 2048;
/// Cells beyond those for every id of both sides: a few differences may take several each.
const SPARE: u64 = 256;

/// The most cells that a difference between sets of these sizes can take.
pub(crate) fn most_cells(ids: usize, others: usize) -> u64 {
    2 * (ids + others) as u64 + SPARE
}

/// The asking side: subtracts its own cells from those that come, until the difference is known.
#[derive(Debug)]
pub(crate) struct Decoder {
    salt: [u8; 16],
    own: Sketch,
    /// Of the difference, positive: there.
    cells: Vec<Cell>,
    /// What was found, with the side that has it.
    found: Vec<(Symbol, i64)>,
}

impl Decoder {
    pub(crate) fn new(own: Sketch, salt: [u8; 16]) -> Self {
        Self { salt, own, cells: Vec::new(), found: Vec::new() }
    }

    /// How many cells to ask for next.
    pub(crate) fn wanted(&self) -> usize {
        let Some(first) = self.cells.first() else { return FIRST };
        // So many more cells as half of what there is, and not less than what the sizes differ by will take.
        let left = usize::try_from(first.count.unsigned_abs()).unwrap_or(usize::MAX);
        let grown = (self.cells.len() / 2).max(FIRST / 2);
        grown.max(left + left / 3).min(MAX_CELLS)
    }

    /// Takes the next cells of the other side; whether the difference is known now.
    ///
    /// # Errors
    /// They are not those of a set.
    pub(crate) fn take(&mut self, theirs: &[Cell]) -> Result<bool, SyncError> {
        let start = self.cells.len();
        let own = self.own.next(theirs.len());
        self.cells.extend(theirs.iter().zip(&own).map(|(theirs, own)| theirs.less(own)));
        for (symbol, sign) in &mut self.found {
            symbol.fall(start as u64, &mut self.cells[start..], -*sign, |_| {});
        }
        let mut look: Vec<usize> = (start..self.cells.len()).collect();
        while let Some(at) = look.pop() {
            let Some((mut symbol, sign)) = self.cells[at].single(&self.salt) else { continue };
            symbol.fall(0, &mut self.cells, -sign, |at| look.push(at));
            self.found.push((symbol, sign));
            // Each cell names one id at most.
            if self.found.len() > self.cells.len() {
                return Err(SyncError::Breach("cells that are of no set"));
            }
        }
        let others = theirs.first().filter(|_| start == 0).map_or(0, |cell| cell.count);
        if !(0..=MAX_IDS as i64).contains(&others) {
            return Err(SyncError::Breach("more ids than a span may hold"));
        }
        if self.cells.first().is_some_and(Cell::is_empty) {
            return Ok(true);
        }
        if self.cells.len() as u64 > most_cells(self.own.len(), MAX_IDS) {
            return Err(SyncError::Breach("a reconciliation without end"));
        }
        Ok(false)
    }

    /// The ids that are only here, and those that are only there.
    pub(crate) fn difference(self) -> (Vec<EnvelopeId>, Vec<EnvelopeId>) {
        let (there, here): (Vec<_>, Vec<_>) = self.found.into_iter().partition(|(_, sign)| *sign > 0);
        let ids = |found: Vec<(Symbol, i64)>| {
            let mut ids: Vec<EnvelopeId> =
                found.into_iter().map(|(symbol, _)| EnvelopeId(symbol.id.to_be_bytes())).collect();
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        (ids(here), ids(there))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sketch::CELL_BYTES;

    const SALT: [u8; 16] = [9; 16];

    fn id(number: u32) -> EnvelopeId {
        EnvelopeId(enode::keccak256(&number.to_be_bytes())[..16].try_into().unwrap())
    }

    fn sketch(numbers: &[u32]) -> Sketch {
        Sketch::new(numbers.iter().copied().map(id), &SALT)
    }

    /// The difference and the cells that it took.
    fn decode(here: &[u32], there: &[u32]) -> (Vec<EnvelopeId>, Vec<EnvelopeId>, usize) {
        let (mut decoder, mut other) = (Decoder::new(sketch(here), SALT), sketch(there));
        while !decoder.take(&other.next(decoder.wanted())).unwrap() {}
        let cells = decoder.cells.len();
        let (have, need) = decoder.difference();
        (have, need, cells)
    }

    fn sorted(numbers: impl IntoIterator<Item = u32>) -> Vec<EnvelopeId> {
        let mut ids: Vec<_> = numbers.into_iter().map(id).collect();
        ids.sort_unstable();
        ids
    }

    proptest! {
        #[test]
        fn the_difference_is_found(sides in prop::collection::vec(0..3u8, 0..400)) {
            let of = |kinds: [u8; 2]| -> Vec<u32> {
                (0..).zip(&sides).filter(|(_, side)| kinds.contains(side)).map(|(number, _)| number).collect()
            };
            let (have, need, _) = decode(&of([0, 1]), &of([0, 2]));
            prop_assert_eq!(have, sorted(of([1, 1])));
            prop_assert_eq!(need, sorted(of([2, 2])));
        }

        #[test]
        fn cells_that_are_made_up_end(bytes in prop::collection::vec(any::<u8>(), 0..CELL_BYTES * 40)) {
            let cells: Vec<Cell> = bytes.as_chunks().0.iter().map(Cell::read).collect();
            let mut decoder = Decoder::new(sketch(&[1, 2, 3, 4, 5]), SALT);
            let _ = decoder.take(&cells);
            let _ = decoder.take(&cells);
        }
    }

    #[test]
    fn the_cells_follow_the_difference_not_the_sets() {
        let most = u32::try_from(MAX_IDS).unwrap();
        let common: Vec<u32> = (0..most - 10_000).collect();
        for (here, there) in [(0, 0), (1, 0), (0, 1), (5, 5), (100, 0), (500, 500), (0, 10_000), (5000, 5000)]
        {
            let with =
                |from: u32, count: u32| [&common[..], &(from..from + count).collect::<Vec<_>>()].concat();
            let (have, need, cells) = decode(&with(100_000, here), &with(200_000, there));
            assert_eq!((have.len(), need.len()), (here as usize, there as usize));
            let d = (here + there) as usize;
            assert!(cells <= FIRST + 2 * d + d / 4, "{d} differences: {cells} cells");
        }
        let all: Vec<u32> = (0..most).collect();
        let (have, need, cells) = decode(&[], &all);
        assert_eq!((have.len(), need.len()), (0, MAX_IDS));
        assert!(cells < MAX_IDS * 3 / 2, "{cells}");
    }
}

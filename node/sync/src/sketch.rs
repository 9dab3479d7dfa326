//! Sets as a stream of cells whose difference can be decoded: a rateless invertible Bloom lookup table. Pure.
//!
//! Each id falls into cell 0 and then into ever rarer ones, cell i with a chance of about 1 / (1 + i / 2), at places that
//! its own hash decides. Cells of two sets, subtracted, leave the difference; a cell with one id left names it. Some 1.35
//! cells for each difference are enough when there are many, whatever the size of the sets. Source: Yang, Gilad, Alizadeh,
//! "Practical Rateless Set Reconciliation", 2024. The hash is salted for each round: nobody can choose ids that collide.

use archive::EnvelopeId;
use enode::keccak256;

/// Bytes of a cell on the wire: sum of ids 16, sum of hashes 8, count 3.
pub(crate) const CELL_BYTES: usize = 27;
/// The multiplier of the paper's generator of places.
const NEXT: u64 = 0xda94_2042_e4dd_58b5;

/// The ids in one place of the stream, added up.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Cell {
    /// Exclusive or of the ids.
    ids: u128,
    /// Exclusive or of their hashes.
    hashes: u64,
    /// How many; of a difference: how many more.
    pub(crate) count: i64,
}

/// An id with its hash and the next cell that it falls into.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Symbol {
    pub(crate) id: u128,
    hash: u64,
    /// State of the generator of places.
    state: u64,
    /// The next place.
    next: u64,
}

impl Cell {
    /// Adds a symbol, or takes it out.
    fn apply(&mut self, symbol: &Symbol, sign: i64) {
        self.ids ^= symbol.id;
        self.hashes ^= symbol.hash;
        self.count += sign;
    }

    /// The difference to another set's cell.
    pub(crate) fn less(&self, other: &Self) -> Self {
        Self {
            ids: self.ids ^ other.ids,
            hashes: self.hashes ^ other.hashes,
            count: self.count - other.count,
        }
    }

    /// The one id of a difference's cell, and the sign of the side that has it.
    pub(crate) fn single(&self, salt: &[u8; 16]) -> Option<(Symbol, i64)> {
        let symbol = (self.count.abs() == 1).then(|| Symbol::new(self.ids, salt))?;
        (symbol.hash == self.hashes).then_some((symbol, self.count))
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.ids.to_be_bytes());
        out.extend_from_slice(&self.hashes.to_be_bytes());
        out.extend_from_slice(&self.count.to_be_bytes()[5..]);
    }

    pub(crate) fn read(bytes: &[u8; CELL_BYTES]) -> Self {
        let (mut ids, mut hashes, mut count) = ([0; 16], [0; 8], [0; 8]);
        ids.copy_from_slice(&bytes[..16]);
        hashes.copy_from_slice(&bytes[16..24]);
        count[5..].copy_from_slice(&bytes[24..]);
        Self {
            ids: u128::from_be_bytes(ids),
            hashes: u64::from_be_bytes(hashes),
            count: i64::from_be_bytes(count),
        }
    }
}

impl Symbol {
    pub(crate) fn new(id: u128, salt: &[u8; 16]) -> Self {
        let mut input = [0; 32];
        input[..16].copy_from_slice(salt);
        input[16..].copy_from_slice(&id.to_be_bytes());
        let mut hash = [0; 8];
        hash.copy_from_slice(&keccak256(&input)[..8]);
        let hash = u64::from_be_bytes(hash);
        // Zero would stay zero.
        Self { id, hash, state: hash | 1, next: 0 }
    }

    /// Applies it to the cells from `first` on that it falls into; `cells[0]` is cell `first`. Goes on from where it was.
    pub(crate) fn fall(&mut self, first: u64, cells: &mut [Cell], sign: i64, mut hit: impl FnMut(usize)) {
        let end = first + cells.len() as u64;
        while self.next < end {
            if let Some(at) = self.next.checked_sub(first).and_then(|at| usize::try_from(at).ok()) {
                cells[at].apply(self, sign);
                hit(at);
            }
            self.advance();
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the paper's formula: exact on every machine, and a cast to u64 saturates"
    )]
    fn advance(&mut self) {
        self.state = self.state.wrapping_mul(NEXT);
        let stride = (self.next as f64 + 1.5) * (4_294_967_296.0 / (self.state as f64 + 1.0).sqrt() - 1.0);
        self.next = self.next.saturating_add((stride.ceil() as u64).max(1));
    }
}

/// The cells of one set, from the first on.
#[derive(Debug)]
pub(crate) struct Sketch {
    symbols: Vec<Symbol>,
    /// Cells made so far.
    made: u64,
}

impl Sketch {
    /// Of distinct ids.
    pub(crate) fn new(ids: impl Iterator<Item = EnvelopeId>, salt: &[u8; 16]) -> Self {
        Self { symbols: ids.map(|id| Symbol::new(u128::from_be_bytes(id.0), salt)).collect(), made: 0 }
    }

    /// Ids in the set.
    pub(crate) fn len(&self) -> usize {
        self.symbols.len()
    }

    /// Cells made so far.
    pub(crate) fn made(&self) -> u64 {
        self.made
    }

    /// The next `count` cells.
    pub(crate) fn next(&mut self, count: usize) -> Vec<Cell> {
        let mut cells = vec![Cell::default(); count];
        for symbol in &mut self.symbols {
            symbol.fall(self.made, &mut cells, 1, |_| {});
        }
        self.made += count as u64;
        cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(range: std::ops::Range<u32>) -> impl Iterator<Item = EnvelopeId> {
        range.map(|n| EnvelopeId(n.to_be_bytes().repeat(4).try_into().unwrap()))
    }

    #[test]
    fn a_cell_on_the_wire_comes_back() {
        let cell = Cell { ids: u128::MAX - 5, hashes: 77, count: 65_536 };
        let mut out = Vec::new();
        cell.write(&mut out);
        assert_eq!(Cell::read(&out.try_into().unwrap()), cell);
    }

    #[test]
    fn cells_are_the_same_however_many_are_made_at_once() {
        let mut once = Sketch::new(ids(0..500), &[1; 16]);
        let mut often = Sketch::new(ids(0..500), &[1; 16]);
        let all = once.next(100);
        let pieces: Vec<Cell> = [1, 7, 50, 42].iter().flat_map(|count| often.next(*count)).collect();
        assert_eq!(all, pieces);
        assert_eq!(all[0].count, 500, "all fall into the first");
        assert!((150..350).contains(&all[2].count), "half fall into the third: {}", all[2].count);
        assert_ne!(Sketch::new(ids(0..500), &[2; 16]).next(100), all, "the salt counts");
    }

    /// The places are part of the format.
    #[test]
    fn the_places_of_an_id() {
        let mut cells = vec![Cell::default(); 200];
        let mut places = Vec::new();
        Symbol::new(1, &[0; 16]).fall(0, &mut cells, 1, |at| places.push(at));
        assert_eq!(places, PLACES);
    }

    const PLACES: [usize; 10] = [0, 1, 2, 7, 8, 18, 25, 81, 120, 172];
}

//! A stretch of history in the archive's order, and how it is halved. Pure, but for listing its ids.

use archive::{ArchiveError, EnvelopeId, History, Position, TimeRange};

/// Ids asked of the archive in one turn.
const TURN_IDS: usize = 8192;

/// Positions from `from` up to, not including, `to`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// The first one.
    pub from: Position,
    /// The first one behind.
    pub to: Position,
}

impl Span {
    /// The seconds `from` to `to`, both included; `to` is less than `u32::MAX`.
    #[must_use]
    pub fn seconds(from: u32, to: u32) -> Self {
        Self { from: Position::first_of(from), to: Position::first_of(to.saturating_add(1)) }
    }

    /// Whether `position` lies within.
    #[must_use]
    pub fn contains(&self, position: &Position) -> bool {
        self.from <= *position && *position < self.to
    }

    /// Whether `other` lies within, as a whole, and is not empty.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.from <= other.from && other.from < other.to && other.to <= self.to
    }

    /// Two halves, none empty: by seconds, and within a second by id. `None` for a single position.
    pub(crate) fn halves(&self) -> Option<[Self; 2]> {
        let (from, to) = (number(&self.from.id), number(&self.to.id));
        let middle = match self.to.sent.checked_sub(self.from.sent)? {
            0 => Position { sent: self.from.sent, id: id(from + to.checked_sub(from)? / 2) },
            1 if to == 0 => Position { sent: self.from.sent, id: id(from + (u128::MAX - from) / 2 + 1) },
            1 => Position::first_of(self.to.sent),
            seconds => Position::first_of(self.from.sent + seconds / 2),
        };
        let halves = [Self { from: self.from, to: middle }, Self { from: middle, to: self.to }];
        halves.iter().all(|half| half.from < half.to).then_some(halves)
    }

    /// Positions of the rows within, ascending, at most `max`.
    pub(crate) async fn list(
        &self,
        history: &dyn History,
        max: usize,
    ) -> Result<Vec<Position>, ArchiveError> {
        // One second more is asked for than a whole last second needs; what lies behind the end is cut off.
        let range = TimeRange { from: self.from.sent, to: self.to.sent };
        let mut after = number(&self.from.id)
            .checked_sub(1)
            .map(|before| Position { sent: self.from.sent, id: id(before) });
        let mut all = Vec::new();
        while all.len() < max {
            let turn = TURN_IDS.min(max - all.len());
            let ids = history.ids(range, after, turn).await?;
            let (found, last) = (ids.len(), ids.last().copied());
            all.extend(ids.into_iter().filter(|position| *position < self.to));
            after = last;
            if found < turn || last.is_none_or(|last| last >= self.to) {
                break;
            }
        }
        Ok(all)
    }
}

fn number(id: &EnvelopeId) -> u128 {
    u128::from_be_bytes(id.0)
}

fn id(number: u128) -> EnvelopeId {
    EnvelopeId(number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(sent: u32, number: u128) -> Position {
        Position { sent, id: id(number) }
    }

    #[test]
    fn halves_are_by_second_then_by_id_and_end() {
        let hour = Span::seconds(3600, 7199);
        let [first, second] = hour.halves().unwrap();
        assert_eq!((first.from, first.to), (at(3600, 0), at(5400, 0)));
        assert_eq!((second.from, second.to), (at(5400, 0), at(7200, 0)));
        let [first, second] = Span::seconds(9, 9).halves().unwrap();
        assert_eq!((first.to, second.to), (at(9, 1 << 127), at(10, 0)));
        let edge = Span { from: at(9, 5), to: at(10, 3) };
        assert_eq!(edge.halves().unwrap()[0].to, at(10, 0));
        assert_eq!(Span { from: at(9, 5), to: at(9, 6) }.halves(), None);
        assert_eq!(Span { from: at(9, u128::MAX), to: at(10, 0) }.halves(), None);
        assert_eq!(Span { from: at(9, 6), to: at(9, 5) }.halves(), None, "upside down");
        let mut span = hour;
        let mut depth = 0;
        while let Some([_, second]) = span.halves() {
            assert!(span.covers(&second));
            (span, depth) = (second, depth + 1);
        }
        assert_eq!(depth, 12 + 128, "down to one position");
    }
}

//! Windows of history as salted fingerprints, and which of two sides' windows differ.
//!
//! The archive keeps a count and a 256-bit sum of hashes for each hour; a window of several hours is their sum. The last
//! hour is cut off in the middle, so what came after the cut is counted out.

use std::collections::BTreeMap;

use archive::{Accumulator, Budget, Filter, HOUR, History, Position, Query, TimeRange};
use enode::keccak256;
use rand::random;

use crate::{
    SyncError,
    message::{MAX_WINDOWS, Print},
};

/// Rows behind the cut that are read in one turn.
const TAIL_TURN: usize = 4096;
/// How often the last hour is read again when it changed meanwhile. A wrong fingerprint costs a comparison, no more.
const TRIES: usize = 3;

/// Windows of equal length, side by side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Windows {
    /// Hours in each.
    pub(crate) unit: u32,
    /// Number of the first: its first hour divided by `unit`.
    pub(crate) first: u32,
    /// How many.
    pub(crate) count: u32,
}

/// The seconds and the salt of a round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Scope {
    /// Beginning at a whole hour.
    pub(crate) range: TimeRange,
    pub(crate) salt: [u8; 16],
}

#[derive(Clone, Copy, Default)]
struct Sum {
    count: u64,
    accumulator: Accumulator,
}

impl Scope {
    pub(crate) fn new(range: TimeRange) -> Self {
        Self { range, salt: random() }
    }

    /// The seconds of window `index`, cut to the round.
    pub(crate) fn seconds(&self, windows: &Windows, index: u32) -> TimeRange {
        let length = u64::from(windows.unit) * u64::from(HOUR);
        let from = (u64::from(windows.first) + u64::from(index)) * length;
        let second = |second: u64| u32::try_from(second).unwrap_or(u32::MAX);
        TimeRange {
            from: second(from).max(self.range.from),
            to: second((from + length).saturating_sub(1)).min(self.range.to),
        }
    }

    /// The windows of `unit` hours that cover `range`, in as many runs as messages can hold.
    pub(crate) fn windows(range: TimeRange, unit: u32) -> impl Iterator<Item = Windows> {
        let (first, last) = (range.from / HOUR / unit, range.to / HOUR / unit);
        (first..=last).step_by(MAX_WINDOWS as usize).map(move |at| Windows {
            unit,
            first: at,
            count: (last - at + 1).min(MAX_WINDOWS),
        })
    }

    /// Fingerprints of the windows that are not empty.
    pub(crate) async fn prints(
        &self,
        history: &dyn History,
        windows: &Windows,
    ) -> Result<Vec<Print>, SyncError> {
        if windows.unit == 0 || windows.count == 0 || windows.count > MAX_WINDOWS {
            return Err(SyncError::Breach("windows of no length or number"));
        }
        let all = TimeRange {
            from: self.seconds(windows, 0).from,
            to: self.seconds(windows, windows.count - 1).to,
        };
        if all.from > all.to {
            return Ok(Vec::new());
        }
        let mut sums: BTreeMap<u16, Sum> = BTreeMap::new();
        for (hour, sum) in self.hours(history, all).await? {
            let index = (hour / windows.unit).saturating_sub(windows.first);
            let window = sums.entry(u16::try_from(index).unwrap_or(u16::MAX)).or_default();
            window.count += sum.count;
            window.accumulator.merge(&sum.accumulator);
        }
        sums.retain(|_, sum| sum.count > 0);
        Ok(sums.into_iter().map(|(index, sum)| (index, self.print(&sum))).collect())
    }

    fn print(&self, sum: &Sum) -> [u8; 16] {
        let mut input = [0; 56];
        input[..16].copy_from_slice(&self.salt);
        input[16..24].copy_from_slice(&sum.count.to_be_bytes());
        input[24..].copy_from_slice(&sum.accumulator.0);
        let mut print = [0; 16];
        print.copy_from_slice(&keccak256(&input)[..16]);
        print
    }

    /// The hours of `range` that are not empty; of the last one, what is within.
    async fn hours(&self, history: &dyn History, range: TimeRange) -> Result<Vec<(u32, Sum)>, SyncError> {
        let (last, end) = (range.to / HOUR, (range.to / HOUR).saturating_mul(HOUR).saturating_add(HOUR - 1));
        for left in (0..TRIES).rev() {
            let windows = history.windows(range).await?;
            let mut hours: Vec<(u32, Sum)> = windows
                .iter()
                .map(|window| (window.hour, Sum { count: window.count, accumulator: window.accumulator }))
                .collect();
            let Some((_, sum)) = hours.last_mut().filter(|(hour, _)| *hour == last && end > range.to) else {
                return Ok(hours);
            };
            let whole = sum.count;
            let tail = tail(history, TimeRange { from: range.to + 1, to: end }).await?;
            sum.count = sum.count.saturating_sub(tail.count);
            sum.accumulator.take_out(&tail.accumulator);
            let again = history.windows(TimeRange { from: last * HOUR, to: range.to }).await?;
            if left == 0 || again.last().is_some_and(|window| window.count == whole) {
                return Ok(hours);
            }
        }
        Ok(Vec::new())
    }
}

/// The sum over the rows of `range`.
async fn tail(history: &dyn History, range: TimeRange) -> Result<Sum, SyncError> {
    let mut sum = Sum::default();
    let mut after: Option<Position> = None;
    loop {
        let query = Query { range, filter: Filter::All };
        let page = history.page(query, after, Budget::turn(TAIL_TURN)).await?;
        for row in &page.rows {
            sum.count += 1;
            sum.accumulator.add(&row.hash());
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(sum),
        }
    }
}

/// The windows that are not the same, ascending. Both are ascending.
pub(crate) fn differing(ours: &[Print], theirs: &[Print]) -> Vec<u16> {
    let (ours, theirs): (BTreeMap<_, _>, BTreeMap<_, _>) =
        (ours.iter().copied().collect(), theirs.iter().copied().collect());
    let mut all: Vec<u16> = ours.keys().chain(theirs.keys()).copied().collect();
    all.sort_unstable();
    all.dedup();
    all.retain(|index| ours.get(index) != theirs.get(index));
    all
}

#[cfg(test)]
mod tests {
    use archive::{
        NewRow,
        conformance::{DAY_START, block_on, envelope},
        memory::MemoryHistory,
    };

    use super::*;

    fn archive(sents: &[u32]) -> MemoryHistory {
        let history = MemoryHistory::new();
        let rows =
            sents.iter().map(|sent| NewRow { envelope: envelope(*sent, [1; 4], 0, 40), known_new: false });
        block_on(history.append(rows.collect())).unwrap();
        history
    }

    #[test]
    fn a_window_is_cut_at_the_end_of_the_round() {
        let scope = Scope { range: TimeRange { from: DAY_START, to: DAY_START + 3700 }, salt: [3; 16] };
        let windows = Windows { unit: 1, first: DAY_START / HOUR, count: 2 };
        let prints = |sents: &[u32]| block_on(scope.prints(&archive(sents), &windows)).unwrap();
        let early = [DAY_START + 5, DAY_START + 3650, DAY_START + 3700];
        let mut late = early.to_vec();
        late.extend([DAY_START + 3701, DAY_START + 7199, DAY_START + 7200]);
        assert_eq!(prints(&early), prints(&late));
        assert_eq!(prints(&early).len(), 2);
        assert_eq!(differing(&prints(&early), &prints(&early[..2])), [1]);
        assert_eq!(prints(&[DAY_START + 3701]), [], "nothing within");
    }

    #[test]
    fn windows_of_days_and_of_all_are_the_sum_of_hours_and_the_salt_counts() {
        let range = TimeRange { from: DAY_START, to: DAY_START + 3 * 86_400 };
        let scope = Scope::new(range);
        let history = archive(&[DAY_START + 9, DAY_START + 86_400, DAY_START + 2 * 86_400]);
        let other = archive(&[DAY_START + 9, DAY_START + 86_401, DAY_START + 2 * 86_400]);
        for (unit, expected) in [(24, vec![1]), (1 << 21, vec![0])] {
            let all: Vec<Windows> = Scope::windows(range, unit).collect();
            assert_eq!(all.len(), 1);
            let ours = block_on(scope.prints(&history, &all[0])).unwrap();
            let theirs = block_on(scope.prints(&other, &all[0])).unwrap();
            assert_eq!(differing(&ours, &theirs), expected, "{unit}");
            let salted = block_on(Scope::new(range).prints(&history, &all[0])).unwrap();
            assert_ne!(ours, salted);
        }
    }

    #[test]
    fn a_long_time_is_compared_in_runs_that_fit_a_message() {
        let runs: Vec<Windows> = Scope::windows(TimeRange { from: 0, to: u32::MAX }, 24).collect();
        assert_eq!(runs.iter().map(|run| run.count).sum::<u32>(), u32::MAX / 86_400 + 1);
        assert!(runs.iter().all(|run| run.count <= MAX_WINDOWS));
        let scope = Scope { range: TimeRange { from: 0, to: u32::MAX - 1 }, salt: [0; 16] };
        assert_eq!(scope.seconds(runs.last().unwrap(), runs.last().unwrap().count - 1).to, u32::MAX - 1);
        assert!(block_on(scope.prints(&archive(&[]), &Windows { unit: 0, first: 1, count: 1 })).is_err());
        let far = Windows { unit: u32::MAX, first: u32::MAX, count: 2 };
        assert_eq!(block_on(scope.prints(&archive(&[7]), &far)).unwrap(), []);
    }
}

//! Random histories: appends, evictions, restarts and queries, against a brute-force filter over a plain list.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use waku_wire::{Bloom, Topic, WireEnvelope};

use super::{DAY_START, Subject, append, block_on, envelope, of_topics, row, walk};
use crate::{Appended, Budget, Filter, HOUR, Position, Query, ROW_OVERHEAD, Retention, Row, TimeRange};

/// Topics of the random envelopes: few, so that queries hit, with neighbours in key order and shared bloom bits.
const TOPICS: [[u8; 4]; 7] = [
    [0; 4],
    [0, 0, 0, 1],
    [1, 2, 3, 0],
    [0x0f, 1, 2, 0],
    [0xcd, 0x42, 0x37, 0x60],
    [0xff; 4],
    [0x74, 0x31, 0, 0],
];
/// Seconds in which they are sent: four days.
const SPAN: u32 = 4 * 86_400;

#[derive(Clone, Debug)]
enum Step {
    /// Envelopes by time, topic, salt and length. Times are coarse, so that many share a second.
    Append(Vec<(u32, usize, u32, usize)>),
    Evict {
        max_age: Option<u32>,
        max_bytes: Option<u64>,
        now: u32,
    },
    Reopen {
        clean: bool,
    },
    Walk {
        range: (u32, u32),
        filter: Wanted,
        budget: (usize, usize, usize),
        after: Option<(u32, u8)>,
    },
}

#[derive(Clone, Debug)]
enum Wanted {
    All,
    Topics(Vec<usize>),
    Bloom(Vec<usize>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let time = || (0..SPAN / 600).prop_map(|slot| DAY_START + slot * 600);
    let spec = (time(), 0..TOPICS.len(), 0..4u32, prop_oneof![8 => 4..300usize, 1 => 5000..20_000usize]);
    let topics = || vec(0..TOPICS.len(), 0..5);
    let wanted =
        prop_oneof![Just(Wanted::All), topics().prop_map(Wanted::Topics), topics().prop_map(Wanted::Bloom)];
    let budget = (1..40usize, prop_oneof![Just(1usize), 100..5000usize, Just(1 << 20)], 1..400usize);
    let append = vec(spec, 1..60).prop_map(Step::Append);
    let evict = (proptest::option::of(0..SPAN), proptest::option::of(0..20_000u64), time())
        .prop_map(|(max_age, max_bytes, now)| Step::Evict { max_age, max_bytes, now });
    let walk = ((time(), time()), wanted, budget, proptest::option::of((time(), any::<u8>())))
        .prop_map(|(range, filter, budget, after)| Step::Walk { range, filter, budget, after });
    let reopen = any::<bool>().prop_map(|clean| Step::Reopen { clean });
    vec(prop_oneof![4 => append, 1 => evict, 1 => reopen, 6 => walk], 1..25)
}

/// Runs random scripts on fresh subjects; `PROPTEST_CASES` says how many.
pub(super) fn check<S: Subject>(new: impl Fn() -> S) {
    let config =
        Config { cases: Config::default().cases.min(96), failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&steps(), |script| {
            block_on(run(new(), &script));
            Ok(())
        })
        .unwrap();
}

/// The brute force: a list, and everything by looking at all of it.
#[derive(Default)]
struct Brute {
    rows: Vec<Row>,
    floor: u32,
}

impl Brute {
    fn append(&mut self, envelope: &WireEnvelope) -> Appended {
        if envelope.sent() < self.floor {
            return Appended::BelowFloor;
        }
        let row = row(envelope);
        if self.rows.contains(&row) {
            return Appended::Duplicate;
        }
        self.rows.push(row);
        Appended::Stored
    }

    fn bytes_from(&self, sent: u32) -> u64 {
        let rows = self.rows.iter().filter(|row| row.position.sent >= sent);
        rows.map(|row| row.rlp.len() as u64 + ROW_OVERHEAD).sum()
    }

    /// Hour by hour from the floor up, until both limits hold; never past the hour of now.
    fn evict(&mut self, policy: Retention, now: u32) {
        if let Some(age) = policy.max_age {
            while u64::from(self.floor) + u64::from(HOUR) <= u64::from(now.saturating_sub(age)) {
                self.floor += HOUR;
            }
        }
        if let Some(most) = policy.max_bytes {
            let first = self.rows.iter().map(|row| row.position.sent).min().unwrap_or(now) / HOUR * HOUR;
            let mut floor = self.floor.max(first);
            while floor < now / HOUR * HOUR && self.bytes_from(floor) > most {
                floor += HOUR;
            }
            // The floor rises to behind an hour that has rows.
            if self.rows.iter().any(|row| row.position.sent < floor && row.position.sent >= self.floor) {
                let last = self.rows.iter().map(|row| row.position.sent).filter(|sent| *sent < floor).max();
                self.floor = self.floor.max(last.map_or(0, |sent| (sent / HOUR + 1) * HOUR));
            }
        }
        self.rows.retain(|row| row.position.sent >= self.floor);
    }

    fn select(&self, query: &Query, after: Option<Position>) -> Vec<Row> {
        let wanted = |row: &&Row| {
            query.range.contains(row.position.sent)
                && query.filter.matches(&row.topic)
                && after.is_none_or(|after| row.position > after)
        };
        let mut rows: Vec<Row> = self.rows.iter().filter(wanted).cloned().collect();
        rows.sort_by_key(|row| row.position);
        rows
    }
}

async fn run<S: Subject>(mut subject: S, script: &[Step]) {
    let mut brute = Brute::default();
    for step in script {
        match step {
            Step::Append(specs) => {
                let envelopes: Vec<WireEnvelope> = specs
                    .iter()
                    .map(|(sent, topic, salt, len)| envelope(*sent, TOPICS[*topic], *salt, *len))
                    .collect();
                let expected: Vec<Appended> =
                    envelopes.iter().map(|envelope| brute.append(envelope)).collect();
                assert_eq!(append(subject.history(), &envelopes).await, expected);
            }
            Step::Evict { max_age, max_bytes, now } => {
                let policy = Retention { max_age: *max_age, max_bytes: *max_bytes };
                let before = brute.rows.len();
                brute.evict(policy, *now);
                let evicted = subject.history().evict(policy, *now).await.unwrap();
                let rows = usize::try_from(evicted.rows).unwrap();
                assert_eq!((evicted.floor, rows), (brute.floor, before - brute.rows.len()));
            }
            Step::Reopen { clean } => subject.reopen(*clean).await,
            Step::Walk { range: (a, b), filter, budget: (rows, bytes, keys), after } => {
                let filter = match filter {
                    Wanted::All => Filter::All,
                    Wanted::Topics(topics) => {
                        of_topics(0, 0, &topics.iter().map(|n| TOPICS[*n]).collect::<Vec<_>>()).filter
                    }
                    Wanted::Bloom(topics) => {
                        Filter::Bloom(Box::new(Bloom::of_topics(topics.iter().map(|n| Topic(TOPICS[*n])))))
                    }
                };
                let query = Query { range: TimeRange { from: *a.min(b), to: *a.max(b) }, filter };
                let after = after.map(|(sent, byte)| Position { sent, id: crate::EnvelopeId([byte; 16]) });
                let budget = Budget { rows: *rows, bytes: *bytes, keys: *keys };
                let found = walk(subject.history(), &query, after, budget).await;
                assert_eq!(found, brute.select(&query, after), "{query:?} after {after:?} by {budget:?}");
            }
        }
    }
    let history = subject.history();
    let all = Query { range: TimeRange::ALL, filter: Filter::All };
    let rows = brute.select(&all, None);
    assert_eq!(history.ids(TimeRange::ALL, None, usize::MAX).await.unwrap().len(), rows.len());
    let windows = history.windows(TimeRange::ALL).await.unwrap();
    assert_eq!(windows.iter().map(|window| window.count).sum::<u64>(), rows.len() as u64);
    let stats = history.stats().await.unwrap();
    assert_eq!((stats.envelopes, stats.bytes), (rows.len() as u64, brute.bytes_from(0)));
    assert_eq!(stats.oldest, rows.first().map(|row| row.position.sent));
    assert_eq!(stats.newest, rows.last().map(|row| row.position.sent));
}

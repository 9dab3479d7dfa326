//! The fixed cases. Each takes what makes a fresh, empty subject.
#![allow(missing_docs, reason = "the names of the cases are their claims")]

use waku_wire::{Bloom, EnvelopeHash, Topic, WireEnvelope};

use super::{DAY_START, Subject, append, block_on, envelope, everything, of_topics, row, sorted, walk};
use crate::{
    Accumulator, Appended, ArchiveError, Budget, EnvelopeId, Filter, HOUR, NewRow, Position, Query,
    ROW_OVERHEAD, Retention, Stats, TimeRange, Window,
};

const A: [u8; 4] = [0x0f, 1, 2, 0];
const B: [u8; 4] = [0xcd, 0x42, 0x37, 0x60];
const C: [u8; 4] = [0; 4];
const DAY: u32 = 86_400;
const WIDE: Budget = Budget { rows: 10_000, bytes: 1 << 30, keys: 1 << 30 };

pub fn an_empty_archive_answers_everything<S: Subject>(new: impl Fn() -> S) {
    block_on(async {
        let subject = new();
        let history = subject.history();
        assert_eq!(walk(history, &everything(0, u32::MAX), None, WIDE).await, []);
        assert_eq!(walk(history, &of_topics(0, u32::MAX, &[A]), None, WIDE).await, []);
        assert_eq!(history.windows(TimeRange::ALL).await, Ok(vec![]));
        assert_eq!(history.ids(TimeRange::ALL, None, 10).await, Ok(vec![]));
        assert_eq!(history.get(vec![Position::first_of(5)]).await, Ok(vec![None]));
        assert_eq!(history.stats().await, Ok(Stats::default()));
        assert_eq!(history.floor(), 0);
        assert_eq!(history.append(vec![]).await, Ok(vec![]));
        assert_eq!(history.probe().await, Ok(()));
        assert_eq!(history.evict(Retention::default(), DAY_START).await.map(|evicted| evicted.rows), Ok(0));
    });
}

pub fn rows_come_back_byte_for_byte_in_order<S: Subject>(new: impl Fn() -> S) {
    block_on(async {
        let subject = new();
        // Several in one second, so that ties are by hash; written out of order and in two batches.
        let envelopes: Vec<WireEnvelope> =
            (0..40).map(|n| envelope(DAY_START + n * 7 % 5, [A, B, C][n as usize % 3], n, 30)).collect();
        assert_eq!(append(subject.history(), &envelopes[20..]).await, [Appended::Stored; 20]);
        assert_eq!(append(subject.history(), &envelopes[..20]).await, [Appended::Stored; 20]);
        let all = walk(subject.history(), &everything(0, u32::MAX), None, WIDE).await;
        assert_eq!(all, sorted(&envelopes));
        assert!(all.iter().zip(sorted(&envelopes)).all(|(row, expected)| row.hash() == expected.hash()));
        let three = walk(subject.history(), &of_topics(0, u32::MAX, &[C, B, A]), None, WIDE).await;
        assert_eq!(three, all, "a merge of topics has the same order");
    });
}

pub fn bounds_are_included_and_saturate<S: Subject>(new: impl Fn() -> S) {
    block_on(async {
        let subject = new();
        let envelopes: Vec<WireEnvelope> = [0, 1, DAY_START, DAY_START + 1, DAY_START + 2, u32::MAX]
            .map(|sent| envelope(sent, A, sent, 10))
            .into();
        append(subject.history(), &envelopes).await;
        for query in [everything as fn(u32, u32) -> Query, |from, to| of_topics(from, to, &[A])] {
            let times = async |from, to| -> Vec<u32> {
                let rows = walk(subject.history(), &query(from, to), None, WIDE).await;
                rows.iter().map(|row| row.position.sent).collect()
            };
            assert_eq!(times(DAY_START, DAY_START + 1).await, [DAY_START, DAY_START + 1]);
            assert_eq!(times(DAY_START + 1, DAY_START + 1).await, [DAY_START + 1]);
            assert_eq!(times(0, 0).await, [0]);
            assert_eq!(
                times(DAY_START + 2, u32::MAX).await,
                [DAY_START + 2, u32::MAX],
                "Q25: the end of time"
            );
            assert_eq!(times(DAY_START + 2, DAY_START).await, [0; 0], "an inverted range is empty");
            assert_eq!(times(0, u32::MAX).await.len(), 6);
        }
    });
}

pub fn days_follow_each_other<S: Subject>(new: impl Fn() -> S) {
    block_on(async {
        let subject = new();
        // The last and first second of days, with days of nothing in between.
        let times = [0, DAY - 1, DAY, 3 * DAY - 1, 3 * DAY, 3 * DAY + 1, 400 * DAY, 401 * DAY - 1];
        let envelopes: Vec<WireEnvelope> = times
            .iter()
            .flat_map(|sent| [A, B].map(|topic| envelope(DAY_START + sent, topic, 0, 10)))
            .collect();
        append(subject.history(), &envelopes).await;
        for rows in [1, 2, 3, 100] {
            let budget = Budget { rows, ..WIDE };
            let all = walk(subject.history(), &everything(0, u32::MAX), None, budget).await;
            assert_eq!(all, sorted(&envelopes));
            let only_b = walk(subject.history(), &of_topics(0, u32::MAX, &[B]), None, budget).await;
            let expected: Vec<_> = all.into_iter().filter(|row| row.topic == Topic(B)).collect();
            assert_eq!(only_b, expected);
        }
    });
}

pub fn a_position_is_left_behind_strictly<S: Subject>(new: impl Fn() -> S) {
    block_on(async {
        let subject = new();
        let envelopes: Vec<WireEnvelope> = (0..10).map(|n| envelope(DAY_START + n / 3, A, n, 10)).collect();
        append(subject.history(), &envelopes).await;
        let rows = sorted(&envelopes);
        let range = TimeRange { from: DAY_START + 1, to: DAY_START + 3 };
        let within: Vec<_> = rows.iter().filter(|row| range.contains(row.position.sent)).cloned().collect();
        for filter in [Filter::All, of_topics(0, 0, &[A]).filter] {
            let query = Query { range, filter };
            let after = async |position| walk(subject.history(), &query, Some(position), WIDE).await;
            for (n, row) in within.iter().enumerate() {
                assert_eq!(
                    after(row.position).await,
                    within[n + 1..],
                    "the row at the cursor is not repeated"
                );
                // Q26, S84: a cursor whose row is not there leaves out nothing.
                let id = u128::from_be_bytes(row.position.id.0) - 1;
                let missing = Position { id: EnvelopeId(id.to_be_bytes()), ..row.position };
                assert_eq!(after(missing).await, within[n..], "cursor of no row");
            }
            assert_eq!(after(Position::first_of(5)).await, within, "a cursor below the range");
            assert_eq!(after(Position::last_of(DAY_START + 3)).await, [], "a cursor at the end of the range");
            assert_eq!(after(Position::first_of(DAY_START + 9)).await, [], "a cursor beyond the range");
            assert_eq!(after(Position::last_of(u32::MAX)).await, [], "a cursor at the end of time");
        }
    });
}

pub fn what_is_stored_twice_is_there_once<S: Subject>(new: impl Fn() -> S) {
    block_on(async {
        let mut subject = new();
        let (first, second) = (envelope(DAY_START, A, 1, 10), envelope(DAY_START, A, 2, 10));
        let verdicts = append(subject.history(), &[first.clone(), first.clone()]).await;
        assert_eq!(verdicts, [Appended::Stored, Appended::Duplicate], "twice in a batch");
        let before = subject.history().windows(TimeRange::ALL).await;
        assert_eq!(append(subject.history(), std::slice::from_ref(&first)).await, [Appended::Duplicate]);
        assert_eq!(subject.history().windows(TimeRange::ALL).await, before, "a duplicate is not counted");
        subject.reopen(false).await;
        let verdicts = append(subject.history(), &[second.clone(), first.clone()]).await;
        assert_eq!(verdicts, [Appended::Stored, Appended::Duplicate], "after reopening");
        let rows = walk(subject.history(), &of_topics(0, u32::MAX, &[A, A]), None, WIDE).await;
        assert_eq!(rows, sorted(&[first, second]));
        assert_eq!(subject.history().stats().await.unwrap().envelopes, 2);
    });
}

pub fn known_new_rows_are_stored<S: Subject>(new: impl Fn() -> S) {
    block_on(async {
        let subject = new();
        let envelope = envelope(DAY_START, A, 1, 10);
        let new = NewRow { envelope: envelope.clone(), known_new: true };
        assert_eq!(subject.history().append(vec![new]).await, Ok(vec![Appended::Stored]));
        assert_eq!(append(subject.history(), std::slice::from_ref(&envelope)).await, [Appended::Duplicate]);
        let rows = walk(subject.history(), &everything(0, u32::MAX), None, WIDE).await;
        assert_eq!(rows, [row(&envelope)]);
    });
}

pub fn topics_select<S: Subject>(new: impl Fn() -> S) {
    block_on(async {
        let subject = new();
        let envelopes: Vec<WireEnvelope> =
            (0..60).map(|n| envelope(DAY_START + n * 5000, [A, B, C][n as usize % 3], n, 10)).collect();
        append(subject.history(), &envelopes).await;
        for topics in [&[A][..], &[B, A], &[C], &[A, B, C], &[[9; 4]], &[[9; 4], B], &[]] {
            let wanted: Vec<WireEnvelope> =
                envelopes.iter().filter(|envelope| topics.contains(&envelope.topic().0)).cloned().collect();
            let rows = walk(subject.history(), &of_topics(0, u32::MAX, topics), None, WIDE).await;
            assert_eq!(rows, sorted(&wanted), "{topics:?}");
        }
        // S91: 200 zero topics and a real one.
        let mut many = vec![C; 200];
        many.push(B);
        let rows = walk(subject.history(), &of_topics(0, u32::MAX, &many), None, WIDE).await;
        assert_eq!(rows.len(), 40);
    });
}

pub fn many_topics_select<S: Subject>(new: impl Fn() -> S) {
    block_on(async {
        let subject = new();
        let topic = |n: u32| n.wrapping_mul(2_654_435_761).to_be_bytes();
        let envelopes: Vec<WireEnvelope> =
            (0..6000).map(|n| envelope(DAY_START + n * 20, topic(n / 2), n, 10)).collect();
        for batch in envelopes.chunks(1000) {
            append(subject.history(), batch).await;
        }
        let all = sorted(&envelopes);
        for count in [20, 500, 2900, 200_000] {
            let topics: Vec<[u8; 4]> = (0..count).map(topic).collect();
            let query = of_topics(DAY_START, u32::MAX, &topics);
            let wanted: Vec<_> = all.iter().filter(|row| query.filter.matches(&row.topic)).cloned().collect();
            for rows in [100, 10_000] {
                let rows =
                    walk(subject.history(), &query, None, Budget { rows, bytes: 20_000, keys: 500 }).await;
                assert_eq!(rows.len(), wanted.len(), "{count} topics");
                assert!(rows == wanted, "{count} topics");
            }
        }
    });
}

pub fn blooms_select<S: Subject>(new: impl Fn() -> S) {
    block_on(async {
        let subject = new();
        // S90: 01020300 has two bits in one byte, of which the network's function keeps one.
        let quirk = [1, 2, 3, 0];
        let topics = [A, B, C, quirk, [0x1f, 0x7e, 0xa1, 0x7f]];
        let envelopes: Vec<WireEnvelope> =
            (0..50).map(|n| envelope(DAY_START + n * 9000, topics[n as usize % 5], n, 10)).collect();
        append(subject.history(), &envelopes).await;
        let all = sorted(&envelopes);
        for wanted in [&[quirk][..], &[B], &[A, B], &topics, &[]] {
            let bloom = Bloom::of_topics(wanted.iter().map(|topic| Topic(*topic)));
            let query = Query { range: TimeRange::ALL, filter: Filter::Bloom(Box::new(bloom)) };
            let expected: Vec<_> = all.iter().filter(|row| bloom.matches(row.topic)).cloned().collect();
            assert!(wanted.iter().all(|topic| expected.iter().any(|row| row.topic.0 == *topic)));
            assert_eq!(walk(subject.history(), &query, None, WIDE).await, expected, "{wanted:?}");
        }
        let full = Query { range: TimeRange::ALL, filter: Filter::Bloom(Box::new(Bloom::FULL)) };
        assert_eq!(walk(subject.history(), &full, None, WIDE).await, all);
    });
}

pub fn a_turn_keeps_its_budget<S: Subject>(new: impl Fn() -> S) {
    block_on(async {
        let subject = new();
        let len = |n: u32| if n % 10 == 3 { 50_000 } else { 300 };
        let envelopes: Vec<WireEnvelope> =
            (0..60).map(|n| envelope(DAY_START + n * 4000, [A, B][n as usize % 2], n, len(n))).collect();
        append(subject.history(), &envelopes).await;
        let all = sorted(&envelopes);
        for query in [everything(0, u32::MAX), of_topics(0, u32::MAX, &[A, B])] {
            for (rows, bytes) in [(1, 1 << 20), (7, 1 << 20), (100, 1000), (100, 60_000), (100, 1), (1, 1)] {
                let budget = Budget { rows, bytes, keys: 1 << 20 };
                let first = subject.history().page(query.clone(), None, budget).await.unwrap();
                assert!(!first.rows.is_empty(), "a turn returns a row if there is one");
                assert_eq!(walk(subject.history(), &query, None, budget).await, all);
            }
        }
    });
}

pub fn a_turn_of_few_keys_moves_on<S: Subject>(new: impl Fn() -> S) {
    block_on(async {
        let subject = new();
        let envelopes: Vec<WireEnvelope> = (0..300)
            .map(|n| envelope(DAY_START + n * 700, if n % 100 == 99 { B } else { n.to_be_bytes() }, n, 10))
            .collect();
        append(subject.history(), &envelopes).await;
        let bloom =
            Query { range: TimeRange::ALL, filter: Filter::Bloom(Box::new(Bloom::of_topic(Topic(B)))) };
        for query in [everything(0, u32::MAX), of_topics(0, u32::MAX, &[B, A]), bloom] {
            let wide = walk(subject.history(), &query, None, WIDE).await;
            assert!(wide.len() >= 3);
            for keys in [1, 10, 64] {
                let budget = Budget { rows: 1000, bytes: 1 << 20, keys };
                assert_eq!(walk(subject.history(), &query, None, budget).await, wide);
            }
        }
    });
}

pub fn hours_count_and_sum<S: Subject>(new: impl Fn() -> S) {
    block_on(async {
        let mut subject = new();
        let envelopes: Vec<WireEnvelope> =
            (0..50).map(|n| envelope(DAY_START + n * 500, [A, B][n as usize % 2], n, n as usize)).collect();
        append(subject.history(), &envelopes[..30]).await;
        subject.reopen(true).await;
        append(subject.history(), &envelopes[30..]).await;
        let mut expected: Vec<Window> = Vec::new();
        for envelope in &envelopes {
            let hour = envelope.sent() / HOUR;
            if expected.last().is_none_or(|window| window.hour != hour) {
                expected.push(Window { hour, ..Window::default() });
            }
            let window = expected.last_mut().unwrap();
            window.count += 1;
            window.bytes += envelope.raw().len() as u64 + ROW_OVERHEAD;
            window.accumulator.add(&envelope.hash());
        }
        let windows = async |from, to| subject.history().windows(TimeRange { from, to }).await.unwrap();
        assert_eq!(windows(0, u32::MAX).await, expected);
        assert_eq!(
            windows(DAY_START + 2 * HOUR - 1, DAY_START + 2 * HOUR).await,
            expected[1..3],
            "whole hours"
        );
        assert_eq!(windows(DAY_START + 9, DAY_START).await, [], "an inverted range is empty");
        assert_eq!(windows(DAY_START + DAY, u32::MAX).await, []);
    });
}

pub fn sums_do_not_depend_on_the_order<S: Subject>(new: impl Fn() -> S) {
    block_on(async {
        let envelopes: Vec<WireEnvelope> = (0..30).map(|n| envelope(DAY_START + n, A, n, 10)).collect();
        let (forward, backward) = (new(), new());
        append(forward.history(), &envelopes).await;
        for envelope in envelopes.iter().rev() {
            append(backward.history(), std::slice::from_ref(envelope)).await;
        }
        let sums = forward.history().windows(TimeRange::ALL).await.unwrap();
        assert_eq!(Ok(&sums), backward.history().windows(TimeRange::ALL).await.as_ref());
        let mut sum = Accumulator::default();
        envelopes.iter().for_each(|envelope| sum.add(&EnvelopeHash(enode::keccak256(envelope.raw()))));
        assert_eq!((sums.len(), sums[0].accumulator), (1, sum));
    });
}

pub fn ids_and_get_agree_with_pages<S: Subject>(new: impl Fn() -> S) {
    block_on(async {
        let subject = new();
        let envelopes: Vec<WireEnvelope> =
            (0..30).map(|n| envelope(DAY_START + n / 4, [A, B][n as usize % 2], n, 10)).collect();
        append(subject.history(), &envelopes).await;
        let rows = sorted(&envelopes);
        let positions: Vec<Position> = rows.iter().map(|row| row.position).collect();
        let ids = async |from, to, after, max| {
            subject.history().ids(TimeRange { from, to }, after, max).await.unwrap()
        };
        assert_eq!(ids(0, u32::MAX, None, 1000).await, positions);
        assert_eq!(ids(0, u32::MAX, Some(positions[7]), 5).await, positions[8..13]);
        assert_eq!(ids(DAY_START + 1, DAY_START + 2, None, 1000).await, positions[4..12]);
        assert_eq!(ids(0, u32::MAX, positions.last().copied(), 5).await, []);
        let asked = vec![positions[9], Position::first_of(DAY_START), positions[2], positions[9]];
        let got = subject.history().get(asked).await.unwrap();
        assert_eq!(got, [Some(rows[9].clone()), None, Some(rows[2].clone()), Some(rows[9].clone())]);
    });
}

pub fn age_raises_the_floor<S: Subject>(new: impl Fn() -> S) {
    block_on(async {
        let mut subject = new();
        let now = DAY_START + 3 * DAY + 1234;
        let day = Retention { max_age: Some(DAY), max_bytes: None };
        let hours = [73, 49, 48, 25, 23, 1];
        let envelopes: Vec<WireEnvelope> = hours
            .iter()
            .flat_map(|hour| [A, B].map(|topic| envelope(now - hour * HOUR, topic, *hour, 10)))
            .collect();
        append(subject.history(), &envelopes).await;
        // S88: of 25 and 23 hours, the cleaner of one day takes only the first.
        let evicted = subject.history().evict(day, now).await.unwrap();
        assert_eq!(evicted.rows, 8);
        assert!(evicted.floor % HOUR == 0 && evicted.floor <= now - DAY && evicted.floor > now - 25 * HOUR);
        let kept = sorted(&envelopes[8..]);
        let gone = row(&envelopes[0]).position;
        for reopen in [false, true] {
            if reopen {
                subject.reopen(false).await;
            }
            let history = subject.history();
            assert_eq!(history.floor(), evicted.floor);
            assert_eq!(walk(history, &everything(0, u32::MAX), None, WIDE).await, kept);
            assert_eq!(walk(history, &of_topics(0, u32::MAX, &[A, B]), None, WIDE).await, kept);
            assert_eq!(
                walk(history, &everything(0, u32::MAX), Some(gone), WIDE).await,
                kept,
                "S84: a pruned cursor"
            );
            assert_eq!(
                history.get(vec![gone, kept[0].position]).await,
                Ok(vec![None, Some(kept[0].clone())])
            );
            assert_eq!(history.ids(TimeRange::ALL, None, 100).await.unwrap().len(), 4);
            assert_eq!(history.windows(TimeRange::ALL).await.unwrap().len(), 2);
            let stats = history.stats().await.unwrap();
            assert_eq!((stats.envelopes, stats.oldest), (4, Some(kept[0].position.sent)));
        }
        let again = append(subject.history(), &[envelopes[0].clone(), envelope(now, A, 7, 10)]).await;
        assert_eq!(again, [Appended::BelowFloor, Appended::Stored]);
        let earlier = subject.history().evict(day, now - DAY).await.unwrap();
        assert_eq!((earlier.floor, earlier.rows), (evicted.floor, 0), "the floor never falls");
    });
}

pub fn bytes_raise_the_floor<S: Subject>(new: impl Fn() -> S) {
    block_on(async {
        let subject = new();
        let now = DAY_START + 30 * HOUR;
        let envelopes: Vec<WireEnvelope> =
            (0..=30).map(|n| envelope(DAY_START + n * HOUR, A, n, 100)).collect();
        append(subject.history(), &envelopes).await;
        let each = envelopes[0].raw().len() as u64 + ROW_OVERHEAD;
        let keep = |rows: u64| Retention { max_age: None, max_bytes: Some(rows * each) };
        let history = subject.history();
        assert_eq!(history.evict(keep(31), now).await.unwrap().rows, 0);
        let evicted = history.evict(keep(10), now).await.unwrap();
        assert_eq!((evicted.rows, evicted.bytes, evicted.floor), (21, 21 * each, DAY_START + 21 * HOUR));
        assert_eq!(walk(history, &everything(0, u32::MAX), None, WIDE).await, sorted(&envelopes[21..]));
        assert_eq!(history.stats().await.unwrap().bytes, 10 * each);
        assert_eq!(history.evict(keep(0), now).await.unwrap().rows, 9, "the hour of now stays");
        assert_eq!(walk(history, &everything(0, u32::MAX), None, WIDE).await, sorted(&envelopes[30..]));
    });
}

pub fn stats_count<S: Subject>(new: impl Fn() -> S) {
    block_on(async {
        let mut subject = new();
        let envelopes: Vec<WireEnvelope> =
            (0..20).map(|n| envelope(DAY_START + n * 2500 + 17, A, n, n as usize * 9)).collect();
        append(subject.history(), &envelopes).await;
        let expected = Stats {
            envelopes: 20,
            bytes: envelopes.iter().map(|envelope| envelope.raw().len() as u64 + ROW_OVERHEAD).sum(),
            oldest: Some(DAY_START + 17),
            newest: Some(DAY_START + 19 * 2500 + 17),
            floor: 0,
        };
        assert_eq!(subject.history().stats().await, Ok(expected));
        // S89: the count is right after a restart.
        subject.reopen(false).await;
        assert_eq!(subject.history().stats().await, Ok(expected));
    });
}

pub fn everything_survives_reopening<S: Subject>(new: impl Fn() -> S) {
    block_on(async {
        let mut subject = new();
        let mut envelopes: Vec<WireEnvelope> = Vec::new();
        for (round, clean) in [(0, true), (1, false), (2, false), (3, true)] {
            let more: Vec<WireEnvelope> = (0..50)
                .map(|n| envelope(DAY_START + n * 3000, [A, B][n as usize % 2], n + 100 * round, 50))
                .collect();
            append(subject.history(), &more).await;
            envelopes.extend(more);
            subject.reopen(clean).await;
            let all = walk(subject.history(), &everything(0, u32::MAX), None, WIDE).await;
            assert_eq!(all, sorted(&envelopes));
            let topics = walk(subject.history(), &of_topics(0, u32::MAX, &[A, B]), None, WIDE).await;
            assert_eq!(topics, all);
        }
    });
}

pub fn a_closed_archive_says_so<S: Subject>(new: impl Fn() -> S) {
    block_on(async {
        let mut subject = new();
        let kept = envelope(DAY_START, A, 1, 10);
        append(subject.history(), std::slice::from_ref(&kept)).await;
        let history = subject.history();
        assert_eq!(history.close().await, Ok(()));
        let closed = ArchiveError::Closed;
        let new = NewRow { envelope: envelope(DAY_START, A, 2, 10), known_new: false };
        assert_eq!(history.append(vec![new]).await, Err(closed.clone()));
        assert_eq!(history.page(everything(0, u32::MAX), None, WIDE).await, Err(closed.clone()));
        assert_eq!(history.stats().await, Err(closed.clone()));
        assert_eq!(history.probe().await, Err(closed.clone()));
        assert_eq!(history.windows(TimeRange::ALL).await, Err(closed));
        subject.reopen(true).await;
        assert_eq!(walk(subject.history(), &everything(0, u32::MAX), None, WIDE).await, [row(&kept)]);
    });
}

pub fn random_histories_equal_a_brute_force_filter<S: Subject>(new: impl Fn() -> S) {
    super::script::check(new);
}

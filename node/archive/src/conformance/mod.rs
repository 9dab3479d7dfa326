//! What every backend must do, as tests that run on any of them.
//!
//! A backend writes a [`Subject`] and calls [`conformance_tests!`](crate::conformance_tests) in a test file. Fixed cases
//! are in [`cases`]; [`script`] compares random histories with a brute-force filter.
//!
//! For tests only: fails by panicking.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests of backends, compiled for tests only"
)]

pub mod cases;
pub mod script;

use bytes::Bytes;
use futures::future::BoxFuture;
use waku_wire::{Envelope, Topic, WireEnvelope};

use crate::{Appended, Budget, Filter, History, NewRow, Position, Query, Row, TimeRange, TopicSet};

/// A store under test.
pub trait Subject: Send {
    /// The open store.
    fn history(&self) -> &dyn History;

    /// Ends the process that has it open, as far as a test can, and opens it again; `clean`: with
    /// [`History::close`] before.
    fn reopen(&mut self, clean: bool) -> BoxFuture<'_, ()>;
}

/// Writes one test for each case, on the subject that the expression makes.
#[macro_export]
macro_rules! conformance_tests {
    ($subject:expr) => {
        $crate::conformance_tests! { @each $subject =>
            an_empty_archive_answers_everything
            rows_come_back_byte_for_byte_in_order
            bounds_are_included_and_saturate
            days_follow_each_other
            a_position_is_left_behind_strictly
            what_is_stored_twice_is_there_once
            known_new_rows_are_stored
            topics_select
            many_topics_select
            blooms_select
            a_turn_keeps_its_budget
            a_turn_of_few_keys_moves_on
            hours_count_and_sum
            sums_do_not_depend_on_the_order
            ids_and_get_agree_with_pages
            age_raises_the_floor
            bytes_raise_the_floor
            stats_count
            everything_survives_reopening
            a_closed_archive_says_so
            random_histories_equal_a_brute_force_filter
        }
    };
    (@each $subject:expr => $($case:ident)+) => {
        $(
            #[test]
            fn $case() {
                $crate::conformance::cases::$case(|| $subject);
            }
        )+
    };
}

/// 2023-11-15 00:00:00 UTC, the start of a day.
pub const DAY_START: u32 = 1_700_006_400;

/// An envelope of this time and topic; `salt` and `len` (of its data) make it unlike others.
#[must_use]
pub fn envelope(sent: u32, topic: [u8; 4], salt: u32, len: usize) -> WireEnvelope {
    // At the end of time there is no room for a ttl.
    let ttl = 50.min(u32::MAX - sent);
    let mut data = vec![0x5a; len.max(4)];
    data[..4].copy_from_slice(&salt.to_be_bytes());
    let envelope =
        Envelope { expiry: sent + ttl, ttl, topic: Topic(topic), data: Bytes::from(data), nonce: 1 };
    envelope.encode().unwrap()
}

/// The row that `envelope` must come back as.
#[must_use]
pub fn row(envelope: &WireEnvelope) -> Row {
    Row {
        position: Position::of(envelope.sent(), &envelope.hash()),
        topic: envelope.topic(),
        rlp: envelope.raw().clone(),
    }
}

/// Rows in the order of history.
#[must_use]
pub fn sorted(envelopes: &[WireEnvelope]) -> Vec<Row> {
    let mut rows: Vec<Row> = envelopes.iter().map(row).collect();
    rows.sort_by_key(|row| row.position);
    rows
}

/// Appends, checking existence.
pub async fn append(history: &dyn History, envelopes: &[WireEnvelope]) -> Vec<Appended> {
    let rows = envelopes.iter().map(|envelope| NewRow { envelope: envelope.clone(), known_new: false });
    history.append(rows.collect()).await.unwrap()
}

/// A query of these topics.
#[must_use]
pub fn of_topics(from: u32, to: u32, topics: &[[u8; 4]]) -> Query {
    let topics: TopicSet = topics.iter().map(|topic| Topic(*topic)).collect();
    Query { range: TimeRange { from, to }, filter: Filter::Topics(topics) }
}

/// A query of every topic.
#[must_use]
pub fn everything(from: u32, to: u32) -> Query {
    Query { range: TimeRange { from, to }, filter: Filter::All }
}

/// Walks a query page by page to its end. Checks of each page: its budget, its order, and that it moves on.
pub async fn walk(history: &dyn History, query: &Query, after: Option<Position>, budget: Budget) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut after = after;
    loop {
        let page = history.page(query.clone(), after, budget).await.unwrap();
        assert!(page.rows.len() <= budget.rows, "rows in budget");
        let bytes: usize = page.rows.iter().map(|row| row.rlp.len()).sum();
        assert!(bytes <= budget.bytes || page.rows.len() == 1, "bytes in budget: {bytes} of {budget:?}");
        for row in page.rows {
            assert!(after.is_none_or(|after| row.position > after), "strictly after the cursor");
            assert!(rows.last().is_none_or(|last| row.position > last.position), "ascending");
            rows.push(row);
        }
        let Some(next) = page.next else { return rows };
        assert!(after.is_none_or(|after| next > after), "the cursor moves on");
        assert!(rows.last().is_none_or(|last| next >= last.position), "the cursor is not before its rows");
        after = Some(next);
    }
}

/// Runs an async case on a runtime of its own.
pub fn block_on<F: Future>(case: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(case)
}

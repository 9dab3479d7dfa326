//! A store before another one: what it does not do itself is done by the one below.

use futures::future::BoxFuture;

use crate::{
    Appended, ArchiveError, Budget, Evicted, History, NewRow, Page, Position, Query, Retention, Row, Stats,
    TimeRange, Window,
};

type Answer<'a, T> = BoxFuture<'a, Result<T, ArchiveError>>;

/// Makes a [`History`] out of another one: each method is that one's unless it is given here. Not to be imported beside
/// [`History`], whose methods have the same names.
pub trait Layer: Send + Sync + 'static {
    /// The store below.
    fn below(&self) -> &dyn History;

    /// See [`History::label`].
    fn label(&self) -> &str {
        self.below().label()
    }
    /// See [`History::floor`].
    fn floor(&self) -> u32 {
        self.below().floor()
    }
    /// See [`History::append`].
    fn append(&self, batch: Vec<NewRow>) -> Answer<'_, Vec<Appended>> {
        self.below().append(batch)
    }
    /// See [`History::page`].
    fn page(&self, query: Query, after: Option<Position>, budget: Budget) -> Answer<'_, Page> {
        self.below().page(query, after, budget)
    }
    /// See [`History::windows`].
    fn windows(&self, range: TimeRange) -> Answer<'_, Vec<Window>> {
        self.below().windows(range)
    }
    /// See [`History::ids`].
    fn ids(&self, range: TimeRange, after: Option<Position>, max: usize) -> Answer<'_, Vec<Position>> {
        self.below().ids(range, after, max)
    }
    /// See [`History::get`].
    fn get(&self, positions: Vec<Position>) -> Answer<'_, Vec<Option<Row>>> {
        self.below().get(positions)
    }
    /// See [`History::evict`].
    fn evict(&self, policy: Retention, now: u32) -> Answer<'_, Evicted> {
        self.below().evict(policy, now)
    }
    /// See [`History::stats`].
    fn stats(&self) -> Answer<'_, Stats> {
        self.below().stats()
    }
    /// See [`History::probe`].
    fn probe(&self) -> Answer<'_, ()> {
        self.below().probe()
    }
    /// See [`History::close`].
    fn close(&self) -> Answer<'_, ()> {
        self.below().close()
    }
}

impl<T: Layer> History for T {
    fn label(&self) -> &str {
        Layer::label(self)
    }
    fn floor(&self) -> u32 {
        Layer::floor(self)
    }
    fn append(&self, batch: Vec<NewRow>) -> Answer<'_, Vec<Appended>> {
        Layer::append(self, batch)
    }
    fn page(&self, query: Query, after: Option<Position>, budget: Budget) -> Answer<'_, Page> {
        Layer::page(self, query, after, budget)
    }
    fn windows(&self, range: TimeRange) -> Answer<'_, Vec<Window>> {
        Layer::windows(self, range)
    }
    fn ids(&self, range: TimeRange, after: Option<Position>, max: usize) -> Answer<'_, Vec<Position>> {
        Layer::ids(self, range, after, max)
    }
    fn get(&self, positions: Vec<Position>) -> Answer<'_, Vec<Option<Row>>> {
        Layer::get(self, positions)
    }
    fn evict(&self, policy: Retention, now: u32) -> Answer<'_, Evicted> {
        Layer::evict(self, policy, now)
    }
    fn stats(&self) -> Answer<'_, Stats> {
        Layer::stats(self)
    }
    fn probe(&self) -> Answer<'_, ()> {
        Layer::probe(self)
    }
    fn close(&self) -> Answer<'_, ()> {
        Layer::close(self)
    }
}

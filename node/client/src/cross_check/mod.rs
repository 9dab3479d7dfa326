//! Compares what several mailservers have of the same history, and finds the holes.
//!
//! Each server is walked by cursor in the order of (sent, hash), and the walks are merged: of each server there is one
//! page in memory, whatever the length of its history. Must never store or post anything; prints nothing.
//! Facts: `spec/waku-mailserver.md` §5.5 (order), §5.6, §5.9.

mod merge;
mod source;

use std::time::Duration;

use futures::future::try_join_all;
use tokio::time::Instant;
use waku_wire::Topic;

pub use merge::Row;

use crate::{Client, Error, history::Form};
use merge::agree;
use source::Source;

/// What is asked of each server.
#[derive(Debug, Clone)]
pub struct Question {
    /// First second, UNIX time.
    pub from: u32,
    /// Last second. What is younger than a minute may still be on its way from one server to another.
    pub to: u32,
    /// Topics; all when there are none.
    pub topics: Vec<Topic>,
    /// How requests travel.
    pub form: Form,
    /// For each page, from sending to completion.
    pub patience: Duration,
    /// Compares all of `from` to `to`, also where a server's history begins later. Otherwise the latest of the
    /// beginnings is where the comparison begins: what one no longer keeps is no hole.
    pub whole: bool,
}

/// An envelope that not all servers have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    /// Which.
    pub row: Row,
    /// Indices of the servers that do not have it, ascending; neither none nor all.
    pub missing: Vec<usize>,
}

/// What was compared, so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// First second compared.
    pub from: u32,
    /// Last second compared.
    pub to: u32,
    /// Envelopes that at least one server has.
    pub envelopes: u64,
    /// Of them those that not all have.
    pub holes: u64,
    /// By server.
    pub servers: Vec<ServerSummary>,
}

/// One server's part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServerSummary {
    /// `sent` of the oldest envelope of any topic that it has between the first and the last second asked for.
    pub oldest: Option<u32>,
    /// Envelopes that it has.
    pub envelopes: u64,
    /// Envelopes that another has and it has not.
    pub missing: u64,
}

/// A server could not be asked, or what it answers cannot be compared.
#[derive(Debug, thiserror::Error)]
#[error("server {server}: {source}")]
pub struct ServerError {
    /// Its index.
    pub server: usize,
    /// Why.
    #[source]
    pub source: Error,
}

/// A comparison under way.
#[derive(Debug)]
pub struct CrossCheck<'a> {
    sources: Vec<Source<'a>>,
    patience: Duration,
    summary: Summary,
}

impl<'a> CrossCheck<'a> {
    /// Asks each server where its history begins.
    ///
    /// # Errors
    /// [`ServerError`].
    pub async fn begin(servers: &'a [Client], question: &Question) -> Result<Self, ServerError> {
        let mut summary = Summary { from: question.from, to: question.to, ..Summary::default() };
        let first = servers.iter().map(|client| {
            let any = Question { topics: Vec::new(), ..question.clone() };
            let mut source = Source::new(client, &any, 1);
            async move {
                source.fill(Instant::now() + question.patience).await?;
                Ok(source.head().map(|row| row.sent))
            }
        });
        for oldest in all(first).await? {
            summary.servers.push(ServerSummary { oldest, ..ServerSummary::default() });
        }
        if !question.whole {
            // A server that has nothing at all has no beginning: everything is missing there.
            let latest = summary.servers.iter().filter_map(|server| server.oldest).max();
            summary.from = latest.map_or(question.from, |latest| latest.max(question.from));
        }
        let question = Question { from: summary.from, ..question.clone() };
        let sources = servers.iter().map(|client| Source::new(client, &question, 0)).collect();
        Ok(Self { sources, patience: question.patience, summary })
    }

    /// The next hole, in the order of (sent, hash); `None` at the end.
    ///
    /// # Errors
    /// [`ServerError`]; nothing more can be asked then.
    pub async fn next_hole(&mut self) -> Result<Option<Hole>, ServerError> {
        loop {
            let deadline = Instant::now() + self.patience;
            all(self.sources.iter_mut().map(|source| source.fill(deadline))).await?;
            let heads: Vec<Option<Row>> = self.sources.iter().map(Source::head).collect();
            let Some(row) = heads.iter().flatten().min().copied() else { return Ok(None) };
            let missing = agree(&heads, &row);
            self.summary.envelopes += 1;
            for (index, (source, server)) in
                self.sources.iter_mut().zip(&mut self.summary.servers).enumerate()
            {
                if missing.contains(&index) {
                    server.missing += 1;
                } else {
                    server.envelopes += 1;
                    source.pop();
                }
            }
            if !missing.is_empty() {
                self.summary.holes += 1;
                return Ok(Some(Hole { row, missing }));
            }
        }
    }

    /// What was compared so far.
    #[must_use]
    pub fn summary(&self) -> &Summary {
        &self.summary
    }
}

/// All of them at the same time; the first error names its server.
async fn all<T>(
    servers: impl Iterator<Item = impl Future<Output = Result<T, Error>>>,
) -> Result<Vec<T>, ServerError> {
    try_join_all(
        servers.enumerate().map(|(server, asked)| async move {
            asked.await.map_err(|source| ServerError { server, source })
        }),
    )
    .await
}

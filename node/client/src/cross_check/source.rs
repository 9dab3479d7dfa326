//! One server's history, a page at a time.

use std::collections::VecDeque;

use tokio::time::{Instant, timeout_at};
use waku_wire::{Bloom, Completion, Cursor, MessagesRequest};

use super::{Question, Row};
use crate::{
    Client, Error,
    clock::unix_now,
    history::{Event, MAX_LIMIT},
};

/// A walk through the history of one server.
#[derive(Debug)]
pub(super) struct Source<'a> {
    client: &'a Client,
    question: Question,
    request: MessagesRequest,
    /// What came and was not taken; at most a page.
    rows: VecDeque<Row>,
    last: Option<Row>,
    cursor: Option<Cursor>,
    more: bool,
}

impl<'a> Source<'a> {
    /// From the beginning, in pages of `limit`; 0 is the most. With a limit of 1 there is one page only.
    pub(super) fn new(client: &'a Client, question: &Question, limit: u32) -> Self {
        let topics = question.topics.clone();
        let bloom = if topics.is_empty() { Bloom::FULL } else { Bloom::of_topics(topics.iter().copied()) };
        let request = MessagesRequest {
            from: question.from,
            to: question.to,
            bloom: bloom.0.to_vec(),
            topics,
            limit,
            batch: true,
            ..MessagesRequest::default()
        };
        let (rows, question) = (VecDeque::new(), question.clone());
        Self { client, question, request, rows, last: None, cursor: None, more: true }
    }

    /// The next row, after [`Self::fill`].
    pub(super) fn head(&self) -> Option<Row> {
        self.rows.front().copied()
    }

    /// Takes it.
    pub(super) fn pop(&mut self) {
        self.rows.pop_front();
    }

    /// Asks until there is a row or no more to come.
    ///
    /// # Errors
    /// Those of [`Client::request_history`]; [`Error::Breach`] also when the answer cannot be compared.
    pub(super) async fn fill(&mut self, deadline: Instant) -> Result<(), Error> {
        while self.rows.is_empty() && self.more {
            self.page(deadline).await?;
        }
        Ok(())
    }

    async fn page(&mut self, deadline: Instant) -> Result<(), Error> {
        let prepared = self.client.prepare(&self.request, &self.question.form, unix_now()).await?;
        let limit = if self.request.limit == 0 { MAX_LIMIT } else { self.request.limit };
        let mut answer = self.client.send_request(&prepared).await?;
        let mut left = limit;
        let cursor = loop {
            match timeout_at(deadline, answer.next()).await.map_err(|_| Error::Timeout("the history"))?? {
                Event::Envelopes(envelopes) => {
                    for envelope in &envelopes {
                        let row = Row::of(envelope);
                        row.check(self.last.as_ref(), &self.question)?;
                        left = left
                            .checked_sub(1)
                            .ok_or_else(|| Error::Breach(format!("more than {limit} envelopes in a page")))?;
                        self.last = Some(row);
                        self.rows.push_back(row);
                    }
                }
                Event::Complete(Completion::Failure { error, .. }) => return Err(Error::Refused(error)),
                Event::Complete(Completion::Success { cursor, .. }) => break cursor,
            }
        };
        if cursor.is_some() && cursor <= self.cursor {
            return Err(Error::Breach("the cursor does not move on".to_owned()));
        }
        self.more = cursor.is_some() && self.request.limit != 1;
        self.request.cursor = cursor.map(|cursor| cursor.0.to_vec()).unwrap_or_default();
        self.cursor = cursor;
        Ok(())
    }
}

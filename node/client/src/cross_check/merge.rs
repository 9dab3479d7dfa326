//! The pure part: what an answer may be, and who has a row.

use waku_wire::{EnvelopeHash, Topic, WireEnvelope};

use super::Question;
use crate::Error;

/// An envelope as far as a comparison looks at it. The order is that of history: by second, then by hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// UNIX second.
    pub sent: u32,
    /// Its hash, which covers all of it.
    pub hash: EnvelopeHash,
    /// Its topic.
    pub topic: Topic,
}

impl Row {
    pub(super) fn of(envelope: &WireEnvelope) -> Self {
        Self { sent: envelope.sent(), hash: envelope.hash(), topic: envelope.topic() }
    }

    /// Whether it may come after `last` in an answer to `question`.
    ///
    /// # Errors
    /// [`Error::Breach`]: it was not asked for, or the server has another order, which cannot be merged.
    pub(super) fn check(&self, last: Option<&Self>, question: &Question) -> Result<(), Error> {
        let breach = |what: &str| Err(Error::Breach(format!("{what}: envelope {}", self.hash)));
        if !(question.from..=question.to).contains(&self.sent) {
            return breach("it delivers what was sent at another time than asked for");
        }
        if !question.topics.is_empty() && !question.topics.contains(&self.topic) {
            return breach("it delivers another topic than asked for");
        }
        match last {
            Some(last) if last == self => breach("it delivers an envelope twice"),
            Some(last) if last > self => {
                breach("it does not deliver oldest first, by hash within a second, and so cannot be compared")
            }
            _ => Ok(()),
        }
    }
}

/// Indices of the servers whose next row is not `row`, the least of all: they do not have it.
pub(super) fn agree(heads: &[Option<Row>], row: &Row) -> Vec<usize> {
    let lacks = |(index, head): (usize, &Option<Row>)| (head.as_ref() != Some(row)).then_some(index);
    heads.iter().enumerate().filter_map(lacks).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::history::Form;

    fn row(sent: u32, hash: u8, topic: u8) -> Row {
        Row { sent, hash: EnvelopeHash([hash; 32]), topic: Topic([topic; 4]) }
    }

    fn question(topics: &[u8]) -> Question {
        Question {
            from: 10,
            to: 20,
            topics: topics.iter().map(|byte| Topic([*byte; 4])).collect(),
            form: Form::Plain,
            patience: Duration::from_secs(1),
            whole: true,
        }
    }

    #[test]
    fn the_servers_that_lack_the_least_row() {
        let (a, b) = (row(10, 1, 1), row(10, 2, 1));
        assert!(a < b && b < row(11, 0, 0), "by second, then by hash");
        assert_eq!(agree(&[Some(a), Some(b), None, Some(a)], &a), [1, 2]);
        assert!(agree(&[Some(a), Some(a)], &a).is_empty());
    }

    #[test]
    fn an_answer_is_what_was_asked_for_once_and_in_order() {
        let last = row(12, 5, 1);
        let table = [
            (row(12, 6, 1), ""),
            (row(13, 0, 1), ""),
            (row(20, 0, 1), ""),
            (row(12, 5, 1), "twice"),
            (row(12, 4, 1), "oldest first"),
            (row(11, 9, 1), "oldest first"),
            (row(9, 9, 1), "another time"),
            (row(21, 9, 1), "another time"),
            (row(13, 0, 2), "another topic"),
        ];
        for (next, words) in table {
            let verdict = next.check(Some(&last), &question(&[1, 3]));
            let text = verdict.map_or_else(|error| error.to_string(), |()| String::new());
            assert!(text.contains(words) && words.is_empty() == text.is_empty(), "{next:?}: {text}");
        }
        row(10, 0, 2).check(None, &question(&[])).unwrap();
    }
}

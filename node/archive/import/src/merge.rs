//! All tables and the journals as one sequence.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, btree_map},
    fs::File,
    path::{Path, PathBuf},
};

use bytes::Bytes;

use crate::{
    OldError,
    journal::Newest,
    manifest::TableName,
    table::{Entry, Table},
};

/// The entries of a database. After an error there is nothing more.
pub struct Entries {
    directory: PathBuf,
    /// Held until all is read.
    _lock: Option<File>,
    /// Not reached yet, the one with the first key last.
    closed: Vec<TableName>,
    open: Vec<Source>,
    /// The next entry of each source: the smallest key first, of equal ones the newest.
    heads: BinaryHeap<Head>,
    values: Vec<Option<Bytes>>,
    last: Option<Vec<u8>>,
    failed: bool,
}

/// A key, when it was written, and the source it is the next of.
type Head = Reverse<(Vec<u8>, Reverse<u64>, usize)>;

enum Source {
    Table(Box<Table>),
    Newest(btree_map::IntoIter<Vec<u8>, (u64, Option<Bytes>)>),
    Done,
}

impl Source {
    fn next(&mut self) -> Result<Option<Entry>, OldError> {
        let next = match self {
            Self::Table(table) => table.next()?,
            Self::Newest(newest) => {
                newest.next().map(|(key, (sequence, value))| Entry { key, sequence, value })
            }
            Self::Done => None,
        };
        if next.is_none() {
            // Its file is closed.
            *self = Self::Done;
        }
        Ok(next)
    }
}

impl Entries {
    pub(crate) fn new(
        directory: &Path,
        lock: Option<File>,
        mut tables: Vec<TableName>,
        newest: Newest,
    ) -> Self {
        tables.sort_by(|a, b| b.first.cmp(&a.first));
        let mut entries = Self {
            directory: directory.into(),
            _lock: lock,
            closed: tables,
            open: Vec::new(),
            heads: BinaryHeap::new(),
            values: Vec::new(),
            last: None,
            failed: false,
        };
        let mut newest = Source::Newest(newest.into_iter());
        // The journals are in memory: this cannot fail.
        if let Ok(Some(first)) = newest.next() {
            entries.begin(newest, first);
        }
        entries
    }

    fn begin(&mut self, source: Source, first: Entry) {
        let at = self.open.len();
        self.open.push(source);
        self.values.push(first.value);
        self.heads.push(Reverse((first.key, Reverse(first.sequence), at)));
    }

    /// Opens every table that may have the next key.
    fn reach(&mut self) -> Result<(), OldError> {
        while let Some(table) = self.closed.last() {
            if self.heads.peek().is_some_and(|Reverse((key, ..))| *key < table.first) {
                break;
            }
            let number = table.number;
            self.closed.pop();
            let mut table = Source::Table(Box::new(Table::open(&self.directory, number)?));
            if let Some(first) = table.next()? {
                self.begin(table, first);
            }
        }
        Ok(())
    }

    fn pop(&mut self) -> Result<Option<Entry>, OldError> {
        self.reach()?;
        let Some(Reverse((key, Reverse(sequence), at))) = self.heads.pop() else { return Ok(None) };
        let value = self.values.get_mut(at).and_then(Option::take);
        let following = self.open.get_mut(at).map_or(Ok(None), Source::next)?;
        if let Some(next) = following {
            if let Some(slot) = self.values.get_mut(at) {
                *slot = next.value;
            }
            self.heads.push(Reverse((next.key, Reverse(next.sequence), at)));
        }
        Ok(Some(Entry { key, sequence, value }))
    }
}

impl Iterator for Entries {
    type Item = Result<(Vec<u8>, Bytes), OldError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.failed {
            match self.pop() {
                Ok(Some(entry)) => {
                    if self.last.as_ref() == Some(&entry.key) {
                        continue;
                    }
                    self.last = Some(entry.key.clone());
                    if let Some(value) = entry.value {
                        return Some(Ok((entry.key, value)));
                    }
                }
                Ok(None) => return None,
                Err(error) => {
                    self.failed = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

//! Comparing an archive with itself: every row with its key, the two orders, the directory, counts and sums.
//!
//! Rows below the floor are gone although their bytes may stay for a while, so nothing is asked of them.

use std::collections::{BTreeMap, BTreeSet};

use archive::{ArchiveError, EnvelopeId, HOUR, Position, ROW_OVERHEAD, Window};
use bytes::Bytes;
use rocksdb::{ColumnFamily, DBRawIterator, ReadOptions};
use waku_wire::{EnvelopeHash, Topic, WireEnvelope};

use crate::error::from_rocks;
use crate::keys;
use crate::store::Store;

/// Rows between two words about progress.
const STRIDE: u64 = 4096;

/// What [`crate::RocksHistory::verify`] tells on its way.
#[derive(Clone, Debug)]
pub enum Step {
    /// So many keys were compared since the last word, of twice as many as there are rows.
    Keys(u64),
    /// Something is not as it must be.
    Differs(Difference),
}

/// What was compared.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Verified {
    /// Rows at or above the floor.
    pub rows: u64,
    /// Their bytes, as counted in [`archive::Window::bytes`].
    pub bytes: u64,
    /// Hours with rows.
    pub hours: u64,
    /// Things that differ.
    pub differences: u64,
}

/// Something that is not as it must be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Difference {
    /// A key that no writer makes.
    #[error("{family}: a key of unknown shape, {} bytes", .key.len())]
    Key {
        /// The column family.
        family: &'static str,
        /// The key.
        key: Vec<u8>,
    },
    /// The order of time names a row that is not there.
    #[error("{0}: the row is missing")]
    NoRow(Place),
    /// A row that the order of time does not name.
    #[error("{0}: the row is not in the order of time")]
    NotInTime(Place),
    /// A row that is no envelope.
    #[error("{place}: no envelope: {problem}")]
    NoEnvelope {
        /// Its key.
        place: Place,
        /// What the decoder says.
        problem: String,
    },
    /// An envelope under another's key.
    #[error("{place}: the envelope there is {found}")]
    Misplaced {
        /// Its key.
        place: Place,
        /// What its key should be.
        found: Place,
    },
    /// Counts or sums of an hour.
    #[error("hour {}: counted {} rows, {} bytes, sum {:?}; there are {} rows, {} bytes, sum {:?}",
        .there.hour, .counted.count, .counted.bytes, .counted.accumulator, .there.count, .there.bytes, .there.accumulator)]
    Hour {
        /// What the archive says.
        counted: Window,
        /// What is there.
        there: Window,
    },
    /// A topic with rows that queries by bloom filter would miss.
    #[error("day {day}: topic {topic} has rows and is not in the directory")]
    NotInDirectory {
        /// Days since the epoch.
        day: u16,
        /// The topic.
        topic: Topic,
    },
    /// A topic that has no rows on the day.
    #[error("day {day}: topic {topic} is in the directory and has no rows")]
    OnlyInDirectory {
        /// Days since the epoch.
        day: u16,
        /// The topic.
        topic: Topic,
    },
}

/// A row's key in words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Time and id.
    pub position: Position,
    /// Topic.
    pub topic: Topic,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "envelope {:?} of topic {} sent {}", self.position.id, self.topic, self.position.sent)
    }
}

impl Store {
    /// See [`crate::RocksHistory::verify`].
    pub(crate) fn verify(&self, tell: &mut dyn FnMut(Step)) -> Result<Verified, ArchiveError> {
        let mut check = Check {
            store: self,
            rows: self.family(keys::ROWS)?,
            time: self.family(keys::TIME)?,
            floor: self.floor(),
            counted: self.hours.read().clone(),
            verified: Verified::default(),
            keys: 0,
            tell,
        };
        check.order_of_time()?;
        check.order_of_topics()?;
        Ok(check.verified)
    }

    fn all(&self, family: &ColumnFamily, from: &[u8]) -> DBRawIterator<'_> {
        let mut options = ReadOptions::default();
        // What is read once would only push out what others read.
        options.fill_cache(false);
        let mut iterator = self.db.raw_iterator_cf_opt(family, options);
        iterator.seek(from);
        iterator
    }
}

struct Check<'a> {
    store: &'a Store,
    rows: &'a ColumnFamily,
    time: &'a ColumnFamily,
    floor: u32,
    /// Hours not yet compared, as the archive has counted them.
    counted: BTreeMap<u32, Window>,
    verified: Verified,
    keys: u64,
    tell: &'a mut dyn FnMut(Step),
}

impl Check<'_> {
    fn differs(&mut self, difference: Difference) {
        self.verified.differences += 1;
        (self.tell)(Step::Differs(difference));
    }

    fn passed(&mut self) {
        self.keys += 1;
        if self.keys.is_multiple_of(STRIDE) {
            (self.tell)(Step::Keys(STRIDE));
        }
    }

    /// Rows by the order of time: each is there and what its key says; hours and days as they end.
    fn order_of_time(&mut self) -> Result<(), ArchiveError> {
        let start = keys::time(Position::first_of(self.floor), Topic::default());
        let mut iterator = self.store.all(self.time, &start);
        let mut hour: Option<Window> = None;
        let mut day: Option<(u16, BTreeSet<Topic>)> = None;
        let mut days = BTreeSet::new();
        while let Some(key) = iterator.key() {
            let Some((position, topic)) = keys::parse_time(key) else {
                self.differs(Difference::Key { family: keys::TIME, key: key.to_vec() });
                iterator.next();
                continue;
            };
            let now = position.sent / HOUR;
            if let Some(ended) = hour.take_if(|window| window.hour != now) {
                self.hour(ended);
            }
            let today = keys::day_of(position.sent);
            if let Some((ended, topics)) = day.take_if(|(day, _)| *day != today) {
                self.day(ended, &topics)?;
            }
            if let Some((length, hash)) = self.row(Place { position, topic })? {
                hour.get_or_insert(Window { hour: now, ..Window::default() }).add(length, &hash);
            }
            days.insert(today);
            day.get_or_insert_with(|| (today, BTreeSet::new())).1.insert(topic);
            self.passed();
            iterator.next();
        }
        iterator.status().map_err(from_rocks)?;
        if let Some(ended) = hour {
            self.hour(ended);
        }
        for (hour, counted) in std::mem::take(&mut self.counted) {
            self.differs(Difference::Hour { counted, there: Window { hour, ..Window::default() } });
        }
        if let Some((ended, topics)) = day {
            self.day(ended, &topics)?;
        }
        self.days_without_rows(&days)
    }

    /// The row under a key: its length and hash, if it is there.
    fn row(&mut self, place: Place) -> Result<Option<(usize, EnvelopeHash)>, ArchiveError> {
        let key = keys::row(place.topic, place.position);
        let Some(value) = self.store.db.get_pinned_cf(self.rows, key).map_err(from_rocks)? else {
            self.differs(Difference::NoRow(place));
            return Ok(None);
        };
        self.verified.rows += 1;
        self.verified.bytes += value.len() as u64 + ROW_OVERHEAD;
        let hash = match WireEnvelope::decode(&Bytes::copy_from_slice(&value)) {
            Ok(envelope) => {
                let hash = envelope.hash();
                let position = Position { sent: envelope.sent(), id: EnvelopeId::of(&hash) };
                let found = Place { position, topic: envelope.topic() };
                if found != place {
                    self.differs(Difference::Misplaced { place, found });
                }
                hash
            }
            Err(error) => {
                self.differs(Difference::NoEnvelope { place, problem: error.to_string() });
                EnvelopeHash::default()
            }
        };
        Ok(Some((value.len(), hash)))
    }

    fn hour(&mut self, there: Window) {
        self.verified.hours += 1;
        let counted = self.counted.remove(&there.hour);
        let counted = counted.unwrap_or(Window { hour: there.hour, ..Window::default() });
        if counted != there {
            self.differs(Difference::Hour { counted, there });
        }
    }

    /// The directory of a day against the topics seen.
    fn day(&mut self, day: u16, topics: &BTreeSet<Topic>) -> Result<(), ArchiveError> {
        let mut listed = BTreeSet::new();
        let mut options = ReadOptions::default();
        options.set_iterate_range(keys::directory_day(day).to_vec()..keys::directory_end(day).to_vec());
        let mut iterator = self.store.db.raw_iterator_opt(options);
        iterator.seek_to_first();
        while let Some(key) = iterator.key() {
            match keys::parse_directory(key) {
                Some(topic) => {
                    listed.insert(topic);
                }
                None => self.differs(Difference::Key { family: "default", key: key.to_vec() }),
            }
            iterator.next();
        }
        iterator.status().map_err(from_rocks)?;
        for topic in topics.difference(&listed) {
            self.differs(Difference::NotInDirectory { day, topic: *topic });
        }
        // In the floor's day topics stay listed whose rows are below it.
        if u32::from(day) * keys::DAY >= self.floor {
            for topic in listed.difference(topics) {
                self.differs(Difference::OnlyInDirectory { day, topic: *topic });
            }
        }
        Ok(())
    }

    fn days_without_rows(&mut self, seen: &BTreeSet<u16>) -> Result<(), ArchiveError> {
        let first = keys::day_of(self.floor.saturating_add(keys::DAY - 1));
        let mut options = ReadOptions::default();
        options
            .set_iterate_range(keys::directory_day(first).to_vec()..keys::directory_end(u16::MAX).to_vec());
        let mut iterator = self.store.db.raw_iterator_opt(options);
        iterator.seek_to_first();
        while let Some((day, topic)) = iterator
            .key()
            .and_then(|key| Some((keys::parse_directory_day(key)?, keys::parse_directory(key)?)))
        {
            if !seen.contains(&day) {
                self.differs(Difference::OnlyInDirectory { day, topic });
            }
            iterator.next();
        }
        iterator.status().map_err(from_rocks)
    }

    /// Rows by topic: each is named in the order of time.
    fn order_of_topics(&mut self) -> Result<(), ArchiveError> {
        let start = keys::day_of(self.floor).to_be_bytes();
        let mut iterator = self.store.all(self.rows, &start);
        while let Some(key) = iterator.key() {
            match keys::parse_row(key) {
                Some((topic, position)) if keys::row(topic, position)[..] == *key => {
                    let named = keys::time(position, topic);
                    let is_there =
                        || Ok(self.store.db.get_pinned_cf(self.time, named).map_err(from_rocks)?.is_some());
                    if position.sent >= self.floor && !is_there()? {
                        self.differs(Difference::NotInTime(Place { position, topic }));
                    }
                }
                _ => self.differs(Difference::Key { family: keys::ROWS, key: key.to_vec() }),
            }
            self.passed();
            iterator.next();
        }
        iterator.status().map_err(from_rocks)
    }
}

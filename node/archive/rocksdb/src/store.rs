//! The open database and everything that changes it: appending, evicting, closing.
//!
//! Synchronous; called on blocking threads. `append` and `raise_floor` are called one at a time (the owner holds a
//! permit), so is `free`; reading runs beside them. The in-memory hours and the floor follow the database: they change after its commit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use archive::{
    Appended, ArchiveError, Evicted, HOUR, NewRow, Position, Retention, TimeRange, Window, floor_after,
};
use parking_lot::RwLock;
use rocksdb::{
    BottommostLevelCompaction, Cache, ColumnFamily, ColumnFamilyDescriptor, CompactOptions, DB, FlushOptions,
    IteratorMode, WriteBatch, WriteOptions,
};
use waku_wire::Topic;

use crate::directory::Directory;
use crate::error::{from_open, from_rocks};
use crate::settings::{self, Durability, Settings};
use crate::{format, keys};

/// Evicted bytes that may stay on disk until their day ends; beyond it the day is compacted.
const STALE_BYTES: u64 = 64 << 20;

/// A step of the floor and the hours that it took away.
pub(crate) struct Raised {
    from: u32,
    to: u32,
    gone: Vec<Window>,
}

pub(crate) struct Store {
    pub(crate) db: DB,
    pub(crate) directory: Directory,
    pub(crate) hours: RwLock<BTreeMap<u32, Window>>,
    floor: Arc<AtomicU32>,
    /// Bytes below the floor within the floor's day, not yet freed.
    stale: AtomicU64,
    closed: AtomicBool,
    durability: Durability,
}

impl Store {
    pub(crate) fn open(path: &Path, settings: &Settings) -> Result<Self, ArchiveError> {
        format::claim(path)?;
        let floor = Arc::new(AtomicU32::new(0));
        let families = families(settings, &floor);
        let db = DB::open_cf_descriptors(&settings::database(settings), path, families)
            .map_err(|error| from_open(path, error))?;
        check_format(&db, path)?;
        Self::loaded(db, floor, settings)
    }

    /// The open `db` and what memory holds of it.
    pub(crate) fn loaded(db: DB, floor: Arc<AtomicU32>, settings: &Settings) -> Result<Self, ArchiveError> {
        let mut store = Self {
            db,
            directory: Directory::default(),
            hours: RwLock::default(),
            floor,
            stale: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            durability: settings.durability,
        };
        store.load()?;
        Ok(store)
    }

    fn load(&mut self) -> Result<(), ArchiveError> {
        if let Some(value) = self.db.get(keys::FLOOR_KEY).map_err(from_rocks)? {
            let floor = value.try_into().map_err(|_| ArchiveError::Corrupt("floor".to_owned()))?;
            self.floor.store(u32::from_be_bytes(floor), Ordering::Release);
        }
        let hours = self.hours.get_mut();
        let first = keys::hour(0);
        for entry in self.db.iterator(IteratorMode::From(&first, rocksdb::Direction::Forward)) {
            let (key, value) = entry.map_err(from_rocks)?;
            if key[..] >= keys::HOURS_END[..] {
                break;
            }
            let window = keys::parse_hour(&key, &value)
                .ok_or_else(|| ArchiveError::Corrupt("counts of an hour".to_owned()))?;
            hours.insert(window.hour, window);
        }
        Ok(())
    }

    pub(crate) fn family(&self, name: &'static str) -> Result<&ColumnFamily, ArchiveError> {
        self.db.cf_handle(name).ok_or_else(|| ArchiveError::Corrupt(format!("no column family {name}")))
    }

    pub(crate) fn floor(&self) -> u32 {
        self.floor.load(Ordering::Acquire)
    }

    pub(crate) fn check_open(&self) -> Result<(), ArchiveError> {
        if self.closed.load(Ordering::Acquire) { Err(ArchiveError::Closed) } else { Ok(()) }
    }

    fn write(&self, batch: WriteBatch) -> Result<(), ArchiveError> {
        let mut options = WriteOptions::default();
        options.set_sync(self.durability == Durability::Disk);
        self.db.write_opt(batch, &options).map_err(from_rocks)
    }

    /// Whole hours that overlap `range`, without the empty ones.
    pub(crate) fn windows(&self, range: TimeRange) -> Vec<Window> {
        if range.from > range.to {
            return Vec::new();
        }
        self.hours.read().range(range.from / HOUR..=range.to / HOUR).map(|(_, window)| *window).collect()
    }

    /// Rows, keys in both orders, directory entries, counts and accumulators: one batch.
    pub(crate) fn append(&self, rows: &[NewRow]) -> Result<Vec<Appended>, ArchiveError> {
        self.check_open()?;
        let (rows_family, time_family) = (self.family(keys::ROWS)?, self.family(keys::TIME)?);
        let floor = self.floor();
        let mut batch = WriteBatch::default();
        let mut seen: BTreeSet<Position> = BTreeSet::new();
        let mut topics: BTreeSet<(u16, Topic)> = BTreeSet::new();
        let mut hours: BTreeMap<u32, Window> = BTreeMap::new();
        let mut verdicts = Vec::with_capacity(rows.len());
        for row in rows {
            let envelope = &row.envelope;
            let (sent, topic, hash) = (envelope.sent(), envelope.topic(), envelope.hash());
            let position = Position::of(sent, &hash);
            let key = keys::time(position, topic);
            let verdict = if sent < floor {
                Appended::BelowFloor
            } else if seen.contains(&position) || (!row.known_new && self.exists(time_family, &key)?) {
                Appended::Duplicate
            } else {
                Appended::Stored
            };
            verdicts.push(verdict);
            if verdict != Appended::Stored {
                continue;
            }
            seen.insert(position);
            batch.put_cf(rows_family, keys::row(topic, position), envelope.raw());
            batch.put_cf(time_family, key, []);
            topics.insert((keys::day_of(sent), topic));
            let hour = sent / HOUR;
            let current = || self.hours.read().get(&hour).copied();
            let window = hours
                .entry(hour)
                .or_insert_with(|| current().unwrap_or(Window { hour, ..Window::default() }));
            window.add(envelope.raw().len(), &hash);
        }
        if seen.is_empty() {
            return Ok(verdicts);
        }
        let topics = self.new_topics(topics)?;
        for (day, topic) in &topics {
            batch.put(keys::directory(*day, *topic), []);
        }
        for (hour, window) in &hours {
            batch.put(keys::hour(*hour), keys::hour_value(window));
        }
        self.write(batch)?;
        self.directory.added(topics);
        self.hours.write().extend(hours);
        Ok(verdicts)
    }

    fn exists(&self, time_family: &ColumnFamily, key: &[u8]) -> Result<bool, ArchiveError> {
        Ok(self.db.get_pinned_cf(time_family, key).map_err(from_rocks)?.is_some())
    }

    fn new_topics(&self, topics: BTreeSet<(u16, Topic)>) -> Result<Vec<(u16, Topic)>, ArchiveError> {
        let mut new = Vec::new();
        let mut current = None;
        for (day, topic) in topics {
            let known = match &current {
                Some((of, known)) if *of == day => known,
                _ => &current.insert((day, self.directory.day(&self.db, day)?)).1,
            };
            if !known.contains(&topic) {
                new.push((day, topic));
            }
        }
        Ok(new)
    }

    /// Raises the floor, durably. What is below is invisible from here on; [`Store::free`] gives its space back.
    pub(crate) fn raise_floor(&self, policy: Retention, now: u32) -> Result<Raised, ArchiveError> {
        self.check_open()?;
        let from = self.floor();
        let (to, gone) = {
            let hours = self.hours.read();
            let newest_first = hours.values().rev().map(|window| (window.hour, window.bytes));
            let to = floor_after(policy, now, from, newest_first);
            let gone: Vec<Window> = hours.range(..to / HOUR).map(|(_, window)| *window).collect();
            (to, gone)
        };
        if to > from {
            let mut batch = WriteBatch::default();
            batch.put(keys::FLOOR_KEY, to.to_be_bytes());
            batch.delete_range(keys::hour(0), keys::hour(to / HOUR));
            batch.delete_range(keys::directory_day(0), keys::directory_day(keys::day_of(to)));
            let mut options = WriteOptions::default();
            options.set_sync(true);
            self.db.write_opt(batch, &options).map_err(from_rocks)?;
            self.floor.store(to, Ordering::Release);
            let mut hours = self.hours.write();
            *hours = hours.split_off(&(to / HOUR));
            drop(hours);
            self.directory.forget_before(keys::day_of(to));
        }
        Ok(Raised { from, to, gone })
    }

    /// Frees whole files below the floor. What shares a file with rows that stay goes with the next compaction of it.
    pub(crate) fn free(&self, raised: &Raised) -> Result<Evicted, ArchiveError> {
        self.check_open()?;
        let day = keys::day_of(raised.to);
        self.free_below(keys::ROWS, &day.to_be_bytes())?;
        self.free_below(keys::TIME, &raised.to.to_be_bytes())?;
        let first_hour = u32::from(day) * (keys::DAY / HOUR);
        let within = raised.gone.iter().filter(|window| window.hour >= first_hour).map(|window| window.bytes);
        let carried = if keys::day_of(raised.from) == day { self.stale.load(Ordering::Relaxed) } else { 0 };
        let mut stale = carried + within.sum::<u64>();
        if stale > STALE_BYTES {
            // `rows` is by topic within a day, so a floor inside the day frees nothing there by dropping files.
            let next = day.checked_add(1).map(u16::to_be_bytes);
            self.purge(keys::ROWS, Some(&day.to_be_bytes()), next.as_ref().map(|next| &next[..]))?;
            stale = 0;
        }
        self.stale.store(stale, Ordering::Relaxed);
        Ok(Evicted {
            floor: raised.to,
            rows: raised.gone.iter().map(|window| window.count).sum(),
            bytes: raised.gone.iter().map(|window| window.bytes).sum(),
        })
    }

    /// Frees the files of a family whose keys are all before `end`.
    fn free_below(&self, name: &'static str, end: &[u8]) -> Result<(), ArchiveError> {
        self.db.delete_file_in_range_cf(self.family(name)?, &[][..], end).map_err(from_rocks)?;
        // That leaves out files of level 0, and those that a compaction is reading; begun under the old floor, it would
        // write their rows once more.
        let left = self.db.live_files().map_err(from_rocks)?.into_iter().any(|file| {
            file.column_family_name == name && file.end_key.is_some_and(|last| last.as_slice() < end)
        });
        if left { self.purge(name, None, Some(end)) } else { Ok(()) }
    }

    /// Takes what is below the floor out of all files that overlap the range, by a compaction.
    fn purge(&self, name: &'static str, from: Option<&[u8]>, end: Option<&[u8]>) -> Result<(), ArchiveError> {
        let mut options = CompactOptions::default();
        // It waits for compactions of the same files. Their output is new, but not filtered by this floor; without force
        // it would be taken for this compaction's own and left as it is.
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        self.db.compact_range_cf_opt(self.family(name)?, from, end, &options);
        Ok(())
    }

    pub(crate) fn probe(&self) -> Result<(), ArchiveError> {
        self.check_open()?;
        let mut batch = WriteBatch::default();
        batch.put(keys::PROBE_KEY, []);
        self.write(batch)
    }

    /// Empties the log into files, so that the next start has nothing to replay.
    pub(crate) fn close(&self) -> Result<(), ArchiveError> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let mut options = FlushOptions::default();
        options.set_wait(true);
        let families: Vec<&ColumnFamily> =
            ["default", keys::ROWS, keys::TIME].iter().filter_map(|name| self.db.cf_handle(name)).collect();
        let flushed = self.db.flush_cfs_opt(&families, &options).map_err(from_rocks);
        self.db.cancel_all_background_work(true);
        flushed
    }
}

/// The column families as they are opened.
pub(crate) fn families(settings: &Settings, floor: &Arc<AtomicU32>) -> [ColumnFamilyDescriptor; 3] {
    let cache = Cache::new_lru_cache(settings.cache_bytes);
    [
        ColumnFamilyDescriptor::new("default", settings::default(settings, &cache)),
        ColumnFamilyDescriptor::new(keys::ROWS, settings::rows(settings, &cache, Arc::clone(floor))),
        ColumnFamilyDescriptor::new(keys::TIME, settings::time(settings, &cache, Arc::clone(floor))),
    ]
}

/// Makes sure that the database has our format; a new one gets it.
fn check_format(db: &DB, path: &Path) -> Result<(), ArchiveError> {
    match db.get(keys::FORMAT_KEY).map_err(from_rocks)? {
        None => db.put(keys::FORMAT_KEY, format::FORMAT.to_be_bytes()).map_err(from_rocks),
        Some(value) => known_format(&value, path),
    }
}

/// Makes sure that the format key of a database is ours.
pub(crate) fn known_format(value: &[u8], path: &Path) -> Result<(), ArchiveError> {
    let path = || PathBuf::from(path);
    match value.try_into().map(u32::from_be_bytes) {
        Ok(format::FORMAT) => Ok(()),
        Ok(found) if found > format::FORMAT => {
            Err(ArchiveError::Newer { path: path(), found, supported: format::FORMAT })
        }
        _ => {
            Err(ArchiveError::Foreign { path: path(), found: "a database without our format key".to_owned() })
        }
    }
}

#[cfg(test)]
mod tests {
    use archive::conformance::{DAY_START, envelope};

    use super::*;

    const DAY: u32 = keys::DAY;

    /// Three days of rows of 2 KB, one every 8 seconds, with flushes and compactions that may still go on.
    fn fill(store: &Store) {
        for first in (0..3 * DAY).step_by(2400) {
            let row = |at: u32| NewRow {
                envelope: envelope(DAY_START + at, [0, 0, 0, (at / 8 % 50) as u8], at, 2000),
                known_new: true,
            };
            let rows: Vec<NewRow> = (first..first + 2400).step_by(8).map(row).collect();
            store.append(&rows).unwrap();
        }
    }

    /// Whatever RocksDB was about: it moved files down, compacted them, or had yet to begin.
    #[test]
    fn when_an_eviction_is_over_no_file_lies_below_the_floor() {
        for automatic in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            let store = Store::open(directory.path(), &Settings::default()).unwrap();
            if !automatic {
                for family in [keys::ROWS, keys::TIME] {
                    let family = store.family(family).unwrap();
                    store.db.set_options_cf(family, &[("disable_auto_compactions", "true")]).unwrap();
                }
            }
            fill(&store);
            let policy = Retention { max_age: Some(DAY), max_bytes: None };
            let raised = store.raise_floor(policy, DAY_START + 3 * DAY).unwrap();
            assert_eq!(raised.to, DAY_START + 2 * DAY);
            assert_eq!(store.free(&raised).unwrap().rows, 21_600);
            for file in store.db.live_files().unwrap() {
                let last = file.end_key.unwrap();
                let below = match file.column_family_name.as_str() {
                    keys::ROWS => keys::row_is_below(&last, raised.to),
                    keys::TIME => keys::time_is_below(&last, raised.to),
                    _ => false,
                };
                assert!(!below, "{} of {} at level {}", file.name, file.column_family_name, file.level);
            }
        }
    }
}

//! Which topics have rows on which day: turns a bloom filter, or a long list of topics, into the seeks worth making.
//!
//! The truth is in the database (key `d`); this is a bounded cache of it, complete for each day that it holds. A day
//! with too many topics is marked as such: readers then go by time, and the writer puts its entries unseen (putting an
//! entry twice changes nothing).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use archive::{ArchiveError, Filter};
use parking_lot::{Mutex, RwLock};
use rocksdb::{DB, ReadOptions};
use waku_wire::Topic;

use crate::{error::from_rocks, keys};

/// Topics of one day that are worth knowing. At some 8 bytes each, half a megabyte.
const DAY_TOPICS: usize = 65_536;
/// Topics of all days in the cache.
const ALL_TOPICS: usize = 8 * DAY_TOPICS;

/// The topics of one day.
#[derive(Clone)]
pub(crate) struct DayTopics(Arc<RwLock<Known>>);

enum Known {
    All(BTreeSet<Topic>),
    TooMany,
}

impl DayTopics {
    /// Whether the day is known to have rows of `topic`.
    pub(crate) fn contains(&self, topic: &Topic) -> bool {
        matches!(&*self.0.read(), Known::All(topics) if topics.contains(topic))
    }

    /// The topics that a filter selects, and how many there are on the day; `None` when there are too many to know.
    pub(crate) fn select(&self, filter: &Filter) -> Option<(Vec<Topic>, usize)> {
        let known = self.0.read();
        let Known::All(topics) = &*known else { return None };
        let selected = match filter {
            // The shorter of the two lists is walked.
            Filter::Topics(wanted) if wanted.as_slice().len() <= topics.len() => {
                wanted.as_slice().iter().filter(|topic| topics.contains(topic)).copied().collect()
            }
            _ => topics.iter().filter(|topic| filter.matches(topic)).copied().collect(),
        };
        Some((selected, topics.len()))
    }

    fn len(&self) -> usize {
        match &*self.0.read() {
            Known::All(topics) => topics.len(),
            Known::TooMany => 0,
        }
    }
}

/// The cache.
#[derive(Default)]
pub(crate) struct Directory {
    days: Mutex<Days>,
}

#[derive(Default)]
struct Days {
    known: HashMap<u16, (DayTopics, u64)>,
    /// Counts uses, for the order of forgetting.
    clock: u64,
    /// Counts additions: a list read from the database while one happened may lack it and is not kept.
    additions: u64,
}

impl Directory {
    /// The topics of `day`, read from the database when they are not in the cache.
    pub(crate) fn day(&self, db: &DB, day: u16) -> Result<DayTopics, ArchiveError> {
        if let Some(topics) = self.cached(day) {
            return Ok(topics);
        }
        let before = self.days.lock().additions;
        let topics = load(db, day)?;
        let mut days = self.days.lock();
        if days.additions == before {
            days.clock += 1;
            let now = days.clock;
            days.known.insert(day, (topics.clone(), now));
            days.shrink();
        }
        Ok(topics)
    }

    /// Adds topics whose entries were just written.
    pub(crate) fn added(&self, new: impl IntoIterator<Item = (u16, Topic)>) {
        let mut days = self.days.lock();
        for (day, topic) in new {
            days.additions += 1;
            let Some((topics, _)) = days.known.get(&day) else { continue };
            let mut known = topics.0.write();
            if let Known::All(topics) = &mut *known {
                topics.insert(topic);
                if topics.len() > DAY_TOPICS {
                    *known = Known::TooMany;
                }
            }
        }
    }

    /// The topics of `day` if they are in the cache.
    pub(crate) fn cached(&self, day: u16) -> Option<DayTopics> {
        let mut days = self.days.lock();
        days.clock += 1;
        let now = days.clock;
        days.known.get_mut(&day).map(|(topics, used)| {
            *used = now;
            topics.clone()
        })
    }

    /// Forgets days before `day`.
    pub(crate) fn forget_before(&self, day: u16) {
        self.days.lock().known.retain(|known, _| *known >= day);
    }
}

impl Days {
    /// Drops the days used longest ago until the rest is small enough; the last one used stays.
    fn shrink(&mut self) {
        while self.known.len() > 1
            && self.known.values().map(|(topics, _)| topics.len()).sum::<usize>() > ALL_TOPICS
        {
            let oldest = self.known.iter().min_by_key(|(_, (_, used))| *used).map(|(day, _)| *day);
            if let Some(day) = oldest {
                self.known.remove(&day);
            }
        }
    }
}

fn load(db: &DB, day: u16) -> Result<DayTopics, ArchiveError> {
    let mut options = ReadOptions::default();
    options.set_iterate_range(keys::directory_day(day).to_vec()..keys::directory_end(day).to_vec());
    let mut iterator = db.raw_iterator_opt(options);
    iterator.seek_to_first();
    let mut topics = BTreeSet::new();
    while let Some(key) = iterator.key() {
        topics.extend(keys::parse_directory(key));
        if topics.len() > DAY_TOPICS {
            return Ok(DayTopics(Arc::new(RwLock::new(Known::TooMany))));
        }
        iterator.next();
    }
    iterator.status().map_err(from_rocks)?;
    Ok(DayTopics(Arc::new(RwLock::new(Known::All(topics)))))
}

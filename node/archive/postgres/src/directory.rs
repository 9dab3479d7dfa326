//! Which topics have rows on which day: turns a bloom filter, or a long list of topics, into the seeks worth making.
//!
//! The truth is in table `topics`; this is a bounded cache of it. Topics of a day are only ever added, in the order of
//! `added` (all writers write one after the other), so a cached day is brought up to date by what was added since.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use archive::{ArchiveError, Filter};
use deadpool_postgres::Object;
use parking_lot::Mutex;
use waku_wire::Topic;

use crate::connection::Explained as _;
use crate::read::topic;

/// Topics of one day that are worth knowing. At some 8 bytes each, half a megabyte.
const DAY_TOPICS: usize = 65_536;
/// Topics of all days in the cache.
const ALL_TOPICS: usize = 8 * DAY_TOPICS;

const ADDED: &str = "SELECT topic, added FROM status_node.topics WHERE day = $1 AND added > $2 \
                     ORDER BY added LIMIT $3";

/// The topics of one day, up to the last one added.
#[derive(Clone, Default)]
struct Known {
    topics: Arc<BTreeSet<Topic>>,
    last: i64,
    /// There are more than [`DAY_TOPICS`]; none is kept.
    too_many: bool,
}

/// The cache.
#[derive(Default)]
pub(crate) struct Directory(Mutex<Days>);

#[derive(Default)]
struct Days {
    known: HashMap<u32, (Known, u64)>,
    /// Counts uses, for the order of forgetting.
    clock: u64,
}

impl Directory {
    /// The topics of `day` that a filter selects, and how many there are; `None` when there are too many to know.
    pub(crate) async fn select(
        &self,
        connection: &Object,
        day: u32,
        filter: &Filter,
    ) -> Result<Option<(Vec<Topic>, usize)>, ArchiveError> {
        let mut known = self.0.lock().known.get(&day).map(|(known, _)| known.clone()).unwrap_or_default();
        if !known.too_many {
            let statement = connection.prepare_cached(ADDED).await.explained()?;
            let most = i64::try_from(DAY_TOPICS + 1 - known.topics.len()).unwrap_or(i64::MAX);
            let day_column = i32::try_from(day).unwrap_or(i32::MAX);
            let added = connection.query(&statement, &[&day_column, &known.last, &most]).await.explained()?;
            if let Some(last) = added.last() {
                known.last = last.get(1);
                let topics = Arc::make_mut(&mut known.topics);
                for row in &added {
                    topics.insert(topic(row, 0)?);
                }
                if topics.len() > DAY_TOPICS {
                    known = Known { too_many: true, ..Known::default() };
                }
            }
        }
        let selected = (!known.too_many).then(|| (select(&known.topics, filter), known.topics.len()));
        self.0.lock().keep(day, known);
        Ok(selected)
    }

    /// Forgets days before `day`.
    pub(crate) fn forget_before(&self, day: u32) {
        self.0.lock().known.retain(|known, _| *known >= day);
    }
}

fn select(topics: &BTreeSet<Topic>, filter: &Filter) -> Vec<Topic> {
    match filter {
        // The shorter of the two lists is walked.
        Filter::Topics(wanted) if wanted.as_slice().len() <= topics.len() => {
            wanted.as_slice().iter().filter(|topic| topics.contains(topic)).copied().collect()
        }
        _ => topics.iter().filter(|topic| filter.matches(topic)).copied().collect(),
    }
}

impl Days {
    /// Keeps what is newer of a day; then the days used longest ago go until the rest is small enough.
    fn keep(&mut self, day: u32, known: Known) {
        self.clock += 1;
        let now = self.clock;
        let (kept, used) = self.known.entry(day).or_default();
        *used = now;
        if known.too_many || known.last > kept.last {
            *kept = known;
        }
        let total = |days: &HashMap<u32, (Known, u64)>| -> usize {
            days.values().map(|(known, _)| known.topics.len()).sum()
        };
        while self.known.len() > 1 && total(&self.known) > ALL_TOPICS {
            let oldest = self.known.iter().min_by_key(|(_, (_, used))| *used).map(|(day, _)| *day);
            oldest.map(|day| self.known.remove(&day));
        }
    }
}

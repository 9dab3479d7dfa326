//! Local filters: which envelopes this node's own users want to read, and what was found for them
//! (`spec/waku-mailserver.md` §3.7). No clock, no sockets; decrypts outside its lock.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use enode::{NodeKey, PublicKey};
use parking_lot::Mutex;
use waku_wire::{
    EnvelopeHash, SymmetricKey, Topic, WireEnvelope,
    payload::{Payload, decrypt_asymmetric, decrypt_symmetric, parse},
    pow::Pow,
};

/// Filters at once.
const MAX_FILTERS: usize = 1000;
/// Topics of one filter.
const MAX_TOPICS: usize = 10_000;
/// Bytes of messages that wait in all filters together; beyond it nothing is added until somebody polls.
const MAX_WAITING_BYTES: usize = 32 << 20;
/// What a message costs beyond its envelope and its payload.
const MESSAGE_OVERHEAD: usize = 512;

/// Names an installed filter: 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilterId([u8; 32]);

impl fmt::Display for FilterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for FilterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FilterId({self})")
    }
}

impl FromStr for FilterId {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let mut id = [0; 32];
        hex::decode_to_slice(text, &mut id).map_err(|_| FilterError::Unknown)?;
        Ok(Self(id))
    }
}

/// What decrypts an envelope.
#[derive(Debug, Clone)]
pub enum FilterKey {
    /// A shared key.
    Symmetric(SymmetricKey),
    /// The recipient's key.
    Asymmetric(NodeKey),
}

impl FilterKey {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Symmetric(one), Self::Symmetric(other)) => one == other,
            (Self::Asymmetric(one), Self::Asymmetric(other)) => one.public_key() == other.public_key(),
            _ => false,
        }
    }

    fn open(&self, envelope: &WireEnvelope) -> Option<Payload> {
        let data = envelope.data();
        let plain = match self {
            Self::Symmetric(key) => decrypt_symmetric(&data, key),
            Self::Asymmetric(key) => decrypt_asymmetric(&data, key),
        };
        parse(&plain.ok()?).ok()
    }
}

/// What is to be found.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Decrypts it.
    pub key: FilterKey,
    /// Who must have signed it; `None`: anybody, or nobody.
    pub source: Option<PublicKey>,
    /// Its topic; none: any. At most 10 000.
    pub topics: Vec<Topic>,
    /// Least proof of work.
    pub min_pow: f64,
    /// Whether history and direct messages count too, and not gossip alone.
    pub allow_p2p: bool,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterMessage {
    /// The envelope, in memory of its own.
    pub envelope: WireEnvelope,
    /// Decrypted.
    pub payload: Payload,
    /// Its proof of work.
    pub pow: f64,
    /// Whose key decrypted it; `None` for a shared key.
    pub recipient: Option<PublicKey>,
    /// It came as history or directly.
    pub p2p: bool,
}

impl FilterMessage {
    fn weight(&self) -> usize {
        self.envelope.raw().len() + self.payload.payload.len() + self.payload.padding.len() + MESSAGE_OVERHEAD
    }
}

/// Why there is no such filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Never installed, or removed.
    #[error("filter not found")]
    Unknown,
    /// 1000 are there.
    #[error("{MAX_FILTERS} filters are installed already; delete one first")]
    TooMany,
    /// More topics than a filter may have.
    #[error("the filter has {0} topics; at most {MAX_TOPICS} are allowed")]
    TooManyTopics(usize),
}

/// The topics that all filters together ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    Everything,
    Topics(BTreeSet<Topic>),
}

#[derive(Debug, Default)]
struct Inner {
    installed: BTreeMap<FilterId, Installed>,
    by_topic: HashMap<Topic, Vec<FilterId>>,
    of_any_topic: Vec<FilterId>,
    waiting_bytes: usize,
}

#[derive(Debug)]
struct Installed {
    filter: Arc<Filter>,
    waiting: Vec<FilterMessage>,
    /// Of what waits.
    hashes: HashSet<EnvelopeHash>,
}

/// The installed filters.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    inner: Mutex<Inner>,
    /// How many, to be read without the lock: most nodes have none.
    count: AtomicUsize,
}

impl Filters {
    pub(crate) fn install(&self, mut filter: Filter) -> Result<FilterId, FilterError> {
        filter.topics.sort_unstable();
        filter.topics.dedup();
        if filter.topics.len() > MAX_TOPICS {
            return Err(FilterError::TooManyTopics(filter.topics.len()));
        }
        let id = FilterId(rand::random());
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        if inner.installed.len() >= MAX_FILTERS {
            return Err(FilterError::TooMany);
        }
        if filter.topics.is_empty() {
            inner.of_any_topic.push(id);
        }
        for topic in &filter.topics {
            inner.by_topic.entry(*topic).or_default().push(id);
        }
        let filter = Arc::new(filter);
        inner.installed.insert(id, Installed { filter, waiting: Vec::new(), hashes: HashSet::new() });
        self.count.store(inner.installed.len(), Ordering::Relaxed);
        Ok(id)
    }

    pub(crate) fn uninstall(&self, id: FilterId) -> Result<(), FilterError> {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        let gone = inner.installed.remove(&id).ok_or(FilterError::Unknown)?;
        self.count.store(inner.installed.len(), Ordering::Relaxed);
        inner.waiting_bytes -= gone.waiting.iter().map(FilterMessage::weight).sum::<usize>();
        inner.of_any_topic.retain(|other| *other != id);
        for topic in &gone.filter.topics {
            if let Some(ids) = inner.by_topic.get_mut(topic) {
                ids.retain(|other| *other != id);
                if ids.is_empty() {
                    inner.by_topic.remove(topic);
                }
            }
        }
        Ok(())
    }

    /// What was found since the last call.
    pub(crate) fn take(&self, id: FilterId) -> Result<Vec<FilterMessage>, FilterError> {
        let mut inner = self.inner.lock();
        let found = inner.installed.get_mut(&id).ok_or(FilterError::Unknown)?;
        found.hashes = HashSet::new();
        let taken = std::mem::take(&mut found.waiting);
        inner.waiting_bytes -= taken.iter().map(FilterMessage::weight).sum::<usize>();
        Ok(taken)
    }

    /// The topics of what is installed now: those of a removed filter are not asked for any more (§12 Q10).
    pub(crate) fn wanted(&self) -> Wanted {
        let inner = self.inner.lock();
        if inner.of_any_topic.is_empty() {
            Wanted::Topics(inner.by_topic.keys().copied().collect())
        } else {
            Wanted::Everything
        }
    }

    /// Offers an envelope to all filters of its topic. Each key is tried once, whatever others found (§12 Q15); the proof
    /// of work is computed also of what came as history (§12 Q14).
    pub(crate) fn offer(&self, envelope: &WireEnvelope, mut pow: Pow, p2p: bool) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut opened: Vec<(Arc<Filter>, Option<Payload>)> = Vec::new();
        for (id, filter) in self.candidates(envelope.topic(), p2p) {
            if !opened.iter().any(|(tried, _)| tried.key.is(&filter.key)) {
                opened.push((Arc::clone(&filter), filter.key.open(envelope)));
            }
            let payload =
                opened.iter().find(|(tried, _)| tried.key.is(&filter.key)).and_then(|it| it.1.clone());
            let Some(payload) = payload else { continue };
            let signed = filter.source.is_none() || filter.source == payload.source;
            if signed && pow.resolve(envelope, filter.min_pow) {
                // What is told of it is exact.
                pow.resolve(envelope, f64::INFINITY);
                let recipient = match &filter.key {
                    FilterKey::Asymmetric(key) => Some(key.public_key()),
                    FilterKey::Symmetric(_) => None,
                };
                let envelope = envelope.detach();
                self.put(id, FilterMessage { envelope, payload, pow: pow.value(), recipient, p2p });
            }
        }
    }

    fn candidates(&self, topic: Topic, p2p: bool) -> Vec<(FilterId, Arc<Filter>)> {
        let inner = self.inner.lock();
        let of_topic = inner.by_topic.get(&topic).into_iter().flatten();
        of_topic
            .chain(&inner.of_any_topic)
            .filter_map(|id| Some((*id, Arc::clone(&inner.installed.get(id)?.filter))))
            .filter(|(_, filter)| filter.allow_p2p || !p2p)
            .collect()
    }

    fn put(&self, id: FilterId, message: FilterMessage) {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        let weight = message.weight();
        if inner.waiting_bytes + weight > MAX_WAITING_BYTES {
            tracing::debug!(%id, "messages wait in filters that nobody polls: message dropped");
            return;
        }
        if let Some(found) = inner.installed.get_mut(&id)
            && found.hashes.insert(message.envelope.hash())
        {
            inner.waiting_bytes += weight;
            found.waiting.push(message);
        }
    }
}

#[cfg(test)]
mod tests;

//! The rate limiter (`spec/waku-mailserver.md` §4.13): packets and bytes a second, of an address prefix and of a session.
//! Time is an argument.
//!
//! Better than the reference: buckets refill exactly (§12 Q20), exceedings are counted by session and forgiven with time
//! (Q21), and the bucket of a prefix goes with its last session (Q38).

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use enode::NodeId;
use parking_lot::{Mutex, RwLock};
use relay::SourceId;

/// Exceedings of a session that are forgiven in a second.
const FORGIVEN_PER_SECOND: f64 = 1.0;

/// What may come in a second; 0 is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    /// Packets.
    pub packets: u64,
    /// Bytes of their payloads, uncompressed.
    pub bytes: u64,
}

/// Settings of the limiter. What exceeds a rate is counted and still taken in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Of all sessions of one address prefix, /32 of IPv4 and /64 of IPv6, together.
    pub source: Rates,
    /// Of one session.
    pub peer: Rates,
    /// Exceedings, less one a second, at which a session ends; 0 is never.
    pub tolerance: u32,
    /// Nodes that are never limited.
    pub exempt_ids: HashSet<NodeId>,
    /// Addresses that are never limited.
    pub exempt_addresses: HashSet<IpAddr>,
}

/// Tokens that come back with time. Holds those of one second, all of them at first.
#[derive(Debug)]
struct Bucket {
    rate: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    #[expect(clippy::cast_precision_loss, reason = "rates beyond 2^53 a second are no limit")]
    fn new(rate: u64, now: Instant) -> Option<Self> {
        (rate > 0).then_some(Self { rate: rate as f64, tokens: rate as f64, at: now })
    }

    /// Takes `amount` if it is there, else nothing.
    fn take(&mut self, now: Instant, amount: f64) -> bool {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.rate).min(self.rate);
        self.at = now;
        let enough = self.tokens >= amount;
        if enough {
            self.tokens -= amount;
        }
        enough
    }
}

/// The buckets of one prefix or session.
#[derive(Debug)]
struct Meter {
    packets: Option<Bucket>,
    bytes: Option<Bucket>,
}

impl Meter {
    fn new(rates: Rates, now: Instant) -> Self {
        Self { packets: Bucket::new(rates.packets, now), bytes: Bucket::new(rates.bytes, now) }
    }

    /// Whether a packet of `bytes` is within the rates.
    #[expect(clippy::cast_precision_loss, reason = "a packet is far below 2^53 bytes")]
    fn within(&mut self, now: Instant, bytes: usize) -> bool {
        let take = |bucket: &mut Option<Bucket>, amount| bucket.as_mut().is_none_or(|b| b.take(now, amount));
        take(&mut self.packets, 1.0) && take(&mut self.bytes, bytes as f64)
    }
}

/// The limiter of a node.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    /// `None`: off.
    limits: RwLock<Option<Arc<Limits>>>,
    /// How often they were changed.
    generation: AtomicU64,
    /// By prefix. An entry lives as long as it has sessions.
    sources: Mutex<HashMap<SourceId, Source>>,
    /// Sessions that exceeded a rate, and when all of it is forgiven.
    over: Mutex<HashMap<NodeId, Instant>>,
}

/// The sessions of a prefix and their common buckets, made for this generation of limits.
#[derive(Debug)]
struct Source {
    sessions: usize,
    generation: u64,
    meter: Meter,
}

/// What a packet exceeded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Exceeded {
    pub(crate) source: bool,
    pub(crate) peer: bool,
    /// The session is to end.
    pub(crate) intolerable: bool,
}

impl Limiter {
    pub(crate) fn new(limits: Option<Limits>) -> Arc<Self> {
        Arc::new(Self { limits: RwLock::new(limits.map(Arc::new)), ..Self::default() })
    }

    /// The limits in force.
    pub(crate) fn limits(&self) -> Option<Arc<Limits>> {
        self.limits.read().clone()
    }

    /// Changes the limits of all sessions; each has what it exceeded so far forgiven.
    pub(crate) fn set(&self, limits: Option<Limits>) {
        let mut current = self.limits.write();
        *current = limits.map(Arc::new);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Sessions that exceeded a rate of which not all is forgiven.
    pub(crate) fn limited(&self, now: Instant) -> usize {
        self.over.lock().values().filter(|until| **until > now).count()
    }

    /// Begins a session.
    pub(crate) fn session(self: &Arc<Self>, id: NodeId, address: IpAddr, source: SourceId) -> SessionLimiter {
        SessionLimiter { limiter: Arc::clone(self), id, address, source, generation: None, limited: None }
    }

    fn enter(&self, source: SourceId, limits: &Limits, generation: u64, now: Instant) {
        let mut sources = self.sources.lock();
        let fresh = || Source { sessions: 0, generation, meter: Meter::new(limits.source, now) };
        let entry = sources.entry(source).or_insert_with(fresh);
        if entry.generation < generation {
            *entry = Source { sessions: entry.sessions, ..fresh() };
        }
        entry.sessions += 1;
    }

    fn leave(&self, source: SourceId) {
        let mut sources = self.sources.lock();
        if let Some(entry) = sources.get_mut(&source) {
            entry.sessions -= 1;
            if entry.sessions == 0 {
                sources.remove(&source);
            }
        }
    }

    /// Whether a packet is within what its prefix may send.
    fn within(&self, source: SourceId, now: Instant, bytes: usize) -> bool {
        self.sources.lock().get_mut(&source).is_none_or(|entry| entry.meter.within(now, bytes))
    }
}

/// The limiter of a session.
#[derive(Debug)]
pub(crate) struct SessionLimiter {
    limiter: Arc<Limiter>,
    id: NodeId,
    address: IpAddr,
    source: SourceId,
    /// Of the limits that it knows.
    generation: Option<u64>,
    /// `None`: never limited.
    limited: Option<Limited>,
}

#[derive(Debug)]
struct Limited {
    tolerance: u32,
    peer: Meter,
    exceedings: f64,
    at: Instant,
}

impl SessionLimiter {
    /// Counts a packet of `bytes`; `None` when this session is not limited.
    pub(crate) fn count(&mut self, now: Instant, bytes: usize) -> Option<Exceeded> {
        let generation = self.limiter.generation.load(Ordering::Acquire);
        if self.generation != Some(generation) {
            self.renew(generation, now);
        }
        let Limited { tolerance, peer, exceedings, at } = self.limited.as_mut()?;
        let source = !self.limiter.within(self.source, now, bytes);
        let peer = !peer.within(now, bytes);
        if !source && !peer {
            return Some(Exceeded::default());
        }
        let elapsed = now.saturating_duration_since(*at).as_secs_f64();
        *exceedings = (*exceedings - elapsed * FORGIVEN_PER_SECOND).max(0.0) + 1.0;
        *at = now;
        let until = now + Duration::from_secs_f64(*exceedings / FORGIVEN_PER_SECOND);
        self.limiter.over.lock().insert(self.id, until);
        let intolerable = *tolerance > 0 && *exceedings >= f64::from(*tolerance);
        Some(Exceeded { source, peer, intolerable })
    }

    /// Takes up the limits in force.
    fn renew(&mut self, generation: u64, now: Instant) {
        self.end();
        self.generation = Some(generation);
        let Some(limits) = self.limiter.limits() else { return };
        let exempt = limits.exempt_ids.contains(&self.id)
            || limits.exempt_addresses.contains(&self.address.to_canonical());
        if !exempt {
            self.limiter.enter(self.source, &limits, generation, now);
            let peer = Meter::new(limits.peer, now);
            self.limited = Some(Limited { tolerance: limits.tolerance, peer, exceedings: 0.0, at: now });
        }
    }

    fn end(&mut self) {
        if self.limited.take().is_some() {
            self.limiter.leave(self.source);
            self.limiter.over.lock().remove(&self.id);
        }
    }
}

impl Drop for SessionLimiter {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PEER: NodeId = NodeId([1; 32]);
    const SOURCE: SourceId = SourceId(7);

    fn address() -> IpAddr {
        "192.0.2.1".parse().unwrap()
    }

    fn limits(source: u64, peer: u64) -> Limits {
        let packets = |packets| Rates { packets, bytes: 0 };
        Limits { source: packets(source), peer: packets(peer), ..Limits::default() }
    }

    /// Exceedings by prefix and by session of so many packets of `bytes` at once.
    fn burst(limits: Limits, packets: usize, bytes: usize) -> (usize, usize) {
        let now = Instant::now();
        let mut session = Limiter::new(Some(limits)).session(PEER, address(), SOURCE);
        let counted: Vec<Exceeded> = (0..packets).filter_map(|_| session.count(now, bytes)).collect();
        let of = |exceeded: fn(&Exceeded) -> bool| counted.iter().filter(|it| exceeded(it)).count();
        assert_eq!(of(|it| it.intolerable), 0, "without a tolerance nothing is intolerable");
        (of(|it| it.source), of(|it| it.peer))
    }

    /// `spec/waku-mailserver.md` §10.4, V48.
    #[test]
    fn v48_bursts() {
        assert_eq!(burst(limits(10, 5), 100, 40), (90, 95));
        let bytes = Rates { packets: 0, bytes: 30 };
        assert_eq!(burst(Limits { source: bytes, peer: bytes, ..Limits::default() }, 6, 10), (3, 3));
        assert_eq!(burst(Limits::default(), 100, 1 << 20), (0, 0), "all zero: never");
        let id = Limits { exempt_ids: HashSet::from([PEER]), ..limits(1, 1) };
        let ip = Limits { exempt_addresses: HashSet::from([address()]), ..limits(1, 1) };
        assert_eq!((burst(id, 100, 1), burst(ip, 100, 1)), ((0, 0), (0, 0)), "exempt: never");
    }

    #[test]
    fn q20_small_rates_refill() {
        let (limiter, start) = (Limiter::new(Some(limits(0, 2))), Instant::now());
        let mut session = limiter.session(PEER, address(), SOURCE);
        let mut exceeds = |ms| session.count(start + Duration::from_millis(ms), 1).unwrap().peer;
        assert_eq!(
            [0, 0, 0, 490, 510, 900, 1020].map(&mut exceeds),
            [false, false, true, true, false, true, false]
        );
        assert_eq!([60_000; 3].map(exceeds), [false, false, true], "one second's worth is kept");
    }

    #[test]
    fn q21_exceedings_are_counted_by_session_and_forgiven() {
        let limiter = Limiter::new(Some(Limits { tolerance: 3, ..limits(0, 1) }));
        let start = Instant::now();
        let mut session = limiter.session(PEER, address(), SOURCE);
        let mut ends = |at: Instant| session.count(at, 1).unwrap().intolerable;
        assert_eq!([start; 3].map(&mut ends), [false; 3], "one is within, two are forgiven");
        let later = start + Duration::from_secs(2);
        assert_eq!([later; 4].map(&mut ends), [false, false, false, true]);
        let mut other = limiter.session(NodeId([2; 32]), address(), SOURCE);
        assert!(
            ![start; 3].map(|at| other.count(at, 1).unwrap().intolerable).contains(&true),
            "another starts anew"
        );
    }

    #[test]
    fn ops_3_5_limited_sessions_are_counted_until_they_are_forgiven() {
        let (limiter, now) = (Limiter::new(Some(limits(0, 1))), Instant::now());
        let mut sessions = [1, 2, 3].map(|n| limiter.session(NodeId([n; 32]), address(), SourceId(n.into())));
        for session in &mut sessions {
            session.count(now, 1);
        }
        assert_eq!(limiter.limited(now), 0, "within the rate");
        for session in &mut sessions[..2] {
            session.count(now, 1);
        }
        sessions[1].count(now, 1);
        let at = |ms| limiter.limited(now + Duration::from_millis(ms));
        assert_eq!([0, 999, 1000, 1999, 2000].map(at), [2, 2, 1, 1, 0]);
        drop(sessions);
        assert_eq!(limiter.limited(now), 0);
    }

    #[test]
    fn q38_sessions_of_a_prefix_share_its_rate_which_goes_with_the_last() {
        let (limiter, now) = (Limiter::new(Some(limits(3, 0))), Instant::now());
        let session = || limiter.session(PEER, address(), SOURCE);
        let exceeds = |session: &mut SessionLimiter| session.count(now, 1).unwrap().source;
        let (mut one, mut two) = (session(), session());
        let counted = [exceeds(&mut one), exceeds(&mut two), exceeds(&mut one), exceeds(&mut two)];
        assert_eq!(counted, [false, false, false, true]);
        drop(one);
        assert!(exceeds(&mut two));
        drop(two);
        assert!(limiter.sources.lock().is_empty());
        assert!(!exceeds(&mut session()));
    }

    /// Changed limits hold for the sessions that are there: other rates, exempt or no more, off and on again.
    #[test]
    fn limits_change_while_sessions_run() {
        let (limiter, now) = (Limiter::new(None), Instant::now());
        let mut session = limiter.session(PEER, address(), SOURCE);
        let mut other = limiter.session(NodeId([2; 32]), address(), SOURCE);
        assert_eq!((session.count(now, 1), limiter.limits()), (None, None));
        limiter.set(Some(limits(2, 0)));
        let counted = [&mut session, &mut other].map(|it| it.count(now, 1).unwrap().source);
        assert_eq!((counted, session.count(now, 1).unwrap().source), ([false, false], true));
        limiter.set(Some(Limits { exempt_ids: HashSet::from([PEER]), ..limits(1, 0) }));
        assert_eq!(session.count(now, 1), None);
        assert_eq!([other.count(now, 1), other.count(now, 1)].map(|it| it.unwrap().source), [false, true]);
        limiter.set(None);
        assert_eq!([session.count(now, 1), other.count(now, 1)], [None, None]);
        assert!(limiter.sources.lock().is_empty());
    }
}

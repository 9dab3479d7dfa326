//! The rate limiter (`spec/waku-mailserver.md` §4.13): packets and bytes a second, of an address prefix and of a session.
//! Time is an argument.
//!
//! Better than the reference: buckets refill exactly (§12 Q20), exceedings are counted by session and forgiven with time
//! (Q21), and the bucket of a prefix goes with its last session (Q38).

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
    time::Instant,
};

use enode::NodeId;
use parking_lot::Mutex;
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
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: Limits,
    /// By prefix: its sessions and its buckets. An entry lives as long as it has sessions.
    sources: Mutex<HashMap<SourceId, (usize, Meter)>>,
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
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, sources: Mutex::default() })
    }

    /// Begins a session; `None` when it is never limited.
    pub(crate) fn session(
        self: &Arc<Self>,
        id: &NodeId,
        address: IpAddr,
        source: SourceId,
        now: Instant,
    ) -> Option<SessionLimiter> {
        let exempt = &self.limits;
        if exempt.exempt_ids.contains(id) || exempt.exempt_addresses.contains(&address.to_canonical()) {
            return None;
        }
        let mut sources = self.sources.lock();
        sources.entry(source).or_insert_with(|| (0, Meter::new(self.limits.source, now))).0 += 1;
        drop(sources);
        let peer = Meter::new(self.limits.peer, now);
        Some(SessionLimiter { limiter: Arc::clone(self), source, peer, exceedings: 0.0, at: now })
    }
}

/// The limiter of a session.
#[derive(Debug)]
pub(crate) struct SessionLimiter {
    limiter: Arc<Limiter>,
    source: SourceId,
    peer: Meter,
    exceedings: f64,
    at: Instant,
}

impl SessionLimiter {
    /// Counts a packet of `bytes`.
    pub(crate) fn count(&mut self, now: Instant, bytes: usize) -> Exceeded {
        let mut sources = self.limiter.sources.lock();
        let source = sources.get_mut(&self.source).is_some_and(|(_, meter)| !meter.within(now, bytes));
        drop(sources);
        let peer = !self.peer.within(now, bytes);
        if !source && !peer {
            return Exceeded::default();
        }
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.exceedings = (self.exceedings - elapsed * FORGIVEN_PER_SECOND).max(0.0) + 1.0;
        self.at = now;
        let tolerance = self.limiter.limits.tolerance;
        Exceeded { source, peer, intolerable: tolerance > 0 && self.exceedings >= f64::from(tolerance) }
    }
}

impl Drop for SessionLimiter {
    fn drop(&mut self) {
        let mut sources = self.limiter.sources.lock();
        if let Some((sessions, _)) = sources.get_mut(&self.source) {
            *sessions -= 1;
            if *sessions == 0 {
                sources.remove(&self.source);
            }
        }
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
        let limiter = Limiter::new(limits);
        let Some(mut session) = limiter.session(&PEER, address(), SOURCE, now) else { return (0, 0) };
        let counted: Vec<Exceeded> = (0..packets).map(|_| session.count(now, bytes)).collect();
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
        let (limiter, start) = (Limiter::new(limits(0, 2)), Instant::now());
        let mut session = limiter.session(&PEER, address(), SOURCE, start).unwrap();
        let mut exceeds = |ms| session.count(start + Duration::from_millis(ms), 1).peer;
        assert_eq!(
            [0, 0, 0, 490, 510, 900, 1020].map(&mut exceeds),
            [false, false, true, true, false, true, false]
        );
        assert_eq!([60_000; 3].map(exceeds), [false, false, true], "one second's worth is kept");
    }

    #[test]
    fn q21_exceedings_are_counted_by_session_and_forgiven() {
        let limiter = Limiter::new(Limits { tolerance: 3, ..limits(0, 1) });
        let start = Instant::now();
        let mut session = limiter.session(&PEER, address(), SOURCE, start).unwrap();
        let mut ends = |at: Instant| session.count(at, 1).intolerable;
        assert_eq!([start; 3].map(&mut ends), [false; 3], "one is within, two are forgiven");
        let later = start + Duration::from_secs(2);
        assert_eq!([later; 4].map(&mut ends), [false, false, false, true]);
        let mut other = limiter.session(&NodeId([2; 32]), address(), SOURCE, start).unwrap();
        assert!(![start; 3].map(|at| other.count(at, 1).intolerable).contains(&true), "another starts anew");
    }

    #[test]
    fn q38_sessions_of_a_prefix_share_its_rate_which_goes_with_the_last() {
        let (limiter, now) = (Limiter::new(limits(3, 0)), Instant::now());
        let session = || limiter.session(&PEER, address(), SOURCE, now).unwrap();
        let (mut one, mut two) = (session(), session());
        let counted = [one.count(now, 1), two.count(now, 1), one.count(now, 1), two.count(now, 1)];
        assert_eq!(counted.map(|it| it.source), [false, false, false, true]);
        drop(one);
        assert!(two.count(now, 1).source);
        drop(two);
        assert!(limiter.sources.lock().is_empty());
        assert!(!session().count(now, 1).source);
    }
}

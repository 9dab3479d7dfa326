//! Token buckets in front of the signature check: by source, and for all together. Pure.
//!
//! Strangers and sources of proven nodes have a budget each, so that a flood from forged addresses does not shut out
//! those that are known. A source is a /32 or a /64 (design §2, Bounds).

use std::{collections::HashMap, net::IpAddr, time::Instant};

use enode::source_prefix;
use node_config::Cidr;

/// How many packets are taken.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rate {
    /// Packets a second in the long run.
    pub per_second: u32,
    /// Packets at once.
    pub burst: u32,
}

/// The rates of a driver.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rates {
    /// From one source.
    pub source: Rate,
    /// From all sources at which no node is proven, and again from all at which one is.
    pub all: Rate,
}

impl Default for Rates {
    /// 50 a second from a source, 1000 a second from all: some 7 % of a core go to a flood.
    fn default() -> Self {
        Self { source: Rate { per_second: 50, burst: 200 }, all: Rate { per_second: 1000, burst: 2000 } }
    }
}

/// Sources that are remembered at most. More than this many can only be active when the budgets of all are set high.
const MAX_SOURCES: usize = 8192;

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn full(rate: Rate, now: Instant) -> Self {
        Self { tokens: f64::from(rate.burst), at: now }
    }

    fn refill(&mut self, rate: Rate, now: Instant) {
        let grown = now.saturating_duration_since(self.at).as_secs_f64() * f64::from(rate.per_second);
        self.tokens = (self.tokens + grown).min(f64::from(rate.burst));
        self.at = now;
    }

    fn is_full(&self, rate: Rate, now: Instant) -> bool {
        let mut copy = *self;
        copy.refill(rate, now);
        copy.tokens >= f64::from(rate.burst)
    }
}

pub(super) struct Limits {
    rates: Rates,
    shared: Vec<Cidr>,
    strangers: Bucket,
    proven: Bucket,
    sources: HashMap<IpAddr, Bucket>,
}

impl Limits {
    /// Sources in `shared` count only against the budget of all.
    pub(super) fn new(rates: Rates, shared: Vec<Cidr>, now: Instant) -> Self {
        let all = Bucket::full(rates.all, now);
        Self { rates, shared, strangers: all, proven: all, sources: HashMap::new() }
    }

    /// Whether a packet from `ip` is taken now; `proven` if some node is proven there.
    pub(super) fn take(&mut self, now: Instant, ip: IpAddr, proven: bool) -> bool {
        let ip = ip.to_canonical();
        let all = if proven { &mut self.proven } else { &mut self.strangers };
        all.refill(self.rates.all, now);
        // Before a source is remembered: what is remembered is bounded by what all may send.
        if all.tokens < 1.0 {
            return false;
        }
        if !self.shared.iter().any(|range| range.contains(ip)) {
            if self.sources.len() >= MAX_SOURCES {
                self.sources.retain(|_, bucket| !bucket.is_full(self.rates.source, now));
            }
            let rate = self.rates.source;
            let source = source_prefix(ip);
            if self.sources.len() >= MAX_SOURCES && !self.sources.contains_key(&source) {
                return false;
            }
            let bucket = self.sources.entry(source).or_insert_with(|| Bucket::full(rate, now));
            bucket.refill(rate, now);
            if bucket.tokens < 1.0 {
                return false;
            }
            bucket.tokens -= 1.0;
        }
        all.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn rates(source: (u32, u32), all: (u32, u32)) -> Rates {
        let rate = |(per_second, burst)| Rate { per_second, burst };
        Rates { source: rate(source), all: rate(all) }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn taken(limits: &mut Limits, now: Instant, from: &str, proven: bool) -> usize {
        (0..1000).filter(|_| limits.take(now, ip(from), proven)).count()
    }

    #[test]
    fn a_source_has_its_burst_and_then_its_rate() {
        let now = Instant::now();
        let mut limits = Limits::new(rates((10, 30), (1000, 1000)), vec![], now);
        assert_eq!(taken(&mut limits, now, "10.0.0.1", false), 30);
        assert_eq!(taken(&mut limits, now, "10.0.0.2", false), 30, "another is not its business");
        assert_eq!(taken(&mut limits, now + Duration::from_secs(2), "10.0.0.1", false), 20);
        assert_eq!(taken(&mut limits, now + Duration::from_secs(1000), "10.0.0.1", false), 30);
    }

    #[test]
    fn an_ipv6_source_is_a_64_and_a_mapped_address_is_ipv4() {
        let now = Instant::now();
        let mut limits = Limits::new(rates((1, 5), (1000, 1000)), vec![], now);
        assert_eq!(taken(&mut limits, now, "2600:0:0:1::1", false), 5);
        assert_eq!(taken(&mut limits, now, "2600:0:0:1:ffff::2", false), 0);
        assert_eq!(taken(&mut limits, now, "2600:0:0:2::1", false), 5);
        assert_eq!(taken(&mut limits, now, "10.0.0.1", false), 5);
        assert_eq!(taken(&mut limits, now, "::ffff:10.0.0.1", false), 0);
    }

    #[test]
    fn a_flood_of_strangers_leaves_room_for_proven_sources() {
        let now = Instant::now();
        let mut limits = Limits::new(rates((10, 10), (100, 100)), vec![], now);
        let flood = (0..200).filter(|n| limits.take(now, IpAddr::from([10, 1, 1, *n]), false)).count();
        assert_eq!(flood, 100);
        assert_eq!(taken(&mut limits, now, "10.0.0.1", false), 0);
        assert_eq!(taken(&mut limits, now, "10.0.0.2", true), 10);
    }

    #[test]
    fn shared_sources_count_against_the_budget_of_all_only() {
        let now = Instant::now();
        let mut limits = Limits::new(rates((1, 1), (50, 50)), vec!["10.9.0.0/16".parse().unwrap()], now);
        assert_eq!(taken(&mut limits, now, "10.9.0.1", false), 50);
    }

    #[test]
    fn sources_are_remembered_within_a_bound() {
        let now = Instant::now();
        let mut limits = Limits::new(rates((1, 10), (1_000_000, 1_000_000)), vec![], now);
        for n in 0..20_000_u32 {
            limits.take(now, IpAddr::from(n.to_be_bytes()), false);
        }
        assert_eq!(limits.sources.len(), MAX_SOURCES);
        assert!(
            limits.take(now + Duration::from_secs(1), ip("99.0.0.1"), false),
            "full buckets are forgotten"
        );
        assert_eq!(limits.sources.len(), 1);
    }
}

//! Inbound throttling: one attempt per source and period. Pure. Facts: `spec/devp2p.md` §3.3; IPv6 counts by /64
//! (design §2, Bounds), since a host has a whole one.

use std::{
    collections::{HashSet, VecDeque},
    net::IpAddr,
    time::{Duration, Instant},
};

use enode::{is_lan, source_prefix};
use node_config::Cidr;

/// Sources that are remembered at most; beyond that the oldest are forgotten.
const CAPACITY: usize = 65_536;

/// Which sources tried lately.
pub(crate) struct Throttle {
    period: Duration,
    shared: Vec<Cidr>,
    private_too: bool,
    recent: HashSet<IpAddr>,
    order: VecDeque<(Instant, IpAddr)>,
}

impl Throttle {
    /// `shared` and, unless `private_too`, loopback and private sources are never throttled.
    pub(crate) fn new(period: Duration, shared: Vec<Cidr>, private_too: bool) -> Self {
        Self { period, shared, private_too, recent: HashSet::new(), order: VecDeque::new() }
    }

    /// Whether an attempt from `ip` is allowed now. A refused one does not extend the period.
    pub(crate) fn allow(&mut self, now: Instant, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        if self.shared.iter().any(|range| range.contains(ip)) || (!self.private_too && is_lan(ip)) {
            return true;
        }
        while let Some((until, source)) = self.order.front() {
            if *until > now && self.order.len() < CAPACITY {
                break;
            }
            self.recent.remove(source);
            self.order.pop_front();
        }
        let source = source_prefix(ip);
        if !self.recent.insert(source) {
            return false;
        }
        self.order.push_back((now + self.period, source));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn throttle(shared: &str) -> Throttle {
        let shared = shared.split_whitespace().map(|range| range.parse().unwrap()).collect();
        Throttle::new(Duration::from_secs(30), shared, false)
    }

    /// `spec/devp2p.md` §3.3: once in 30 s, and a refused attempt does not extend the period.
    #[test]
    fn section_3_3_once_in_thirty_seconds() {
        let (mut throttle, start) = (throttle(""), Instant::now());
        let at = |s| start + Duration::from_secs(s);
        assert!(throttle.allow(at(0), ip("203.0.113.1")));
        assert!(throttle.allow(at(0), ip("203.0.113.2")), "another source");
        assert!(!throttle.allow(at(1), ip("203.0.113.1")));
        assert!(!throttle.allow(at(29), ip("203.0.113.1")));
        assert!(throttle.allow(at(30), ip("203.0.113.1")));
        assert!(!throttle.allow(at(31), ip("::ffff:203.0.113.1")), "mapped is the same");
    }

    /// `spec/devp2p.md` §3.3: the exempt ranges.
    #[test]
    fn section_3_3_exempt_ranges() {
        let now = Instant::now();
        for exempt in [
            "127.0.0.1",
            "0.1.2.3",
            "10.9.8.7",
            "172.16.0.1",
            "172.31.255.1",
            "192.168.1.1",
            "::1",
            "fe80::1",
            "fd00::1",
            "fc00::1",
        ] {
            let mut throttle = throttle("");
            assert!(throttle.allow(now, ip(exempt)) && throttle.allow(now, ip(exempt)), "{exempt}");
        }
        for counted in ["172.32.0.1", "192.169.1.1", "11.0.0.1", "2001:db8::1", "100.64.0.1"] {
            let mut throttle = throttle("");
            assert!(throttle.allow(now, ip(counted)) && !throttle.allow(now, ip(counted)), "{counted}");
        }
        let mut all = Throttle::new(Duration::from_secs(30), Vec::new(), true);
        assert!(all.allow(now, ip("127.0.0.1")) && !all.allow(now, ip("127.0.0.1")));
    }

    #[test]
    fn ipv6_counts_by_64_bits() {
        let (mut throttle, now) = (throttle(""), Instant::now());
        assert!(throttle.allow(now, ip("2001:db8:0:1::1")));
        assert!(!throttle.allow(now, ip("2001:db8:0:1:ffff::2")));
        assert!(throttle.allow(now, ip("2001:db8:0:2::1")));
    }

    #[test]
    fn shared_sources_are_not_throttled() {
        let (mut throttle, now) = (throttle("203.0.113.0/24 2001:db8::/32"), Instant::now());
        for shared in ["203.0.113.9", "2001:db8::9"] {
            assert!(throttle.allow(now, ip(shared)) && throttle.allow(now, ip(shared)));
        }
    }

    #[test]
    fn memory_is_bounded() {
        let (mut throttle, now) = (throttle(""), Instant::now());
        for i in 0..2 * u32::try_from(CAPACITY).unwrap() {
            throttle.allow(now, IpAddr::from((0x2000_0000 + i).to_be_bytes()));
        }
        assert!(throttle.order.len() <= CAPACITY && throttle.recent.len() <= CAPACITY);
    }
}

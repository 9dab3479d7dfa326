//! Families that are asked for at each scrape: connections of the devp2p server, the relay's pool, discovery.
//! Facts: `spec/operations.md` §3.4 (names `p2p_serves`, `p2p_dials`), §3.5 (what was missing).

use devp2p::Totals;
use prometheus::{
    IntCounter, IntCounterVec, IntGauge, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use relay::Stats;

/// Connections of the devp2p server.
pub(crate) struct Connections {
    ask: Box<dyn Fn() -> Totals + Send + Sync>,
    serves: IntGauge,
    dials: IntGauge,
    throttled: IntCounter,
    failures: IntCounterVec,
    ended: IntCounterVec,
}

impl Connections {
    pub(crate) fn new(ask: impl Fn() -> Totals + Send + Sync + 'static) -> prometheus::Result<Self> {
        Ok(Self {
            ask: Box::new(ask),
            // The reference's go-ethereum registry has counters as gauges.
            serves: IntGauge::new("p2p_serves", "Connections accepted since the start.")?,
            dials: IntGauge::new("p2p_dials", "Dials since the start.")?,
            throttled: IntCounter::new(
                "statusd_p2p_throttled_total",
                "Connections closed at once because their address came again too soon.",
            )?,
            failures: IntCounterVec::new(
                Opts::new("statusd_p2p_connection_failures_total", "Connections that did not become a peer."),
                &["direction", "cause"],
            )?,
            ended: IntCounterVec::new(
                Opts::new("statusd_p2p_sessions_ended_total", "Sessions of peers that ended."),
                &["cause"],
            )?,
        })
    }
}

/// A counter that stands at `total`.
fn set(counter: &IntCounter, total: u64) {
    counter.reset();
    counter.inc_by(total);
}

/// A family without a series is refused by the registry.
fn with_series(families: Vec<MetricFamily>) -> impl Iterator<Item = MetricFamily> {
    families.into_iter().filter(|family| !family.get_metric().is_empty())
}

impl Collector for Connections {
    fn desc(&self) -> Vec<&Desc> {
        let mut all = self.serves.desc();
        all.extend(self.dials.desc());
        all.extend(self.throttled.desc());
        all.extend(self.failures.desc());
        all.extend(self.ended.desc());
        all
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let totals = (self.ask)();
        self.serves.set(i64::try_from(totals.accepted).unwrap_or(i64::MAX));
        self.dials.set(i64::try_from(totals.dials).unwrap_or(i64::MAX));
        set(&self.throttled, totals.throttled);
        for (direction, cause, count) in totals.failed {
            set(&self.failures.with_label_values(&[direction.as_str(), cause]), count);
        }
        for (cause, count) in totals.ended {
            set(&self.ended.with_label_values(&[cause]), count);
        }
        let mut all = self.serves.collect();
        all.extend(self.dials.collect());
        all.extend(self.throttled.collect());
        all.extend(with_series(self.failures.collect()));
        all.extend(with_series(self.ended.collect()));
        all
    }
}

/// What a gauge shows of a part.
type Of<T> = fn(&T) -> usize;
type Figure<T> = (IntGauge, Of<T>);

/// Gauges of one part of the node.
pub(crate) struct Gauges<T> {
    ask: Box<dyn Fn() -> Option<T> + Send + Sync>,
    figures: Vec<Figure<T>>,
}

impl<T> Gauges<T> {
    /// `ask` gives nothing while the part does not run; its families are then absent.
    pub(crate) fn new(
        ask: impl Fn() -> Option<T> + Send + Sync + 'static,
        figures: impl IntoIterator<Item = (&'static str, &'static str, Of<T>)>,
    ) -> prometheus::Result<Self> {
        let figures: prometheus::Result<_> =
            figures.into_iter().map(|(name, help, of)| Ok((IntGauge::new(name, help)?, of))).collect();
        Ok(Self { ask: Box::new(ask), figures: figures? })
    }
}

impl<T> Collector for Gauges<T> {
    fn desc(&self) -> Vec<&Desc> {
        self.figures.iter().flat_map(|(gauge, _)| gauge.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(now) = (self.ask)() else { return Vec::new() };
        let set = |(gauge, of): &Figure<T>| {
            gauge.set(i64::try_from(of(&now)).unwrap_or(i64::MAX));
            gauge.collect()
        };
        self.figures.iter().flat_map(set).collect()
    }
}

/// What the relay holds.
pub(crate) fn relay(ask: impl Fn() -> Stats + Send + Sync + 'static) -> prometheus::Result<Gauges<Stats>> {
    let figures: [(_, _, Of<Stats>); 4] = [
        ("statusd_relay_pool_envelopes", "Envelopes that are relayed until they expire.", |s| s.envelopes),
        ("statusd_relay_pool_bytes", "Bytes of these envelopes.", |s| s.bytes),
        ("statusd_relay_seen_envelopes", "Hashes by which an envelope that comes again is known.", |s| {
            s.remembered
        }),
        ("statusd_relay_index_topics", "Topics of all peers in the index of interests.", |s| s.topics),
    ];
    Gauges::new(move || Some(ask()), figures)
}

/// Room for peers.
pub(crate) fn slots(ask: impl Fn() -> usize + Send + Sync + 'static) -> prometheus::Result<Gauges<usize>> {
    let figures: [(_, _, Of<usize>); 1] = [(
        "statusd_p2p_inbound_slots_left",
        "Peers that may still connect by themselves, those that are trusted not counted.",
        |slots| *slots,
    )];
    Gauges::new(move || Some(ask()), figures)
}

/// Peers that send too much.
pub(crate) fn limited(ask: impl Fn() -> usize + Send + Sync + 'static) -> prometheus::Result<Gauges<usize>> {
    let figures: [(_, _, Of<usize>); 1] = [(
        "statusd_waku_rate_limited_peers",
        "Connected peers that exceeded a rate limit of late.",
        |peers| *peers,
    )];
    Gauges::new(move || Some(ask()), figures)
}

/// What waits for the archive.
pub(crate) fn archive_queue(
    ask: impl Fn() -> usize + Send + Sync + 'static,
) -> prometheus::Result<Gauges<usize>> {
    let figures: [(_, _, Of<usize>); 1] =
        [("statusd_archive_queue_bytes", "Bytes of envelopes that wait to be written.", |bytes| *bytes)];
    Gauges::new(move || Some(ask()), figures)
}

/// What waits on disk for a database.
pub(crate) fn archive_spool(
    ask: impl Fn() -> u64 + Send + Sync + 'static,
) -> prometheus::Result<Gauges<u64>> {
    let figures: [(_, _, Of<u64>); 1] = [(
        "statusd_archive_spool_bytes",
        "Bytes of envelopes that wait on disk while the database is away.",
        |bytes| usize::try_from(*bytes).unwrap_or(usize::MAX),
    )];
    Gauges::new(move || Some(ask()), figures)
}

/// What discovery holds and did; absent while it does not run.
pub(crate) fn discovery(
    ask: impl Fn() -> Option<discovery::Stats> + Send + Sync + 'static,
) -> prometheus::Result<Gauges<discovery::Stats>> {
    let figures: [(_, _, Of<discovery::Stats>); 4] = [
        ("statusd_discovery_nodes", "Nodes that discovery remembers, proven or being proven.", |s| s.nodes),
        ("statusd_discovery_table_nodes", "Nodes in the table of discovery.", |s| s.table),
        ("statusd_discovery_topics", "Topics that nodes registered here.", |s| s.topics),
        ("statusd_discovery_topic_entries", "Nodes registered here, of all topics.", |s| s.topic_entries),
    ];
    Gauges::new(ask, figures)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use devp2p::Direction;
    use parking_lot::Mutex;
    use prometheus::{Registry, TextEncoder};

    use super::*;

    fn text(registry: &Registry) -> String {
        TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
    }

    #[test]
    fn connections_are_counted_by_direction_and_cause() {
        let totals = Arc::new(Mutex::new(Totals::default()));
        let registry = Registry::new();
        let ask = Arc::clone(&totals);
        registry.register(Box::new(Connections::new(move || ask.lock().clone()).unwrap())).unwrap();
        assert!(text(&registry).contains("\np2p_serves 0\n"), "{}", text(&registry));
        *totals.lock() = Totals {
            accepted: 3,
            throttled: 2,
            dials: 1,
            failed: vec![(Direction::Inbound, "too_many_peers", 4)],
            ended: vec![("eof", 5)],
        };
        for _ in 0..2 {
            let text = text(&registry);
            for line in [
                "p2p_serves 3",
                "p2p_dials 1",
                "statusd_p2p_throttled_total 2",
                "statusd_p2p_connection_failures_total{cause=\"too_many_peers\",direction=\"inbound\"} 4",
                "statusd_p2p_sessions_ended_total{cause=\"eof\"} 5",
            ] {
                assert!(text.lines().any(|found| found == line), "{line} in {text}");
            }
        }
    }

    #[test]
    fn gauges_follow_their_part_and_are_absent_without_it() {
        let stats = Arc::new(Mutex::new(None));
        let registry = Registry::new();
        let ask = Arc::clone(&stats);
        let figures: [(_, _, Of<usize>); 1] = [("x", "A figure.", |n| *n)];
        registry.register(Box::new(Gauges::new(move || *ask.lock(), figures).unwrap())).unwrap();
        assert_eq!(text(&registry), "");
        *stats.lock() = Some(7);
        assert!(text(&registry).contains("\nx 7\n"));
    }
}

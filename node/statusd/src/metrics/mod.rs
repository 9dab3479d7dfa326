//! The Prometheus registry of the node: process, build, peers and archive; waku and mailserver register theirs.
//! Facts: `spec/operations.md` §3.2, §3.3 (names), §3.5 (what was missing).

pub(crate) mod live;
mod system;
pub(crate) mod traffic;

use std::{collections::HashMap, sync::Arc};

use archive::Stats;
use prometheus::{
    IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use crate::rpc::Backend;

/// Longest label value taken from a peer's name.
const MAX_LABEL_CHARS: usize = 64;

/// The registry and the gauges that are set when it is read.
pub(crate) struct Metrics {
    registry: Registry,
    ready: IntGauge,
    archive: Option<ArchiveGauges>,
}

struct ArchiveGauges {
    envelopes: IntGauge,
    bytes: IntGauge,
    floor: IntGauge,
    oldest: IntGauge,
    newest: IntGauge,
}

impl Metrics {
    /// A registry with the families of the process, the build, and of an archive if there is one.
    ///
    /// # Errors
    /// A name is taken.
    pub(crate) fn new(version: &str, config_hash: &str, archive: bool) -> prometheus::Result<Self> {
        let registry = Registry::new();
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        let build = IntGaugeVec::new(
            Opts::new("statusd_build_info", "Always 1; the version and the configuration that runs."),
            &["version", "config_hash"],
        )?;
        build.with_label_values(&[version, config_hash]).set(1);
        registry.register(Box::new(build))?;
        let gauge = |name, help| -> prometheus::Result<IntGauge> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        waku::Metrics::register_waku2(&registry)?;
        let ready = gauge("statusd_ready", "1 when the node can serve, else 0.")?;
        let archive = if archive {
            Some(ArchiveGauges {
                envelopes: gauge("statusd_archive_envelopes", "Envelopes in the archive.")?,
                bytes: gauge("statusd_archive_bytes", "Bytes of envelopes in the archive.")?,
                floor: gauge(
                    "statusd_archive_floor_timestamp_seconds",
                    "UNIX time below which nothing is served any more.",
                )?,
                oldest: gauge(
                    "statusd_archive_oldest_timestamp_seconds",
                    "UNIX time of the oldest envelope, 0 when there is none.",
                )?,
                newest: gauge(
                    "statusd_archive_newest_timestamp_seconds",
                    "UNIX time of the newest envelope, 0 when there is none.",
                )?,
            })
        } else {
            None
        };
        Ok(Self { registry, ready, archive })
    }

    /// Adds the families of the machine, the process and the runtime that this is called in.
    ///
    /// # Errors
    /// A name is taken.
    pub(crate) fn register_system(&self) -> prometheus::Result<()> {
        self.registry.register(Box::new(system::System::new()?))
    }

    /// Where other parts register their families.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Adds the peer families, counted anew whenever they are read, but for `p2p_peers_max`, which is given back.
    ///
    /// # Errors
    /// A name is taken.
    pub(crate) fn register_peers(
        &self,
        node: Arc<dyn Backend>,
        max_peers: u32,
    ) -> prometheus::Result<IntGauge> {
        let peers = Peers::new(node, max_peers)?;
        let max = peers.max.clone();
        self.registry.register(Box::new(peers))?;
        Ok(max)
    }

    /// All families as text. `stats` are the archive's, if it could be asked.
    ///
    /// # Errors
    /// A family cannot be written as text.
    pub(crate) fn render(&self, ready: bool, stats: Option<Stats>) -> prometheus::Result<String> {
        self.ready.set(i64::from(ready));
        if let (Some(gauges), Some(stats)) = (&self.archive, stats) {
            gauges.envelopes.set(i64::try_from(stats.envelopes).unwrap_or(i64::MAX));
            gauges.bytes.set(i64::try_from(stats.bytes).unwrap_or(i64::MAX));
            gauges.floor.set(i64::from(stats.floor));
            gauges.oldest.set(stats.oldest.map_or(0, i64::from));
            gauges.newest.set(stats.newest.map_or(0, i64::from));
        }
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

/// `p2p_peers`, `p2p_peers_absolute`, `p2p_peers_max`, `p2p_peers_count`: exact at every scrape.
struct Peers {
    node: Arc<dyn Backend>,
    connected: IntGauge,
    absolute: IntGauge,
    max: IntGauge,
    count: IntGaugeVec,
}

impl Peers {
    fn new(node: Arc<dyn Backend>, max_peers: u32) -> prometheus::Result<Self> {
        let max = IntGauge::new("p2p_peers_max", "Maximum number of peers.")?;
        max.set(i64::from(max_peers));
        Ok(Self {
            node,
            connected: IntGauge::new("p2p_peers", "Connected peers.")?,
            absolute: IntGauge::new("p2p_peers_absolute", "Absolute number of connected peers.")?,
            max,
            count: IntGaugeVec::new(
                Opts::new("p2p_peers_count", "Number of connected peers by client name."),
                &["type", "version", "platform"],
            )?,
        })
    }
}

impl Collector for Peers {
    fn desc(&self) -> Vec<&Desc> {
        let mut all = self.connected.desc();
        all.extend(self.absolute.desc());
        all.extend(self.max.desc());
        all.extend(self.count.desc());
        all
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let names = self.node.peer_names();
        let total = i64::try_from(names.len()).unwrap_or(i64::MAX);
        self.connected.set(total);
        self.absolute.set(total);
        let mut counts: HashMap<[String; 3], i64> = HashMap::new();
        for labels in names.iter().filter_map(|name| labels(name)) {
            *counts.entry(labels).or_default() += 1;
        }
        self.count.reset();
        for ([kind, version, platform], count) in &counts {
            self.count.with_label_values(&[kind, version, platform]).set(*count);
        }
        let mut all = self.connected.collect();
        all.extend(self.absolute.collect());
        all.extend(self.max.collect());
        // The registry refuses a family without a series.
        all.extend(self.count.collect().into_iter().filter(|_| !counts.is_empty()));
        all
    }
}

/// Type, version and platform of a peer name: four segments, or three with an unknown version; others are skipped.
fn labels(name: &str) -> Option<[String; 3]> {
    let segments: Vec<&str> = name.split('/').collect();
    let clean = |text: &str| text.chars().filter(|c| !c.is_control()).take(MAX_LABEL_CHARS).collect();
    match segments.as_slice() {
        [kind, version, platform, _] => Some([clean(kind), clean(version), clean(platform)]),
        [kind, platform, _] => Some([clean(kind), "unknown".to_owned(), clean(platform)]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::testing::Sample;

    #[test]
    fn ops_3_2_peer_names_are_split_into_labels() {
        let text = |labels: [&str; 3]| Some(labels.map(str::to_owned));
        assert_eq!(
            labels("StatusIM/v1.14.0/android-arm64/go1.16"),
            text(["StatusIM", "v1.14.0", "android-arm64"])
        );
        assert_eq!(labels("Statusd/linux-amd64/go1.13"), text(["Statusd", "unknown", "linux-amd64"]));
        for other in ["", "Geth", "a/b", "a/b/c/d/e"] {
            assert_eq!(labels(other), None, "{other}");
        }
        assert_eq!(labels(&format!("{}/b/c/d", "x".repeat(500))).unwrap()[0].len(), MAX_LABEL_CHARS);
    }

    #[test]
    fn ops_3_3_all_four_peer_families_are_exact() {
        let metrics = Metrics::new("1.2.3", "c0ffee", false).unwrap();
        let node = Arc::new(Sample::default());
        metrics.register_peers(Arc::clone(&node) as Arc<dyn Backend>, 500).unwrap();
        let text = metrics.render(true, None).unwrap();
        for line in ["p2p_peers 0", "p2p_peers_absolute 0", "p2p_peers_max 500", "statusd_ready 1"] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        node.names.lock().extend([
            "A/v1/linux-amd64/go1".to_owned(),
            "A/v1/linux-amd64/go2".to_owned(),
            "odd".to_owned(),
        ]);
        let text = metrics.render(false, None).unwrap();
        let count = r#"p2p_peers_count{platform="linux-amd64",type="A",version="v1"} 2"#;
        for line in ["p2p_peers 3", "p2p_peers_absolute 3", count, "statusd_ready 0"] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        node.names.lock().clear();
        assert!(!metrics.render(true, None).unwrap().contains("p2p_peers_count{"), "gone with the peers");
    }

    #[test]
    fn process_and_build_families() {
        let metrics = Metrics::new("1.2.3", "c0ffee", true).unwrap();
        let stats = Stats { envelopes: 5, bytes: 6, oldest: Some(7), newest: None, floor: 8 };
        let text = metrics.render(true, Some(stats)).unwrap();
        for line in [
            r#"statusd_build_info{config_hash="c0ffee",version="1.2.3"} 1"#,
            "statusd_archive_envelopes 5",
            "statusd_archive_bytes 6",
            "statusd_archive_oldest_timestamp_seconds 7",
            "statusd_archive_newest_timestamp_seconds 0",
            "statusd_archive_floor_timestamp_seconds 8",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        for name in ["process_resident_memory_bytes ", "process_open_fds ", "process_cpu_seconds_total "] {
            assert!(text.contains(&format!("\n{name}")), "{name} in {text}");
        }
    }
}

//! What calls came to: the families `rpc_*` of the reference's go-ethereum registry, times in nanoseconds as there.
//!
//! Only methods that exist are counted, so no caller can make families. Facts: `spec/operations.md` §3.4.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use prometheus::{
    IntGauge,
    core::{Collector, Desc},
    proto::{Metric, MetricFamily, MetricType, Quantile, Summary},
};

/// Latest calls of a method that the quantiles are of.
const SAMPLES: usize = 256;
const QUANTILES: [f64; 6] = [0.5, 0.75, 0.95, 0.99, 0.999, 0.9999];

/// Counts of all transports together. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Calls(Arc<Mutex<Counted>>);

#[derive(Debug, Default)]
struct Counted {
    success: u64,
    failure: u64,
    all: Timer,
    /// By method, and whether it succeeded.
    methods: BTreeMap<(&'static str, bool), Timer>,
}

#[derive(Debug, Default)]
struct Timer {
    count: u64,
    /// Nanoseconds of all.
    sum: u64,
    /// Nanoseconds of the latest.
    latest: VecDeque<u64>,
}

impl Timer {
    fn add(&mut self, nanoseconds: u64) {
        self.count += 1;
        self.sum = self.sum.saturating_add(nanoseconds);
        if self.latest.len() == SAMPLES {
            self.latest.pop_front();
        }
        self.latest.push_back(nanoseconds);
    }

    #[expect(clippy::cast_precision_loss, reason = "a nanosecond in weeks is lost")]
    fn family(&self, name: String, help: String) -> MetricFamily {
        let mut sorted: Vec<u64> = self.latest.iter().copied().collect();
        sorted.sort_unstable();
        let quantile = |q: f64| {
            let mut quantile = Quantile::default();
            quantile.set_quantile(q);
            quantile.set_value(percentile(&sorted, q));
            quantile
        };
        let mut summary = Summary::default();
        summary.set_sample_count(self.count);
        summary.set_sample_sum(self.sum as f64);
        summary.set_quantile(QUANTILES.map(quantile).to_vec());
        let mut metric = Metric::default();
        metric.set_summary(summary);
        let mut family = MetricFamily::default();
        family.set_name(name);
        family.set_help(help);
        family.set_field_type(MetricType::SUMMARY);
        family.mut_metric().push(metric);
        family
    }
}

/// Between the two nearest, as go-ethereum has it; 0 of none.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place among at most SAMPLES"
)]
fn percentile(sorted: &[u64], q: f64) -> f64 {
    let place = (q * (sorted.len() as f64 + 1.0)).max(1.0);
    let value = |place: usize| sorted.get(place.min(sorted.len()) - 1).map_or(0.0, |value| *value as f64);
    if sorted.is_empty() {
        return 0.0;
    }
    let (below, above) = (value(place as usize), value(place as usize + 1));
    below + place.fract() * (above - below)
}

impl Calls {
    /// Counts a call of a method that exists.
    pub(super) fn count(&self, method: &'static str, success: bool, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let mut counted = self.0.lock();
        let total = if success { &mut counted.success } else { &mut counted.failure };
        *total += 1;
        counted.all.add(nanoseconds);
        counted.methods.entry((method, success)).or_default().add(nanoseconds);
    }

    /// The families, for a registry.
    ///
    /// # Errors
    /// None that could be met.
    pub(crate) fn collector(&self) -> prometheus::Result<impl Collector + use<>> {
        Ok(Families {
            calls: self.clone(),
            // The reference's go-ethereum registry has counters as gauges.
            requests: IntGauge::new("rpc_requests", "JSON-RPC calls of methods that exist.")?,
            success: IntGauge::new("rpc_success", "Of these, calls that succeeded.")?,
            failure: IntGauge::new("rpc_failure", "Of these, calls that failed.")?,
        })
    }
}

struct Families {
    calls: Calls,
    requests: IntGauge,
    success: IntGauge,
    failure: IntGauge,
}

impl Families {
    fn gauges(&self) -> [&IntGauge; 3] {
        [&self.requests, &self.success, &self.failure]
    }
}

impl Collector for Families {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let counted = self.calls.0.lock();
        let numbers = [counted.success + counted.failure, counted.success, counted.failure];
        for (gauge, number) in self.gauges().into_iter().zip(numbers) {
            gauge.set(i64::try_from(number).unwrap_or(i64::MAX));
        }
        let mut all: Vec<_> = self.gauges().into_iter().flat_map(Collector::collect).collect();
        all.push(counted.all.family("rpc_duration_all".to_owned(), "Nanoseconds of all calls.".to_owned()));
        for ((method, success), timer) in &counted.methods {
            let end = if *success { "success" } else { "failure" };
            all.push(timer.family(
                format!("rpc_duration_{method}_{end}"),
                format!("Nanoseconds of calls of {method}: {end}."),
            ));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{Registry, TextEncoder};

    use super::*;

    fn text(calls: &Calls) -> String {
        let registry = Registry::new();
        registry.register(Box::new(calls.collector().unwrap())).unwrap();
        TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
    }

    #[test]
    fn ops_3_4_families_by_name_type_and_quantile() {
        let calls = Calls::default();
        assert!(text(&calls).contains("\nrpc_duration_all_count 0\n"), "there from the start");
        for microseconds in 1..=3 {
            calls.count("admin_peers", true, Duration::from_micros(microseconds));
        }
        calls.count("waku_post", false, Duration::from_micros(10));
        let text = text(&calls);
        for line in [
            "# TYPE rpc_requests gauge",
            "rpc_requests 4",
            "# TYPE rpc_success gauge",
            "rpc_success 3",
            "# TYPE rpc_failure gauge",
            "rpc_failure 1",
            "# TYPE rpc_duration_all summary",
            "rpc_duration_all_count 4",
            "rpc_duration_all_sum 16000",
            "# TYPE rpc_duration_admin_peers_success summary",
            "rpc_duration_admin_peers_success_count 3",
            "rpc_duration_waku_post_failure_count 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        for (quantile, value) in
            [("0.5", 2000), ("0.75", 3000), ("0.95", 3000), ("0.99", 3000), ("0.999", 3000), ("0.9999", 3000)]
        {
            let line = format!("rpc_duration_admin_peers_success{{quantile=\"{quantile}\"}} {value}");
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert!(!text.contains("admin_peers_failure"), "with the first use");
    }

    #[test]
    fn percentiles_lie_between_the_nearest() {
        assert_eq!(percentile(&[], 0.5), 0.0);
        assert_eq!(percentile(&[10, 20], 0.5), 15.0);
        assert_eq!(percentile(&[10, 20, 30, 40], 0.75), 37.5);
        assert_eq!(percentile(&[10], 0.999), 10.0);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut timer = Timer::default();
        for nanoseconds in 0..1000 {
            timer.add(nanoseconds);
        }
        assert_eq!((timer.count, timer.latest.len(), timer.latest.front()), (1000, SAMPLES, Some(&744)));
    }
}

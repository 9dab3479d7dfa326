//! The operator's own metrics: names, labels and meaning.
//!
//! Owns one registry. Must never carry a label whose values a user's object can multiply without bound: per-object
//! figures belong to the nodes.

use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// Every family of the operator; cloned freely, all clones count into one registry.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    /// `status_operator_reconciles_total{outcome}`: `ok`, or the class of the error.
    pub reconciles: IntCounterVec,
    /// `status_operator_reconcile_seconds`.
    pub reconcile_seconds: Histogram,
    /// `status_operator_api_requests_total{verb,code}`: every request to the API server.
    pub api_requests: IntCounterVec,
    /// `status_operator_writes_total{verb,kind}`: accepted writes.
    pub writes: IntCounterVec,
    /// `status_operator_probes_total{probe,outcome}`: polls of `/status` and canaries.
    pub probes: IntCounterVec,
    /// `status_operator_invalid_objects{kind}`: stored objects that cannot be read as their type.
    pub invalid_objects: IntGaugeVec,
    /// `status_operator_objects{kind}`: objects in the caches.
    pub objects: IntGaugeVec,
    /// `status_operator_leader`: 1 on the instance that writes.
    pub leader: IntGauge,
}

impl Metrics {
    /// All families, registered.
    ///
    /// # Errors
    /// Only when two families have one name, which the tests of this module would show.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let family = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            let family = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        let seconds = Histogram::with_opts(
            HistogramOpts::new("status_operator_reconcile_seconds", "Duration of one reconcile.")
                .buckets(vec![0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0]),
        )?;
        registry.register(Box::new(seconds.clone()))?;
        let leader = IntGauge::new("status_operator_leader", "1 when this instance leads.")?;
        registry.register(Box::new(leader.clone()))?;
        let build = gauges("status_operator_build_info", "Version of the operator.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Self {
            reconciles: counters(
                "status_operator_reconciles_total",
                "Reconciles by outcome: ok or the class of the error.",
                &["outcome"],
            )?,
            reconcile_seconds: seconds,
            api_requests: counters(
                "status_operator_api_requests_total",
                "Requests to the API server by verb and answer.",
                &["verb", "code"],
            )?,
            writes: counters(
                "status_operator_writes_total",
                "Objects written, by verb and kind.",
                &["verb", "kind"],
            )?,
            probes: counters(
                "status_operator_probes_total",
                "Probes of nodes by kind of probe and outcome.",
                &["probe", "outcome"],
            )?,
            invalid_objects: gauges(
                "status_operator_invalid_objects",
                "Stored objects that cannot be read as their type.",
                &["kind"],
            )?,
            objects: gauges("status_operator_objects", "Objects in the caches.", &["kind"])?,
            leader,
            registry,
        })
    }

    /// The text exposition format.
    ///
    /// # Errors
    /// When a family cannot be encoded.
    pub fn encode(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::with_capacity(8 * 1024);
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_is_registered_and_named_after_the_operator() {
        let metrics = Metrics::new().unwrap();
        metrics.reconciles.with_label_values(&["ok"]).inc();
        metrics.api_requests.with_label_values(&["get", "200"]).inc();
        metrics.writes.with_label_values(&["apply", "Service"]).inc();
        metrics.probes.with_label_values(&["canary", "ok"]).inc();
        metrics.invalid_objects.with_label_values(&["StatusNode"]).set(1);
        metrics.objects.with_label_values(&["Pod"]).set(3);
        let text = String::from_utf8(metrics.encode().unwrap()).unwrap();
        let names: Vec<&str> =
            text.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        assert_eq!(names.len(), 9, "{names:?}");
        assert!(names.iter().all(|n| n.starts_with("status_operator_")), "{names:?}");
    }
}

//! Prometheus families of `spec/waku-mailserver.md` §6.1, by the reference's names and help texts.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};
use relay::Rejection;

use crate::rate::Exceeded;

/// The families. Labelled series appear with their first use, unlabelled ones at once.
#[derive(Debug, Clone)]
pub struct Metrics {
    pub(crate) received: IntCounter,
    pub(crate) validated: IntCounter,
    pub(crate) rejected: IntCounterVec,
    pub(crate) cache_failures: IntCounterVec,
    pub(crate) cached: IntCounterVec,
    pub(crate) size: Histogram,
    rate_processed: IntCounter,
    rate_exceeded: IntCounterVec,
    pub(crate) fan_out: Histogram,
}

impl Metrics {
    /// Makes all families and registers them.
    ///
    /// # Errors
    /// A family of one of the names is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self::named("waku", registry)?;
        registry.register(Box::new(metrics.fan_out.clone()))?;
        Ok(metrics)
    }

    /// Registers the same families for `waku2`, which this node does not speak: they stand at 0 for dashboards that ask
    /// for them (`spec/operations.md` §3.2).
    ///
    /// # Errors
    /// As [`Self::register`].
    pub fn register_waku2(registry: &Registry) -> Result<(), prometheus::Error> {
        Self::named("waku2", registry).map(drop)
    }

    fn named(protocol: &str, registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(format!("{protocol}_{name}"), help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let labelled = |name: &str, help: &str, label: &str| {
            let counter = IntCounterVec::new(Opts::new(format!("{protocol}_{name}"), help), &[label])?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let size = Histogram::with_opts(
            HistogramOpts::new(
                format!("{protocol}_envelopes_size_bytes"),
                "Size of processed Waku envelopes in bytes.",
            )
            .buckets(prometheus::exponential_buckets(256.0, 4.0, 10)?),
        )?;
        registry.register(Box::new(size.clone()))?;
        // There is no bridge: its families stand at 0 for dashboards that ask for them.
        counter("bridge_sent_total", "Number of envelopes bridged from Waku")?;
        counter(
            "bridge_received_success_total",
            "Number of envelopes bridged to Waku and successfully added",
        )?;
        counter(
            "bridge_received_failure_total",
            "Number of envelopes bridged to Waku and failed to be added",
        )?;
        Ok(Self {
            received: counter("envelopes_received_total", "Number of envelopes received.")?,
            validated: counter(
                "envelopes_validated_total",
                "Number of envelopes of peers that were looked at, whatever came of it.",
            )?,
            rejected: labelled("envelopes_rejected_total", "Number of envelopes rejected.", "reason")?,
            cache_failures: labelled(
                "envelopes_cache_failures_total",
                "Number of envelopes which failed to be cached.",
                "type",
            )?,
            cached: labelled("envelopes_cached_total", "Number of envelopes cached.", "cache")?,
            size,
            rate_processed: counter(
                "rate_limits_processed_total",
                "Number of packets Waku rate limiter processed.",
            )?,
            rate_exceeded: labelled(
                "rate_limits_exceeded_total",
                "Number of times the Waku rate limits were exceeded",
                "type",
            )?,
            fan_out: Histogram::with_opts(
                HistogramOpts::new(
                    "statusd_relay_fan_out_seconds",
                    "Time from taking in an envelope to making the packet in which a peer gets it, first of each packet.",
                )
                .buckets(prometheus::exponential_buckets(0.000_1, 4.0, 10)?),
            )?,
        })
    }

    /// A packet went through the limiter.
    pub(crate) fn rate_counted(&self, exceeded: Exceeded) {
        self.rate_processed.inc();
        for label in
            [exceeded.source.then_some("ip"), exceeded.peer.then_some("peer_id")].into_iter().flatten()
        {
            self.rate_exceeded.with_label_values(&[label]).inc();
        }
    }

    pub(crate) fn packet_rejected(&self, reason: RejectedPacket) {
        self.rejected.with_label_values(&[reason.label()]).inc();
    }

    pub(crate) fn cache_failure(&self, rejection: &Rejection) {
        self.cache_failures.with_label_values(&[rejection.label()]).inc();
    }

    /// The [`waku_wire::WireEnvelope::size`] of an envelope that was pooled.
    #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
    pub(crate) fn observe_size(&self, size: usize) {
        self.size.observe(size as f64);
    }

    pub(crate) fn count_cached(&self, label: &str, count: usize) {
        if count > 0 {
            self.cached.with_label_values(&[label]).inc_by(count as u64);
        }
    }
}

/// Why a whole packet was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RejectedPacket {
    FailedRead,
    InvalidData,
    InvalidSettings,
}

impl RejectedPacket {
    fn label(self) -> &'static str {
        match self {
            Self::FailedRead => "failed_read",
            Self::InvalidData => "invalid_data",
            Self::InvalidSettings => "invalid_settings_changed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_6_1_families_by_name_type_and_help() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        metrics.packet_rejected(RejectedPacket::FailedRead);
        metrics.packet_rejected(RejectedPacket::InvalidData);
        metrics.packet_rejected(RejectedPacket::InvalidSettings);
        metrics.cache_failure(&Rejection::VeryOld);
        metrics.count_cached("hit", 2);
        metrics.count_cached("miss", 0);
        metrics.size.observe(300.0);
        metrics.rate_counted(Exceeded { source: true, peer: true, intolerable: false });
        metrics.rate_counted(Exceeded { source: true, ..Exceeded::default() });
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for line in [
            "# HELP waku_envelopes_received_total Number of envelopes received.",
            "# TYPE waku_envelopes_received_total counter",
            "waku_envelopes_received_total 0",
            "waku_envelopes_validated_total 0",
            "# HELP waku_envelopes_rejected_total Number of envelopes rejected.",
            "waku_envelopes_rejected_total{reason=\"failed_read\"} 1",
            "waku_envelopes_rejected_total{reason=\"invalid_data\"} 1",
            "waku_envelopes_rejected_total{reason=\"invalid_settings_changed\"} 1",
            "# HELP waku_envelopes_cache_failures_total Number of envelopes which failed to be cached.",
            "waku_envelopes_cache_failures_total{type=\"very_old\"} 1",
            "# HELP waku_envelopes_cached_total Number of envelopes cached.",
            "waku_envelopes_cached_total{cache=\"hit\"} 2",
            "# HELP waku_envelopes_size_bytes Size of processed Waku envelopes in bytes.",
            "# TYPE waku_envelopes_size_bytes histogram",
            "waku_envelopes_size_bytes_bucket{le=\"256\"} 0",
            "waku_envelopes_size_bytes_bucket{le=\"1024\"} 1",
            "waku_envelopes_size_bytes_bucket{le=\"67108864\"} 1",
            "waku_envelopes_size_bytes_bucket{le=\"+Inf\"} 1",
            "# HELP waku_rate_limits_processed_total Number of packets Waku rate limiter processed.",
            "waku_rate_limits_processed_total 2",
            "# HELP waku_rate_limits_exceeded_total Number of times the Waku rate limits were exceeded",
            "waku_rate_limits_exceeded_total{type=\"ip\"} 2",
            "waku_rate_limits_exceeded_total{type=\"peer_id\"} 1",
            "waku_bridge_sent_total 0",
            "waku_bridge_received_success_total 0",
            "waku_bridge_received_failure_total 0",
            "# TYPE statusd_relay_fan_out_seconds histogram",
            "statusd_relay_fan_out_seconds_bucket{le=\"0.0001\"} 0",
            "statusd_relay_fan_out_seconds_count 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
        assert_eq!(text.matches("waku_envelopes_size_bytes_bucket").count(), 11);
        assert!(!text.contains("cache=\"miss\""), "labelled series appear with their first use");
        assert!(Metrics::register(&registry).is_err(), "once a registry");
    }

    #[test]
    fn ops_3_2_waku2_families_stand_at_0() {
        let registry = Registry::new();
        Metrics::register_waku2(&registry).unwrap();
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        assert!(
            text.contains("\nwaku2_envelopes_received_total 0\n")
                && text.contains("waku2_envelopes_size_bytes_count 0")
        );
    }
}

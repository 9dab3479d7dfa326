//! The prometheus families of `spec/waku-mailserver.md` §6.2, by their exact names.
//!
//! Some names mislead (§12 Q35); they are kept because dashboards use them, and each help text says what is counted.

use std::time::Duration;

use archive::{Query, TimeRange};
use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
};

use crate::cost::{Cost, kind};

/// The mailserver's counters.
pub struct Metrics {
    db: String,
    envelopes: IntCounter,
    delivery_failures: IntCounterVec,
    delivery_attempts: IntCounter,
    requests_batched: IntCounter,
    bundle_process: Histogram,
    sync_failures: IntCounterVec,
    sync_attempts: IntCounter,
    send_raw_envelope: Histogram,
    batch_size: Histogram,
    delivery_duration: Histogram,
    archived_failures: IntCounterVec,
    refused: IntCounterVec,
    archived: IntGaugeVec,
    archived_size: HistogramVec,
    queries: IntCounterVec,
    looked_at: IntCounterVec,
    returned: IntCounterVec,
    delayed: IntCounter,
    write: Histogram,
}

/// Label `type` of `mailserver_delivery_failures_total`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DeliveryFailure {
    Validation,
    PeerReqLimit,
    Process,
    Iterator,
    HistoricMsgResp,
}

impl DeliveryFailure {
    fn label(self) -> &'static str {
        match self {
            Self::Validation => "validation",
            Self::PeerReqLimit => "peer_req_limit",
            Self::Process => "process",
            Self::Iterator => "iterator",
            Self::HistoricMsgResp => "historic_msg_resp",
        }
    }
}

const DURATIONS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

fn doubling(first: f64, factor: f64, count: usize) -> Vec<f64> {
    std::iter::successors(Some(first), |bound| Some(bound * factor)).take(count).collect()
}

/// Makes collectors and registers each.
struct Maker<'a>(&'a Registry);

impl Maker<'_> {
    fn add<C: Collector + Clone + 'static>(&self, collector: prometheus::Result<C>) -> prometheus::Result<C> {
        let collector = collector?;
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.add(IntCounter::new(name, help))
    }

    fn counters(&self, name: &str, help: &str, label: &str) -> prometheus::Result<IntCounterVec> {
        self.add(IntCounterVec::new(Opts::new(name, help), &[label]))
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> prometheus::Result<Histogram> {
        self.add(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
    }
}

impl Metrics {
    /// Makes and registers all families. `db` labels what the archive does ([`archive::History::label`]).
    ///
    /// # Errors
    /// A family of the same name is registered already.
    pub fn new(registry: &Registry, db: &str) -> prometheus::Result<Self> {
        let make = Maker(registry);
        let sizes = doubling(1024.0, 4.0, 10);
        let metrics = Self {
            db: db.to_owned(),
            envelopes: make.counter("mailserver_envelopes_total", "Number of history requests processed.")?,
            delivery_failures: make.counters(
                "mailserver_delivery_failures_total",
                "Number of history requests that failed, by where.",
                "type",
            )?,
            delivery_attempts: make
                .counter("mailserver_delivery_attempts_total", "Number of readable history requests.")?,
            requests_batched: make.counter(
                "mailserver_requests_batched_total",
                "Number of accepted history requests that allow several envelopes a packet.",
            )?,
            bundle_process: make.histogram(
                "mailserver_requests_bundle_process_duration_seconds",
                "Time of querying, bundling and queueing one page.",
                &DURATIONS,
            )?,
            sync_failures: make.counters(
                "mailserver_sync_failures_total",
                "Number of invalid history requests (type req_invalid), and of rounds of replica sync that failed (routine).",
                "type",
            )?,
            sync_attempts: make
                .counter("mailserver_sync_attempts_total", "Number of rounds of replica sync.")?,
            send_raw_envelope: make.histogram(
                "mailserver_send_raw_envelope_duration_seconds",
                "Time of queueing one bundle to the peer.",
                &DURATIONS,
            )?,
            batch_size: make.histogram(
                "mailserver_sent_envelope_batch_size_bytes",
                "Bytes of envelopes of one page.",
                &sizes,
            )?,
            delivery_duration: make.histogram(
                "mailserver_delivery_duration_seconds",
                "Time of a whole history request, failing ones included.",
                &DURATIONS,
            )?,
            archived_failures: make.counters(
                "mailserver_archived_envelopes_failures_total",
                "Number of envelopes that could not be archived because the store failed.",
                "db",
            )?,
            refused: make.counters(
                "statusd_archive_refused_total",
                "Number of envelopes that were not archived though the store works, by why.",
                "reason",
            )?,
            archived: make.add(IntGaugeVec::new(
                Opts::new("mailserver_archived_envelopes_total", "Number of envelopes in the archive."),
                &["db"],
            ))?,
            archived_size: make.add(HistogramVec::new(
                HistogramOpts::new("mailserver_archived_envelope_size_bytes", "Size of archived envelopes.")
                    .buckets(doubling(1024.0, 2.0, 11)),
                &["db"],
            ))?,
            queries: make.add(IntCounterVec::new(
                Opts::new(
                    "mailserver_envelope_queries_total",
                    "Number of accepted history requests, by what they filter by and how much time they ask for.",
                ),
                &["filter", "history"],
            ))?,
            looked_at: make.counters(
                "statusd_history_keys_scanned_total",
                "Number of keys of the archive that were looked at for history requests.",
                "filter",
            )?,
            returned: make.counters(
                "statusd_history_envelopes_sent_total",
                "Number of envelopes sent in answer to history requests.",
                "filter",
            )?,
            delayed: make.counter(
                "statusd_history_requests_delayed_total",
                "Number of history requests that waited because their source had read much.",
            )?,
            write: make.histogram(
                "statusd_archive_write_duration_seconds",
                "Time of writing a group of envelopes, durable as configured.",
                &doubling(0.0005, 2.0, 14),
            )?,
        };
        // There from the start: a rate of what appears with its first use misses the first.
        metrics.archived_failures.with_label_values(&[db]);
        metrics.archived_size.with_label_values(&[db]);
        Ok(metrics)
    }

    /// Sets `mailserver_archived_envelopes_total` to what the archive counts.
    pub fn set_archived(&self, envelopes: u64) {
        self.archived.with_label_values(&[&self.db]).set(i64::try_from(envelopes).unwrap_or(i64::MAX));
    }

    pub(crate) fn delivery_failed(&self, why: DeliveryFailure) {
        self.delivery_failures.with_label_values(&[why.label()]).inc();
    }

    pub(crate) fn invalid_request(&self) {
        self.sync_failures.with_label_values(&["req_invalid"]).inc();
    }

    /// Counts a round of replica sync.
    pub fn sync_round(&self, failed: bool) {
        self.sync_attempts.inc();
        if failed {
            self.sync_failures.with_label_values(&["routine"]).inc();
        }
    }

    pub(crate) fn delayed(&self) {
        self.delayed.inc();
    }

    pub(crate) fn attempt(&self) {
        self.delivery_attempts.inc();
    }

    pub(crate) fn accepted(&self, batch: bool, query: &Query) {
        if batch {
            self.requests_batched.inc();
        }
        let filter = kind(&query.filter);
        let TimeRange { from, to } = query.range;
        self.queries.with_label_values(&[filter, span(to.saturating_sub(from))]).inc();
    }

    pub(crate) fn bundle_sent(&self, took: Duration) {
        self.send_raw_envelope.observe(took.as_secs_f64());
    }

    /// A page was walked to its end.
    #[expect(clippy::cast_precision_loss, reason = "bytes of a page are far below 2^53")]
    pub(crate) fn page_processed(&self, query: &Query, cost: &Cost, took: Duration) {
        self.envelopes.inc();
        self.batch_size.observe(cost.bytes as f64);
        let filter = kind(&query.filter);
        self.looked_at.with_label_values(&[filter]).inc_by(cost.keys as u64);
        self.returned.with_label_values(&[filter]).inc_by(cost.envelopes as u64);
        self.bundle_process.observe(took.as_secs_f64());
    }

    pub(crate) fn request_ended(&self, took: Duration) {
        self.delivery_duration.observe(took.as_secs_f64());
    }
}

/// Label `history` of so many seconds: the shortest of these that holds them. An open end goes a minute beyond now.
fn span(seconds: u32) -> &'static str {
    match seconds.saturating_sub(60) {
        0..=3_600 => "hour",
        3_601..=86_400 => "day",
        86_401..=604_800 => "week",
        604_801..=2_678_400 => "month",
        _ => "longer",
    }
}

impl archive::WriterObserver for Metrics {
    #[expect(clippy::cast_precision_loss, reason = "envelope sizes are far below 2^53")]
    fn stored(&self, size: usize) {
        self.archived.with_label_values(&[&self.db]).inc();
        self.archived_size.with_label_values(&[&self.db]).observe(size as f64);
    }

    fn failed(&self, envelopes: usize) {
        self.archived_failures.with_label_values(&[&self.db]).inc_by(envelopes as u64);
    }

    fn refused(&self, why: &archive::Refusal) {
        self.refused.with_label_values(&[why.label()]).inc();
    }

    fn wrote(&self, took: Duration) {
        self.write.observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_is_told_in_spans() {
        assert_eq!([0, 3_600, 3_660].map(span), ["hour"; 3]);
        assert_eq!([3_661, 86_460].map(span), ["day"; 2]);
        assert_eq!([86_461, 604_860, 604_861, 2_678_460].map(span), ["week", "week", "month", "month"]);
        assert_eq!([2_678_461, u32::MAX].map(span), ["longer"; 2]);
    }
}

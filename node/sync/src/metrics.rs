//! The prometheus families of replica sync.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use crate::{Report, SyncError};

/// The counters.
#[derive(Debug)]
pub struct Metrics {
    rounds: IntCounterVec,
    envelopes: IntCounterVec,
    bytes: IntCounter,
}

impl Metrics {
    /// Makes and registers all families.
    ///
    /// # Errors
    /// A family of the same name is registered already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counters = |name, help, label| -> prometheus::Result<IntCounterVec> {
            let counters = IntCounterVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(counters.clone()))?;
            Ok(counters)
        };
        let bytes =
            IntCounter::new("statusd_sync_received_bytes_total", "Bytes of envelopes that replicas gave.")?;
        registry.register(Box::new(bytes.clone()))?;
        let metrics = Self {
            rounds: counters(
                "statusd_sync_rounds_total",
                "Rounds of replica sync, by how they ended.",
                "outcome",
            )?,
            envelopes: counters(
                "statusd_sync_envelopes_total",
                "Envelopes in rounds: stored, duplicate, refused, missing (said to be there and not given), given.",
                "kind",
            )?,
            bytes,
        };
        for outcome in ["complete", "incomplete"] {
            metrics.rounds.with_label_values(&[outcome]);
        }
        for kind in ["stored", "given"] {
            metrics.envelopes.with_label_values(&[kind]);
        }
        Ok(metrics)
    }

    pub(crate) fn round(&self, report: &Report, outcome: &Result<(), SyncError>) {
        let outcome = match outcome {
            Ok(()) if report.complete => "complete",
            Ok(()) => "incomplete",
            Err(error) => error.reason(),
        };
        self.rounds.with_label_values(&[outcome]).inc();
        let kinds = [
            ("stored", report.stored),
            ("duplicate", report.duplicates),
            ("refused", report.refused),
            ("missing", report.missing),
            ("given", report.given),
        ];
        for (kind, count) in kinds.into_iter().filter(|(_, count)| *count > 0) {
            self.envelopes.with_label_values(&[kind]).inc_by(count);
        }
        self.bytes.inc_by(report.bytes);
    }
}

//! The families of `spec/waku-mailserver.md` §6.2.

use archive::WriterObserver as _;
use archive::conformance::envelope;
use mailserver::Metrics;
use prometheus::proto::MetricType;

use crate::support::{NOW, Server, TOPIC, plain, request};

#[tokio::test]
async fn all_families_by_name_and_type() {
    let server = Server::new();
    server.store(&[envelope(NOW, TOPIC.0, 1, 100)]).await;
    server.ask(plain(&request())).await;
    server.ask(plain(&waku_wire::MessagesRequest { limit: 5000, ..request() })).await;
    server.history.failure.lock().replace(archive::ArchiveError::Closed);
    server.ask(plain(&request())).await;
    server.metrics.stored(120);
    server.metrics.failed(1);
    server.metrics.refused(&archive::Refusal::Busy);
    let families: Vec<(String, MetricType)> = server
        .registry
        .gather()
        .iter()
        .map(|family| (family.name().to_owned(), family.get_field_type()))
        .collect();
    let expected = [
        ("mailserver_archived_envelope_size_bytes", MetricType::HISTOGRAM),
        ("mailserver_archived_envelopes_failures_total", MetricType::COUNTER),
        ("mailserver_archived_envelopes_total", MetricType::GAUGE),
        ("mailserver_delivery_attempts_total", MetricType::COUNTER),
        ("mailserver_delivery_duration_seconds", MetricType::HISTOGRAM),
        ("mailserver_delivery_failures_total", MetricType::COUNTER),
        ("mailserver_envelope_queries_total", MetricType::COUNTER),
        ("mailserver_envelopes_total", MetricType::COUNTER),
        ("mailserver_requests_batched_total", MetricType::COUNTER),
        ("mailserver_requests_bundle_process_duration_seconds", MetricType::HISTOGRAM),
        ("mailserver_send_raw_envelope_duration_seconds", MetricType::HISTOGRAM),
        ("mailserver_sent_envelope_batch_size_bytes", MetricType::HISTOGRAM),
        ("mailserver_sync_attempts_total", MetricType::COUNTER),
        ("mailserver_sync_failures_total", MetricType::COUNTER),
        ("statusd_archive_refused_total", MetricType::COUNTER),
        ("statusd_archive_write_duration_seconds", MetricType::HISTOGRAM),
        ("statusd_history_envelopes_sent_total", MetricType::COUNTER),
        ("statusd_history_keys_scanned_total", MetricType::COUNTER),
        ("statusd_history_requests_delayed_total", MetricType::COUNTER),
    ];
    assert_eq!(families, expected.map(|(name, kind)| (name.to_owned(), kind)));
}

const QUERIES: &str = "mailserver_envelope_queries_total{filter=\"topics\",history=\"longer\"}";

#[tokio::test]
async fn a_served_request_is_counted() {
    let server = Server::new();
    let stored = [envelope(NOW, TOPIC.0, 1, 100), envelope(NOW, TOPIC.0, 2, 100)];
    server.store(&stored).await;
    server.ask(plain(&request())).await;
    let bytes: usize = stored.iter().map(|envelope| envelope.raw().len()).sum();
    for (series, value) in [
        ("mailserver_envelopes_total", 1.0),
        ("mailserver_delivery_attempts_total", 1.0),
        (QUERIES, 1.0),
        ("mailserver_requests_batched_total", 1.0),
        ("mailserver_requests_bundle_process_duration_seconds_count", 1.0),
        ("mailserver_send_raw_envelope_duration_seconds_count", 1.0),
        ("mailserver_delivery_duration_seconds_count", 1.0),
        ("mailserver_sent_envelope_batch_size_bytes_sum", bytes as f64),
        ("mailserver_sent_envelope_batch_size_bytes_bucket{le=\"1024\"}", 1.0),
        ("mailserver_sent_envelope_batch_size_bytes_bucket{le=\"268435456\"}", 1.0),
        ("mailserver_sync_attempts_total", 0.0),
    ] {
        assert_eq!(server.metric(series), value, "{series}");
    }
}

#[test]
fn archived_envelopes_are_counted_by_database() {
    let server = Server::new();
    server.metrics.set_archived(41);
    server.metrics.stored(120);
    server.metrics.stored(3000);
    server.metrics.failed(5);
    assert_eq!(server.metric("mailserver_archived_envelopes_total{db=\"memory\"}"), 43.0);
    assert_eq!(server.metric("mailserver_archived_envelopes_failures_total{db=\"memory\"}"), 5.0);
    assert_eq!(
        server.metric("mailserver_archived_envelope_size_bytes_bucket{db=\"memory\",le=\"1024\"}"),
        1.0
    );
    assert_eq!(
        server.metric("mailserver_archived_envelope_size_bytes_bucket{db=\"memory\",le=\"1048576\"}"),
        2.0
    );
}

#[test]
fn registering_twice_is_an_error() {
    let server = Server::new();
    assert!(Metrics::new(&server.registry, "x").is_err());
}

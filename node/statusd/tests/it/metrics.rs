//! The metrics listener: `spec/operations.md` §3.1–3.3, `spec/waku-mailserver.md` §6.

use node_client::status::NodeStatus;

use crate::program::Setup;

#[test]
fn ops_3_2_families_of_the_reference_are_there_from_the_start() {
    let node = Setup::default().start();
    let (status, text) = node.get("/metrics");
    assert_eq!(status, 200);
    for (name, kind) in [
        ("waku_envelopes_received_total", "counter"),
        ("waku_envelopes_size_bytes", "histogram"),
        ("mailserver_envelopes_total", "counter"),
        ("mailserver_delivery_attempts_total", "counter"),
        ("mailserver_requests_batched_total", "counter"),
        ("mailserver_requests_bundle_process_duration_seconds", "histogram"),
        ("mailserver_delivery_duration_seconds", "histogram"),
        ("mailserver_send_raw_envelope_duration_seconds", "histogram"),
        ("mailserver_sent_envelope_batch_size_bytes", "histogram"),
        ("mailserver_sync_attempts_total", "counter"),
        ("mailserver_archived_envelopes_total", "gauge"),
        ("p2p_peers", "gauge"),
        ("p2p_peers_absolute", "gauge"),
        ("p2p_peers_max", "gauge"),
        ("p2p_serves", "gauge"),
        ("p2p_dials", "gauge"),
        ("statusd_p2p_throttled_total", "counter"),
        ("statusd_relay_pool_envelopes", "gauge"),
        ("statusd_relay_pool_bytes", "gauge"),
        ("statusd_relay_seen_envelopes", "gauge"),
        ("statusd_relay_index_topics", "gauge"),
        ("waku2_envelopes_received_total", "counter"),
        ("process_resident_memory_bytes", "gauge"),
        ("process_open_fds", "gauge"),
        ("statusd_build_info", "gauge"),
    ] {
        assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name} {kind} in\n{text}");
    }
    for line in ["waku_envelopes_received_total 0", "p2p_peers 0", "p2p_peers_max 500", "statusd_ready 1"] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
}

#[test]
fn health_and_status_of_a_running_node() {
    let node = Setup::default().start();
    assert_eq!(node.get("/livez"), (200, "ok\n".into()));
    assert_eq!(node.get("/readyz"), (200, "ok\n".into()));
    assert_eq!(node.get("/health"), (200, "OK".into()));
    let (code, text) = node.get("/status");
    let status = NodeStatus::parse(text.as_bytes()).unwrap();
    assert_eq!(code, 200);
    assert!(status.live && status.ready && status.not_ready_reasons.is_empty());
    assert_eq!((status.enode, status.advertised), (None, None));
    let archive = status.archive.unwrap();
    assert!(archive.writable);
    assert_eq!((archive.envelopes, archive.oldest), (0, None));
    assert_eq!(status.config_hash.len(), 10);
    assert!(status.disk.unwrap().total_bytes > 0);
}

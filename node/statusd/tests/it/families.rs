//! Every family that a scrape of the real program must have: name, type, labels and buckets, by the section that lists it.
//! `spec/operations.md` §3 (`ops`), `spec/waku-mailserver.md` §6 (`waku`).
//!
//! Not here: `go_*`, `system_memory_allocs` and `_frees`, which are Go's; `waku2_*` with labels, which are never used; what
//! is constantly 0 on a relay (§3.4); reachability from outside, which the operator measures; `statusd_ntp_offset_seconds`,
//! for which public servers would have to be asked; what only replicas (`statusd_sync_*`) or a full archive count.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    net::TcpStream,
    time::{Duration, Instant},
};

use devp2p::Peer;
use node_client::history::Form;
use serde_json::json;
use waku_wire::{Envelope, MessagesRequest, SymmetricKey, Topic, messages};

use crate::{
    history::{connect, now, post},
    peers::{MESSAGES, UNKNOWN, greet, send},
    program::{SOON, Setup, Statusd},
};

const BOOT: &str = "ca634cae0d49acb401d8a4c6b6fe8c55b70d115bf400769cc1400f3258cd31387574077f301b421bc84df7266c44e9e6d569fc56be00812904767bf5ccd1fc7f";
const DURATIONS: &str = "0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 +Inf";
const SIZES: &str = "256 1024 4096 16384 65536 262144 1048576 4194304 16777216 67108864 +Inf";
const PAGES: &str = "1024 4096 16384 65536 262144 1048576 4194304 16777216 67108864 268435456 +Inf";
const ARCHIVED: &str = "1024 2048 4096 8192 16384 32768 65536 131072 262144 524288 1048576 +Inf";
const QUANTILES: &str = "0.5 0.75 0.95 0.99 0.999 0.9999";

/// Section, name, type, labels, and bounds or quantiles where the section gives them.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str);

const ROWS: &[Row] = &[
    ("waku 6.1", "waku_envelopes_received_total", "counter", "", ""),
    ("ops 8", "waku_envelopes_validated_total", "counter", "", ""),
    ("waku 6.1", "waku_envelopes_rejected_total", "counter", "reason", ""),
    ("waku 6.1", "waku_envelopes_cache_failures_total", "counter", "type", ""),
    ("waku 6.1", "waku_envelopes_cached_total", "counter", "cache", ""),
    ("waku 6.1", "waku_envelopes_size_bytes", "histogram", "", SIZES),
    ("waku 6.1", "waku_rate_limits_processed_total", "counter", "", ""),
    ("waku 6.1", "waku_rate_limits_exceeded_total", "counter", "type", ""),
    ("waku 6.1", "waku_bridge_sent_total", "counter", "", ""),
    ("waku 6.1", "waku_bridge_received_success_total", "counter", "", ""),
    ("waku 6.1", "waku_bridge_received_failure_total", "counter", "", ""),
    ("ops 3.2", "waku2_envelopes_received_total", "counter", "", ""),
    ("ops 3.2", "waku2_envelopes_size_bytes", "histogram", "", SIZES),
    ("ops 3.2", "waku2_rate_limits_processed_total", "counter", "", ""),
    ("ops 3.2", "waku2_bridge_sent_total", "counter", "", ""),
    ("ops 3.2", "waku2_bridge_received_success_total", "counter", "", ""),
    ("ops 3.2", "waku2_bridge_received_failure_total", "counter", "", ""),
    ("waku 6.2", "mailserver_envelopes_total", "counter", "", ""),
    ("waku 6.2", "mailserver_delivery_attempts_total", "counter", "", ""),
    ("waku 6.2", "mailserver_delivery_failures_total", "counter", "type", ""),
    ("waku 6.2", "mailserver_requests_batched_total", "counter", "", ""),
    ("waku 6.2", "mailserver_requests_bundle_process_duration_seconds", "histogram", "", DURATIONS),
    ("waku 6.2", "mailserver_sync_failures_total", "counter", "type", ""),
    ("waku 6.2", "mailserver_sync_attempts_total", "counter", "", ""),
    ("waku 6.2", "mailserver_send_raw_envelope_duration_seconds", "histogram", "", DURATIONS),
    ("waku 6.2", "mailserver_sent_envelope_batch_size_bytes", "histogram", "", PAGES),
    ("waku 6.2", "mailserver_delivery_duration_seconds", "histogram", "", DURATIONS),
    ("waku 6.2", "mailserver_archived_envelopes_failures_total", "counter", "db", ""),
    ("waku 6.2", "mailserver_archived_envelopes_total", "gauge", "db", ""),
    ("waku 6.2", "mailserver_archived_envelope_size_bytes", "histogram", "db", ARCHIVED),
    ("ops 3.2", "p2p_peers_count", "gauge", "platform type version", ""),
    ("ops 3.2", "p2p_peers_absolute", "gauge", "", ""),
    ("ops 3.2", "p2p_peers_max", "gauge", "", ""),
    ("ops 3.3", "p2p_peers", "gauge", "", ""),
    ("ops 3.2", "process_cpu_seconds_total", "counter", "", ""),
    ("ops 3.2", "process_resident_memory_bytes", "gauge", "", ""),
    ("ops 3.2", "process_virtual_memory_bytes", "gauge", "", ""),
    ("ops 3.2", "process_open_fds", "gauge", "", ""),
    ("ops 3.2", "process_max_fds", "gauge", "", ""),
    ("ops 3.2", "process_start_time_seconds", "gauge", "", ""),
    ("ops 3.4", "p2p_serves", "gauge", "", ""),
    ("ops 3.4", "p2p_dials", "gauge", "", ""),
    ("ops 3.4", "p2p_ingress", "gauge", "", ""),
    ("ops 3.4", "p2p_egress", "gauge", "", ""),
    ("ops 3.4", "p2p_ingress_waku_1_0x01", "gauge", "", ""),
    ("ops 3.4", "p2p_ingress_waku_1_0x01_packets", "gauge", "", ""),
    ("ops 3.4", "p2p_egress_waku_1_0x00", "gauge", "", ""),
    ("ops 3.4", "p2p_egress_waku_1_0x00_packets", "gauge", "", ""),
    ("ops 3.4", "p2p_egress_waku_1_0x7f", "gauge", "", ""),
    ("ops 3.4", "discv5_InboundTraffic", "gauge", "", ""),
    ("ops 3.4", "discv5_OutboundTraffic", "gauge", "", ""),
    ("ops 3.4", "rpc_requests", "gauge", "", ""),
    ("ops 3.4", "rpc_success", "gauge", "", ""),
    ("ops 3.4", "rpc_failure", "gauge", "", ""),
    ("ops 3.4", "rpc_duration_all", "summary", "", QUANTILES),
    ("ops 3.4", "rpc_duration_admin_nodeInfo_success", "summary", "", QUANTILES),
    ("ops 3.4", "rpc_duration_admin_addPeer_failure", "summary", "", QUANTILES),
    ("ops 3.4", "system_cpu_sysload", "gauge", "", ""),
    ("ops 3.4", "system_cpu_syswait", "gauge", "", ""),
    ("ops 3.4", "system_cpu_procload", "gauge", "", ""),
    ("ops 3.4", "system_cpu_threads", "gauge", "", ""),
    ("ops 3.4", "system_cpu_goroutines", "gauge", "", ""),
    ("ops 3.4", "system_memory_pauses", "gauge", "", ""),
    ("ops 3.4", "system_memory_held", "gauge", "", ""),
    ("ops 3.4", "system_memory_used", "gauge", "", ""),
    ("ops 3.4", "system_disk_readcount", "gauge", "", ""),
    ("ops 3.4", "system_disk_readdata", "gauge", "", ""),
    ("ops 3.4", "system_disk_readbytes", "gauge", "", ""),
    ("ops 3.4", "system_disk_writecount", "gauge", "", ""),
    ("ops 3.4", "system_disk_writedata", "gauge", "", ""),
    ("ops 3.4", "system_disk_writebytes", "gauge", "", ""),
    ("ops 3.5", "mailserver_envelope_queries_total", "counter", "filter history", ""),
    ("ops 3.5", "statusd_archive_envelopes", "gauge", "", ""),
    ("ops 3.5", "statusd_archive_bytes", "gauge", "", ""),
    ("ops 3.5", "statusd_archive_floor_timestamp_seconds", "gauge", "", ""),
    ("ops 3.5", "statusd_archive_oldest_timestamp_seconds", "gauge", "", ""),
    ("ops 3.5", "statusd_archive_newest_timestamp_seconds", "gauge", "", ""),
    ("ops 3.5", "statusd_archive_retention_runs_total", "counter", "result", ""),
    ("ops 3.5", "statusd_archive_evicted_envelopes_total", "counter", "", ""),
    ("ops 3.5", "statusd_archive_queue_bytes", "gauge", "", ""),
    ("ops 3.5", "statusd_archive_write_duration_seconds", "histogram", "", ""),
    ("ops 3.5", "statusd_history_complete", "gauge", "", ""),
    ("ops 3.5", "statusd_history_keys_scanned_total", "counter", "filter", ""),
    ("ops 3.5", "statusd_history_envelopes_sent_total", "counter", "filter", ""),
    ("ops 3.5", "statusd_history_requests_delayed_total", "counter", "", ""),
    ("ops 3.5", "statusd_clock_synchronized", "gauge", "", ""),
    ("ops 3.5", "statusd_p2p_connection_failures_total", "counter", "cause direction", ""),
    ("ops 3.5", "statusd_p2p_sessions_ended_total", "counter", "cause", ""),
    ("ops 3.5", "statusd_p2p_throttled_total", "counter", "", ""),
    ("ops 3.5", "statusd_p2p_inbound_slots_left", "gauge", "", ""),
    ("ops 3.5", "statusd_waku_rate_limited_peers", "gauge", "", ""),
    ("ops 3.5", "statusd_relay_pool_envelopes", "gauge", "", ""),
    ("ops 3.5", "statusd_relay_pool_bytes", "gauge", "", ""),
    ("ops 3.5", "statusd_relay_seen_envelopes", "gauge", "", ""),
    ("ops 3.5", "statusd_relay_index_topics", "gauge", "", ""),
    ("ops 3.5", "statusd_relay_fan_out_seconds", "histogram", "", ""),
    ("ops 3.5", "statusd_discovery_table_nodes", "gauge", "", ""),
    ("ops 3.5", "statusd_discovery_nodes", "gauge", "", ""),
    ("ops 3.5", "statusd_discovery_topics", "gauge", "", ""),
    ("ops 3.5", "statusd_discovery_topic_entries", "gauge", "", ""),
    ("ops 3.5", "statusd_build_info", "gauge", "config_hash version", ""),
    ("ops 3.5", "statusd_ready", "gauge", "", ""),
];

/// A family as it was scraped.
#[derive(Default)]
struct Family {
    kind: String,
    labels: BTreeSet<String>,
    /// Bounds or quantiles in their order.
    bounds: Vec<String>,
    series: usize,
}

fn parse(text: &str) -> BTreeMap<String, Family> {
    let mut all: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            current = name.to_owned();
            let known = all.insert(current.clone(), Family { kind: kind.to_owned(), ..Family::default() });
            assert!(known.is_none(), "{name} is there twice");
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            assert!(name.starts_with(&current), "{line} below {current}");
            let family = all.get_mut(&current).unwrap();
            family.series += 1;
            // No label value here has a comma or a quote in it.
            for (label, value) in labels.trim_end_matches('}').split(',').filter_map(|it| it.split_once('='))
            {
                let bound = value.trim_matches('"').to_owned();
                if !["le", "quantile"].contains(&label) {
                    family.labels.insert(label.to_owned());
                } else if !family.bounds.contains(&bound) {
                    family.bounds.push(bound);
                }
            }
        }
    }
    all
}

/// What differs from the table, a line each.
fn differences(text: &str) -> Vec<String> {
    let found = parse(text);
    let differs = |(section, name, kind, labels, bounds): &Row| {
        let Some(family) = found.get(*name).filter(|family| family.series > 0) else {
            return Some(format!("{section}: {name} is not there"));
        };
        let labels_there = family.labels.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        let bounds_there = family.bounds.join(" ");
        let same =
            family.kind == *kind && labels_there == *labels && (bounds.is_empty() || bounds_there == *bounds);
        (!same).then(|| {
            format!("{section}: {name} is a {} by {labels_there:?} of {bounds_there:?}", family.kind)
        })
    };
    ROWS.iter().filter_map(differs).collect()
}

/// Something of everything that is counted by a label, which appears with its first use. The peer is to stay connected: it has
/// the only series of `p2p_peers_count`.
async fn use_it(node: &Statusd) -> Peer {
    let client = connect(node).await;
    let posted = post(&client, "kept").await;
    let form =
        || Form::Encrypted { key: SymmetricKey::from_password("status-offline-inbox"), pow: 0.000_002 };
    let request = |from, to| MessagesRequest {
        from,
        to,
        topics: vec![Topic::from_name("status")],
        limit: 100,
        batch: true,
        ..MessagesRequest::default()
    };
    let patience = Duration::from_secs(10);
    let good = client.request_history(&request(now() - 600, now() + 60), &form(), now(), patience).await;
    assert_eq!(good.unwrap().envelopes.len(), 1);
    for form in [form(), Form::Plain] {
        client.request_history(&request(now(), now() - 600), &form, now(), patience).await.unwrap_err();
    }

    let peer = greet(node).await;
    send(&peer, MESSAGES, messages::encode([posted.raw().as_ref()]).to_vec()).await;
    send(&peer, MESSAGES, vec![0x00]).await;
    let old = Envelope { expiry: 2, ttl: 1, topic: Topic::default(), data: vec![1].into(), nonce: 0 };
    let old = old.encode().unwrap();
    send(&peer, MESSAGES, messages::encode([old.raw().as_ref()]).to_vec()).await;
    for _ in 0..20 {
        send(&peer, UNKNOWN, Vec::new()).await;
    }
    // No handshake.
    TcpStream::connect(node.p2p).unwrap().write_all(&[0; 400]).unwrap();
    client.close().await;
    node.rpc("admin_nodeInfo", json!([]));
    node.rpc_with(&[], "admin_addPeer", json!(["enode://nonsense"]));
    peer
}

#[tokio::test(flavor = "multi_thread")]
async fn ops_3_every_family_by_name_type_labels_and_buckets() {
    let mut setup = Setup::default();
    setup.config["NoDiscovery"] = json!(false);
    let boot = format!("enode://{BOOT}@127.0.0.1:9");
    setup.config["ClusterConfig"] = json!({"Enabled": true, "BootNodes": [boot]});
    setup.config["RegisterTopics"] = json!(["whispermail"]);
    setup.config["WakuConfig"]["EnableRateLimiter"] = json!(true);
    setup.config["WakuConfig"]["PacketRateLimitPeerID"] = json!(5);
    let node = setup.start();
    let _peer = use_it(&node).await;
    // What ends, and what is throttled or written behind, is counted a moment later.
    let text = tokio::task::block_in_place(|| {
        let begin = Instant::now();
        loop {
            let text = node.get("/metrics").1;
            let differences = differences(&text);
            if differences.is_empty() {
                break text;
            }
            assert!(begin.elapsed() < SOON, "{differences:#?} in\n{text}");
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let value = |name: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    assert!(
        value("p2p_ingress_waku_1_0x01_packets") >= 4.0 && value("p2p_ingress_waku_1_0x63_packets") == 20.0
    );
    assert!(value("p2p_ingress") > value("p2p_ingress_waku_1_0x01"), "frames and handshakes are more");
    assert!(value("discv5_OutboundTraffic") > 0.0, "the boot node was asked");
    assert_eq!(value("statusd_p2p_inbound_slots_left"), 333.0);
    assert_eq!(value("statusd_waku_rate_limited_peers"), 1.0);
}

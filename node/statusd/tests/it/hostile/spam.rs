//! Envelopes that may not be taken (`spec/waku-mailserver.md` §2.7, §4.7, §12 Q03, Q07): refused one by one, told why, the
//! peer kept. In `node/waku`: `gossip`.

use ::hostile::{End, Kind};
use serde_json::json;

use super::{LOUD, MIB, lasts, of_sessions, roomy, withstand};

const SOCKETS: u32 = 200;
/// Confirmations of all sessions that wait (`node/waku`: `confirm::MAX_WAITING_BYTES_OF_ALL`).
const CONFIRMATIONS: u64 = 16 * MIB;

#[tokio::test(flavor = "multi_thread")]
async fn spam_is_refused_and_neither_kept_nor_archived() {
    let _turn = LOUD.lock().await;
    let mut setup = roomy(SOCKETS);
    // What the network asks for.
    setup.config["WakuConfig"]["MinimumPoW"] = json!(0.002);
    let node = setup.start();
    let withstood = withstand(&node, Kind::Spam, SOCKETS, lasts).await;
    withstood.assert_within(of_sessions(SOCKETS) + CONFIRMATIONS);
    for way in Kind::Spam.ways() {
        assert_eq!(withstood.tally.others(way, &[End::Held]), [], "kept: {way}");
    }
    let (_, metrics) = node.get("/metrics");
    for label in ["low_pow", "far_expiry", "in_future", "very_old", "invalid_ttl"] {
        let counted = format!("waku_envelopes_cache_failures_total{{type=\"{label}\"}}");
        assert!(metrics.lines().any(|line| line.starts_with(&counted)), "{label} in {metrics}");
    }
    let archived = format!("statusd_archive_envelopes {}", withstood.posted);
    assert!(
        metrics.lines().any(|line| line == archived),
        "only what the good pair posted: {archived}: {metrics}"
    );
}

//! Half-open sockets (`spec/devp2p.md` §2.7, §3.1; design §2, Bounds). In `node/net`: `half_open_sockets_do_not_lock_newcomers_out`.

use ::hostile::{End, Kind};
use serde_json::json;

use super::{lasts, roomy, withstand};

const SOCKETS: u32 = 500;
/// Connections that are not yet peers, at most: the default.
const PENDING: u32 = 100;
/// The longest handshake packet, which its buffer may have twice.
const PACKET: u64 = 2 * 64 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn half_open_sockets_give_way_to_newcomers() {
    let mut setup = roomy(SOCKETS);
    setup.config["MaxPendingPeers"] = json!(PENDING);
    let node = setup.start();
    let withstood = withstand(&node, Kind::HalfOpen, SOCKETS, lasts).await;
    withstood.assert_within(u64::from(PENDING) * PACKET);
    for way in Kind::HalfOpen.ways() {
        assert_eq!(withstood.tally.others(way, &[End::Closed, End::Held]), [], "without a word");
        assert!(withstood.tally.count(way, End::Closed) > 0, "{way}: {}", withstood.tally);
    }
}

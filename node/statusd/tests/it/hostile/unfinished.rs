//! Messages that lack their last byte (`spec/devp2p.md` §2.6; design §2: one global budget for inbound buffers). In
//! `node/net`: `unfinished_frames_hold_up_big_ones_only`.

use ::hostile::{End, Kind};
use enode::NodeKey;

use super::{LOUD, lasts, roomy, withstand};

const SOCKETS: u32 = 300;
/// What the buffer of each session has beside the budget, bytes (`node/net`: `budget::FREE`).
const FREE: u64 = 16 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_messages_share_one_budget() {
    let _turn = LOUD.lock().await;
    let node = roomy(SOCKETS).start();
    let withstood = withstand(&node, Kind::Unfinished, SOCKETS, lasts).await;
    withstood.assert_within(u64::try_from(budget()).unwrap() + u64::from(SOCKETS) * FREE);
    for way in Kind::Unfinished.ways() {
        assert_eq!(withstood.tally.others(way, &[End::Held]), [], "they have 30 s");
    }
}

/// What all buffers may have together.
fn budget() -> usize {
    devp2p::Config::new(NodeKey::generate(), String::new()).inbound_budget
}

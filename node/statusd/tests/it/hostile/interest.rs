//! Interest as large as may be, larger, and changed all the time (`spec/waku-mailserver.md` §4.2, §4.4, §4.14). In
//! `node/relay`: the index and its cap.

use ::hostile::{End, Kind};
use devp2p::DisconnectReason;
use waku_wire::MAX_TOPICS;

use super::{LOUD, lasts, of_sessions, roomy, withstand};

const SOCKETS: u32 = 300;
/// Bytes of a topic, and how often a set of them is there: with the session, the peer in the relay, the index; and once
/// more while an update is read.
const COPIES: u64 = 4 * 4;

#[tokio::test(flavor = "multi_thread")]
async fn large_interests_cost_what_their_topics_cost() {
    let _turn = LOUD.lock().await;
    let node = roomy(SOCKETS).start();
    let withstood = withstand(&node, Kind::Interest, SOCKETS, lasts).await;
    withstood.assert_within(
        of_sessions(SOCKETS) + u64::from(SOCKETS) * COPIES * u64::try_from(MAX_TOPICS).unwrap(),
    );
    let tally = &withstood.tally;
    let refused = End::Told(DisconnectReason::SubprotocolError);
    assert_eq!(tally.others("10001 topics", &[refused, End::Held]), []);
    assert!(tally.count("10001 topics", refused) > 0, "{tally}");
    for way in ["10000 topics", "256 topics", "bloom", "changes"] {
        assert_eq!(tally.others(way, &[End::Held]), [], "allowed: {way}");
    }
}

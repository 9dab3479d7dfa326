//! Sizes that lie, bombs, and frames that are not authentic (`spec/devp2p.md` §2.4 to §2.6; `spec/waku-mailserver.md`
//! §4.14). In `node/net`: `bombs_wait_compressed`; in `node/rlpx`: the codec's own tests.

use ::hostile::{End, Kind};
use devp2p::DisconnectReason;

use super::{LOUD, lasts, of_sessions, roomy, withstand};

const SOCKETS: u32 = 200;
const TOO_BIG: End = End::Told(DisconnectReason::SubprotocolError);

#[tokio::test(flavor = "multi_thread")]
async fn frames_are_refused_before_they_are_allocated() {
    let _turn = LOUD.lock().await;
    let node = roomy(SOCKETS).start();
    let withstood = withstand(&node, Kind::Frames, SOCKETS, lasts).await;
    withstood.assert_within(of_sessions(SOCKETS));
    let tally = &withstood.tally;
    for (way, end) in [
        ("long header", TOO_BIG),
        ("long block", TOO_BIG),
        ("false block", End::Closed),
        ("wrong mac", End::Closed),
        ("long hello", End::Closed),
        ("long handshake", End::Closed),
    ] {
        assert_eq!(tally.others(way, &[end, End::Held]), [], "{way}");
        assert!(tally.count(way, end) > 0, "{way}: {tally}");
    }
    // Zeros are no list of envelopes, and no request: dropped, and the peer stays.
    assert_eq!(tally.others("bombs", &[End::Held]), []);
    let (_, metrics) = node.get("/metrics");
    let dropped = metrics
        .lines()
        .find(|line| line.starts_with(r#"waku_envelopes_rejected_total{reason="invalid_data"}"#));
    assert!(dropped.is_some(), "bombs were unpacked: {metrics}");
}

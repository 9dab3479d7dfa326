//! One byte a second (`spec/devp2p.md` §2.7): a deadline is for the whole, whatever comes meanwhile.

use std::time::Duration;

use ::hostile::{End, Kind};

use super::{of_sessions, roomy, until, withstand};

const SOCKETS: u32 = 300;
/// For both packets of the encryption handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// For Hello, and for each message.
const MESSAGE: Duration = Duration::from_secs(30);
/// What a busy machine may add.
const LATE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn bytes_one_by_one_do_not_move_a_deadline() {
    let node = roomy(SOCKETS).start();
    let ended = async |attack: &::hostile::Attack| {
        until(attack, MESSAGE + LATE, |tally| {
            let all = u64::from(SOCKETS) / 3;
            ["hello", "message"].iter().all(|way| tally.count(way, End::Closed) >= all)
        })
        .await;
    };
    let withstood = withstand(&node, Kind::Trickle, SOCKETS, ended).await;
    withstood.assert_within(of_sessions(SOCKETS));
    for (way, deadline) in [("handshake", HANDSHAKE), ("hello", MESSAGE), ("message", MESSAGE)] {
        assert_eq!(withstood.tally.others(way, &[End::Closed, End::Held]), [], "without a word");
        let longest = withstood.tally.longest(way);
        let half_a_second = Duration::from_millis(500);
        assert!((deadline - half_a_second..deadline + LATE).contains(&longest), "{way}: {longest:?}");
    }
}

//! Peers that read nothing (`spec/devp2p.md` §2.7; design §2, Relay): constant memory each, and an end after 20 s.

use std::time::{Duration, UNIX_EPOCH};

use ::hostile::{Attack, End, Kind};
use enode::NodeKey;
use node_client::{Client, Options};
use serde_json::json;
use waku_wire::{Envelope, Topic, WireEnvelope};

use super::{MIB, enode, roomy, until, withstand};

const SOCKETS: u32 = 200;
/// For a write.
const WRITE: Duration = Duration::from_secs(20);
const LATE: Duration = Duration::from_secs(15);
/// What waits for a socket in a session: a packet of 128 KB on top of 64 KB, in a buffer that may have twice that
/// (`node/net`: `writer::LIVE_PACKET`, `writer::BATCH`).
const UNWRITTEN: u64 = 2 * (128 + 64) * 1024;
/// Envelopes that are to be written to each of them: 2 MB.
const ENVELOPES: u32 = 2000;

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_do_not_read_are_ended_and_hold_up_nobody() {
    let mut setup = roomy(SOCKETS);
    setup.config["WakuConfig"]["MinimumPoW"] = json!(0);
    let node = setup.start();
    let ended = async |attack: &Attack| {
        let sender = Client::connect(&enode(&node), &NodeKey::generate(), &Options::quiet()).await.unwrap();
        for packet in envelopes().chunks(100) {
            sender.post(packet).await.unwrap();
        }
        until(attack, WRITE + LATE, |tally| tally.count("reads nothing", End::Closed) >= u64::from(SOCKETS))
            .await;
    };
    let withstood = withstand(&node, Kind::SlowReaders, SOCKETS, ended).await;
    // The envelopes, too, are in the pool and in the archive.
    withstood.assert_within(u64::from(SOCKETS) * UNWRITTEN + 8 * MIB);
    assert_eq!(withstood.tally.others("reads nothing", &[End::Closed, End::Held]), []);
    let longest = withstood.tally.longest("reads nothing");
    assert!((WRITE..WRITE + LATE).contains(&longest), "{longest:?}");
}

fn envelopes() -> Vec<WireEnvelope> {
    let expiry = u32::try_from(UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap() + 60;
    let one = |number: u32| {
        let mut data = vec![7; 1000];
        data[..4].copy_from_slice(&number.to_be_bytes());
        Envelope { expiry, ttl: 60, topic: Topic([1; 4]), data: data.into(), nonce: 0 }.encode().unwrap()
    };
    (0..ENVELOPES).map(one).collect()
}

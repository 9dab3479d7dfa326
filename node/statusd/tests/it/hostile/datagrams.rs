//! Floods of datagrams (`spec/devp2p.md` §6; design §2: token buckets before any signature recovery on UDP). In
//! `node/discovery`: `floods`.

use std::time::{Duration, Instant};

use ::hostile::{Attack, Kind};
use discovery::{Config, Handle, Kind as Packet, Manager};
use enode::NodeKey;
use serde_json::json;

use super::{LOUD, MIB, lasts, roomy, withstand};

const SOCKETS: u32 = 200;
/// All that discovery may hold, by the list of `node/discovery/src/lib.rs`.
const DISCOVERY: u64 = 16 * MIB;
/// Of these, nodes.
const NODES: u64 = 2048;
const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_datagrams_shuts_nobody_out() {
    let _turn = LOUD.lock().await;
    let friend = Manager::start(Config::new(NodeKey::generate(), "127.0.0.1:0".parse().unwrap())).unwrap();
    let mut setup = roomy(SOCKETS);
    setup.config["NoDiscovery"] = json!(false);
    setup.config["ClusterConfig"] = json!({"Enabled": true, "BootNodes": [friend.enode().to_string()]});
    // Never found enough, so discovery goes on (`spec/devp2p.md` §4.3).
    setup.config["RegisterTopics"] = json!(["whisper"]);
    setup.config["RequireTopics"] = json!({"whisper": {"Min": 3, "Max": 5}});
    let node = setup.start();
    holds(&friend, |friend| !friend.table().is_empty()).await;
    let answered = async |attack: &Attack| {
        lasts(attack).await;
        // A node that was proven before has its questions answered.
        let answers = |friend: &Handle| {
            let received = friend.stats().received;
            received.get(Packet::Neighbors) + received.get(Packet::TopicNodes)
        };
        let before = answers(&friend);
        friend.search("whisper".parse().unwrap(), Duration::from_millis(100)).unwrap();
        holds(&friend, |friend| answers(friend) > before).await;
    };
    let withstood = withstand(&node, Kind::Datagrams, SOCKETS, answered).await;
    withstood.assert_within(DISCOVERY);
    let (_, metrics) = node.get("/metrics");
    let nodes = metrics.lines().find_map(|line| line.strip_prefix("statusd_discovery_nodes "));
    let nodes: u64 = nodes.expect("discovery runs").parse().unwrap();
    assert!((100..=NODES).contains(&nodes), "pings came, and no more are remembered: {nodes}");
    friend.shutdown().await;
}

async fn holds(friend: &Handle, condition: impl Fn(&Handle) -> bool) {
    let begun = Instant::now();
    while !condition(friend) {
        assert!(begun.elapsed() < SOON, "not within {SOON:?}: {:?}", friend.stats());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

//! Two nodes find each other.

use devp2p::{Capability, Connection, DisconnectReason, Lane, LocalHello, Offer, Peer, Timeouts};
use enode::{Enode, NodeKey};
use serde_json::json;
use waku_wire::{Envelope, Topic, messages};

use crate::program::{SOON, Setup, Statusd, until};

#[test]
fn two_nodes_connect_as_static_peers_and_see_each_other() {
    let (one, mut two) = (Setup::default(), Setup::default());
    let first = one.start();
    let id = |node: &crate::program::Statusd| node.rpc("admin_nodeInfo", json!([]))["id"].clone();
    let enode = first.enode();
    two.config["ClusterConfig"] = json!({"Enabled": true, "StaticNodes": [enode]});
    let second = two.start();
    let there =
        until("the second sees the first", SOON, || second.rpc("admin_peers", json!([])).get(0).cloned());
    let here =
        until("the first sees the second", SOON, || first.rpc("admin_peers", json!([])).get(0).cloned());
    assert_eq!((&there["id"], &here["id"]), (&id(&first), &id(&second)));
    assert_eq!((&there["network"]["inbound"], &here["network"]["inbound"]), (&json!(false), &json!(true)));
    assert_eq!((&there["network"]["static"], &here["network"]["static"]), (&json!(true), &json!(false)));
    assert_eq!(there["caps"], json!(["waku/0", "waku/1"]));
    assert_eq!(there["enode"], enode);
    assert_eq!(there["network"]["remoteAddress"], first.p2p.to_string());
    assert_eq!(there["protocols"], json!({"waku": "unknown"}));
    let keys: Vec<&str> = there.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["enode", "id", "name", "caps", "network", "protocols"]);
    let (_, metrics) = first.get("/metrics");
    for line in ["p2p_peers 1", "p2p_peers_absolute 1"] {
        assert!(metrics.lines().any(|found| found == line), "{line} in\n{metrics}");
    }
    assert!(metrics.contains("p2p_peers_count{platform=\""), "{metrics}");
    assert_eq!(first.rpc("net_peerCount", json!([])), "0x1");
}

#[test]
fn a_peer_added_by_rpc_connects() {
    let (one, two) = (Setup::default(), Setup::default());
    let (first, second) = (one.start(), two.start());
    let public = first.rpc("admin_nodeInfo", json!([]))["enode"].as_str().unwrap().to_owned();
    let enode = format!("{public}@localhost:{}", first.p2p.port());
    assert_eq!(second.rpc("admin_addPeer", json!([enode])), true);
    until("a peer", SOON, || second.rpc("admin_peers", json!([])).get(0).cloned());
}

const STATUS: u64 = 0;
pub(crate) const MESSAGES: u64 = 1;
const MESSAGE_RESPONSE: u64 = 12;
pub(crate) const UNKNOWN: u64 = 99;

/// A peer that announced no options and read the node's status.
pub(crate) async fn greet(node: &Statusd) -> Peer {
    greet_as(&NodeKey::generate(), node).await
}

async fn greet_as(key: &NodeKey, node: &Statusd) -> Peer {
    let enode: Enode = node.enode().parse().unwrap();
    let hello = LocalHello {
        name: "Test/v1/linux-amd64/rust".to_owned(),
        offers: vec![Offer { capability: Capability::new("waku", 1), length: 128 }],
        max_message_size: 1 << 20,
    };
    let dialed = Connection::dial(&enode, key, &hello, &Timeouts::default()).await;
    let mut peer = dialed.unwrap().open("waku").unwrap();
    send(&peer, STATUS, vec![0xc0]).await;
    assert_eq!(receive(&mut peer).await, Some(STATUS));
    peer
}

/// Where the session has ended already, what is received says so.
pub(crate) async fn send(peer: &Peer, code: u64, payload: Vec<u8>) {
    let _ = peer.sender().send(Lane::Control, code, payload.into()).await;
}

async fn receive(peer: &mut Peer) -> Option<u64> {
    peer.recv().await.map(|message| message.code)
}

/// `spec/waku-mailserver.md` §4.12: the configured size is the limit of every packet, at the transport.
#[tokio::test]
async fn a_packet_over_the_configured_size_ends_the_session() {
    let mut setup = Setup::default();
    setup.config["WakuConfig"]["MaxMessageSize"] = json!(2000);
    let node = setup.start();
    for (size, kept) in [(2000, true), (2001, false)] {
        let mut peer = greet(&node).await;
        send(&peer, UNKNOWN, vec![7; size]).await;
        // A batch that is confirmed.
        send(&peer, MESSAGES, vec![0xc0]).await;
        assert_eq!(receive(&mut peer).await, kept.then_some(MESSAGE_RESPONSE), "{size}");
        if !kept {
            assert_eq!(peer.end_disconnect(), Some(DisconnectReason::SubprotocolError));
        }
    }
}

/// `spec/waku-mailserver.md` §4.13: off by default, in force when enabled, and counted.
#[tokio::test]
async fn the_configured_rate_limits_are_in_force() {
    let mut setup = Setup::default();
    for (enabled, kept) in [(false, true), (true, false)] {
        for (key, value) in [("PacketRateLimitPeerID", 1), ("RateLimitTolerance", 1)] {
            setup.config["WakuConfig"][key] = json!(value);
        }
        setup.config["WakuConfig"]["EnableRateLimiter"] = json!(enabled);
        let node = setup.start();
        let mut peer = greet(&node).await;
        for _ in 0..3 {
            send(&peer, UNKNOWN, vec![]).await;
        }
        send(&peer, MESSAGES, vec![0xc0]).await;
        assert_eq!(receive(&mut peer).await, kept.then_some(MESSAGE_RESPONSE));
        if !kept {
            assert_eq!(peer.end_disconnect(), Some(DisconnectReason::SubprotocolError));
            let (_, metrics) = node.get("/metrics");
            let line = r#"waku_rate_limits_exceeded_total{type="peer_id"} 1"#;
            assert!(metrics.lines().any(|found| found == line), "{metrics}");
        }
    }
}

/// `spec/waku-mailserver.md` §2.7: a peer most of whose envelopes are very old has another time than the node. That is
/// said, once a minute at most, and costs the peer nothing.
#[tokio::test]
async fn a_peer_of_another_time_is_warned_of_once() {
    let node = Setup::default().start();
    let mut peer = greet(&node).await;
    for packet in 0..3u8 {
        let old = |n: u8| {
            let data = vec![packet, n].into();
            let topic = Topic::default();
            Envelope { expiry: 1_000_000_000, ttl: 50, topic, data, nonce: 0 }.encode().unwrap()
        };
        let old: Vec<_> = (0..10).map(old).collect();
        send(&peer, MESSAGES, messages::encode(old.iter().map(|e| e.raw().as_ref())).to_vec()).await;
        assert_eq!(receive(&mut peer).await, Some(MESSAGE_RESPONSE));
        receive(&mut peer).await;
    }
    let warning = |log: &str| log.matches("are from another time").count();
    let log = until("a warning", SOON, || Some(node.log()).filter(|log| warning(log) > 0));
    assert!(log.contains("envelopes=10 in_future=0 very_old=10"), "{log}");
    let (_, log) = tokio::task::spawn_blocking(|| node.stop("-TERM")).await.unwrap();
    assert_eq!(warning(&log), 1, "{log}");
}

/// `spec/waku-mailserver.md` §4.13, §9.5: static nodes and trusted mailservers are exempt, from
/// whatever address they come.
#[tokio::test]
async fn s97_a_static_node_is_never_limited() {
    let keys = [(); 3].map(|()| NodeKey::generate());
    let [static_node, mailserver, _] =
        keys.each_ref().map(|key| format!("enode://{}@127.0.0.2:1", key.public_key()));
    let mut setup = Setup::default();
    let cluster = json!({"Enabled": true, "StaticNodes": [static_node], "TrustedMailServers": [mailserver]});
    setup.config["ClusterConfig"] = cluster;
    for key in ["PacketRateLimitPeerID", "RateLimitTolerance"] {
        setup.config["WakuConfig"][key] = json!(1);
    }
    setup.config["WakuConfig"]["EnableRateLimiter"] = json!(true);
    let node = setup.start();
    for (key, kept) in keys.iter().zip([true, true, false]) {
        let mut peer = greet_as(key, &node).await;
        for _ in 0..3 {
            send(&peer, UNKNOWN, vec![]).await;
        }
        send(&peer, MESSAGES, vec![0xc0]).await;
        assert_eq!(receive(&mut peer).await, kept.then_some(MESSAGE_RESPONSE));
    }
}

/// `spec/devp2p.md` §5.2, §10: the UDP port has the number of the TCP port, and is free without discovery.
#[test]
fn devp2p_10_discovery_listens_on_the_port_of_sessions() {
    for discovers in [true, false] {
        let mut setup = Setup::default();
        setup.config["NoDiscovery"] = json!(!discovers);
        let boot_node = format!("enode://{}@127.0.0.1:1", NodeKey::generate().public_key());
        setup.config["ClusterConfig"] = json!({"Enabled": true, "BootNodes": [boot_node]});
        let node = setup.start();
        let free = std::net::UdpSocket::bind(node.p2p).is_ok();
        assert_eq!(free, !discovers, "{}", node.p2p);
    }
}

//! What changes without a restart: design §2 "Advertised address".

use serde_json::{Value, json};

use crate::program::{SOON, Setup, Statusd, until};

fn advertise(address: &str, tcp: u16, udp: u16) -> Value {
    json!({"advertise": {"address": address, "tcpPort": tcp, "udpPort": udp}, "staticPeers": [], "trustedPeers": []})
}

fn enode_host(node: &Statusd) -> Option<String> {
    let info = node.rpc("admin_nodeInfo", json!([]));
    info["enode"].as_str().unwrap().split_once('@').map(|(_, host)| host.to_owned())
}

fn record(node: &Statusd) -> enode::Record {
    node.rpc("admin_nodeInfo", json!([]))["enr"].as_str().unwrap().parse().unwrap()
}

#[test]
fn a_changed_address_is_advertised_without_a_restart() {
    let setup = Setup::default();
    setup.write_live(&json!({"advertise": null, "staticPeers": [], "trustedPeers": []}));
    let node = setup.start();
    assert_eq!(enode_host(&node), None);
    let first = record(&node).seq();
    setup.write_live(&advertise("198.51.100.7", 443, 443));
    until("the first address", SOON, || enode_host(&node).filter(|host| host == "198.51.100.7:443"));
    assert_eq!(record(&node).seq(), first + 1);
    setup.write_live(&advertise("198.51.100.8", 30303, 30304));
    until("the second address", SOON, || {
        enode_host(&node).filter(|host| host == "198.51.100.8:30303?discport=30304")
    });
    assert_eq!(record(&node).seq(), first + 2);
    let info = node.rpc("admin_nodeInfo", json!([]));
    assert_eq!(
        (info["ip"].as_str().unwrap(), &info["ports"]),
        ("198.51.100.8", &json!({"discovery": 30304, "listener": 30303}))
    );
    let (_, status) = node.get("/status");
    let status = node_client::status::NodeStatus::parse(status.as_bytes()).unwrap();
    assert_eq!(status.enode.as_deref(), info["enode"].as_str());
}

#[test]
fn the_sequence_number_grows_over_restarts() {
    let setup = Setup::default();
    setup.write_live(&advertise("198.51.100.7", 443, 443));
    let node = setup.start();
    let before = record(&node);
    assert_eq!(enode_host(&node).unwrap(), "198.51.100.7:443", "known at the start");
    node.stop("-TERM");
    setup.write_live(&advertise("198.51.100.8", 443, 443));
    let node = setup.start();
    assert!(record(&node).seq() > before.seq());
    assert_eq!(record(&node).public_key(), before.public_key());
}

#[test]
fn a_malformed_file_changes_nothing_and_is_reported() {
    let setup = Setup::default();
    setup.write_live(&advertise("198.51.100.7", 443, 443));
    let node = setup.start();
    setup.write_mounted(&setup.path("live"), "live.json", "{\"advertise\": 5}");
    until("a warning", SOON, || node.log().contains("live.json").then_some(()));
    assert_eq!(enode_host(&node).unwrap(), "198.51.100.7:443");
    setup.write_live(&advertise("198.51.100.9", 443, 443));
    until("the next good file", SOON, || enode_host(&node).filter(|host| host == "198.51.100.9:443"));
}

#[test]
fn static_peers_come_and_go() {
    let (one, two) = (Setup::default(), Setup::default());
    let first = one.start();
    one.write_live(
        &json!({"advertise": {"address": "127.0.0.1", "tcpPort": first.p2p.port(), "udpPort": 0}}),
    );
    until("the address", SOON, || enode_host(&first));
    let enode = first.rpc("admin_nodeInfo", json!([]))["enode"].clone();
    let second = two.start();
    two.write_live(&json!({"staticPeers": [enode, "enode://nonsense"], "trustedPeers": [enode]}));
    let peer = until("a peer", SOON, || second.rpc("admin_peers", json!([])).get(0).cloned());
    assert_eq!(peer["network"]["static"], true);
    assert_eq!(peer["network"]["trusted"], true);
    assert!(second.log().contains("staticPeers"), "the bad one is named: {}", second.log());
    two.write_live(&json!({"staticPeers": [], "trustedPeers": []}));
    until("no peer", SOON, || {
        second.rpc("admin_peers", json!([])).as_array().unwrap().is_empty().then_some(())
    });
}

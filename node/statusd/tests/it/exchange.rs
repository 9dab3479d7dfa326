//! The node and an independent peer on go-ethereum's p2p (`e2e/peers`): every packet, in both versions of waku, with and
//! without Snappy. Needs that peer's binary: the scripts set STATUS_PEER_BIN.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::program::{SOON, Setup, until};

const VERSIONS_AND_SNAPPY: [(&str, &str); 4] =
    [("0", "-snappy=true"), ("0", "-snappy=false"), ("1", "-snappy=true"), ("1", "-snappy=false")];

fn program() -> String {
    std::env::var("STATUS_PEER_BIN")
        .expect("STATUS_PEER_BIN is not set: build the peer by `scripts/build.sh peers` and name its binary")
}

/// What the peer prints, a value a line.
fn peer(args: &[&str]) -> Vec<Value> {
    let output = Command::new(program()).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    let stdout = String::from_utf8(output.stdout).unwrap();
    stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The peer as a server. Killed when dropped.
struct Serving {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Serving {
    fn start(args: &[&str]) -> (Self, String) {
        let mut child =
            Command::new(program()).arg("serve").args(args).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (said, lines) = mpsc::channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| said.send(line)));
        let serving = Self { child, lines };
        let enode = serving.line()["enode"].as_str().unwrap().to_owned();
        (serving, enode)
    }

    fn line(&self) -> Value {
        serde_json::from_str(&self.lines.recv_timeout(SOON).expect("a line soon")).unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `spec/waku-mailserver.md` §4.1, `spec/devp2p.md` §2.5: what the peer sends is taken, what it waits for comes, and nothing
/// else does. The node sends 22 and 126 only when its user wants it to: see the test below.
#[test]
fn every_packet_is_exchanged() {
    let node = Setup::default().start();
    let enode = node.enode();
    for (version, snappy) in VERSIONS_AND_SNAPPY {
        let said = peer(&["exchange", &enode, "-waku", version, snappy]).pop().unwrap();
        let expected = json!({
            "type": "exchanged", "version": version.parse::<u64>().unwrap(), "snappy": snappy == "-snappy=true",
            "sent": [0, 1, 11, 12, 22, 125, 126, 127], "received": [0, 1, 11, 12, 125, 127],
        });
        assert_eq!(said, expected);
    }
    let (_, metrics) = node.get("/metrics");
    assert!(!metrics.contains("waku_envelopes_rejected_total{"), "nothing was undecodable: {metrics}");
    assert!(metrics.lines().any(|line| line == "mailserver_delivery_attempts_total 8"), "{metrics}");
}

/// `spec/waku-mailserver.md` §4.1, §4.4, §4.9: every code that a node sends, 22 and 126 among them, to a peer that it
/// dialled; and history from that peer, which only 127 brings.
#[test]
fn every_packet_is_sent_to_a_peer_that_the_node_dialled() {
    for (version, snappy) in VERSIONS_AND_SNAPPY {
        let (serving, static_peer) = Serving::start(&["-codes", "-waku", version, snappy]);
        let mut setup = Setup::default();
        setup.config["APIModules"] = json!("admin,waku,wakuext");
        setup.config["ClusterConfig"] = json!({"Enabled": true, "StaticNodes": [static_peer]});
        let node = setup.start();
        let id = node.rpc("admin_nodeInfo", json!([]))["id"].clone();
        let mut codes = BTreeSet::new();
        let mut line = || {
            let line = serving.line();
            if line["type"] == "packet" && line["nodeId"] == id {
                codes.extend(line["code"].as_u64());
            }
            (line, codes.clone())
        };
        assert_eq!(line().1, [0].into(), "the status, from whichever side");
        assert_eq!(node.rpc("waku_setMinPoW", json!([0.0005])), true);
        while line().0["status"] != json!({"powRequirement": 0.0005}) {}
        let key = node.rpc("waku_generateSymKeyFromPassword", json!(["status"]));
        let message = json!({"symKeyID": key, "topic": "0xcd423760", "payload": STANDARD.encode("hello"),
            "powTarget": 0.002, "powTime": 10, "ttl": 60});
        let posted = node.rpc("waku_post", json!([message]));
        while posted != format!("0x{}", line().0["hash"].as_str().unwrap_or_default()) {}
        // The peer sends it on, and the node confirms it.
        peer(&["post", &static_peer, "-topic", "0a0b0c0d", "-confirm", "-waku", version, snappy]);
        while !line().1.is_superset(&[11, 12].into()) {}
        let criteria = json!({"symKeyID": key, "topics": ["0xcd423760"], "allowP2P": true});
        let filter = node.rpc("waku_newMessageFilter", json!([criteria]));
        let password = node.rpc("waku_generateSymKeyFromPassword", json!(["status-offline-inbox"]));
        let request = json!({"mailServerPeer": static_peer, "topics": ["0xcd423760"], "limit": 10, "symKeyID": password});
        node.rpc("wakuext_requestMessages", json!([request]));
        let found =
            until("history", SOON, || node.rpc("waku_getFilterMessages", json!([filter])).get(0).cloned());
        assert_eq!((&found["payload"], &found["bool"]), (&json!(STANDARD.encode("hello")), &json!(true)));
        while line().1 != [0, 1, 11, 12, 22, 126].into() {}
    }
}

/// `spec/waku-mailserver.md` §4.6: the node dials, and what is posted to either reaches the other.
#[test]
fn gossip_goes_both_ways_when_the_node_dials() {
    for (version, snappy) in VERSIONS_AND_SNAPPY {
        let (serving, static_peer) = Serving::start(&["-waku", version, snappy]);
        let mut setup = Setup::default();
        setup.config["ClusterConfig"] = json!({"Enabled": true, "StaticNodes": [static_peer]});
        let node = setup.start();
        let seen = until("the node has its static peer", SOON, || {
            node.rpc("admin_peers", json!([])).get(0).cloned()
        });
        assert_eq!(seen["caps"], json!([format!("waku/{version}")]));
        let enode = node.enode();
        let to_node = peer(&["post", &enode, "-topic", "01020304", "-confirm"]).remove(0);
        assert_eq!(serving.line()["raw"], to_node["raw"], "waku/{version} {snappy}");
        let to_peer =
            peer(&["post", &static_peer, "-topic", "0a0b0c0d", "-confirm", "-waku", version, snappy])
                .remove(0);
        until("the node has what was posted to its peer", SOON, || {
            let history = peer(&["history", &enode, "-topic", "0a0b0c0d"]);
            history.iter().any(|line| line["raw"] == to_peer["raw"]).then_some(())
        });
    }
}

//! The node and an independent peer on go-ethereum's p2p (`e2e/peers`): every packet, in both versions of waku, with and
//! without Snappy. Needs that peer's binary: the scripts set STATUS_PEER_BIN.

use std::{
    io::{BufRead as _, BufReader, Lines},
    process::{Child, ChildStdout, Command, Stdio},
};

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
    lines: Lines<BufReader<ChildStdout>>,
}

impl Serving {
    fn start(args: &[&str]) -> (Self, String) {
        let mut child =
            Command::new(program()).arg("serve").args(args).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut serving = Self { child, lines };
        let enode = serving.line()["enode"].as_str().unwrap().to_owned();
        (serving, enode)
    }

    fn line(&mut self) -> Value {
        serde_json::from_str(&self.lines.next().expect("a line").unwrap()).unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `spec/waku-mailserver.md` §4.1, `spec/devp2p.md` §2.5: what the peer sends is taken, what it waits for comes, and nothing
/// else does. A node asks no peer for history and never changes its settings, so 22 and 126 go one way here; the other
/// way is shown with the node's client, in `node/tools`.
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

/// `spec/waku-mailserver.md` §4.6: the node dials, and what is posted to either reaches the other.
#[test]
fn gossip_goes_both_ways_when_the_node_dials() {
    for (version, snappy) in VERSIONS_AND_SNAPPY {
        let (mut serving, static_peer) = Serving::start(&["-waku", version, snappy]);
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

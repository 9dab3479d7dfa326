//! `statusctl cross-check` against real nodes, and what a node that is full is told apart by. Needs `node-tools` beside
//! `statusd`, as every build of the workspace puts it.

use std::{
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use enode::NodeKey;
use node_client::{Client, Error, Options, seal};
use serde_json::{Value, json};
use waku_wire::{Envelope, Topic, WireEnvelope};

use crate::{
    history::{connect, now},
    program::{Setup, Statusd},
};

const COMMON: &str = "0x00000001";
const OTHER: &str = "0x00000002";

fn tools(args: &[&str]) -> Output {
    let tools = Path::new(env!("CARGO_BIN_EXE_statusd")).with_file_name("node-tools");
    assert!(tools.exists(), "{} is not there: build the whole workspace", tools.display());
    Command::new(tools).args(args).output().unwrap()
}

/// Exit code, standard output, standard error.
fn cross_check(nodes: &[&Statusd], args: &[&str]) -> (i32, String, String) {
    let enodes: Vec<String> = nodes.iter().map(|node| node.enode()).collect();
    let enodes: Vec<&str> = enodes.iter().map(String::as_str).collect();
    let output = tools(&[&["statusctl", "cross-check"], &enodes[..], args].concat());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

async fn sealed(topic: &str, age: u32, numbers: std::ops::Range<u32>) -> Vec<WireEnvelope> {
    let mut all = Vec::new();
    for number in numbers {
        let data = format!("{topic} {age} {number}").into_bytes().into();
        let topic: Topic = topic.parse().unwrap();
        let envelope = Envelope { expiry: now() + 60, ttl: 60 + age, topic, data, nonce: 0 };
        all.push(seal(envelope, 0.000_002, Duration::from_secs(5)).await.unwrap());
    }
    all
}

async fn post(client: &Client, envelopes: &[WireEnvelope]) {
    for some in envelopes.chunks(200) {
        client.post(some).await.unwrap().wait(Duration::from_secs(20)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_holes_of_real_nodes_are_found_and_nothing_else() {
    let setups = [Setup::default(), Setup::default(), Setup::default()];
    let nodes = setups.each_ref().map(Setup::start);
    let nodes: Vec<&Statusd> = nodes.iter().collect();
    let common = sealed(COMMON, 3600, 0..1500).await;
    let first = sealed(OTHER, 1800, 0..1).await;
    let pair = sealed(OTHER, 600, 1..3).await;
    for (index, node) in nodes.iter().enumerate() {
        let client = connect(node).await;
        post(&client, &common).await;
        if index == 0 {
            post(&client, &first).await;
        }
        if index > 0 {
            post(&client, &pair).await;
        }
        client.close().await;
    }
    // Each hole with those that lack it, in order of (sent, hash).
    let mut holes: Vec<_> = first.iter().map(|envelope| (envelope, vec![1, 2])).collect();
    holes.extend(pair.iter().map(|envelope| (envelope, vec![0])));
    holes.sort_by_key(|(envelope, _)| (envelope.sent(), envelope.hash()));

    let (code, out, error) = cross_check(&nodes, &["--json"]);
    assert_eq!(code, 7, "{out}{error}");
    assert_eq!(error, "statusctl: the servers differ: 3 of 1503 envelopes are not on all of them\n");
    let mut lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let result = lines.pop().unwrap();
    let expected: Vec<Value> = holes
        .iter()
        .map(|(envelope, missing_on)| {
            json!({"type": "missing", "hash": envelope.hash().to_string(), "sent": envelope.sent(),
                "topic": "00000002", "missingOn": missing_on})
        })
        .collect();
    assert_eq!(lines, expected);
    assert_eq!((&result["envelopes"], &result["holes"]), (&1503.into(), &3.into()));
    let counts = |field: &str| [0, 1, 2].map(|index| result["servers"][index][field].as_u64().unwrap());
    assert_eq!((counts("envelopes"), counts("missing")), ([1501, 1502, 1502], [2, 1, 1]));

    let (code, out, _) = cross_check(&nodes, &[]);
    let (envelope, _) = holes[0];
    let line =
        format!("missing on 1, 2: envelope {}, sent {}, topic 00000002", envelope.hash(), envelope.sent());
    assert_eq!((code, out.lines().next().unwrap()), (7, line.as_str()), "{out}");
    assert!(out.ends_with(": 1503 envelopes, 3 not on all servers\n"), "{out}");

    // No difference: of one topic, of two of the nodes, of a time without.
    let before = (envelope.sent() - 1).to_string();
    for (nodes, args) in [
        (&nodes[..], &["--topic", COMMON, "--form", "encrypted"][..]),
        (&nodes[1..], &[]),
        (&nodes[..], &["--to", &before]),
    ] {
        let (code, out, error) = cross_check(nodes, args);
        assert_eq!((code, error.as_str()), (0, ""), "{out}");
        assert!(out.ends_with("0 not on all servers\n"), "{out}");
    }

    // What is asked wrongly, and a node that is not there, are told from a difference.
    assert_eq!(cross_check(&nodes[..1], &[]).0, 2);
    assert_eq!(cross_check(&[nodes[0], nodes[0]], &[]).0, 2);
    assert_eq!(cross_check(&nodes, &["--from", "2", "--to", "1"]).0, 2);
    let gone = format!("{}@127.0.0.1:1", nodes[0].enode().split('@').next().unwrap());
    let output = tools(&["statusctl", "cross-check", &nodes[1].enode(), &gone, "--timeout", "3"]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with(&format!("statusctl: {gone}: cannot connect")), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_full_is_told_from_one_that_is_not_there() {
    let (well, mut setup) = (Setup::default().start(), Setup::default());
    setup.config["MaxPeers"] = json!(2);
    let full = setup.start();
    let url = full.enode().parse().unwrap();
    let mut held = Vec::new();
    let refused = loop {
        match Client::connect(&url, &NodeKey::generate(), &Options::quiet()).await {
            Ok(client) => held.push(client),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::TooManyPeers) && !held.is_empty(), "{refused}, {} held", held.len());
    let (code, _, error) = cross_check(&[&well, &full], &[]);
    assert_eq!((code, error.contains("too many peers")), (6, true), "{error}");
    assert!(error.contains(&full.enode()), "{error}");
    assert_eq!(tools(&["statusctl", "connect", &full.enode()]).status.code(), Some(6));
    for check in ["-staticnode", "-mailserver"] {
        let output = tools(&["node-canary", check, &full.enode()]);
        assert_eq!(output.status.code(), Some(18), "{output:?}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("too many peers"));
    }
}

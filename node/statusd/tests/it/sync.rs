//! Replicas heal each other's gaps: two real nodes, and what they say of their history.

use std::time::Duration;

use node_client::{Client, seal, status::NodeStatus};
use serde_json::{Value, json};
use waku_wire::{Envelope, Topic, WireEnvelope};

use crate::{
    history::{connect, now},
    program::{SOON, Setup, Statusd, until},
};

/// An agreement has to cover the start, and what is younger than a minute is not compared.
const AGREEMENT: Duration = Duration::from_secs(150);

fn status(node: &Statusd) -> NodeStatus {
    NodeStatus::parse(node.get("/status").1.as_bytes()).unwrap()
}

fn metric(node: &Statusd, name: &str) -> Option<String> {
    let (_, text) = node.get("/metrics");
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned))
}

/// Capabilities of a node's one peer, as that peer announced them.
fn announced(node: &Statusd) -> Option<Vec<Value>> {
    node.rpc("admin_peers", json!([])).get(0).map(|peer| peer["caps"].as_array().unwrap().clone())
}

/// Posts and waits for the confirmations: `sent` is `age` seconds ago.
async fn post(client: &Client, age: u32, numbers: std::ops::Range<u32>) {
    let mut sealed: Vec<WireEnvelope> = Vec::new();
    for number in numbers {
        let expiry = now() + 60;
        let envelope = Envelope {
            expiry,
            ttl: 60 + age,
            topic: Topic::from_name("sync"),
            data: format!("envelope {age} {number}").into_bytes().into(),
            nonce: 0,
        };
        sealed.push(seal(envelope, 0.000_002, Duration::from_secs(5)).await.unwrap());
    }
    client.post(&sealed).await.unwrap().wait(Duration::from_secs(20)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_replica_refills_from_another_while_there_is_traffic_and_both_say_so() {
    let (one, two) = (Setup::default(), Setup::default());
    let full = one.start();
    let client = connect(&full).await;
    post(&client, 7300, 0..150).await;
    post(&client, 100, 0..150).await;
    // What it still relays would reach the other one by gossip.
    drop(client);
    full.stop("-TERM");
    let full = one.start();
    let alone = status(&full);
    assert_eq!(alone.archive.unwrap().envelopes, 300);
    assert!(alone.history.unwrap().complete, "nobody to wait for");
    let empty = two.start();
    one.write_live(&json!({"syncPeers": [empty.enode()]}));
    let waits = until("the new list is taken", SOON, || status(&full).history.filter(|it| !it.complete));
    assert_eq!(waits.reason, "no replica has agreed yet");
    two.write_live(&json!({"staticPeers": [full.enode()], "syncPeers": [full.enode()]}));
    let client = connect(&full).await;
    let mut live = 0;
    while status(&empty).archive.unwrap().envelopes < 300 + u64::from(live) {
        post(&client, 0, live..live + 1).await;
        live += 1;
        assert!(live < 300, "not refilled: {:?} {}", status(&empty), empty.log());
    }
    assert_eq!(metric(&empty, "statusd_sync_envelopes_total{kind=\"stored\"}").unwrap(), "300");
    assert_eq!(metric(&full, "statusd_sync_envelopes_total{kind=\"given\"}").unwrap(), "300");
    // Each is offered it by the other, behind waku.
    assert_eq!(announced(&empty).unwrap(), ["waku/0", "waku/1", "wakusync/1"]);
    let before = status(&empty).history.unwrap();
    assert!(!before.complete, "the minute before the start is not compared yet: {before:?}");
    assert_eq!(metric(&empty, "statusd_history_complete").unwrap(), "0");
    for node in [&empty, &full] {
        let history =
            until("agreement", AGREEMENT, || status(node).history.filter(|history| history.complete));
        assert!(history.reason.contains("agreed up to") && history.agreed_to.is_some(), "{history:?}");
        assert_eq!(metric(node, "statusd_history_complete").unwrap(), "1");
        assert_ne!(metric(node, "mailserver_sync_attempts_total").unwrap(), "0");
        assert_eq!(status(node).archive.unwrap().envelopes, 300 + u64::from(live));
    }
    // Another interval counts at once: without it, the next round is minutes away.
    let rounds = || metric(&full, "mailserver_sync_attempts_total").unwrap().parse::<u32>().unwrap();
    let before = rounds();
    one.write_live(&json!({"syncPeers": [empty.enode()], "syncIntervalSeconds": 10}));
    let peers = json!([full.enode()]);
    two.write_live(&json!({"staticPeers": peers, "syncPeers": peers, "syncIntervalSeconds": 10}));
    until("two more rounds", Duration::from_secs(60), || (rounds() >= before + 2).then_some(()));
}

#[test]
fn who_is_not_on_the_list_is_not_offered_sync() {
    let (one, mut two) = (Setup::default(), Setup::default());
    let first = one.start();
    two.config["WakuConfig"]["MailServerSyncPeers"] = json!([first.enode()]);
    two.config["ClusterConfig"] = json!({"Enabled": true, "StaticNodes": [first.enode()]});
    let second = two.start();
    let seen = until("a peer", SOON, || announced(&second));
    assert_eq!(seen, ["waku/0", "waku/1"]);
    assert_eq!(announced(&first).unwrap(), ["waku/0", "waku/1", "wakusync/1"]);
    assert_eq!(status(&second).history.unwrap().reason, "no replica has agreed yet");
}

#[test]
fn history_that_no_replica_agrees_on_is_complete_after_the_time_that_is_set() {
    let absent = Setup::default().start().enode();
    let mut setup = Setup::default();
    setup.config["WakuConfig"]["MailServerSyncPeers"] = json!([absent]);
    setup.config["WakuConfig"]["MailServerSyncTimeout"] = json!(1);
    let node = setup.start();
    let history =
        until("the time is over", SOON, || status(&node).history.filter(|history| history.complete));
    assert_eq!((history.reason.as_str(), history.agreed_to), ("no replica agreed within 1 s", None));
}

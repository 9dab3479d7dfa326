//! The canary's verdicts on a node that behaves and on each kind that does not
//! (`spec/waku-mailserver.md` §9.5, `spec/operations.md` §5.1).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod common;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{Fault, Node, mailbox};
use enode::NodeKey;
use node_client::canary::{Check, Config, Passed, Report, run};
use waku_wire::{Envelope, SymmetricKey, Topic, WireEnvelope};

const PLAIN: Check = Check::Mailserver { post: false };
const POST: Check = Check::Mailserver { post: true };

fn now() -> u32 {
    u32::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

fn recent() -> WireEnvelope {
    let (ttl, topic) = (15, Topic::from_name("status"));
    Envelope { expiry: now() - 60 + ttl, ttl, topic, data: vec![1].into(), nonce: 0 }.encode().unwrap()
}

fn config(node: &Node, check: Check) -> Config {
    // Long enough for each step on a busy machine: some of these nodes answer nothing, and it is waited out.
    let timeout = Duration::from_secs(3);
    Config { timeout, ..Config::new(node.url.clone(), check, NodeKey::generate(), mailbox()) }
}

async fn check(fault: Fault, check: Check, stored: &[WireEnvelope]) -> Report {
    let node = Node::start(fault);
    node.store(stored);
    run(&config(&node, check)).await
}

/// The failure's line never spans lines and is never empty.
fn failed_with(report: &Report, code: u8, words: &str) {
    assert_eq!(report.exit_code(), code, "{report:?}");
    let line = report.result.as_ref().unwrap_err().to_string();
    assert!(line.contains(words) && !line.contains('\n'), "{line}");
}

#[tokio::test]
async fn s99_a_static_node_stays_connected() {
    let report = check(Fault::None, Check::Static, &[]).await;
    assert_eq!(report.exit_code(), 0, "{report:?}");
    assert!(matches!(report.result, Ok(Passed::Static)));
    let stayed = report.elapsed - report.connected_after.unwrap();
    assert!(stayed >= Duration::from_secs(5), "{report:?}");
}

#[tokio::test]
async fn a_static_node_that_drops_the_session_fails_with_1() {
    failed_with(&check(Fault::HangsUpAtOnce, Check::Static, &[]).await, 1, "connection lost");
}

#[tokio::test]
async fn s100_an_empty_store_passes() {
    let node = Node::start(Fault::None);
    let report = run(&config(&node, PLAIN)).await;
    assert!(matches!(report.result, Ok(Passed::Mailserver { last: None, posted: None })), "{report:?}");
    // The request of §7.3: one envelope of the chat by bloom, over a day.
    let request = node.requests().remove(0);
    assert_eq!((request.to - request.from, request.limit, request.topics.len()), (86_400, 1, 0));
    assert!(request.batch && request.cursor.is_empty());
    assert_eq!(request.bloom, waku_wire::Bloom::of_topic(Topic::from_name("status")).0);
    // Step 6: the status update with the chat's topic.
    assert_eq!(node.topics().last(), Some(&vec![Topic::from_name("status")]));
}

#[tokio::test]
async fn s101_one_envelope_is_delivered() {
    let stored = recent();
    let report = check(Fault::None, PLAIN, std::slice::from_ref(&stored)).await;
    let Ok(Passed::Mailserver { last, .. }) = report.result else { panic!("{report:?}") };
    assert_eq!(last, Some(stored.hash()));
}

#[tokio::test]
async fn s102_a_withheld_envelope_fails_with_4() {
    let report = check(Fault::Withholds, PLAIN, &[recent()]).await;
    failed_with(&report, 4, "did not deliver");
    assert!(report.elapsed >= Duration::from_secs(5), "step 11 of §7.3 waits 5 s");
}

#[tokio::test]
async fn an_envelope_just_behind_the_completion_passes() {
    assert_eq!(check(Fault::DeliversLate, PLAIN, &[recent()]).await.exit_code(), 0);
}

#[tokio::test]
async fn s103_no_completion_or_another_fails_with_3() {
    for fault in [Fault::WrongId, Fault::Silent] {
        failed_with(&check(fault, PLAIN, &[recent()]).await, 3, "timed out");
    }
    failed_with(&check(Fault::HangsUp, PLAIN, &[]).await, 3, "connection lost");
    failed_with(&check(Fault::Garbage, PLAIN, &[]).await, 3, "broke the protocol");
}

#[tokio::test]
async fn s104_an_unreachable_node_fails_with_1() {
    let node = Node::start(Fault::None);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("enode://{}@127.0.0.1:{free}", NodeKey::generate().public_key()).parse().unwrap();
    for check in [Check::Static, PLAIN] {
        failed_with(
            &run(&Config { node: enode::EnodeUrl::clone(&url), ..config(&node, check) }).await,
            1,
            "cannot connect",
        );
    }
}

#[tokio::test]
async fn another_identity_or_no_status_fails_with_1() {
    let node = Node::start(Fault::None);
    let text = node.url.to_string();
    let address = text.split('@').nth(1).unwrap();
    let other = format!("enode://{}@{address}", NodeKey::generate().public_key()).parse().unwrap();
    failed_with(&run(&Config { node: other, ..config(&node, PLAIN) }).await, 1, "cannot connect");
    failed_with(&check(Fault::NoStatus, PLAIN, &[]).await, 1, "timed out");
}

/// The node is well, and a canary is not what it has room for: no fault of its own.
#[tokio::test]
async fn a_full_node_is_a_result_of_its_own() {
    for fault in [Fault::Full, Fault::FullAfterHello] {
        for kind in [Check::Static, PLAIN, POST] {
            let report = check(fault, kind, &[]).await;
            failed_with(&report, 18, "too many peers");
            assert_eq!(report.result.unwrap_err().reason(), "TooManyPeers");
        }
    }
}

#[tokio::test]
async fn s105_a_target_out_of_reach_fails_with_2() {
    let node = Node::start(Fault::None);
    failed_with(&run(&Config { pow: 1e60, ..config(&node, PLAIN) }).await, 2, "PoW target");
}

#[tokio::test]
async fn s106_an_error_completion_fails_with_10() {
    failed_with(&check(Fault::Refuses, PLAIN, &[]).await, 10, "rate limit exceeded");
    let node = Node::start(Fault::None);
    let mailbox = SymmetricKey::from_bytes([8; 32]).unwrap();
    failed_with(&run(&Config { mailbox, ..config(&node, PLAIN) }).await, 10, "failed to decrypt");
}

#[tokio::test]
async fn post_passes_when_the_envelope_comes_back() {
    for fault in [Fault::None, Fault::NoConfirmations, Fault::StoresLate] {
        let node = Node::start(fault);
        let report = run(&config(&node, POST)).await;
        let Ok(Passed::Mailserver { posted: Some(hash), .. }) = report.result else {
            panic!("{fault:?} {report:?}")
        };
        let stored = node.rows().remove(0);
        assert_eq!((stored.hash(), stored.ttl()), (hash, 15));
        assert!(waku_wire::pow::Pow::exact(&stored, 0).value() >= 0.002, "what the node wants");
        assert_ne!(stored.topic(), Topic::from_name("status"), "a topic of its own");
    }
}

#[tokio::test]
async fn post_fails_with_a_code_for_each_fault() {
    for (fault, code, words) in [
        (Fault::Rejects, 12, "low PoW"),
        (Fault::ForgetsConfirmations, 13, "not confirmed"),
        (Fault::Forgets, 14, "not in the node's history"),
        (Fault::Repeats, 15, "2 times"),
        (Fault::Withholds, 17, "did not deliver"),
    ] {
        failed_with(&check(fault, POST, &[]).await, code, words);
    }
}

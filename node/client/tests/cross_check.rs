//! The comparison of servers: what it finds is what a comparison of sets finds, and a server that cannot be compared is
//! named with the reason.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod common;

use std::{collections::BTreeMap, time::Duration};

use common::{Fault, Node};
use enode::NodeKey;
use node_client::{
    Client, Options,
    cross_check::{CrossCheck, Hole, Question, Row, ServerError, Summary},
    history::Form,
};
use rand::Rng as _;
use waku_wire::{Envelope, Topic, WireEnvelope};

const FROM: u32 = 1_700_000_000;
const TO: u32 = FROM + 100;

fn envelope(number: u32, topic: u8, sent: u32) -> WireEnvelope {
    let data = number.to_be_bytes().to_vec().into();
    Envelope { expiry: sent + 15, ttl: 15, topic: Topic([topic; 4]), data, nonce: 0 }.encode().unwrap()
}

fn question() -> Question {
    Question {
        from: FROM,
        to: TO,
        topics: Vec::new(),
        form: Form::Plain,
        patience: Duration::from_secs(20),
        whole: true,
    }
}

async fn check(nodes: &[Node], question: &Question) -> Result<(Vec<Hole>, Summary), ServerError> {
    let mut clients = Vec::new();
    for node in nodes {
        clients.push(Client::connect(&node.url, &NodeKey::generate(), &Options::quiet()).await.unwrap());
    }
    let mut check = CrossCheck::begin(&clients, question).await?;
    let mut holes = Vec::new();
    while let Some(hole) = check.next_hole().await? {
        holes.push(hole);
    }
    Ok((holes, check.summary().clone()))
}

fn row(envelope: &WireEnvelope) -> Row {
    Row { sent: envelope.sent(), hash: envelope.hash(), topic: envelope.topic() }
}

/// Several pages a server, several envelopes a second, each on some of the servers.
#[tokio::test]
async fn it_finds_what_a_comparison_of_sets_finds() {
    for topics in [vec![], vec![Topic([1; 4]), Topic([3; 4])]] {
        let nodes: Vec<Node> = (0..4).map(|_| Node::start(Fault::None)).collect();
        let mut wanted: BTreeMap<Row, Vec<usize>> = BTreeMap::new();
        let mut all = 0;
        for number in 0..4000 {
            let mut random = rand::rng();
            // Some outside the range.
            let (topic, sent) = (random.random_range(0..5), random.random_range(FROM - 20..=TO + 20));
            let envelope = envelope(number, topic, sent);
            let lacks: Vec<usize> = (0..nodes.len()).filter(|_| random.random_ratio(1, 20)).collect();
            for (index, node) in nodes.iter().enumerate() {
                if !lacks.contains(&index) {
                    node.store(std::slice::from_ref(&envelope));
                }
            }
            let asked = (FROM..=TO).contains(&sent)
                && (topics.is_empty() || topics.contains(&envelope.topic()))
                && lacks.len() < nodes.len();
            all += u64::from(asked);
            if asked && !lacks.is_empty() {
                wanted.insert(row(&envelope), lacks);
            }
        }
        let (holes, summary) = check(&nodes, &Question { topics, ..question() }).await.unwrap();
        assert!(!holes.is_empty());
        let found: Vec<(Row, Vec<usize>)> = holes.into_iter().map(|hole| (hole.row, hole.missing)).collect();
        assert_eq!(found, wanted.into_iter().collect::<Vec<_>>());
        assert_eq!((summary.from, summary.to, summary.envelopes), (FROM, TO, all));
        assert_eq!(summary.holes, u64::try_from(found.len()).unwrap());
        for (index, server) in summary.servers.iter().enumerate() {
            let missing = found.iter().filter(|(_, lacks)| lacks.contains(&index)).count();
            assert_eq!(server.missing, u64::try_from(missing).unwrap());
            assert_eq!(server.envelopes + server.missing, all);
        }
        assert!(nodes[0].requests().len() > 2, "more than one page");
    }
}

#[tokio::test]
async fn what_one_no_longer_keeps_is_no_hole_unless_all_is_asked_for() {
    let (old, young, empty) = (Node::start(Fault::None), Node::start(Fault::None), Node::start(Fault::None));
    let early: Vec<_> = (0..5).map(|n| envelope(n, 1, FROM + n)).collect();
    let late: Vec<_> = (5..9).map(|n| envelope(n, 1, FROM + 50 + n)).collect();
    old.store(&early);
    old.store(&late);
    young.store(&late);
    // Where a history begins, another topic tells too.
    young.store(&[envelope(99, 2, FROM + 40)]);
    let topics = vec![Topic([1; 4])];
    let pair = [old, young];
    let begun = Question { topics, whole: false, ..question() };
    let (holes, summary) = check(&pair, &begun).await.unwrap();
    assert_eq!((holes, summary.from), (Vec::new(), FROM + 40));
    assert_eq!(
        summary.servers.iter().map(|server| server.oldest).collect::<Vec<_>>(),
        [Some(FROM), Some(FROM + 40)]
    );
    let (holes, summary) = check(&pair, &Question { whole: true, ..begun.clone() }).await.unwrap();
    assert_eq!((holes.len(), summary.from), (early.len(), FROM));
    assert!(holes.iter().all(|hole| hole.missing == [1]));
    // A server without any history keeps nothing: that is no beginning, but a hole.
    let [old, young] = pair;
    let (holes, summary) = check(&[old, young, empty], &begun).await.unwrap();
    assert_eq!((holes.len(), summary.from), (late.len(), FROM + 40));
    assert!(holes.iter().all(|hole| hole.missing == [2]));
}

#[tokio::test]
async fn a_server_that_cannot_be_compared_is_named_with_the_reason() {
    let rows: Vec<_> = (0..8).map(|n| envelope(n, 1, FROM + n)).collect();
    for (fault, words) in [
        (Fault::NewestFirst, "oldest first"),
        (Fault::Repeats, "envelope twice"),
        (Fault::IgnoresLimit, "more than 1 envelopes in a page"),
        (Fault::CursorStands, "does not move on"),
        (Fault::Refuses, "rate limit exceeded"),
        (Fault::Silent, "timed out"),
        (Fault::HangsUp, "connection lost"),
    ] {
        let nodes = [Node::start(Fault::None), Node::start(fault)];
        nodes[0].store(&rows);
        // What comes again and again is out of order; nothing at all is not.
        if fault != Fault::CursorStands {
            nodes[1].store(&rows);
        }
        let patience = Duration::from_secs(if fault == Fault::Silent { 1 } else { 20 });
        let error = check(&nodes, &Question { patience, ..question() }).await.unwrap_err();
        assert_eq!(error.server, 1, "{fault:?}");
        assert!(error.to_string().starts_with("server 1: "), "{error}");
        assert!(error.to_string().contains(words), "{fault:?}: {error}");
    }
}

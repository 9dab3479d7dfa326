//! Our node and an independent implementation (`e2e/discv5`: the package that the network's own nodes were built from)
//! find each other by topic, in every role. Needs that node's binary: the scripts set STATUS_DISCV5_BIN.
//! Facts: `spec/devp2p.md` §6. A registration takes a minute at least: that is the shortest wait period (§6.7).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::{future::Future, process::Stdio, time::Duration};

use discovery::{Config, Event, Handle, Kind, Manager, Topic};
use enode::{Enode, NodeKey};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

const TOPIC: &str = "whispermail";
const SEARCH_PERIOD: Duration = Duration::from_secs(1);
/// Without a registration: the registrant itself is asked.
const DIRECT: Duration = Duration::from_secs(60);
/// With a registration. The other implementation first learns its radius, then waits for a minute.
const REGISTERED: Duration = Duration::from_secs(360);

fn topic() -> Topic {
    TOPIC.parse().unwrap()
}

async fn within<T>(what: &str, limit: Duration, future: impl Future<Output = T>) -> T {
    timeout(limit, future).await.unwrap_or_else(|_| panic!("not in {limit:?}: {what}"))
}

/// Their node; ends with this value.
struct Theirs {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    enode: Enode,
}

impl Theirs {
    async fn start(boot: Option<Enode>, args: &[&str]) -> Self {
        let program = std::env::var("STATUS_DISCV5_BIN").expect(
            "STATUS_DISCV5_BIN is not set: build the node by `scripts/build.sh peers` and name its binary",
        );
        let mut command = Command::new(&program);
        command.args(args).stdout(Stdio::piped()).kill_on_drop(true);
        if let Some(boot) = boot {
            command.args(["-bootnode", &boot.to_string()]);
        }
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = within("its enode", DIRECT, lines.next_line()).await.unwrap().expect("a line");
        let enode =
            serde_json::from_str::<Value>(&first).unwrap()["enode"].as_str().unwrap().parse().unwrap();
        Self { child, lines, enode }
    }

    /// Reads on until it has found `whom`.
    async fn finds(&mut self, whom: Enode, limit: Duration) {
        let found = async {
            loop {
                let line = self.lines.next_line().await.unwrap().expect("it runs on");
                let line: Value = serde_json::from_str(&line).unwrap();
                assert_eq!(line["topic"], TOPIC);
                let found: Enode = line["enode"].as_str().unwrap().parse().unwrap();
                if found == whom {
                    return;
                }
            }
        };
        within(&format!("they find {whom}"), limit, found).await;
    }

    async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

fn ours(boot: Option<Enode>) -> Handle {
    let config = Config {
        boot_nodes: boot.into_iter().collect(),
        ..Config::new(NodeKey::generate(), "127.0.0.1:0".parse().unwrap())
    };
    Manager::start(config).unwrap()
}

/// Searches with our node until it has found `whom`.
async fn we_find(we: &Handle, whom: Enode, limit: Duration) {
    let mut events = we.events();
    we.search(topic(), SEARCH_PERIOD).unwrap();
    let found = async {
        loop {
            if let Event::Found { topic: under, node } = events.recv().await.unwrap()
                && node.enode() == whom
            {
                return assert_eq!(under, topic());
            }
        }
    };
    within(&format!("we find {whom}"), limit, found).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn we_register_and_they_find_us() {
    // They are our boot node.
    let mut they = Theirs::start(None, &["-search", TOPIC, "-period", "1s"]).await;
    let we = ours(Some(they.enode));
    we.register(topic()).unwrap();
    they.finds(we.enode(), DIRECT).await;
    // We are theirs.
    let mut others = Theirs::start(Some(we.enode()), &["-search", TOPIC, "-period", "1s"]).await;
    others.finds(we.enode(), DIRECT).await;
    we.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_register_and_we_find_them() {
    // They are our boot node.
    let they = Theirs::start(None, &["-register", TOPIC]).await;
    let we = ours(Some(they.enode));
    we_find(&we, they.enode, DIRECT).await;
    we.shutdown().await;
    // We are theirs.
    let we = ours(None);
    let they = Theirs::start(Some(we.enode()), &["-register", TOPIC]).await;
    we_find(&we, they.enode, DIRECT).await;
    we.shutdown().await;
}

/// Tickets both ways: each is listed at the other's registrar, and is found there by newcomers of both kinds when it is
/// gone itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_listed_at_the_others_registrar() {
    tokio::join!(we_are_listed_by_them(), they_are_listed_by_us());
}

async fn we_are_listed_by_them() {
    let registrar = Theirs::start(None, &[]).await;
    let we = ours(Some(registrar.enode));
    we.register(topic()).unwrap();
    let us = we.enode();
    within("we use a ticket", REGISTERED, async {
        while we.stats().sent.get(Kind::TopicRegister) == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    // The registration is on its way over loopback; the port closes after it.
    we.shutdown().await;
    let newcomer = ours(Some(registrar.enode));
    let mut theirs = Theirs::start(Some(registrar.enode), &["-search", TOPIC, "-period", "1s"]).await;
    tokio::join!(we_find(&newcomer, us, DIRECT), theirs.finds(us, DIRECT));
    newcomer.shutdown().await;
}

async fn they_are_listed_by_us() {
    let registrar = ours(None);
    let they = Theirs::start(Some(registrar.enode()), &["-register", TOPIC]).await;
    let them = they.enode;
    within("they use a ticket", REGISTERED, async {
        while registrar.stats().topic_entries == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    they.kill().await;
    let newcomer = ours(Some(registrar.enode()));
    let mut theirs = Theirs::start(Some(registrar.enode()), &["-search", TOPIC, "-period", "1s"]).await;
    tokio::join!(we_find(&newcomer, them, DIRECT), theirs.finds(them, DIRECT));
    newcomer.shutdown().await;
    registrar.shutdown().await;
}

//! What an idle peer costs: design §2 promises at most 16 KB of resident memory.
//! The clients live in a process of their own, so that only the server's share is measured.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::{
    io::Read as _,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use devp2p::{
    Capability, Config, Connection, Handle, LocalHello, Manager, Offer, Peer, PeerEvent, Protocol,
    ProtocolError, Timeouts,
};
use enode::{Enode, NodeKey};
use futures::future::BoxFuture;

const WARM_UP: usize = 100;
const MEASURED: usize = 500;
const ENODE: &str = "IDLE_MEMORY_ENODE";

/// Waits for messages, as a sub-protocol does.
struct Quiet(Vec<Capability>);

impl Protocol for Quiet {
    fn capabilities(&self) -> &[Capability] {
        &self.0
    }

    fn run(&self, mut peer: Peer) -> BoxFuture<'static, Result<(), ProtocolError>> {
        Box::pin(async move {
            while peer.recv().await.is_some() {}
            Ok(())
        })
    }
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// The other process: connects so many clients and keeps them until its standard input ends.
#[tokio::test]
#[ignore = "run by idle_peer_is_small"]
async fn clients() {
    let enode: Enode = std::env::var(ENODE).unwrap().parse().unwrap();
    let offers = vec![Offer { capability: Capability::new("waku", 1), length: 128 }];
    let hello = LocalHello { name: "Idle/v1/linux-amd64/rust".into(), offers, max_message_size: 1 << 20 };
    let mut peers = Vec::new();
    for _ in 0..WARM_UP + MEASURED {
        let dialed = Connection::dial(&enode, &NodeKey::generate(), &hello, &Timeouts::default()).await;
        peers.push(dialed.unwrap().open("waku").unwrap());
    }
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await.unwrap().unwrap();
}

async fn wait_for_peers(
    handle: &Handle,
    events: &mut tokio::sync::broadcast::Receiver<PeerEvent>,
    count: usize,
) {
    while handle.peer_count() < count {
        tokio::time::timeout(Duration::from_secs(30), events.recv()).await.expect("peers in time").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_peer_is_small() {
    let mut config = Config::new(NodeKey::generate(), "Statusd/v0.84.0/linux-amd64/rust1.95".into());
    config.listen = Some("127.0.0.1:0".parse().unwrap());
    config.max_peers = 2000;
    // Several rounds of pings and pongs pass while the memory is measured.
    config.timeouts.ping = Duration::from_millis(500);
    let key = config.key.clone();
    let protocol = Arc::new(Quiet(vec![Capability::new("waku", 1)]));
    let handle = Manager::start(config, vec![protocol]).unwrap();
    let mut events = handle.events();
    let mut clients = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "clients", "--ignored"])
        .env(ENODE, format!("enode://{}@{}", key.public_key(), handle.local_addr().unwrap()))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_peers(&handle, &mut events, WARM_UP).await;
    let before = resident_bytes();
    let peers_before = handle.peer_count();
    wait_for_peers(&handle, &mut events, WARM_UP + MEASURED).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = resident_bytes();
    let per_peer = after.saturating_sub(before) / (WARM_UP + MEASURED - peers_before);
    drop(clients.stdin.take());
    clients.wait().unwrap();
    println!("{per_peer} bytes per idle peer");
    assert!(per_peer <= 16 * 1024, "{per_peer} bytes per idle peer");
}

//! Drivers with real sockets on loopback. Deadlines here only end a test that fails.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use discovery::{Config, Event, Handle, Kind, Manager, Rate, Rates, StartError, Topic};
use enode::{Endpoint, Enode, NodeId, NodeKey};
use tokio::{
    net::UdpSocket,
    sync::broadcast::Receiver,
    time::{Instant, timeout},
};

const DEADLINE: Duration = Duration::from_secs(60);

fn topic() -> Topic {
    "whispermail".parse().unwrap()
}

fn config(boot: &[&Handle]) -> Config {
    let boot_nodes = boot.iter().map(|handle| handle.enode()).collect();
    Config { boot_nodes, ..Config::new(NodeKey::generate(), "127.0.0.1:0".parse().unwrap()) }
}

fn start(boot: &[&Handle]) -> Handle {
    Manager::start(config(boot)).unwrap()
}

async fn stop(handles: impl IntoIterator<Item = Handle>) {
    for handle in handles {
        timeout(DEADLINE, handle.shutdown()).await.unwrap();
    }
}

/// Waits until a node is found that is not in `seen`.
async fn find(events: &mut Receiver<Event>, seen: &mut BTreeSet<NodeId>) -> discovery::Node {
    let until = Instant::now() + DEADLINE;
    loop {
        match tokio::time::timeout_at(until, events.recv()).await.expect("a node is found in time").unwrap() {
            Event::Found { node, topic: of } if seen.insert(node.id) => {
                assert_eq!(of, topic());
                return node;
            }
            _ => {}
        }
    }
}

/// Waits until the condition holds; it changes by packets, which tell nobody.
async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_find_each_other_by_topic() {
    let first = start(&[]);
    first.register(topic()).unwrap();
    let second = start(&[&first]);
    second.register(topic()).unwrap();
    let (mut events, mut back) = (second.events(), first.events());
    second.search(topic(), Duration::from_secs(3)).unwrap();
    first.search(topic(), Duration::from_secs(3)).unwrap();
    for (events, sought) in [(&mut events, &first), (&mut back, &second)] {
        let found = find(events, &mut BTreeSet::new()).await;
        assert_eq!(found.enode(), sought.enode());
    }
    assert_eq!(first.table()[0].enode(), second.enode());
    let stats = second.stats();
    assert!(stats.received.get(Kind::TopicNodes) > 0 && stats.sent.get(Kind::TopicQuery) > 0, "{stats:?}");
    stop([first, second]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_nodes_that_know_one_find_each_other_by_topic() {
    let boot = start(&[]);
    let providers: Vec<Handle> = (0..3).map(|_| start(&[&boot])).collect();
    for provider in &providers {
        provider.register(topic()).unwrap();
    }
    let searcher = start(&[&boot]);
    let mut events = searcher.events();
    searcher.search(topic(), Duration::from_secs(3)).unwrap();
    let mut seen = BTreeSet::new();
    let mut found = BTreeSet::new();
    while found.len() < 3 {
        found.insert(find(&mut events, &mut seen).await.enode());
    }
    assert_eq!(found, providers.iter().map(Handle::enode).collect());
    let all: Vec<Handle> = [boot, searcher].into_iter().chain(providers).collect();
    until("everyone knows everyone", || all.iter().all(|handle| handle.table().len() == 4)).await;
    stop(all).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_advertised_address_is_what_others_find_also_after_it_changed() {
    let first = start(&[]);
    first.register(topic()).unwrap();
    let outside = |last| Endpoint::new(IpAddr::from([198, 18, 7, last]), 31000, 31001);
    for last in [1, 2] {
        first.set_advertised(Some(outside(last)));
        assert_eq!(first.enode().endpoint, Some(outside(last)));
        let reached = Enode {
            endpoint: Some(Endpoint::new([127, 0, 0, 1].into(), 0, first.local_addr().port())),
            ..first.enode()
        };
        let second = Manager::start(Config { boot_nodes: vec![reached], ..config(&[]) }).unwrap();
        let mut events = second.events();
        second.search(topic(), Duration::from_secs(3)).unwrap();
        let found = find(&mut events, &mut BTreeSet::new()).await;
        assert_eq!(found.enode(), first.enode());
        stop([second]).await;
    }
    stop([first]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_for_both_families_serves_both() {
    let wildcard = Config { listen: "[::]:0".parse().unwrap(), ..config(&[]) };
    let first = Manager::start(wildcard).unwrap();
    let port = first.local_addr().port();
    for ip in ["127.0.0.1", "::1"] {
        let ip: IpAddr = ip.parse().unwrap();
        let boot = Enode { endpoint: Some(Endpoint::new(ip, port, port)), ..first.enode() };
        let listen = SocketAddr::new(ip, 0);
        let second = Manager::start(Config { boot_nodes: vec![boot], listen, ..config(&[]) }).unwrap();
        until("the second is in the first's table", || {
            first.table().iter().any(|node| node.socket() == second.local_addr())
        })
        .await;
        stop([second]).await;
    }
    stop([first]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_is_free_again_after_shutdown() {
    let first = start(&[]);
    let address = first.local_addr();
    let again = || Manager::start(Config { listen: address, ..config(&[]) });
    match again() {
        Err(StartError::Listen { address: refused, .. }) => assert_eq!(refused, address),
        other => panic!("{other:?}"),
    }
    timeout(DEADLINE, first.shutdown()).await.unwrap();
    stop([again().unwrap()]).await;
    assert_eq!(first.local_addr(), address, "the old handle is still there");
}

#[tokio::test]
async fn a_boot_node_needs_an_address() {
    let public_key = NodeKey::generate().public_key();
    let loopback = IpAddr::from([127, 0, 0, 1]);
    for endpoint in [
        None,
        Some(Endpoint::new(loopback, 30303, 0)),
        Some(Endpoint::new([0, 0, 0, 0].into(), 30303, 30303)),
        Some(Endpoint::new([224, 0, 0, 1].into(), 30303, 30303)),
    ] {
        let boot_nodes = vec![Enode { public_key, endpoint }];
        let error = Manager::start(Config { boot_nodes, ..config(&[]) }).unwrap_err();
        assert!(error.to_string().contains("want enode://<128 hex>@<ip>:<port>"), "{error}");
    }
}

/// Junk and signed pings at full speed from one address: dropped before their signatures are looked at, and others still
/// find the node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_from_one_source_is_dropped_and_others_are_served() {
    let rates = Rates { source: Rate { per_second: 20, burst: 100 }, ..Rates::default() };
    let first = Manager::start(Config { rates, ..config(&[]) }).unwrap();
    first.register(topic()).unwrap();

    // A real ping, said again and again: nothing in it says that it is old.
    let recorder = UdpSocket::bind("127.0.0.3:0").await.unwrap();
    let at = recorder.local_addr().unwrap();
    let recorded = Enode {
        public_key: NodeKey::generate().public_key(),
        endpoint: Some(Endpoint::new(at.ip(), at.port(), at.port())),
    };
    let pinger = Manager::start(Config { boot_nodes: vec![recorded], ..config(&[]) }).unwrap();
    let mut ping = [0; 1280];
    let (length, _) = timeout(DEADLINE, recorder.recv_from(&mut ping)).await.unwrap().unwrap();
    stop([pinger]).await;

    // Until it was seen: of a flood the kernel drops what a busy machine does not read.
    let attacker = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    let began = Instant::now();
    let seen = |stats: discovery::Stats| stats.throttled > 200 && stats.malformed > 200;
    while !seen(first.stats()) {
        assert!(began.elapsed() < DEADLINE, "{:?}", first.stats());
        for _ in 0..20 {
            attacker.send_to(&ping[..length], first.local_addr()).await.unwrap();
            attacker.send_to(b"temporary discovery v5, or what else?", first.local_addr()).await.unwrap();
        }
        tokio::task::yield_now().await;
    }
    let answered = first.stats().received.get(Kind::Ping);
    let allowed = 100 + 20 * (1 + began.elapsed().as_secs());
    assert!(answered <= allowed, "{answered} pings were checked, {allowed} are allowed");

    let listen = "127.0.0.4:0".parse().unwrap();
    let second = Manager::start(Config { boot_nodes: vec![first.enode()], listen, ..config(&[]) }).unwrap();
    let mut events = second.events();
    second.search(topic(), Duration::from_secs(3)).unwrap();
    assert_eq!(find(&mut events, &mut BTreeSet::new()).await.enode(), first.enode());
    stop([first, second]).await;
}

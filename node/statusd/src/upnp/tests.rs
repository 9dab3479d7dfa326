//! Forwarding by a router on loopback that speaks the protocol. Facts: `spec/devp2p.md` §1.6.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use enode::Endpoint;
use tokio::{sync::watch, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Forwarding, Times,
    router::Search,
    testing::{Behaviour, TestRouter},
};

const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;
const EXTERNAL: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
/// Nobody has to be there.
const PORT: u16 = 30303;
const SOON: Duration = Duration::from_secs(60);
const TIMES: Times = Times {
    lease: Duration::from_secs(600),
    retry: Duration::from_millis(50),
    max_retry: Duration::from_millis(100),
};

struct Run {
    learned: watch::Receiver<Option<Endpoint>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn forward(router: &TestRouter, times: Times, udp: bool) -> Run {
    let search = Search { from: LOOPBACK, ask: Some(router.search) };
    let (forwarding, learned) = Forwarding::with(search, times, (LOOPBACK, PORT).into(), udp);
    let stop = CancellationToken::new();
    Run { learned, stop: stop.clone(), task: tokio::spawn(forwarding.follow(stop)) }
}

impl Run {
    async fn learns(&mut self, endpoint: Option<Endpoint>) {
        timeout(SOON, self.learned.wait_for(|learned| *learned == endpoint)).await.unwrap().unwrap();
    }

    async fn stop(self) {
        self.stop.cancel();
        timeout(SOON, self.task).await.unwrap().unwrap();
    }
}

fn at(port: u16, udp: u16) -> Option<Endpoint> {
    Some(Endpoint::new(EXTERNAL.into(), port, udp))
}

fn outside(behaviour: &Behaviour) -> Vec<(&str, u16)> {
    behaviour.forwarded.keys().map(|(protocol, port)| (protocol.as_str(), *port)).collect()
}

/// Asks the router until `ask` says so.
async fn until(router: &TestRouter, what: &str, ask: impl Fn(&Behaviour) -> bool) {
    let begin = Instant::now();
    while !router.with_behaviour(|behaviour| ask(behaviour)) {
        assert!(begin.elapsed() < SOON, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn devp2p_1_6_both_ports_are_forwarded_and_taken_back() {
    let router = TestRouter::start(LOOPBACK).await;
    let mut run = forward(&router, TIMES, true);
    run.learns(at(PORT, PORT)).await;
    router.with_behaviour(|behaviour| {
        assert_eq!(outside(behaviour), [("TCP", PORT), ("UDP", PORT)]);
        for (inside, until) in behaviour.forwarded.values() {
            assert_eq!(*inside, (LOOPBACK, PORT).into());
            let left = until.unwrap().duration_since(Instant::now());
            assert!(left <= TIMES.lease && left > TIMES.lease - SOON, "{left:?}");
        }
    });
    run.stop().await;
    router.with_behaviour(|behaviour| assert!(behaviour.forwarded.is_empty(), "{:?}", outside(behaviour)));
}

#[tokio::test]
async fn without_discovery_only_tcp_is_forwarded() {
    let router = TestRouter::start(LOOPBACK).await;
    let mut run = forward(&router, TIMES, false);
    run.learns(at(PORT, 0)).await;
    router.with_behaviour(|behaviour| assert_eq!(outside(behaviour), [("TCP", PORT)]));
    run.stop().await;
}

#[tokio::test]
async fn a_forwarding_is_renewed_before_it_ends() {
    let router = TestRouter::start(LOOPBACK).await;
    let mut run = forward(&router, Times { lease: Duration::from_secs(8), ..TIMES }, true);
    run.learns(at(PORT, PORT)).await;
    until(&router, "two renewals", |behaviour| behaviour.asked.values().all(|asked| *asked >= 3)).await;
    router.with_behaviour(|behaviour| {
        assert!(behaviour.lapsed.is_empty(), "{:?}", behaviour.lapsed);
        assert_eq!(outside(behaviour).len(), 2);
    });
    run.stop().await;
}

#[tokio::test]
async fn a_router_that_comes_late_moves_and_breaks_is_followed() {
    let router = TestRouter::start(LOOPBACK).await;
    router.with_behaviour(|behaviour| behaviour.broken = true);
    let mut run = forward(&router, Times { lease: Duration::from_secs(2), ..TIMES }, true);
    until(&router, "two tries", |behaviour| behaviour.requests >= 2).await;
    router.with_behaviour(|behaviour| behaviour.broken = false);
    run.learns(at(PORT, PORT)).await;
    let moved = Ipv4Addr::new(203, 0, 113, 9);
    router.with_behaviour(|behaviour| behaviour.external = moved);
    run.learns(Some(Endpoint::new(moved.into(), PORT, PORT))).await;
    // Its word is that it forwards for two seconds: what it does not renew is not advertised for longer.
    router.with_behaviour(|behaviour| behaviour.broken = true);
    run.learns(None).await;
    run.stop().await;
}

#[tokio::test]
async fn a_port_that_another_machine_has_is_left_to_it() {
    let router = TestRouter::start(LOOPBACK).await;
    router.with_behaviour(|behaviour| {
        behaviour.taken.extend([("TCP".to_owned(), PORT), ("UDP".to_owned(), PORT + 1)]);
    });
    let mut run = forward(&router, TIMES, true);
    run.learns(at(PORT + 2, PORT + 2)).await;
    router.with_behaviour(|behaviour| {
        assert_eq!(
            outside(behaviour),
            [("TCP", PORT + 2), ("UDP", PORT + 2)],
            "nothing is left of the second"
        );
        assert!(behaviour.forwarded.values().all(|(inside, _)| inside.port() == PORT));
    });
    run.stop().await;
}

#[tokio::test]
async fn a_router_that_forwards_for_ever_only_is_asked_so() {
    let router = TestRouter::start(LOOPBACK).await;
    router.with_behaviour(|behaviour| behaviour.only_permanent = true);
    let mut run = forward(&router, TIMES, true);
    run.learns(at(PORT, PORT)).await;
    router.with_behaviour(|behaviour| {
        assert!(behaviour.forwarded.values().all(|(_, until)| until.is_none()));
    });
    run.stop().await;
    router.with_behaviour(|behaviour| assert!(behaviour.forwarded.is_empty()));
}

async fn refused(router: &TestRouter) -> String {
    let search = Search { from: LOOPBACK, ask: Some(router.search) };
    let (mut forwarding, _learned) = Forwarding::with(search, TIMES, (LOOPBACK, PORT).into(), true);
    let error = forwarding.attempt().await.unwrap_err();
    error.to_string()
}

#[tokio::test]
async fn what_cannot_work_is_said_with_its_remedy() {
    let router = TestRouter::start(LOOPBACK).await;
    router.with_behaviour(|behaviour| behaviour.external = Ipv4Addr::new(10, 0, 0, 1));
    assert!(refused(&router).await.contains("10.0.0.1, which is no public address"));
    router.with_behaviour(|behaviour| {
        assert!(behaviour.asked.is_empty(), "a way to nowhere is not asked for");
        behaviour.external = EXTERNAL;
        behaviour.taken.extend((PORT..PORT + 10).map(|port| ("TCP".to_owned(), port)));
    });
    assert!(refused(&router).await.contains("give ListenAddr another port"));
    router.with_behaviour(|behaviour| behaviour.broken = true);
    assert!(refused(&router).await.contains("501"));
}

/// A document that is too big or too deep is refused, not parsed into memory or down the stack.
#[tokio::test]
async fn what_the_router_answers_is_bounded() {
    let router = TestRouter::start(LOOPBACK).await;
    for padding in
        [format!("<a>{}</a>", "x".repeat(2 << 20)), "<a>".repeat(100_000) + &"</a>".repeat(100_000)]
    {
        router.with_behaviour(|behaviour| behaviour.padding = padding);
        let error = refused(&router).await;
        assert!(error.starts_with("no router with UPnP answers") && error.len() < 500, "{error}");
    }
    router.with_behaviour(|behaviour| behaviour.padding = "<a>".repeat(10) + &"</a>".repeat(10));
    forward(&router, TIMES, true).learns(at(PORT, PORT)).await;
}

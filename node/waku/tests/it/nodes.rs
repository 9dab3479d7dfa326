//! Nodes that are each other's peers (`spec/waku-mailserver.md` §11, `waku/simulation_test.go`).

use crate::support::{NOW, Server, Setup, sealed, soon, valid};

/// Waits for what another task of the server does.
async fn until(mut done: impl FnMut() -> bool) {
    soon(async {
        while !done() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Has each node dial the next, and waits for the handshakes.
async fn chain(nodes: &[Server]) {
    for pair in nodes.windows(2) {
        pair[0].dial_node(&pair[1]);
    }
    for (n, node) in nodes.iter().enumerate() {
        let peers = usize::from(n > 0) + usize::from(n + 1 < nodes.len());
        until(|| node.waku.stats().peers == peers).await;
    }
}

/// `spec/waku-mailserver.md` §11 TestHandleP2PMessageCode, TestSimulationBloomFilter: through all nodes, to each once.
#[tokio::test]
async fn envelopes_travel_through_nodes() {
    for bloom_filter_mode in [false, true] {
        let start = |_| {
            let mut setup = Setup::confirming();
            setup.config.bloom_filter_mode = bloom_filter_mode;
            setup.start()
        };
        let nodes: Vec<Server> = (0..4).map(start).collect();
        chain(&nodes).await;
        let (mut first, mut last) = (nodes[0].full().await, nodes[3].full().await);
        last.assert_kept().await;
        assert_eq!(first.confirm(&[&valid(1)]).await, []);
        assert_eq!(last.gossip(1).await, [valid(1).hash()]);
        last.post(&[&valid(2)]).await;
        assert_eq!(first.gossip(1).await, [valid(2).hash()]);
        for node in &nodes {
            until(|| node.waku.stats().envelopes == 2).await;
            assert_eq!(node.metric("waku_envelopes_cached_total{cache=\"hit\"}"), 0.0, "never sent back");
        }
    }
}

/// `spec/waku-mailserver.md` §11 TestPeerHandshakeWithTwoFullNode, TestSimulationBloomFilter: a node is only sent what has
/// the work that it asks for in its handshake.
#[tokio::test]
async fn a_node_that_demands_work_gets_only_what_has_it() {
    let mut strict = Setup::new();
    strict.config.min_pow = 0.5;
    let mut full = Setup::new();
    full.config.full_node = true;
    let nodes = [full.start(), strict.start()];
    chain(&nodes).await;
    let strong = sealed(2, NOW + 10, 10, 0.5);
    nodes[0].full().await.post(&[&valid(1), &strong]).await;
    until(|| nodes[1].waku.stats().envelopes == 1).await;
    assert_eq!(nodes[1].metric("waku_envelopes_received_total "), 1.0, "what came before it was not sent");
}

/// `spec/waku-mailserver.md` §11 TestWakuTimeDesyncEnvelopeIgnored: clocks apart cost the envelopes, not the session.
#[tokio::test]
async fn clocks_apart_do_not_end_the_session() {
    let nodes = [Setup::new().start(), Setup::new().start()];
    chain(&nodes).await;
    nodes[1].advance(3600);
    let sender = nodes[0].full().await;
    sender.post(&[&valid(1)]).await;
    let refused = "waku_envelopes_cache_failures_total{type=\"very_old\"}";
    until(|| nodes[1].metric(refused) == 1.0).await;
    nodes[0].advance(3600);
    let later = crate::support::of_length(2, crate::support::topic(1), NOW + 3650, 50, 32);
    sender.post(&[&later]).await;
    until(|| nodes[1].waku.stats().envelopes == 1).await;
}

//! Static peers: `spec/devp2p.md` §3.4, §3.5; stopping; the node's own address.

use std::time::Duration;

use devp2p::{Config, DisconnectReason, Lane};
use enode::{Endpoint, EnodeUrl, NodeKey, Record};

use crate::common::{LONG, OFFSET, Server, added, config, dropped, event, timed};

/// Redials after half a second instead of 35.
fn redialing() -> Config {
    let mut config = config();
    config.timeouts.redial = Duration::from_millis(500);
    config
}

fn url(server: &Server) -> EnodeUrl {
    server.enode().into()
}

/// `spec/devp2p.md` §3.4: a static peer is dialed, and again after it was gone.
#[tokio::test]
async fn section_3_4_static_redial() {
    let mut target = config();
    target.listen = Some(std::net::SocketAddr::from(([127, 0, 0, 1], free_port())));
    let first = Server::start(target.clone());
    let mut of_first = first.handle.events();
    let server = Server::start(Config { static_peers: vec![url(&first)], ..redialing() });
    let mut events = server.handle.events();
    let info = event(&mut events, added).await;
    assert_eq!((info.id, info.inbound, info.is_static), (first.key.node_id(), false, true));
    assert_eq!(info.enode, first.enode(), "as dialed");
    event(&mut of_first, added).await;

    assert!(first.handle.shutdown(LONG).await);
    let end = event(&mut events, dropped).await;
    assert_eq!(end.reason, Some(DisconnectReason::ClientQuitting));
    let second = Server::start(target);
    assert_eq!(second.addr, first.addr);
    assert_eq!(event(&mut events, added).await.id, second.key.node_id());
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// `spec/devp2p.md` §3.4: a failing dial is repeated once per period, not more.
#[tokio::test]
async fn section_3_4_dial_period() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let target: EnodeUrl =
        format!("enode://{}@localhost:{port}", NodeKey::generate().public_key()).parse().unwrap();
    let _server = Server::start(Config { static_peers: vec![target], ..redialing() });
    let (_, took) = timed(async {
        for _ in 0..4 {
            // Accepted and closed: the dial fails.
            drop(tokio::time::timeout(LONG, listener.accept()).await.expect("a dial in time").unwrap());
        }
    })
    .await;
    // Three periods lie between four dials.
    assert!(took >= Duration::from_millis(1500), "{took:?}");
}

/// `spec/devp2p.md` §3.5: added at run time, by name too; removed with Disconnect 0 and not dialed again.
#[tokio::test]
async fn section_3_5_add_and_remove() {
    let (target, server) = (Server::start(config()), Server::start(redialing()));
    let mut events = target.handle.events();
    let named = url(&target).to_string().replace("127.0.0.1", "localhost");
    server.handle.add_peer(named.parse().unwrap());
    assert_eq!(event(&mut events, added).await.id, server.key.node_id());
    let id = target.key.node_id();
    assert!(server.handle.is_static(&id));
    server.handle.remove_peer(&id).await;
    assert_eq!(server.handle.peer_count(), 0, "gone when it returns");
    assert_eq!(event(&mut events, dropped).await.reason, Some(DisconnectReason::Requested));
    assert!(!server.handle.is_static(&id));
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(target.handle.peer_count(), 0, "not dialed again");
    server.handle.remove_peer(&id).await;
}

/// `spec/devp2p.md` §3.4: an inbound session satisfies a static peer; two that dial each other at the same time end with
/// one session, at the first try.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_3_4_cross_dials() {
    for round in 0..100 {
        // The redial period is that of real nodes: nothing is made good by a second try.
        let (a, b) = (Server::start(config()), Server::start(config()));
        let (mut of_a, mut of_b) = (a.handle.events(), b.handle.events());
        let (url_a, url_b) = (url(&a), url(&b));
        let dials = [(a.handle.clone(), url_b), (b.handle.clone(), url_a)];
        let dials = dials.map(|(handle, url)| tokio::task::spawn_blocking(move || handle.add_peer(url)));
        for dial in dials {
            dial.await.unwrap();
        }
        event(&mut of_a, added).await;
        event(&mut of_b, added).await;
        let (of_a, of_b) = (a.handle.peers(), b.handle.peers());
        assert_eq!((of_a.len(), of_b.len()), (1, 1), "round {round}");
        assert_eq!(of_a[0].local_addr, of_b[0].remote_addr, "the same session");
    }
}

#[tokio::test]
async fn the_static_list_is_replaced_as_a_whole() {
    let (old, new, server) = (Server::start(config()), Server::start(config()), Server::start(redialing()));
    let mut events = server.handle.events();
    server.handle.set_static_peers(vec![url(&old)]);
    assert_eq!(event(&mut events, added).await.id, old.key.node_id());
    server.handle.set_static_peers(vec![url(&new)]);
    let end = event(&mut events, dropped).await;
    assert_eq!((end.info.id, end.reason), (old.key.node_id(), Some(DisconnectReason::Requested)));
    while !server.handle.peers().iter().any(|p| p.id == new.key.node_id()) {
        event(&mut events, added).await;
    }
}

/// `spec/devp2p.md` §3.5: stopping says what is queued, then Disconnect 8, to everyone, and waits.
#[tokio::test]
async fn section_3_5_shutdown() {
    let (server, mut peers) = Server::capturing(config());
    let mut raws = Vec::new();
    for _ in 0..3 {
        raws.push(server.raw(&NodeKey::generate()).await);
        let peer = peers.recv().await.unwrap();
        peer.sender().send(Lane::History, 5, "last words".into()).await.unwrap();
        raws.last_mut().unwrap().send(OFFSET, b"unread").await;
    }
    let mut events = server.handle.events();
    let handle = server.handle.clone();
    let stopping = tokio::spawn(async move { handle.shutdown(LONG).await });
    for raw in &mut raws {
        assert_eq!(raw.recv().await.unwrap(), (OFFSET + 5, "last words".into()));
        assert_eq!(raw.disconnect().await, DisconnectReason::ClientQuitting);
    }
    for _ in 0..3 {
        assert_eq!(event(&mut events, dropped).await.reason, Some(DisconnectReason::ClientQuitting));
    }
    // The captured sub-protocols never end by themselves: they have their 5 s and no more.
    assert!(stopping.await.unwrap());
    assert!(tokio::net::TcpStream::connect(server.addr).await.is_err(), "not listening any more");
}

#[tokio::test]
async fn the_advertised_endpoint_changes_at_run_time() {
    let server = Server::start(Config { record_seq: 41, ..config() });
    assert_eq!(server.handle.record().seq(), 42);
    assert_eq!(server.handle.record().endpoint(), None, "nothing is guessed");
    assert_eq!(server.handle.enode().to_string(), format!("enode://{}", server.key.public_key()));
    let endpoint = Endpoint::new("198.51.100.7".parse().unwrap(), 30303, 30303);
    assert_eq!(server.handle.set_advertised(Some(endpoint)), Ok(true));
    assert_eq!(server.handle.set_advertised(Some(endpoint)), Ok(false));
    let record: Record = server.handle.record().to_string().parse().unwrap();
    assert_eq!((record.seq(), record.endpoint()), (43, Some(endpoint)));
    assert!(server.handle.enode().to_string().ends_with("@198.51.100.7:30303"));
    assert_eq!(server.handle.set_advertised(None), Ok(true));
    assert_eq!((server.handle.record().seq(), server.handle.advertised()), (44, None));
}

#[tokio::test]
async fn a_taken_port_is_a_plain_error() {
    let server = Server::start(config());
    let second = devp2p::Manager::start(Config { listen: Some(server.addr), ..config() }, Vec::new());
    let error = second.err().unwrap().to_string();
    assert!(error.contains(&server.addr.to_string()) && error.contains("in use"), "{error}");
}

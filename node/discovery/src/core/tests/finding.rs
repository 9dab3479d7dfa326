//! `spec/devp2p.md` §6.3, §6.6: finds, neighbors, lookups.

use std::time::Duration;

use super::peer::{Bench, Peer, address, key};
use crate::{
    Node,
    packet::{Packet, WireNode},
    proof::State,
    table::distance,
};

const HALF: Duration = Duration::from_millis(500);

fn neighbors(bench: &mut Bench) -> Vec<Vec<WireNode>> {
    let nodes = |packet| match packet {
        Packet::Neighbors { nodes, .. } => Some(nodes),
        _ => None,
    };
    bench.packets().into_iter().filter_map(nodes).collect()
}

/// `spec/devp2p.md` §6.6: the 16 closest, in packets of 12 and 4, for both kinds of target.
#[test]
fn section_6_6_a_find_is_answered_with_the_closest_nodes() {
    let mut bench = Bench::new(vec![]);
    let peers: Vec<Peer> = (1..60).map(Peer::new).collect();
    for peer in &peers {
        bench.prove(peer);
    }
    let asker = &peers[0];
    let target = key(500).public_key();
    for find in [
        Packet::FindNode { target: *target.as_bytes(), expiration: 0 },
        Packet::FindNodeHash { target: target.node_id().0, expiration: 0 },
    ] {
        bench.hear(asker, &find);
        let answers = neighbors(&mut bench);
        assert_eq!(answers.iter().map(Vec::len).collect::<Vec<_>>(), [12, 4]);
        let mut closest: Vec<_> = bench.core.table.iter().copied().collect();
        closest.sort_by_key(|id| distance(&id.0, &target.node_id().0));
        let named: Vec<_> = answers.concat().iter().map(|node| enode::keccak256(&node.key)).collect();
        let closest: Vec<_> = closest.iter().take(16).map(|id| id.0).collect();
        assert_eq!(named, closest);
    }
}

/// `spec/devp2p.md` §6.6: an empty table gives no answer at all; a table of the asker alone names the asker.
#[test]
fn section_6_6_an_empty_table_gives_no_answer() {
    let mut bench = Bench::new(vec![]);
    let peer = Peer::new(1);
    bench.prove(&peer);
    let find = Packet::FindNodeHash { target: [0; 32], expiration: 0 };
    bench.hear(&peer, &find);
    assert_eq!(neighbors(&mut bench), [vec![WireNode::from(&peer.node())]]);
    bench.core.table.remove(&peer.id());
    bench.hear(&peer, &find);
    assert!(bench.packets().is_empty());
}

/// A bench whose refresh asks its boot node, which is proven; the find is on its way.
fn asking() -> (Bench, Peer) {
    let boot = Peer::new(1);
    let mut bench = Bench::new(vec![boot.node()]);
    bench.pass(Duration::ZERO);
    assert_eq!(bench.answer_pings(&boot), 1);
    bench.hear(&boot, &boot.ping(vec![]));
    let sent = bench.packets();
    let target = bench.core.id.0;
    let asked =
        sent.iter().any(|packet| matches!(packet, Packet::FindNodeHash { target: t, .. } if *t == target));
    assert!(asked, "the refresh looks for the node itself: {sent:?}");
    (bench, boot)
}

fn wire(peer: &Peer, at: &str) -> WireNode {
    let at = address(at);
    WireNode { ip: Some(at.ip()), udp: at.port(), tcp: at.port(), key: *peer.key.public_key().as_bytes() }
}

/// `spec/devp2p.md` §6.3: what is taken from neighbors, and §6.6: it is pinged at once.
#[test]
fn section_6_3_nodes_from_neighbors() {
    let (mut bench, boot) = asking();
    let n = |n| Peer::new(n);
    let mut bad_key = wire(&n(8), "10.2.0.8:30303");
    bad_key.key[63] ^= 1;
    let nodes = vec![
        wire(&n(2), "10.2.0.2:1025"),
        wire(&n(3), "10.2.0.3:1024"),
        wire(&n(4), "8.8.8.8:30303"),
        wire(&n(5), "127.0.0.1:30303"),
        wire(&n(6), "203.0.113.1:30303"),
        wire(&n(7), "0.0.0.0:30303"),
        bad_key,
        WireNode { ip: None, ..wire(&n(9), "10.2.0.9:30303") },
        WireNode { tcp: 0, ..wire(&n(10), "10.2.0.10:30303") },
        wire(&n(11), "[::ffff:10.2.0.11]:30303"),
        wire(&Peer { key: key(0), ..boot }, "10.2.0.12:30303"),
        wire(&n(1), "10.2.0.13:30303"),
    ];
    let boot = n(1);
    bench.hear(&boot, &Packet::Neighbors { nodes, expiration: 0 });
    let mut pinged: Vec<String> = bench.sent().iter().map(|(to, _)| to.to_string()).collect();
    pinged.sort();
    assert_eq!(pinged, ["10.2.0.11:30303", "10.2.0.2:1025", "8.8.8.8:30303"]);
    assert_eq!(bench.core.nodes.get(&boot.id()).unwrap().node, boot.node(), "a proven endpoint counts");
}

/// `spec/devp2p.md` §6.6: only the first packet of an answer, and only of one that was asked for.
#[test]
fn section_6_6_the_second_neighbors_packet_is_not_used() {
    let (mut bench, boot) = asking();
    let packet = |n| Packet::Neighbors { nodes: vec![wire(&Peer::new(n), "10.2.0.2:30303")], expiration: 0 };
    bench.hear(&boot, &packet(2));
    assert_eq!(bench.packets().len(), 1);
    bench.hear(&boot, &packet(3));
    assert_eq!((bench.packets().len(), bench.core.stats().unsolicited), (0, 1));
    assert!(bench.state(&Peer::new(3).id()).is_none());
}

/// `spec/devp2p.md` §6.6: one find at a time for a node, 500 ms for the answer; a lookup goes on without it.
#[test]
fn section_6_6_a_find_that_is_not_answered_fails() {
    let (mut bench, boot) = asking();
    bench.pass(HALF);
    assert_eq!(bench.core.stats().query_timeouts, 1);
    assert_eq!(bench.core.nodes.get(&boot.id()).unwrap().failures, 1);
    assert_eq!(bench.core.stats().lookups, 1, "nobody else was to be asked");
}

#[test]
fn a_lookup_asks_who_was_named_once_it_is_proven() {
    let (mut bench, boot) = asking();
    let other = Peer::new(2);
    let nodes = vec![wire(&other, &other.at.to_string())];
    bench.hear(&boot, &Packet::Neighbors { nodes, expiration: 0 });
    assert_eq!(bench.core.stats().lookups, 0);
    assert_eq!(bench.answer_pings(&other), 1);
    assert!(bench.packets().is_empty(), "it may not have proven us yet");
    bench.pass(HALF);
    let sent = bench.sent();
    assert!(
        sent.iter().any(|(to, find)| *to == other.at && matches!(find.packet, Packet::FindNodeHash { .. })),
        "{sent:?}"
    );
    bench.hear(&other, &Packet::Neighbors { nodes: vec![], expiration: 0 });
    assert_eq!(bench.core.stats().lookups, 1);
    assert_eq!(bench.core.table.len(), 2);
}

#[test]
fn a_named_node_that_does_not_answer_ends_no_lookup() {
    let (mut bench, boot) = asking();
    let gone = Peer::new(2);
    let nodes = vec![wire(&gone, &gone.at.to_string())];
    bench.hear(&boot, &Packet::Neighbors { nodes, expiration: 0 });
    bench.pass(HALF);
    assert_eq!((bench.core.stats().lookups, bench.state(&gone.id())), (1, None));
}

/// A node that counts as gone is asked again when others name it, also at a new address.
#[test]
fn an_unresponsive_node_that_is_named_is_pinged_again() {
    let (mut bench, boot) = asking();
    let back = Peer::new(2);
    bench.prove(&back);
    bench.core.step(bench.now, &back.id(), crate::proof::Input::Contest);
    bench.pass(Duration::from_millis(400));
    bench.core.step(bench.now, &back.id(), crate::proof::Input::PingTimeout);
    assert_eq!(bench.state(&back.id()), Some(State::Unresponsive));
    let moved = Peer { at: address("10.3.0.2:30303"), key: back.key };
    bench.hear(&boot, &Packet::Neighbors { nodes: vec![wire(&moved, "10.3.0.2:30303")], expiration: 0 });
    bench.pass(HALF);
    assert_eq!(bench.answer_pings(&moved), 1);
    assert_eq!(bench.state(&moved.id()), Some(State::Known));
    let node: Node = bench.core.nodes.get(&moved.id()).unwrap().node;
    assert_eq!(node.socket(), moved.at);
}

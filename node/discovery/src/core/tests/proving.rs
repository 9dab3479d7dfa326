//! `spec/devp2p.md` §6.2, §6.3, §6.5: what is said, who counts as proven, and where.

use std::{net::IpAddr, time::Duration};

use super::peer::{Bench, Peer, UNIX_S, address, topic};
use crate::{
    nodes::MAX_NODES,
    packet::{Packet, Pong, WireEndpoint, topic_hash},
    proof::State,
};

const HALF: Duration = Duration::from_millis(500);
const FIND: Packet = Packet::FindNodeHash { target: [0; 32], expiration: 0 };

/// A table with something in it, so that finds are answered.
fn answering() -> Bench {
    let mut bench = Bench::new(vec![]);
    for n in [101, 102] {
        bench.prove(&Peer::new(n));
    }
    bench.sent();
    bench
}

fn neighbors(bench: &mut Bench) -> usize {
    bench.packets().iter().filter(|packet| matches!(packet, Packet::Neighbors { .. })).count()
}

/// `spec/devp2p.md` §6.2, values sent; §6.5, row "unknown": pong first, then ping.
#[test]
fn section_6_2_a_strangers_ping_is_answered_by_pong_and_ping() {
    let mut bench = Bench::new(vec![]);
    let peer = Peer { at: address("10.1.0.1:4000"), ..Peer::new(1) };
    bench.now += Duration::from_millis(5_400);
    let Packet::Ping(mut ping) = peer.ping(vec![topic("whisper"), topic("whispermail")]) else { panic!() };
    ping.from = WireEndpoint { ip: None, udp: 1, tcp: 4001 };
    let hash = bench.hear(&peer, &Packet::Ping(ping.clone()));
    let sent = bench.sent();
    let [(to_pong, pong), (to_ping, own)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((*to_pong, *to_ping), (peer.at, peer.at));
    let there = |tcp| WireEndpoint { ip: Some(peer.at.ip()), udp: 4000, tcp };
    let want = Pong {
        to: there(4001),
        token: hash,
        issued: UNIX_S + 5,
        topic_hash: topic_hash(&ping.topics),
        serial: 1,
        waits: vec![60, 60],
    };
    assert_eq!(pong.packet, Packet::Pong(want));
    let Packet::Ping(own) = &own.packet else { panic!("{own:?}") };
    let bound = WireEndpoint { ip: Some(IpAddr::from([10, 0, 0, 1])), udp: 30303, tcp: 30303 };
    assert_eq!((own.version, own.from, own.to), (4, bound, there(4000)));
    assert_eq!((own.expiration, own.topics.len()), (UNIX_S + 25, 0));
    assert_eq!(bench.core.nodes.get(&peer.id()).unwrap().node.tcp, 4001);

    bench.hear(&peer, &Packet::Ping(ping));
    let again = bench.packets();
    let [Packet::Pong(pong)] = &again[..] else { panic!("one ping is outstanding: {again:?}") };
    assert_eq!(pong.serial, 2);
}

/// `spec/devp2p.md` §6.2: a wildcard address is said as it is bound.
#[test]
fn section_6_2_the_bound_or_the_advertised_address_is_said() {
    let mut bench = Bench::new(vec![]);
    let mut own = |bound: &str, advertised| {
        bench.core.config.bound = address(bound);
        bench.core.set_advertised(advertised);
        bench.core.local_endpoint()
    };
    let said = |ip: &str, udp, tcp| WireEndpoint { ip: Some(ip.parse().unwrap()), udp, tcp };
    assert_eq!(own("[::]:30303", None), said("::", 30303, 30303));
    assert_eq!(own("0.0.0.0:443", None), said("0.0.0.0", 443, 443));
    let outside = enode::Endpoint::new([1, 2, 3, 4].into(), 31000, 31001);
    assert_eq!(own("[::]:30303", Some(outside)), said("1.2.3.4", 31001, 31000));
    let without_udp = enode::Endpoint::new([1, 2, 3, 4].into(), 31000, 0);
    assert_eq!(own("[::]:30303", Some(without_udp)), said("1.2.3.4", 30303, 31000));
}

/// `spec/devp2p.md` §6.5: types 3 to 8 count only from proven nodes.
#[test]
fn section_6_5_queries_need_the_proof() {
    let mut bench = answering();
    let peer = Peer::new(1);
    let query = Packet::TopicQuery { topic: topic("whisper"), expiration: 0 };
    bench.hear(&peer, &FIND);
    bench.hear(&peer, &query);
    assert!(bench.packets().is_empty(), "a stranger");
    bench.hear(&peer, &peer.ping(vec![]));
    let ping = bench.sent().pop().unwrap().1;
    bench.hear(&peer, &FIND);
    assert!(bench.packets().is_empty(), "it has not answered our ping");
    assert_eq!(bench.core.stats().unproven, 3);
    bench.hear(&peer, &peer.pong(&ping, vec![]));
    bench.hear(&peer, &FIND);
    bench.hear(&peer, &query);
    let sent = bench.packets();
    assert!(matches!(sent[..], [Packet::Neighbors { .. }, Packet::TopicNodes { .. }]), "{sent:?}");
}

/// `spec/devp2p.md` §6.5: a pong counts only for our last ping.
#[test]
fn section_6_5_only_the_pong_of_the_last_ping_counts() {
    let mut bench = Bench::new(vec![]);
    let peer = Peer::new(1);
    bench.hear(&peer, &peer.ping(vec![]));
    let mut ping = bench.sent().pop().unwrap().1;
    let right = ping.hash;
    ping.hash[0] ^= 1;
    bench.hear(&peer, &peer.pong(&ping, vec![]));
    assert_eq!((bench.state(&peer.id()), bench.core.stats().unsolicited), (Some(State::VerifyWait), 1));
    ping.hash = right;
    bench.hear(&peer, &peer.pong(&ping, vec![]));
    assert_eq!(bench.state(&peer.id()), Some(State::Known));
    bench.hear(&peer, &peer.pong(&ping, vec![]));
    assert_eq!(bench.core.stats().unsolicited, 2, "it is answered");
}

/// `spec/devp2p.md` §6.5, last point.
#[test]
fn section_6_5_a_pong_without_a_ticket_still_proves() {
    let mut bench = Bench::new(vec![]);
    bench.core.register(bench.now, topic("whisper")).unwrap();
    let peer = Peer::new(1);
    bench.hear(&peer, &peer.ping(vec![]));
    let ping = bench.sent().pop().unwrap().1;
    let Packet::Pong(mut pong) = peer.pong(&ping, vec![1, 2, 3]) else { panic!() };
    pong.topic_hash = [9; 32];
    bench.hear(&peer, &Packet::Pong(pong));
    assert_eq!(bench.state(&peer.id()), Some(State::Known));
}

/// `spec/devp2p.md` §6.5, rows "verifywait" and "unknown".
#[test]
fn section_6_5_who_does_not_answer_is_forgotten() {
    let mut bench = Bench::new(vec![]);
    let peer = Peer::new(1);
    bench.hear(&peer, &peer.ping(vec![]));
    bench.pass(HALF - Duration::from_millis(1));
    assert_eq!(bench.state(&peer.id()), Some(State::VerifyWait));
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.state(&peer.id()), None);
}

/// `spec/devp2p.md` §6.5: after our ping is answered the other side gets 500 ms for its own proof, or until we answered.
#[test]
fn section_6_5_remoteverifywait() {
    let [patient, prompt] = [1, 2].map(Peer::new);
    let mut bench = Bench::new(vec![patient.node(), prompt.node()]);
    bench.pass(Duration::ZERO);
    let pings = bench.sent();
    for peer in [&patient, &prompt] {
        let (_, ping) = pings.iter().find(|(to, _)| *to == peer.at).unwrap();
        bench.hear(peer, &peer.pong(ping, vec![]));
        assert_eq!(bench.state(&peer.id()), Some(State::RemoteVerifyWait));
    }
    bench.hear(&prompt, &prompt.ping(vec![]));
    assert_eq!(bench.state(&prompt.id()), Some(State::Known));
    bench.pass(HALF - Duration::from_millis(1));
    assert_eq!(bench.state(&patient.id()), Some(State::RemoteVerifyWait));
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.state(&patient.id()), Some(State::Known));
}

/// A kept packet of a proven node, sent again from a forged address, neither moves the node nor gets an answer there.
#[test]
fn an_endpoint_moves_only_with_its_own_proof() {
    let mut bench = answering();
    let peer = Peer::new(1);
    bench.prove(&peer);
    let elsewhere = address("10.9.9.9:1234");
    bench.hear_at(&peer, elsewhere, &FIND);
    let sent = bench.sent();
    assert!(
        matches!(&sent[..], [(to, ping)] if *to == elsewhere && matches!(ping.packet, Packet::Ping(_))),
        "{sent:?}"
    );
    bench.hear(&peer, &FIND);
    assert_eq!(neighbors(&mut bench), 1, "where it is proven it is answered");
    bench.pass(HALF);
    assert_eq!(bench.core.nodes.get(&peer.id()).unwrap().node.socket(), peer.at, "nobody was there");
    assert_eq!(bench.state(&peer.id()), Some(State::Known));

    bench.sent();
    bench.hear_at(&peer, elsewhere, &peer.ping(vec![]));
    let sent = bench.sent();
    let [(_, pong), (_, ping)] = &sent[..] else { panic!("{sent:?}") };
    assert!(matches!(pong.packet, Packet::Pong(_)) && sent.iter().all(|(to, _)| *to == elsewhere));
    bench.hear_at(&peer, elsewhere, &peer.pong(ping, vec![]));
    let node = bench.core.nodes.get(&peer.id()).unwrap().node;
    assert_eq!((node.socket(), node.tcp), (elsewhere, 30303), "it has moved; its RLPx port is what it said");
    bench.hear_at(&peer, elsewhere, &FIND);
    assert_eq!(neighbors(&mut bench), 1);
}

/// `spec/devp2p.md` §6.3: the TCP port is what the last ping said.
#[test]
fn section_6_3_a_node_that_was_named_elsewhere_is_found_where_it_is() {
    let peer = Peer::new(1);
    let wrong = crate::Node { ip: [10, 7, 7, 7].into(), ..peer.node() };
    let mut bench = Bench::new(vec![wrong]);
    bench.pass(Duration::ZERO);
    bench.hear(&peer, &peer.ping(vec![]));
    bench.pass(HALF);
    assert_eq!(bench.answer_pings(&peer), 1);
    assert_eq!(bench.state(&peer.id()), Some(State::Known));
    assert_eq!(bench.core.nodes.get(&peer.id()).unwrap().node, peer.node());
}

/// `spec/devp2p.md` §6.4: the 6th failed query; §6.5: rows "contested" and "unresponsive".
#[test]
fn section_6_5_who_vanishes_leaves_the_table_and_may_come_back() {
    let mut bench = Bench::new(vec![]);
    let peer = Peer::new(1);
    bench.prove(&peer);
    for failures in 1..=6 {
        bench.core.count_failure(bench.now, &peer.id());
        let want = if failures > 5 { State::Contested } else { State::Known };
        assert_eq!(bench.state(&peer.id()), Some(want), "{failures}");
    }
    assert_eq!(bench.answer_pings(&peer), 1);
    assert_eq!(bench.state(&peer.id()), Some(State::Known), "it was there");
    for _ in 0..6 {
        bench.core.count_failure(bench.now, &peer.id());
    }
    bench.pass(3 * HALF);
    let pings = bench.packets().iter().filter(|packet| matches!(packet, Packet::Ping(_))).count();
    assert_eq!((pings, bench.state(&peer.id()), bench.core.table.len()), (3, Some(State::Unresponsive), 0));
    bench.hear(&peer, &peer.ping(vec![]));
    assert_eq!((bench.state(&peer.id()), bench.core.table.len()), (Some(State::Known), 1));
}

/// `spec/devp2p.md` §6.5, row "known": a full bucket contests its last entry.
#[test]
fn section_6_5_a_newcomer_replaces_who_does_not_answer() {
    let mut bench = Bench::new(vec![]);
    let far = |peer: &Peer| (peer.id().0[0] ^ bench.core.id.0[0]) >= 0x80;
    let mut peers: Vec<Peer> = (1..200).map(Peer::new).filter(far).take(17).collect();
    let newcomer = peers.pop().unwrap();
    for peer in &peers {
        bench.prove(peer);
    }
    bench.prove(&newcomer);
    assert_eq!(bench.state(&peers[0].id()), Some(State::Contested));
    assert!(!bench.core.table.iter().any(|id| *id == newcomer.id()));
    bench.pass(3 * HALF);
    assert_eq!(bench.state(&peers[0].id()), Some(State::Unresponsive));
    assert!(bench.core.table.iter().any(|id| *id == newcomer.id()));
    assert_eq!(bench.core.table.len(), 16);
}

#[test]
fn strangers_without_end_are_held_within_bounds() {
    let mut bench = Bench::new(vec![]);
    let proven = Peer::new(1);
    bench.prove(&proven);
    for n in 2..u16::try_from(MAX_NODES).unwrap() + 500 {
        let peer = Peer::new(n);
        bench.hear(&peer, &peer.ping(vec![]));
    }
    let stats = bench.core.stats();
    assert_eq!(stats.nodes, MAX_NODES);
    assert!(stats.full > 0 && stats.send_overflow > 0);
    assert_eq!(bench.packets().len(), super::super::MAX_TRANSMITS);
    assert_eq!(bench.state(&proven.id()), Some(State::Known));
    bench.pass(HALF);
    assert_eq!(bench.core.stats().nodes, 1, "nobody of them answered");
}

/// The key of a node is what signs; its own packets come back to nobody.
#[test]
fn our_own_packets_and_those_from_nowhere_are_dropped() {
    let mut bench = Bench::new(vec![]);
    let own = Peer { key: super::peer::key(0), at: address("10.0.0.1:30303") };
    bench.hear(&own, &own.ping(vec![]));
    for nowhere in ["0.0.0.0:5", "10.1.0.1:0", "224.0.0.1:5", "255.255.255.255:5"] {
        let peer = Peer::new(1);
        bench.hear_at(&peer, address(nowhere), &peer.ping(vec![]));
    }
    assert!(bench.packets().is_empty() && bench.core.stats().nodes == 0);
    let peer = Peer::new(1);
    bench.hear_at(&peer, address("[::ffff:10.1.0.1]:30303"), &peer.ping(vec![]));
    assert!(bench.sent().iter().all(|(to, _)| *to == peer.at), "a mapped address is folded");
}

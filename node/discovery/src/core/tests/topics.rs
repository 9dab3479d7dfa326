//! `spec/devp2p.md` §6.7, §6.8 as the core sees them: tickets of our own, queries, their answers.

use std::time::Duration;

use bytes::Bytes;

use super::peer::{Bench, Peer, address, key, topic};
use crate::{
    Event, Topic,
    packet::{Packet, Received, WireNode},
    topics::Action,
};

const S: Duration = Duration::from_secs(1);

fn mail() -> Topic {
    topic("whispermail")
}

/// `peer` asks for a ticket and gets it, as the packet that it came in.
fn ticket(bench: &mut Bench, peer: &Peer, topics: Vec<Topic>) -> Bytes {
    bench.hear(peer, &peer.ping(topics));
    let is_pong = |(_, received): &(_, Received)| matches!(received.packet, Packet::Pong(_));
    bench.sent().into_iter().find(is_pong).unwrap().1.bytes
}

fn register(bench: &mut Bench, peer: &Peer, topics: Vec<Topic>, pong: Bytes) {
    bench.hear(peer, &Packet::TopicRegister { topics, index: 0, pong });
}

fn ask(bench: &mut Bench, peer: &Peer, of: Topic) -> Vec<WireNode> {
    let hash = bench.hear(peer, &Packet::TopicQuery { topic: of, expiration: 0 });
    let answers = bench.packets();
    let [Packet::TopicNodes { echo, nodes }] = &answers[..] else { panic!("one answer: {answers:?}") };
    assert_eq!(*echo, hash);
    nodes.clone()
}

/// `spec/devp2p.md` §6.7: ticket, wait, registration; §6.8: the answer to a query.
#[test]
fn section_6_7_a_ticket_is_used_in_its_time() {
    let mut bench = Bench::new(vec![]);
    let [early, right, asker] = [1, 2, 3].map(Peer::new);
    for peer in [&early, &right, &asker] {
        bench.prove(peer);
    }
    assert!(ask(&mut bench, &asker, mail()).is_empty());
    let ticket_of_early = ticket(&mut bench, &early, vec![mail()]);
    let ticket_of_right = ticket(&mut bench, &right, vec![mail()]);
    register(&mut bench, &early, vec![mail()], ticket_of_early);
    assert_eq!((bench.core.stats().topic_entries, bench.core.stats().refused_registrations), (0, 1));
    bench.pass_with(61 * S, &[&right, &asker]);
    register(&mut bench, &right, vec![mail()], ticket_of_right);
    assert_eq!((bench.core.stats().topics, bench.core.stats().topic_entries), (1, 1));
    assert_eq!(ask(&mut bench, &asker, mail()), [WireNode::from(&right.node())]);
    assert!(ask(&mut bench, &asker, topic("whisper")).is_empty());
}

/// `spec/devp2p.md` §6.7: a ticket that another registrar signed.
#[test]
fn section_6_7_only_our_own_tickets_count() {
    let mut bench = Bench::new(vec![]);
    let peer = Peer::new(1);
    bench.prove(&peer);
    let pong = ticket(&mut bench, &peer, vec![mail()]);
    let forged = crate::packet::Unverified::parse(&pong).unwrap().verify().unwrap();
    let forged = Bytes::from(forged.packet.seal(&key(9)).bytes);
    bench.pass_with(61 * S, &[&peer]);
    register(&mut bench, &peer, vec![mail()], forged);
    assert_eq!((bench.core.stats().topic_entries, bench.core.stats().refused_registrations), (0, 1));
    register(&mut bench, &peer, vec![mail()], pong);
    assert_eq!(bench.core.stats().topic_entries, 1);
    bench.pass(3700 * S);
    assert_eq!(bench.core.stats().topic_entries, 0, "it expires though nobody asks for it");
}

/// `spec/devp2p.md` §6.8: who registers the topic itself names itself, last; ten nodes at most; the relay rule.
#[test]
fn section_6_8_answers_are_filtered_and_cut() {
    let mut bench = Bench::new(vec![]);
    bench.core.register(bench.now, mail()).unwrap();
    let near = Peer::new(1);
    let far = Peer { at: address("8.8.8.8:443"), ..Peer::new(2) };
    bench.prove(&near);
    let own = WireNode::from(&bench.core.local());
    assert_eq!(ask(&mut bench, &near, mail()), [own]);
    let pong = ticket(&mut bench, &near, vec![mail()]);
    bench.pass_with(61 * S, &[&near]);
    bench.prove(&far);
    register(&mut bench, &near, vec![mail()], pong);
    assert_eq!(ask(&mut bench, &near, mail()), [WireNode::from(&near.node()), own]);
    assert_eq!(ask(&mut bench, &far, mail()), [own], "a private address is not for the public");
    assert_eq!((own.ip, own.udp), (Some([10, 0, 0, 1].into()), 30303));

    let more: Vec<Peer> = (10..22).map(Peer::new).collect();
    let tickets: Vec<Bytes> = more
        .iter()
        .map(|peer| {
            bench.prove(peer);
            ticket(&mut bench, peer, vec![mail()])
        })
        .collect();
    let alive: Vec<&Peer> = more.iter().chain([&near]).collect();
    bench.pass_with(63 * S, &alive);
    for (peer, pong) in more.iter().zip(tickets) {
        register(&mut bench, peer, vec![mail()], pong);
    }
    assert_eq!(bench.core.stats().topic_entries, 13);
    assert_eq!(ask(&mut bench, &near, mail()).len(), 10);
}

fn query(bench: &mut Bench, peer: &Peer) -> [u8; 32] {
    bench.core.act(bench.now, Action::Query { to: peer.node(), topic: mail() });
    let sent = bench.sent();
    let [(to, query)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((*to, &query.packet), (peer.at, &Packet::TopicQuery { topic: mail(), expiration: 0 }));
    query.hash
}

/// `spec/devp2p.md` §6.3, topicNodes: no low-port rule, no relay rule; loopback and unspecified become the sender's.
#[test]
fn section_6_3_nodes_from_topic_nodes() {
    let mut bench = Bench::new(vec![]);
    let peer = Peer::new(1);
    bench.prove(&peer);
    let echo = query(&mut bench, &peer);
    let wire = |n, at: &str| {
        let at = address(at);
        WireNode { ip: Some(at.ip()), udp: at.port(), tcp: at.port(), key: *key(n).public_key().as_bytes() }
    };
    let nodes = vec![
        wire(2, "8.8.8.8:443"),
        wire(3, "127.0.0.1:30303"),
        wire(4, "[::]:30304"),
        wire(5, "192.168.1.1:5"),
        wire(0, "10.0.0.1:30303"),
        wire(6, "9.9.9.9:0"),
    ];
    bench.hear(&peer, &Packet::TopicNodes { echo, nodes });
    let found: Vec<(String, u16)> = bench
        .events()
        .into_iter()
        .map(|event| match event {
            Event::Found { topic, node } if topic == mail() => (node.socket().to_string(), node.tcp),
            other => panic!("{other:?}"),
        })
        .collect();
    let want =
        [("8.8.8.8:443", 443), ("10.1.0.1:30303", 30303), ("10.1.0.1:30304", 30304), ("192.168.1.1:5", 5)];
    assert_eq!(found, want.map(|(at, tcp)| (at.to_owned(), tcp)));
}

/// `spec/devp2p.md` §6.8: the echo must match a query of the last 5 s, else it is a failure of the sender.
#[test]
fn section_6_8_answers_need_a_query() {
    let mut bench = Bench::new(vec![]);
    let [peer, other] = [1, 2].map(Peer::new);
    bench.prove(&peer);
    bench.prove(&other);
    let failures = |bench: &Bench, peer: &Peer| bench.core.nodes.get(&peer.id()).unwrap().failures;
    bench.pass(S);
    assert_eq!((failures(&bench, &peer), failures(&bench, &other)), (1, 1), "neither answered the refresh");
    let nodes = vec![WireNode::from(&Peer::new(3).node())];
    bench.sent();
    let echo = query(&mut bench, &peer);
    bench.hear(&other, &Packet::TopicNodes { echo, nodes: nodes.clone() });
    bench.hear(&peer, &Packet::TopicNodes { echo: [1; 32], nodes: nodes.clone() });
    bench.pass(5 * S);
    bench.hear(&peer, &Packet::TopicNodes { echo, nodes: nodes.clone() });
    assert!(!bench.events().iter().any(|event| matches!(event, Event::Found { .. })));
    assert_eq!((failures(&bench, &peer), failures(&bench, &other)), (4, 2), "the query itself timed out too");
    assert_eq!((bench.core.stats().query_timeouts, bench.core.queries.len()), (3, 0));
    let echo = query(&mut bench, &peer);
    bench.hear(&peer, &Packet::TopicNodes { echo, nodes });
    assert_eq!((bench.events().len(), failures(&bench, &peer)), (1, 0));
}

#[test]
fn an_unproven_node_is_pinged_instead_of_asked() {
    let mut bench = Bench::new(vec![]);
    let peer = Peer::new(1);
    bench.core.act(bench.now, Action::Query { to: peer.node(), topic: mail() });
    let pong = Bytes::from_static(b"ticket");
    bench.core.act(bench.now, Action::Register { to: peer.id(), topics: vec![mail()], index: 0, pong });
    let sent = bench.packets();
    assert!(matches!(sent[..], [Packet::Ping(_)]), "{sent:?}");
}

/// `spec/devp2p.md` §6.2: every ping carries all topics that are being registered.
#[test]
fn section_6_2_pings_carry_the_registered_topics() {
    let mut bench = Bench::new(vec![]);
    for text in ["whisper", "whispermail"] {
        bench.core.register(bench.now, topic(text)).unwrap();
    }
    bench.core.act(bench.now, Action::Ping { node: Peer::new(1).node() });
    let Some(Packet::Ping(mut ping)) = bench.packets().pop() else { panic!() };
    ping.topics.sort();
    assert_eq!(ping.topics, [topic("whisper"), mail()]);
    bench.core.unregister(&mail());
    bench.core.act(bench.now, Action::Ping { node: Peer::new(2).node() });
    let Some(Packet::Ping(ping)) = bench.packets().pop() else { panic!() };
    assert_eq!(ping.topics, [topic("whisper")]);
}

#[test]
fn a_ticket_that_makes_too_long_a_packet_is_not_sent() {
    let mut bench = Bench::new(vec![]);
    let peer = Peer::new(1);
    bench.prove(&peer);
    let act = |bench: &mut Bench, length| {
        let pong = Bytes::from(vec![1; length]);
        bench.core.act(bench.now, Action::Register { to: peer.id(), topics: vec![mail()], index: 0, pong });
        bench.core.poll_transmit().map(|transmit| transmit.bytes.len())
    };
    assert_eq!(act(&mut bench, 1200), None);
    assert!(act(&mut bench, 1100).is_some_and(|length| length <= crate::MAX_PACKET));
}

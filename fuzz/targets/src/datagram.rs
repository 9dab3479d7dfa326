//! Datagrams of discovery (`spec/devp2p.md` §6).

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use discovery::{Core, CoreConfig, MAX_PACKET, Node, Transmit};
use enode::{NodeKey, keccak256};
use secp256k1::{Message, ecdsa::RecoverableSignature};

const PREFIX: &[u8] = b"temporary discovery v5";

fn key(n: u8) -> NodeKey {
    NodeKey::from_bytes(&[n; 32]).unwrap()
}

fn address(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 30303))
}

/// Node `n`, which begins with node `boot`.
fn core(n: u8, boot: Option<u8>, now: Instant) -> Core {
    let boot_nodes = boot.map(|n| Node::new(key(n).public_key(), address(n).ip(), 30303, 30303));
    let config = CoreConfig {
        key: key(n),
        bound: address(n),
        tcp: 0,
        advertised: None,
        boot_nodes: boot_nodes.into_iter().collect(),
        unix_s: 1_700_000_000,
    };
    Core::new(config, [n; 32], now)
}

fn sent(core: &mut Core) -> Vec<Transmit> {
    std::iter::from_fn(|| core.poll_transmit()).collect()
}

/// A packet of this type and data, signed.
fn signed(key: &NodeKey, body: &[u8]) -> Vec<u8> {
    let message = Message::from_digest(keccak256(body));
    let (id, compact) =
        RecoverableSignature::sign_ecdsa_recoverable(message, key.secret()).serialize_compact();
    [PREFIX, &compact, &[id.to_u8()], body].concat()
}

/// The input as it is, and as the body (type and data) of a packet of a node that has proven its endpoint: little is
/// said to it, and nothing that is too long.
pub fn discovery(data: &[u8]) {
    let mut now = Instant::now();
    let (mut node, at) = (core(1, None, now), address(1));
    let (mut peer, from) = (core(2, Some(1), now), address(2));
    node.register(now, "whisper".parse().unwrap()).unwrap();
    node.search(now, "whispermail".parse().unwrap(), Duration::from_secs(3)).unwrap();
    for _ in 0..6 {
        peer.handle_timeout(now);
        for transmit in sent(&mut peer) {
            node.handle_datagram(now, from, &transmit.bytes);
        }
        for transmit in sent(&mut node) {
            peer.handle_datagram(now, at, &transmit.bytes);
        }
        now += Duration::from_millis(100);
    }
    assert!(node.is_proven(from.ip()), "the input reaches what only proven nodes reach");
    node.handle_datagram(now, from, data);
    assert!(sent(&mut node).len() <= 64);
    node.handle_datagram(now, from, &signed(&key(2), data));
    let said = sent(&mut node);
    assert!(said.len() <= 64, "{} packets for one", said.len());
    assert!(said.iter().all(|transmit| transmit.bytes.len() <= MAX_PACKET));
    for _ in 0..4 {
        now += Duration::from_secs(30);
        node.handle_timeout(now);
        sent(&mut node);
    }
    let stats = node.stats();
    assert!(stats.nodes <= 64 && stats.table <= 1 && stats.topic_entries <= 1, "{stats:?}");
}

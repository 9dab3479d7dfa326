//! The vectors of `spec/devp2p.md` §11.9, both ways, and what a decoder must take or refuse.

use std::net::IpAddr;

use bytes::Bytes;
use enode::{NodeKey, keccak256};
use proptest::prelude::*;

use super::*;

struct Vector {
    hash: &'static str,
    bytes: &'static str,
}

const PING: Vector = Vector {
    hash: "c97e9964263447140bbcd3a34553e48d9d38b9dc94c6cc55abf1ad0712d32715",
    bytes: concat!(
        "74656d706f7261727920646973636f766572792076357e9a09429e5deab575ff4d27f9b2678763ba86b0ec91a2de",
        "5a50d71fecf88c80212897c101c4aafb52ce19f726cf351589327ca4560b374c787cf2727bff69de0001df04cb84",
        "7f00000182765f82765fcb847f0000018276608276608443b9a355c0",
    ),
};

const PING_TOPICS: Vector = Vector {
    hash: "de29caa5590c54fb09a610a4d78e7399df4590ceeeea26cb5349d0db649dd201",
    bytes: concat!(
        "74656d706f7261727920646973636f76657279207635a8c235088e0d2c8f0897fe2426bb9bfff1ed9b7c3a93d92d",
        "0b91f810170b785362f998501142604141c444bc6259ab6d7464f4e620a38aa077e2c3a6b752288f0001eb04cb84",
        "7f00000182765f82765fcb847f0000018276608276608443b9a355cc8b776869737065726d61696c",
    ),
};

const PONG: Vector = Vector {
    hash: "09f7d32381ce0acf037a9080a4f4a3d949ded1094c441a4eab1ada7e824d4015",
    bytes: concat!(
        "74656d706f7261727920646973636f7665727920763543b23e17a2ea3640573cfb0a854fec32f958c68ccae1f727",
        "e6e1ab82d56974db7baac86127c988bfcf9cf08c86ca9838763036df899767ccef20df9b8bec35ed0102f853cb84",
        "7f00000182765f82765fa0c97e9964263447140bbcd3a34553e48d9d38b9dc94c6cc55abf1ad0712d327158203e8",
        "a01dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d4934701c0",
    ),
};

const PONG_WAITS: Vector = Vector {
    hash: "7d1c40553e1763c75bfa3c0564917ccf3a544add87ef4146d1643a7e98a54a5a",
    bytes: concat!(
        "74656d706f7261727920646973636f76657279207635cab9f5c87a0bdd6c80e3840f8be8a3c48c7d86e66d6db1a4",
        "1fe1099b254e7baa480729508f6afbf7e91092e74154bd9997e72f797fcbb9b8a14bae6fcae5ae4a0102f854cb84",
        "7f00000182765f82765fa0de29caa5590c54fb09a610a4d78e7399df4590ceeeea26cb5349d0db649dd2018203e8",
        "a0b75d2ba2eaca88eb75ccb9cdc092cced01b10c83a47fce34182e44515b98e72c02c13c",
    ),
};

const FINDNODE: Vector = Vector {
    hash: "977f015323bc167f0d8899a8520547389698fffe34f2727c5f004a9780986b60",
    bytes: concat!(
        "74656d706f7261727920646973636f7665727920763532f736f76f11ffd7bbdfcfdcc84240f7287d9a6eb0aabcbc",
        "dfc292cb05438db76a8075a9843701003662bca429e5fdb099d97a1ac442d943f84a0e868262599b0103f847b840",
        "ca634cae0d49acb401d8a4c6b6fe8c55b70d115bf400769cc1400f3258cd31387574077f301b421bc84df7266c44",
        "e9e6d569fc56be00812904767bf5ccd1fc7f8443b9a355",
    ),
};

const FINDNODE_HASH: Vector = Vector {
    hash: "ae2199fbc9466e2b32d89c5b3d5837a0aeef83138d06d506ca56c6dc2a934d81",
    bytes: concat!(
        "74656d706f7261727920646973636f7665727920763597d6f134032fe2042e8ae012f07965290f7b30ca2cee0f88",
        "e8f49211f1e271134018698807e982a55787f5049ffb541e73ddd87380daf959ab724a235309c1140005e6a0a448",
        "f24c6d18e575453db13171562b71999873db5b286df957af199ec94617f78443b9a355",
    ),
};

const NEIGHBORS: Vector = Vector {
    hash: "40902ca9e201ee190b00ad309ff33d48a65d90b54d6f714a36644465e0434d4f",
    bytes: concat!(
        "74656d706f7261727920646973636f7665727920763569b68be22da4720d072d00f1da5b14ec6a4148fdeb2b4478",
        "0115d0613f4b909d692b1f3c74c2e0b2de72daa5b8cee976107dcf6c71d230f2b049ce398ae327690004f856f84f",
        "f84d8401020304827661827662b840654d1044b69c577a44e5f01a1209523adb4026e70c62d1c13a067acabc09d2",
        "667a49821a0ad4b634554d330a15a58fe61f8a8e0544b310c6de7b0c8da7528a8d8443b9a355",
    ),
};

const NEIGHBORS_EMPTY: Vector = Vector {
    hash: "7d6348c2b8ce7926391df578b5fd1d38e96fcf55bb2af4d5564cc5b7214902da",
    bytes: concat!(
        "74656d706f7261727920646973636f766572792076351efbb0f2c220653f54a31f860bcc30c92ba481e1e8c207c4",
        "1ed871f1a15844224b4fe64c4b00799b18e5ba5ade236cd4b6eb1f2bf52eeac0562ede3afaccc5aa0104c6c08443",
        "b9a355",
    ),
};

const TOPIC_REGISTER: Vector = Vector {
    hash: "ad213787da3fd1d44b64a6456695fd21434250c1f96bb7d3d92c2899935e521d",
    bytes: concat!(
        "74656d706f7261727920646973636f76657279207635a3a1c18d6b84332a7ad477ab9f451f102a3a1f72e9c1378d",
        "20672affb57ed89778983206b7ea1cb25603e166bce591c23f6fdd2d8917088f1c6211d9459956f50006f8becc8b",
        "776869737065726d61696c80b8ae74656d706f7261727920646973636f76657279207635cab9f5c87a0bdd6c80e3",
        "840f8be8a3c48c7d86e66d6db1a41fe1099b254e7baa480729508f6afbf7e91092e74154bd9997e72f797fcbb9b8",
        "a14bae6fcae5ae4a0102f854cb847f00000182765f82765fa0de29caa5590c54fb09a610a4d78e7399df4590ceee",
        "ea26cb5349d0db649dd2018203e8a0b75d2ba2eaca88eb75ccb9cdc092cced01b10c83a47fce34182e44515b98e7",
        "2c02c13c",
    ),
};

const TOPIC_QUERY: Vector = Vector {
    hash: "15be886d2a478018b5f0757678d0b6ab0562806f510644e07008f106b3ffbf1b",
    bytes: concat!(
        "74656d706f7261727920646973636f76657279207635b633c40bc4a59624fcb5cca8e8e0cbce8263523128cc69f4",
        "3542d93d7a51ebbe70a3d9445b4176b5c8a71e2bfdec5a966bd9681b23e62e69ead00c7a05769cf20007cd8b7768",
        "69737065726d61696c80",
    ),
};

const TOPIC_NODES: Vector = Vector {
    hash: "51f03ff15c0b8444c30ad84a9bf9bd7e787bea6cd3565c3a1d7872f04cca3733",
    bytes: concat!(
        "74656d706f7261727920646973636f76657279207635955ef18f6e625de7b61d06e9864478287ca4c5d7dc54e164",
        "958f37d82d0bc4436ff3a67d990a4f3f1741e750ca192334e3011a375140c7992ab443d8356280fc0008f872a015",
        "be886d2a478018b5f0757678d0b6ab0562806f510644e07008f106b3ffbf1bf84ff84d8401020304827661827662",
        "b840654d1044b69c577a44e5f01a1209523adb4026e70c62d1c13a067acabc09d2667a49821a0ad4b634554d330a",
        "15a58fe61f8a8e0544b310c6de7b0c8da7528a8d",
    ),
};

const TOPIC_NODES_EMPTY: Vector = Vector {
    hash: "ea88ca457aa4a4943bd2e0044c21a15f9fc8955dca3d269314b93e6284beb3a6",
    bytes: concat!(
        "74656d706f7261727920646973636f76657279207635751cc5c43bb58d92fa2c3e6a031ab2e8ca28376c50febf63",
        "f476a0ad7340a6f3762d6a5f2eafb7789781d121e667782facd0e7eff86ba83a006aeb7f96c870740008e2a015be",
        "886d2a478018b5f0757678d0b6ab0562806f510644e07008f106b3ffbf1bc0",
    ),
};

fn key(hex: &str) -> NodeKey {
    NodeKey::from_hex(hex).unwrap()
}

fn a() -> NodeKey {
    key("49a7b37aa6f6645917e7b807e9d1c00d4fa71f18343b0d4122a4d2df64dd6fee")
}

fn b() -> NodeKey {
    key("b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291")
}

fn c() -> NodeKey {
    key("869d6ecf5211f1cc60418a13b9d870b22959d0c16f02bec714c960dd2298a32d")
}

fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

fn hash(text: &str) -> [u8; 32] {
    unhex(text).try_into().unwrap()
}

const EXPIRATION: u64 = 1_136_239_445;

fn endpoint(port: u16) -> WireEndpoint {
    WireEndpoint { ip: Some("127.0.0.1".parse().unwrap()), udp: port, tcp: port }
}

fn mail() -> Topic {
    "whispermail".parse().unwrap()
}

fn node_c() -> WireNode {
    let ip = Some("1.2.3.4".parse().unwrap());
    WireNode { ip, udp: 30305, tcp: 30306, key: *c().public_key().as_bytes() }
}

fn ping(topics: Vec<Topic>) -> Packet {
    Packet::Ping(Ping {
        version: VERSION,
        from: endpoint(30303),
        to: endpoint(30304),
        expiration: EXPIRATION,
        topics,
    })
}

fn pong(of: &Vector, topics: &[Topic], serial: u32, waits: Vec<u32>) -> Packet {
    Packet::Pong(Pong {
        to: endpoint(30303),
        token: hash(of.hash),
        issued: 1000,
        topic_hash: topic_hash(topics),
        serial,
        waits,
    })
}

/// Sealing gives the vector's bytes and hash; parsing and verifying those gives the packet and its sender.
fn both_ways(vector: &Vector, signer: &NodeKey, packet: Packet) -> Received {
    let sealed = packet.seal(signer);
    assert_eq!(hex::encode(&sealed.bytes), vector.bytes);
    assert_eq!(hex::encode(sealed.hash), vector.hash);
    let received = Unverified::parse(&unhex(vector.bytes)).unwrap().verify().unwrap();
    assert_eq!(received.from, signer.public_key());
    assert_eq!(received.packet, packet);
    assert_eq!(hex::encode(received.hash), vector.hash);
    received
}

#[test]
fn section_11_9_ping() {
    both_ways(&PING, &a(), ping(vec![]));
    both_ways(&PING_TOPICS, &a(), ping(vec![mail()]));
}

#[test]
fn section_11_9_pong() {
    both_ways(&PONG, &b(), pong(&PING, &[], 1, vec![]));
    let received = both_ways(&PONG_WAITS, &b(), pong(&PING_TOPICS, &[mail()], 2, vec![60]));
    assert_eq!(received.bytes, unhex(PONG_WAITS.bytes), "a pong is kept whole, to be sent back");
}

#[test]
fn section_11_9_findnode() {
    let target = *b().public_key().as_bytes();
    both_ways(&FINDNODE, &a(), Packet::FindNode { target, expiration: EXPIRATION });
    let target = b().node_id().0;
    both_ways(&FINDNODE_HASH, &a(), Packet::FindNodeHash { target, expiration: EXPIRATION });
}

#[test]
fn section_11_9_neighbors() {
    both_ways(&NEIGHBORS, &b(), Packet::Neighbors { nodes: vec![node_c()], expiration: EXPIRATION });
    both_ways(&NEIGHBORS_EMPTY, &b(), Packet::Neighbors { nodes: vec![], expiration: EXPIRATION });
}

#[test]
fn section_11_9_topic_register() {
    let pong_bytes = Bytes::from(unhex(PONG_WAITS.bytes));
    let packet = Packet::TopicRegister { topics: vec![mail()], index: 0, pong: pong_bytes };
    let ticket = both_ways(&TOPIC_REGISTER, &a(), packet).ticket.unwrap();
    assert_eq!(ticket.signer, b().public_key());
    assert_eq!(Packet::Pong(ticket.pong), pong(&PING_TOPICS, &[mail()], 2, vec![60]));
}

#[test]
fn section_11_9_topic_query() {
    both_ways(&TOPIC_QUERY, &a(), Packet::TopicQuery { topic: mail(), expiration: 0 });
}

#[test]
fn section_11_9_topic_nodes() {
    let echo = hash(TOPIC_QUERY.hash);
    both_ways(&TOPIC_NODES, &b(), Packet::TopicNodes { echo, nodes: vec![node_c()] });
    both_ways(&TOPIC_NODES_EMPTY, &b(), Packet::TopicNodes { echo, nodes: vec![] });
}

/// `spec/devp2p.md` §6.2 and the text under §11.9.
#[test]
fn section_11_9_topic_hash() {
    assert_eq!(
        hex::encode(topic_hash(&[])),
        "1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"
    );
    assert_eq!(
        hex::encode(topic_hash(&[mail()])),
        "b75d2ba2eaca88eb75ccb9cdc092cced01b10c83a47fce34182e44515b98e72c"
    );
}

/// `spec/devp2p.md` §11.9, numeric checks.
#[test]
fn section_11_9_largest_packets() {
    let node = WireNode {
        ip: Some(IpAddr::from([0xfd; 16])),
        udp: 65_535,
        tcp: 65_535,
        key: *c().public_key().as_bytes(),
    };
    let expiration = u64::MAX;
    let neighbors = |n| Packet::Neighbors { nodes: vec![node; n], expiration }.seal(&a()).bytes.len();
    assert_eq!((neighbors(NEIGHBORS_PER_PACKET), neighbors(13)), (1195, 1286));
    let topic_nodes = Packet::TopicNodes { echo: [7; 32], nodes: vec![node; 12] };
    assert_eq!(topic_nodes.seal(&a()).bytes.len(), 1219);
    let waits = vec![u32::MAX; MAX_TOPICS];
    assert!(pong(&PING, &[], u32::MAX, waits).seal(&a()).bytes.len() <= MAX_PACKET);
}

/// A packet of type `code` with this data, signed by A.
fn signed(code: u8, data: &[u8]) -> Vec<u8> {
    let body = [&[code], data].concat();
    let message = secp256k1::Message::from_digest(keccak256(&body));
    let (id, compact) = secp256k1::ecdsa::RecoverableSignature::sign_ecdsa_recoverable(message, a().secret())
        .serialize_compact();
    [PREFIX.as_slice(), &compact, &[id.to_u8()], &body].concat()
}

/// The data of a vector with `extra` as one more element of its list. All of them are below 256 bytes long.
fn with_element(vector: &Vector, extra: &[u8]) -> Vec<u8> {
    let mut data = &unhex(vector.bytes)[MIN_PACKET..];
    let payload = [alloy_rlp::Header::decode_bytes(&mut data, true).unwrap(), extra].concat();
    let mut out = Vec::new();
    alloy_rlp::Header { list: true, payload_length: payload.len() }.encode(&mut out);
    [out, payload].concat()
}

/// `spec/devp2p.md` §6.2, column "tail".
#[test]
fn more_elements_are_taken_only_where_there_is_a_tail() {
    for (kind, vector, tail) in [
        (Kind::Ping, &PING, true),
        (Kind::Pong, &PONG, true),
        (Kind::FindNode, &FINDNODE, true),
        (Kind::Neighbors, &NEIGHBORS, true),
        (Kind::FindNodeHash, &FINDNODE_HASH, true),
        (Kind::TopicRegister, &TOPIC_REGISTER, false),
        (Kind::TopicQuery, &TOPIC_QUERY, false),
        (Kind::TopicNodes, &TOPIC_NODES, false),
    ] {
        let parsed = Unverified::parse(&signed(kind as u8, &with_element(vector, b"\x83abc")));
        assert_eq!(parsed.is_ok(), tail, "{}", kind.name());
        let behind = [&unhex(vector.bytes)[MIN_PACKET..], b"\x83abc"].concat();
        let received = Unverified::parse(&signed(kind as u8, &behind)).unwrap().verify().unwrap();
        assert_eq!(received.from, a().public_key(), "bytes behind the list: {}", kind.name());
    }
}

/// `spec/devp2p.md` §6.1, §6.2: what is dropped.
#[test]
fn what_is_no_packet_is_refused() {
    let whole = unhex(PING.bytes);
    assert_eq!(Unverified::parse(&whole[..87]), Err(PacketError::Length(87)));
    assert_eq!(Unverified::parse(&[whole.clone(), vec![0; 1161]].concat()), Err(PacketError::Length(1281)));
    let mut other = whole.clone();
    other[21] = b'4';
    assert_eq!(Unverified::parse(&other), Err(PacketError::Prefix));
    for code in [0, 9, 255] {
        assert_eq!(Unverified::parse(&signed(code, &whole[MIN_PACKET..])), Err(PacketError::Type(code)));
    }
    // A discv4 ping has no topics.
    let four = "de04cb847f00000182765f82765fcb847f0000018276608276608443b9a355";
    assert!(matches!(Unverified::parse(&signed(1, &unhex(four))), Err(PacketError::Fields(_))));
    // A number with a leading zero, a port over 16 bits, a node with five fields.
    for (code, data) in [
        (7, "ce8b776869737065726d61696c820001"),
        (1, "e104cc847f00000183010000827660cb847f0000018276608276608443b9a355c0"),
        (8, "e2a0000000000000000000000000000000000000000000000000000000000000000001"),
    ] {
        assert!(
            matches!(Unverified::parse(&signed(code, &unhex(data))), Err(PacketError::Fields(_))),
            "{data}"
        );
    }
    let mut signature = whole;
    signature[86] = 4;
    assert_eq!(Unverified::parse(&signature).unwrap().verify(), Err(PacketError::Signature));
}

#[test]
fn lists_from_the_wire_are_bounded() {
    let topics = |n| vec!["t".parse::<Topic>().unwrap(); n];
    assert!(Unverified::parse(&ping(topics(MAX_TOPICS)).seal(&a()).bytes).is_ok());
    assert!(Unverified::parse(&ping(topics(MAX_TOPICS + 1)).seal(&a()).bytes).is_err());
    let long = [&[0xf8, 67, 0xb8, 65], [b't'; 65].as_slice(), &[0x80]].concat();
    assert!(Unverified::parse(&signed(7, &long)).is_err(), "a topic over 64 bytes");
}

/// `spec/devp2p.md` §6.7: what makes a ticket one, before anybody asks whether it is ours and in time.
#[test]
fn a_ticket_is_a_pong_for_these_topics() {
    let register = |topics: Vec<Topic>, index, pong: &[u8]| {
        let packet = Packet::TopicRegister { topics, index, pong: Bytes::copy_from_slice(pong) };
        Unverified::parse(&packet.seal(&a()).bytes).unwrap().verify()
    };
    let good = unhex(PONG_WAITS.bytes);
    assert!(register(vec![mail()], 0, &good).is_ok());
    for refused in [
        register(vec![mail()], 1, &good),
        register(vec![mail()], u64::MAX, &good),
        register(vec!["whisper".parse().unwrap()], 0, &good),
        register(vec![], 0, &unhex(PONG.bytes)),
        register(vec![mail()], 0, &unhex(PING_TOPICS.bytes)),
        register(vec![mail()], 0, &good[1..]),
        register(vec![mail()], 0, &[]),
    ] {
        assert_eq!(refused, Err(PacketError::Ticket));
    }
    let short = pong(&PING_TOPICS, &[mail()], 2, vec![]).seal(&b()).bytes;
    assert_eq!(register(vec![mail()], 0, &short), Err(PacketError::Ticket), "no wait period for the topic");
}

fn any_ip() -> impl Strategy<Value = Option<IpAddr>> {
    prop_oneof![
        Just(None),
        any::<[u8; 4]>().prop_map(|ip| Some(ip.into())),
        any::<[u8; 16]>().prop_map(|ip| Some(ip.into()))
    ]
}

fn any_endpoint() -> impl Strategy<Value = WireEndpoint> {
    (any_ip(), any::<u16>(), any::<u16>()).prop_map(|(ip, udp, tcp)| WireEndpoint { ip, udp, tcp })
}

fn any_node() -> impl Strategy<Value = WireNode> {
    (any_ip(), any::<u16>(), any::<u16>(), any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(
        |(ip, udp, tcp, x, y)| {
            let mut key = [0; 64];
            key[..32].copy_from_slice(&x);
            key[32..].copy_from_slice(&y);
            WireNode { ip, udp, tcp, key }
        },
    )
}

fn any_topics() -> impl Strategy<Value = Vec<Topic>> {
    prop::collection::vec("[a-zA-Z0-9@é]{1,30}".prop_map(|t| t.parse().unwrap()), 0..8)
}

fn any_packet() -> impl Strategy<Value = Packet> {
    let nodes = || prop::collection::vec(any_node(), 0..NEIGHBORS_PER_PACKET);
    prop_oneof![
        (any::<u64>(), any_endpoint(), any_endpoint(), any::<u64>(), any_topics()).prop_map(
            |(version, from, to, expiration, topics)| Packet::Ping(Ping {
                version,
                from,
                to,
                expiration,
                topics
            })
        ),
        (
            any_endpoint(),
            any::<[u8; 32]>(),
            any::<u64>(),
            any::<[u8; 32]>(),
            any::<u32>(),
            prop::collection::vec(any::<u32>(), 0..MAX_TOPICS)
        )
            .prop_map(|(to, token, issued, topic_hash, serial, waits)| Packet::Pong(Pong {
                to,
                token,
                issued,
                topic_hash,
                serial,
                waits
            })),
        (any_node(), any::<u64>())
            .prop_map(|(node, expiration)| Packet::FindNode { target: node.key, expiration }),
        (nodes(), any::<u64>()).prop_map(|(nodes, expiration)| Packet::Neighbors { nodes, expiration }),
        (any::<[u8; 32]>(), any::<u64>())
            .prop_map(|(target, expiration)| Packet::FindNodeHash { target, expiration }),
        (any_topics(), any::<u64>(), prop::collection::vec(any::<u8>(), 0..600))
            .prop_map(|(topics, index, pong)| Packet::TopicRegister { topics, index, pong: pong.into() }),
        any::<u64>().prop_map(|expiration| Packet::TopicQuery { topic: mail(), expiration }),
        (any::<[u8; 32]>(), nodes()).prop_map(|(echo, nodes)| Packet::TopicNodes { echo, nodes }),
    ]
}

proptest! {
    #[test]
    fn what_is_sealed_is_parsed_again(packet in any_packet()) {
        let sealed = packet.seal(&a());
        let parsed = Unverified::parse(&sealed.bytes).unwrap();
        prop_assert_eq!(&parsed.packet, &packet);
        if packet.kind() != Kind::TopicRegister {
            prop_assert_eq!(parsed.verify().unwrap().from, a().public_key());
        }
    }

    #[test]
    fn any_bytes_are_parsed_or_refused(code in 0_u8..10, data in prop::collection::vec(any::<u8>(), 0..1192)) {
        if let Ok(unverified) = Unverified::parse(&signed(code, &data)) {
            let _ = unverified.verify();
        }
    }

    #[test]
    fn a_packet_with_a_wrong_bit_is_parsed_or_refused(packet in any_packet(), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut bytes = packet.seal(&a()).bytes;
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        if let Ok(received) = Unverified::parse(&bytes).and_then(Unverified::verify) {
            prop_assert_ne!(received.from, a().public_key());
        }
    }
}

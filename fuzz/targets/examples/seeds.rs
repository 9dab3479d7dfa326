//! Writes a valid input or two of every target into the corpus, for a fuzzer to start from:
//! `cargo run --release -p fuzz-targets --example seeds`.
#![allow(clippy::unwrap_used, reason = "a tool of developers: it stops at the first trouble")]

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use archive::{EnvelopeId, Position};
use bytes::Bytes;
use enode::{Endpoint, EnodeUrl, NodeKey, RecordContent};
use replica_sync::{Message, Span};
use rlpx::{Capability, DisconnectReason, Hello};
use waku_wire::{
    Bloom, Completion, Cursor, Envelope, EnvelopeHash, MessageResponse, MessagesRequest, ProtocolVersion,
    StatusOptions, Topic, WireEnvelope, encode_batch_ack, messages,
};

const NOW: u32 = 1_700_000_000;

fn write(target: &str, inputs: &[&[u8]]) {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(target);
    fs::create_dir_all(&dir).unwrap();
    for (n, input) in inputs.iter().enumerate() {
        fs::write(dir.join(format!("seed-{n}")), input).unwrap();
    }
}

fn with_form(form: u8, data: &[u8]) -> Vec<u8> {
    [&[form], data].concat()
}

fn envelope() -> WireEnvelope {
    let topic = Topic::from_name("status");
    Envelope { expiry: NOW + 50, ttl: 50, topic, data: Bytes::from_static(&[0xab; 40]), nonce: 7 }
        .encode()
        .unwrap()
}

fn main() {
    let key = NodeKey::from_bytes(&[1; 32]).unwrap();
    transport(&key);
    packets();
    datagrams();
    let endpoint = Endpoint::new("192.0.2.1".parse().unwrap(), 30303, 30301);
    let record = RecordContent::new(3).with_endpoint(&endpoint).sign(&key).unwrap();
    let url: EnodeUrl =
        format!("enode://{}@192.0.2.1:30303?discport=30301", key.public_key()).parse().unwrap();
    let (url, text) = (url.to_string(), record.to_string());
    write("enode_url", &[url.as_bytes(), text.as_bytes(), b"enode://00@[::1]:1"]);
    write("node_record", &[&record.encode()]);
    let config = br#"{"DataDir":"/d","ListenAddr":"0.0.0.0:30303","MaxPeers":25,"HTTPEnabled":true,"HTTPPort":8545,
        "ClusterConfig":{"Enabled":true,"StaticNodes":[],"BootNodes":[]},"SharedSources":["10.0.0.0/8"],
        "WakuConfig":{"Enabled":true,"EnableMailServer":true,"MailServerPassword":"x","MinimumPoW":0.000002}}"#;
    write("config_file", &[config, b"{}", b"[]"]);
    let live =
        br#"{"advertise":{"ip":"192.0.2.1","tcp":30303,"udp":30303},"staticPeers":[],"trustedPeers":[]}"#;
    write("live_file", &[live, b"{}"]);
    calls();
    sync();
}

fn transport(key: &NodeKey) {
    let initiator =
        rlpx::handshake::Initiator::new(&NodeKey::from_bytes(&[9; 32]).unwrap(), &key.public_key()).unwrap();
    let accepted = rlpx::handshake::accept(key, initiator.auth()).unwrap();
    let fields: Vec<u8> = [
        &[0xf8, 164, 0xb8, 65][..],
        &[1; 65],
        &[0xb8, 64],
        key.public_key().as_bytes(),
        &[0xa0],
        &[2; 32],
        &[4],
    ]
    .concat();
    write("auth", &[&with_form(0, initiator.auth()), &with_form(1, &fields)]);
    write("ack", &[&with_form(0, &accepted.ack), &with_form(1, &fields)]);
    write(
        "frame",
        &[
            &with_form(0, &[0; 64]),
            &with_form(1, b"\x05\x10hello"),
            &with_form(16, b"hello"),
            &with_form(17, &[7; 300]),
        ],
    );
    let hello = Hello::new("x/v1/linux/rust".into(), vec![Capability::new("waku", 1)], &key.public_key());
    write("hello", &[&hello.encode()]);
    write("base_messages", &[&DisconnectReason::TooManyPeers.encode(), &[4], &[0xc0]]);
}

fn packets() {
    let options = StatusOptions {
        pow_requirement: Some(0.002),
        bloom: Some(Bloom::FULL.0.to_vec()),
        light_node: Some(false),
        confirmations: Some(true),
        topics: Some(vec![Topic::from_name("status")]),
        ..StatusOptions::default()
    };
    let [v0, v1] = [ProtocolVersion::V0, ProtocolVersion::V1];
    write("status", &[&options.encode_status(v0), &options.encode_status(v1)]);
    write("status_update", &[&options.encode_update(v0), &options.encode_update(v1)]);
    let envelope = envelope();
    write("messages", &[&messages::encode([envelope.raw().as_ref(); 3]), &[0xc0]]);
    write("envelope", &[envelope.raw()]);
    let response = MessageResponse { batch: [5; 32], errors: Vec::new() };
    write("confirmations", &[&encode_batch_ack(&[5; 32]), &response.encode()]);
    let request = MessagesRequest {
        from: NOW - 86_400,
        to: NOW,
        topics: vec![Topic::from_name("status")],
        limit: 10,
        cursor: Cursor::of(&envelope).0.to_vec(),
        batch: true,
        ..MessagesRequest::default()
    };
    write("request", &[&request.encode(), &request.encode_plain(&[6; 32]), envelope.raw()]);
    let success =
        Completion::Success { request: [6; 32], last: envelope.hash(), cursor: Some(Cursor::of(&envelope)) };
    let empty = Completion::Success { request: [6; 32], last: EnvelopeHash::ZERO, cursor: None };
    let failure = Completion::Failure { request: [6; 32], error: "busy".into() };
    write("completion", &[&success.encode(), &empty.encode(), &failure.encode()]);
    write(
        "payload",
        &[
            &with_form(0, b"\x00hello"),
            &with_form(1, &[3; 60]),
            &with_form(2, &[4; 120]),
            &with_form(3, b"hi"),
            &with_form(4, b"hi"),
        ],
    );
}

/// One body (type and data) of each type, from two nodes that register and search for two minutes.
fn datagrams() {
    let start = Instant::now();
    let address = |n: u8| SocketAddr::from(([10, 0, 0, n], 30303));
    let key = |n: u8| NodeKey::from_bytes(&[n; 32]).unwrap();
    let mut nodes = [1, 2].map(|n: u8| {
        let boot_nodes = match n {
            1 => Vec::new(),
            _ => vec![discovery::Node::new(key(1).public_key(), address(1).ip(), 30303, 30303)],
        };
        let (bound, unix_s) = (address(n), u64::from(NOW));
        let config =
            discovery::CoreConfig { key: key(n), bound, tcp: 0, advertised: None, boot_nodes, unix_s };
        let mut core = discovery::Core::new(config, [n; 32], start);
        core.register(start, "whisper".parse().unwrap()).unwrap();
        core.search(start, "whisper".parse().unwrap(), Duration::from_secs(3)).unwrap();
        core
    });
    let find = [&[3, 0xf8, 67, 0xb8, 64][..], key(1).public_key().as_bytes(), &[0x80]].concat();
    let mut bodies = BTreeMap::from([(3, find)]);
    for step in 0..1200 {
        let now = start + Duration::from_millis(100) * step;
        let [first, second] = &mut nodes;
        for from in [1, 2] {
            let (core, other) =
                if from == 1 { (&mut *first, &mut *second) } else { (&mut *second, &mut *first) };
            core.handle_timeout(now);
            while let Some(transmit) = core.poll_transmit() {
                let body = &transmit.bytes[87..];
                bodies.entry(body[0]).or_insert_with(|| body.to_vec());
                other.handle_datagram(now, address(from), &transmit.bytes);
            }
        }
    }
    assert_eq!(bodies.len(), 8, "a body of each type");
    let bodies: Vec<&[u8]> = bodies.values().map(Vec::as_slice).collect();
    write("discovery", &bodies);
}

/// Calls of the kinds that the node has: one, a batch, a notification, and some that are refused.
fn calls() {
    let one =
        br#"{"jsonrpc":"2.0","id":67,"method":"admin_addPeer","params":["enode://00@127.0.0.1:30303"]}"#;
    let batch = br#"[{"id":"a","method":"rpc_modules"},{"id":null,"method":"waku_post","params":[{"ttl":7}]},{"method":"x"}]"#;
    let hex = br#"{"id":1.50,"method":"web3_sha3","params":["0x68656c6c6f",7]}"#;
    let texts = br#"{"id":true,"method":"wakuext_x","params":[["a","b"],false]}"#;
    let refused = br#"{"id":{},"method":"","params":{"a":1}}"#;
    let id = br#"{"id":[1],"method":"rpc_modules"}"#;
    write("rpc_body", &[one, batch, hex, texts, refused, id, b"[]", b"{"]);
    let stream = [&one[..], b"\n", batch, b" ", hex, b"\r\n\r\n"].concat();
    let long = [&b"[\""[..], &[b'x'; 300], b"\"]"].concat();
    write("rpc_stream", &[&stream, &long, br#"{"a":"}\"]{","b":[1,{"c":"\\"}]}[]"#, b"null"]);
}

/// A message of each code.
fn sync() {
    let (envelope, id) = (envelope(), EnvelopeId([7; 16]));
    let position = |sent| Position { sent, id };
    let messages = [
        Message::Begin { floor: NOW - 3600, oldest: NOW, to: NOW + 60, salt: [3; 16] },
        Message::Range { from: NOW - NOW % 3600, to: NOW },
        Message::Compare { unit: 24, first: 19_675, windows: 30, prints: vec![(0, [1; 16]), (29, [2; 16])] },
        Message::Differs(vec![0, 29]),
        Message::Open { span: Span { from: position(NOW), to: position(NOW + 60) }, cells: 20 },
        Message::Cells(Bytes::from(vec![5; 2 * 27])),
        Message::More(20),
        Message::Split,
        Message::Want(vec![id; 2]),
        Message::Envelopes { covered: 2, envelopes: vec![envelope] },
        Message::Offer(vec![id]),
        Message::Stored,
        Message::End { complete: true },
        Message::Failed,
    ];
    let inputs: Vec<Vec<u8>> = messages
        .iter()
        .map(|message| {
            let (code, payload) = message.encode();
            with_form(u8::try_from(code).unwrap(), &payload)
        })
        .collect();
    write("sync_message", &inputs.iter().map(Vec::as_slice).collect::<Vec<_>>());
}

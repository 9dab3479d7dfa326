//! Hello, the base protocol and the end of sessions on loopback: `spec/devp2p.md` §2.5–2.9.

use std::time::Duration;

use crate::common::{
    LONG, OFFSET, Raw, Server, added, config, dropped, event, local_hello, random_bytes, timed, waku,
};
use devp2p::{Capability, Config, Connection, DisconnectReason, Error, Hello, Lane, SendError, Timeouts};
use enode::NodeKey;
use rlpx::{base, snappy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn quick(change: impl FnOnce(&mut Timeouts)) -> Config {
    let mut config = config();
    change(&mut config.timeouts);
    config
}

#[tokio::test]
async fn a_client_and_a_server_agree() {
    let server = Server::start(config());
    let mut events = server.handle.events();
    let key = NodeKey::generate();
    let connection = server.dial(&key).await.unwrap();
    assert_eq!(connection.remote_key(), server.key.public_key());
    assert_eq!(connection.remote_hello().name, "Statusd/v0.84.0/linux-amd64/rust1.95");
    assert_eq!(connection.remote_hello().version, 5);
    assert_eq!(connection.remote_hello().listen_port, 0);
    let shared = connection.shared()[0].clone();
    assert_eq!((shared.capability.to_string(), shared.offset, shared.length), ("waku/1".into(), 16, 128));
    let local = connection.local_addr();
    let mut peer = connection.open("waku").unwrap();
    for size in [0, 1, 70_000, 1 << 20] {
        let payload = bytes::Bytes::from(vec![7; size]);
        peer.sender().send(Lane::Live, 1, payload.clone()).await.unwrap();
        let echo = peer.recv().await.unwrap();
        assert_eq!((echo.code, echo.payload), (1, payload));
    }
    let info = event(&mut events, added).await;
    assert_eq!((info.id, info.inbound, info.is_static, info.trusted()), (key.node_id(), true, false, false));
    assert_eq!(info.remote_addr, local);
    assert_eq!(info.enode.to_string(), format!("enode://{}@{local}", key.public_key()));
    let caps: Vec<String> = info.capabilities.iter().map(ToString::to_string).collect();
    assert_eq!(caps, ["waku/0", "waku/1"]);
    assert_eq!(server.handle.peers().len(), 1);
    drop(peer);
    let end = event(&mut events, dropped).await;
    assert_eq!(end.reason, Some(DisconnectReason::ClientQuitting));
    assert_eq!(server.handle.peer_count(), 0);
}

/// `spec/devp2p.md` §2.9: a peer with only `waku/0` gets it at 0x10.
#[tokio::test]
async fn section_2_9_lower_version() {
    let (server, mut peers) = Server::capturing(config());
    let key = NodeKey::generate();
    let mut raw = Raw::connect(server.addr, &key, server.key.public_key()).await;
    raw.say_hello(&Hello::new("old".into(), vec![Capability::new("waku", 0)], &key.public_key())).await;
    let mut peer = peers.recv().await.unwrap();
    assert_eq!(peer.capability.to_string(), "waku/0");
    raw.send(OFFSET + 127, b"last code").await;
    assert_eq!(peer.recv().await.unwrap().code, 127);
    let too_high = peer.sender().send(Lane::Control, 128, "".into()).await;
    assert_eq!(too_high, Err(SendError::Code { code: 128, length: 128 }));
}

/// `spec/devp2p.md` §2.5: with a Hello below version 5 both sides stay uncompressed; extra elements are fine.
#[tokio::test]
async fn section_2_5_no_snappy_below_version_5() {
    let server = Server::start(config());
    let key = NodeKey::generate();
    let mut raw = Raw::connect(server.addr, &key, server.key.public_key()).await;
    let hello = Hello { version: 4, ..Hello::new("old".into(), waku(), &key.public_key()) };
    raw.send(base::HELLO, &hello.encode()).await;
    assert_eq!(raw.recv().await.unwrap().0, base::HELLO);
    // Snappy was never switched on at this end.
    raw.send(OFFSET + 1, b"plain").await;
    assert_eq!(raw.recv().await.unwrap(), (OFFSET + 1, "plain".into()));
    raw.send(base::PING, base::EMPTY_LIST).await;
    assert_eq!(raw.recv().await.unwrap(), (base::PONG, base::EMPTY_LIST.into()));
}

/// `spec/devp2p.md` §2.8: ping is answered; a second Hello, pongs and reserved codes are ignored.
#[tokio::test]
async fn section_2_8_base_messages() {
    let server = Server::start(config());
    let key = NodeKey::generate();
    let mut raw = server.raw(&key).await;
    for code in [0, 3, 4, 0x0f] {
        raw.send(code, b"\xc0").await;
    }
    raw.send(base::PING, base::EMPTY_LIST).await;
    assert_eq!(raw.recv().await.unwrap(), (base::PONG, base::EMPTY_LIST.into()));
    raw.send(OFFSET + 1, b"still here").await;
    assert_eq!(raw.recv().await.unwrap(), (OFFSET + 1, "still here".into()));
}

/// `spec/devp2p.md` §2.8: the useless-peer Disconnect comes compressed, after Hello.
#[tokio::test]
async fn section_2_8_useless_peer() {
    let server = Server::start(config());
    let key = NodeKey::generate();
    let mut raw = Raw::connect(server.addr, &key, server.key.public_key()).await;
    raw.say_hello(&Hello::new("x".into(), vec![Capability::new("eth", 66)], &key.public_key())).await;
    assert_eq!(raw.disconnect().await, DisconnectReason::UselessPeer);
    let mut other = local_hello();
    other.offers[0].capability.name = "shh".into();
    other.offers.truncate(1);
    let client = Connection::dial(&server.enode(), &key, &other, &Timeouts::default()).await;
    let error = client.err().unwrap();
    assert_eq!(error.reason(), Some(DisconnectReason::UselessPeer));
    assert!(!error.is_retryable());
}

/// `spec/devp2p.md` §2.9: without own capabilities there is no useless peer.
#[tokio::test]
async fn section_2_9_without_own_capabilities() {
    let server = Server::with(config(), Vec::new());
    let key = NodeKey::generate();
    let mut raw = server.raw(&key).await;
    raw.send(base::PING, base::EMPTY_LIST).await;
    assert_eq!(raw.recv().await.unwrap().0, base::PONG);
}

/// `spec/devp2p.md` §2.8: a Hello key other than the handshake's is told so, compressed.
#[tokio::test]
async fn section_2_8_unexpected_identity() {
    let server = Server::start(config());
    let mut raw = Raw::connect(server.addr, &NodeKey::generate(), server.key.public_key()).await;
    let other = NodeKey::generate().public_key();
    raw.say_hello(&Hello::new("x".into(), waku(), &other)).await;
    assert_eq!(raw.disconnect().await, DisconnectReason::UnexpectedIdentity);
}

/// `spec/devp2p.md` §2.8: for a zero key the own Hello comes first, then an uncompressed Disconnect 7.
#[tokio::test]
async fn section_2_8_invalid_identity() {
    let server = Server::start(config());
    let key = NodeKey::generate();
    let mut raw = Raw::connect(server.addr, &key, server.key.public_key()).await;
    let hello = Hello { public_key: [0; 64], ..Hello::new("x".into(), waku(), &key.public_key()) };
    raw.send(base::HELLO, &hello.encode()).await;
    assert_eq!(raw.recv().await.unwrap().0, base::HELLO);
    assert_eq!(raw.disconnect().await, DisconnectReason::InvalidIdentity);
}

/// `spec/devp2p.md` §2.6, §2.8: what is no Hello is closed without a word after our own.
#[tokio::test]
async fn section_2_8_not_a_hello() {
    let server = Server::start(config());
    let key = NodeKey::generate();
    let big = Hello::new("x".repeat(2048), waku(), &key.public_key()).encode();
    for (code, payload) in
        [(base::HELLO, &big[..]), (base::PING, b"\xc0"), (OFFSET, b"\xc0"), (base::HELLO, b"\xc3\x05")]
    {
        let mut raw = Raw::connect(server.addr, &key, server.key.public_key()).await;
        raw.send(code, payload).await;
        assert_eq!(raw.recv().await.unwrap().0, base::HELLO, "{code}");
        assert_eq!(raw.recv().await, None, "{code}");
    }
}

/// `spec/devp2p.md` §2.8: both forms of Disconnect are understood, and the reason comes back, except 1.
#[tokio::test]
async fn section_2_8_disconnect_is_echoed() {
    let server = Server::start(config());
    let mut events = server.handle.events();
    let key = NodeKey::generate();
    for (payload, echo) in [
        (&[0xc1, 0x04][..], Some(DisconnectReason::TooManyPeers)),
        (&[0x08], Some(DisconnectReason::ClientQuitting)),
        (&[0xf9], Some(DisconnectReason::Requested)),
        (&[0xc1, 0x01], None),
    ] {
        let mut raw = server.raw(&key).await;
        raw.send(base::DISCONNECT, payload).await;
        match echo {
            Some(reason) => assert_eq!(raw.disconnect().await, reason),
            None => assert_eq!(raw.recv().await, None),
        }
        drop(raw);
        let end = event(&mut events, dropped).await;
        assert_eq!(end.reason, Some(DisconnectReason::decode(payload)));
    }
}

/// `spec/devp2p.md` §2.8: a Disconnect in place of Hello is understood by a client.
#[tokio::test]
async fn section_2_8_disconnect_instead_of_hello() {
    let server = Server::start(config());
    let own = server.dial(&server.key).await;
    let error = own.err().unwrap();
    assert_eq!(error.reason(), Some(DisconnectReason::ConnectedToSelf));
    assert!(matches!(error, Error::Disconnected(_)), "{error}");
}

/// `spec/devp2p.md` §2.9: a code outside every range closes without a Disconnect.
#[tokio::test]
async fn section_2_9_code_out_of_range() {
    let server = Server::start(config());
    let mut raw = server.raw(&NodeKey::generate()).await;
    raw.send(OFFSET + 128, b"\xc0").await;
    assert_eq!(raw.recv().await, None);
}

/// `spec/devp2p.md` §2.8: how a sub-protocol's end is told.
#[tokio::test]
async fn section_2_8_sub_protocol_reasons() {
    let server = Server::start(config());
    for (code, reason) in [
        (2, DisconnectReason::SubprotocolError),
        (3, DisconnectReason::ProtocolBreach),
        (4, DisconnectReason::ClientQuitting),
    ] {
        let mut raw = server.raw(&NodeKey::generate()).await;
        raw.send(OFFSET + code, b"\xc0").await;
        assert_eq!(raw.disconnect().await, reason);
    }
}

/// `spec/devp2p.md` §2.4: a MAC mismatch closes without a Disconnect.
#[tokio::test]
async fn section_2_4_bad_mac() {
    let server = Server::start(config());
    let mut raw = server.raw(&NodeKey::generate()).await;
    let mut frame = raw.frame(OFFSET + 1, b"x");
    let last = frame.len() - 1;
    frame[last] ^= 1;
    raw.stream.write_all(&frame).await.unwrap();
    assert_eq!(raw.recv().await, None);
}

/// `spec/devp2p.md` §2.2: a failed handshake closes TCP without a byte.
#[tokio::test]
async fn section_2_2_bad_handshake() {
    let server = Server::start(config());
    for bytes in [&[0x01, 0x9a, 0x04][..], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut packet = bytes.to_vec();
        packet.resize(2 + 0x019a, 9);
        let mut stream = tokio::net::TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(&packet).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert_eq!(answer, b"");
    }
}

/// `spec/devp2p.md` §2.6: a frame over the limit is refused by its header alone, before its body is there.
#[tokio::test]
async fn section_2_6_oversize_frame() {
    let server = Server::start(config());
    let mut raw = server.raw(&NodeKey::generate()).await;
    let payload = random_bytes(3_000_000);
    let frame = raw.frame(OFFSET + 1, &payload);
    raw.stream.write_all(&frame[..32]).await.unwrap();
    assert_eq!(raw.disconnect().await, DisconnectReason::SubprotocolError);
}

/// `spec/devp2p.md` §2.5: a Snappy block that declares too much, and one that lies, end the session.
#[tokio::test]
async fn section_2_5_snappy_bomb() {
    let server = Server::start(config());
    let mut bomb = bytes::BytesMut::new();
    snappy::put_compressed(&mut bomb, &vec![0; (1 << 20) + 1]).unwrap();
    for (block, said) in [(&bomb[..], true), (&[0xff, 0xff, 0x3f], false), (&[], false), (&[5, 0, 1], false)]
    {
        let key = NodeKey::generate();
        let mut raw = Raw::connect(server.addr, &key, server.key.public_key()).await;
        raw.send(base::HELLO, &Hello::new("x".into(), waku(), &key.public_key()).encode()).await;
        assert_eq!(raw.recv().await.unwrap().0, base::HELLO);
        raw.decoder.enable_snappy();
        // The encoder is left plain, so that the block is the test's own.
        raw.send(OFFSET + 1, block).await;
        if said {
            assert_eq!(raw.disconnect().await, DisconnectReason::SubprotocolError);
        } else {
            assert_eq!(raw.recv().await, None, "{block:x?}");
        }
    }
}

/// `spec/devp2p.md` §2.7: a message of exactly the limit is handled.
#[tokio::test]
async fn section_2_6_largest_message() {
    let server = Server::start(config());
    let mut raw = server.raw(&NodeKey::generate()).await;
    raw.send(OFFSET + 1, &vec![3; 1 << 20]).await;
    assert_eq!(raw.recv().await.unwrap().1.len(), 1 << 20);
}

/// `spec/devp2p.md` §2.7: silence ends the session, without a word; so does a frame that does not complete.
#[tokio::test]
async fn section_2_7_read_deadline() {
    let server = Server::start(quick(|t| t.read = Duration::from_millis(300)));
    let (end, took) = timed(async { server.raw(&NodeKey::generate()).await.recv().await }).await;
    assert_eq!(end, None);
    assert!(took >= Duration::from_millis(300), "{took:?}");

    let mut slow = server.raw(&NodeKey::generate()).await;
    let frame = slow.frame(OFFSET + 1, &random_bytes(16_000));
    let mut pieces = frame.chunks(16);
    // Some bytes now and then do not keep it alive.
    while let Some(piece) = pieces.next()
        && slow.stream.write_all(piece).await.is_ok()
    {
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    assert_eq!(slow.recv().await, None);
    assert!(pieces.len() > 0, "ended before the frame was complete");
}

/// `spec/devp2p.md` §2.7: messages re-arm the deadline.
#[tokio::test]
async fn section_2_7_deadline_is_rearmed() {
    let server = Server::start(quick(|t| t.read = Duration::from_secs(2)));
    let mut raw = server.raw(&NodeKey::generate()).await;
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        raw.send(base::PONG, base::EMPTY_LIST).await;
    }
    raw.send(OFFSET + 1, b"alive").await;
    assert_eq!(raw.recv().await.unwrap().1, "alive");
}

/// `spec/devp2p.md` §2.7: the encryption handshake and Hello have deadlines.
#[tokio::test]
async fn section_2_7_handshake_and_hello_deadlines() {
    let server = Server::start(quick(|t| {
        t.handshake = Duration::from_millis(300);
        t.hello = 10 * LONG;
    }));
    let (read, took) = timed(async {
        let mut stream = tokio::net::TcpStream::connect(server.addr).await.unwrap();
        let end = tokio::time::timeout(LONG, stream.read(&mut [0; 1])).await;
        end.expect("closed").unwrap_or(0)
    })
    .await;
    assert_eq!(read, 0);
    assert!(took >= Duration::from_millis(300), "{took:?}");

    let server = Server::start(quick(|t| t.hello = Duration::from_millis(600)));
    let (end, took) = timed(async {
        let mut raw = Raw::connect(server.addr, &NodeKey::generate(), server.key.public_key()).await;
        assert_eq!(raw.recv().await.unwrap().0, base::HELLO, "it does not wait for ours");
        raw.recv().await
    })
    .await;
    assert_eq!(end, None);
    assert!(took >= Duration::from_millis(600), "{took:?}");
}

/// `spec/devp2p.md` §2.8: pings come by the clock, whatever else is sent.
#[tokio::test]
async fn section_2_8_pings_by_the_clock() {
    let server = Server::start(quick(|t| t.ping = Duration::from_millis(100)));
    let (_, took) = timed(async {
        let (mut reader, _writer) = server.dial(&NodeKey::generate()).await.unwrap().split();
        for _ in 0..5 {
            let message = tokio::time::timeout(LONG, reader.read()).await.unwrap().unwrap();
            assert_eq!(message.code, base::PING);
        }
    })
    .await;
    assert!(took >= Duration::from_millis(500), "{took:?}");
}

/// A client's own pings and pongs keep a quiet session alive beyond both read deadlines.
#[tokio::test]
async fn a_quiet_session_stays() {
    let server = Server::start(quick(|t| {
        t.read = Duration::from_secs(2);
        t.ping = Duration::from_millis(400);
    }));
    let timeouts = Timeouts { read: Duration::from_secs(2), ..Timeouts::default() };
    let connection =
        Connection::dial(&server.enode(), &NodeKey::generate(), &local_hello(), &timeouts).await.unwrap();
    let mut peer = connection.open("waku").unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(5), peer.recv()).await.is_err(), "no end, no message");
    peer.sender().send(Lane::Control, 1, "hi".into()).await.unwrap();
    assert_eq!(peer.recv().await.unwrap().payload, "hi");
}

#[tokio::test]
async fn a_client_learns_why_its_session_ended() {
    let server = Server::start(config());
    let mut peer = server.dial(&NodeKey::generate()).await.unwrap().open("waku").unwrap();
    peer.sender().send(Lane::Control, 2, "".into()).await.unwrap();
    assert!(peer.recv().await.is_none());
    assert_eq!(peer.end_disconnect(), Some(DisconnectReason::SubprotocolError));
    assert_eq!(peer.end_reason().unwrap(), "disconnected by the peer: subprotocol error");
    let late = peer.sender().send(Lane::Control, 1, "".into()).await;
    assert_eq!(late, Err(SendError::Closed));
}

#[tokio::test]
async fn dialing_nobody_says_so() {
    let key = NodeKey::generate();
    let target = |tail: &str| format!("enode://{}{tail}", NodeKey::generate().public_key()).parse().unwrap();
    let dial = async |tail| {
        Connection::dial(&target(tail), &key, &local_hello(), &Timeouts::default()).await.err().unwrap()
    };
    assert!(matches!(dial("").await, Error::NoAddress));
    assert!(matches!(dial("@127.0.0.1:0").await, Error::NoAddress));
    let refused = dial("@127.0.0.1:1").await;
    assert!(matches!(refused, Error::Io { .. }) && refused.is_retryable(), "{refused}");
}

/// Who answers at the address is not who was dialed: the recipient cannot open the packet.
#[tokio::test]
async fn another_node_at_the_address() {
    let server = Server::start(config());
    let mut enode = server.enode();
    enode.public_key = NodeKey::generate().public_key();
    let dialed = Connection::dial(&enode, &NodeKey::generate(), &local_hello(), &Timeouts::default()).await;
    let error = dialed.err().unwrap();
    assert!(matches!(error, Error::Eof(_) | Error::Io { .. }), "{error}");
}

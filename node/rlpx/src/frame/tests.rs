use proptest::prelude::*;

use super::*;
use crate::{
    base::{self, DisconnectReason},
    vectors::{self, bytes, session},
};

const LITERAL: Compression = Compression::Literal;
const SNAPPY: Compression = Compression::Snappy;

/// A hash that always says 32 bytes of 01.
struct FakeHash;

impl MacState for FakeHash {
    fn update(&mut self, _: &[u8]) {}

    fn digest(&self) -> [u8; 32] {
        [1; 32]
    }
}

fn frames(encoder: &mut FrameEncoder, messages: &[(u64, &[u8])], compression: Compression) -> BytesMut {
    let mut out = BytesMut::new();
    for (code, payload) in messages {
        encoder.encode(*code, payload, compression, &mut out).unwrap();
    }
    out
}

/// Both directions of one session, Snappy on.
fn snappy_pair() -> (FrameEncoder, FrameDecoder) {
    let (a, b) = session();
    let (mut encoder, mut decoder) = (a.into_codec().0, b.into_codec().1);
    encoder.enable_snappy();
    decoder.enable_snappy();
    (encoder, decoder)
}

/// `spec/devp2p.md` §11.3, both ways.
#[test]
fn section_11_3_frame_with_a_fake_hash() {
    let key = enode::keccak256(b"");
    let frame = bytes(
        "00828ddae471818bb0bfa6b551d1cb42 01010101010101010101010101010101
         ba628a4ba590cb43f7848f41c4382885 01010101010101010101010101010101",
    );
    let payload = bytes("c401020304");
    let mut out = BytesMut::new();
    FrameEncoder::new(&key, &key, FakeHash).encode(8, &payload, LITERAL, &mut out).unwrap();
    assert_eq!(out[..], frame[..]);
    let message = FrameDecoder::new(&key, &key, FakeHash).decode(&mut out).unwrap().unwrap();
    assert_eq!(message, Message { code: 8, payload: payload.into() });
}

/// What metrics show of a message is the same on both sides: its payload as it is in the frame.
#[test]
fn ops_3_4_the_payload_in_a_frame_is_counted_alike_by_both_sides() {
    let (mut encoder, mut decoder) = snappy_pair();
    let mut out = BytesMut::new();
    for (compression, size) in [(Compression::Snappy, 52), (LITERAL, 1005)] {
        let wire = encoder.encode(17, &[7; 1000], compression, &mut out).unwrap();
        assert_eq!((wire, decoder.wire_size()), (size, 0), "{compression:?}");
        decoder.payload_size(&mut out).unwrap();
        assert_eq!(decoder.wire_size(), wire);
        decoder.decode(&mut out).unwrap().unwrap();
    }
}

/// `spec/devp2p.md` §11.4, every frame of both directions: made bit by bit, and read.
#[test]
fn section_11_4_session_after_auth2_and_ack2() {
    let (a, b) = session();
    let ((mut a_out, mut a_in), (mut b_out, mut b_in)) = (a.into_codec(), b.into_codec());
    let hello_a = frames(&mut a_out, &[(base::HELLO, &bytes(vectors::HELLO_A))], SNAPPY);
    assert_eq!(hello_a[..], bytes(vectors::HELLO_FRAME_A));
    let hello_b = frames(&mut b_out, &[(base::HELLO, &bytes(vectors::HELLO_B))], SNAPPY);
    assert_eq!(hello_b[..], bytes(vectors::HELLO_FRAME_B));
    for (decoder, mut frame, payload) in
        [(&mut b_in, hello_a, vectors::HELLO_A), (&mut a_in, hello_b, vectors::HELLO_B)]
    {
        let message = decoder.decode(&mut frame).unwrap().unwrap();
        assert_eq!(message, Message { code: base::HELLO, payload: bytes(payload).into() });
        decoder.enable_snappy();
    }
    a_out.enable_snappy();
    b_out.enable_snappy();
    // An empty list compresses to the same three bytes in both ways of writing.
    let ping = frames(&mut a_out, &[(base::PING, base::EMPTY_LIST)], SNAPPY);
    assert_eq!(ping[..], bytes(vectors::PING_FRAME_A));
    let disconnect = DisconnectReason::TooManyPeers.encode();
    let pong = frames(&mut b_out, &[(base::PONG, base::EMPTY_LIST)], LITERAL);
    assert_eq!(pong[..], bytes(vectors::PONG_FRAME_B));
    let last = frames(&mut b_out, &[(base::DISCONNECT, &disconnect)], SNAPPY);
    assert_eq!(last[..], bytes(vectors::DISCONNECT_FRAME_B));
    let mut both = BytesMut::from(&[&pong[..], &last[..]].concat()[..]);
    assert_eq!(a_in.decode(&mut both).unwrap().unwrap().code, base::PONG);
    let message = a_in.decode(&mut both).unwrap().unwrap();
    assert_eq!(message, Message { code: base::DISCONNECT, payload: disconnect.into() });
    assert_eq!(a_in.decode(&mut both), Ok(None));
}

/// `spec/devp2p.md` §11.4: Disconnect 4 in place of Hello, uncompressed.
#[test]
fn section_11_4_disconnect_instead_of_hello() {
    let (_, b) = session();
    let payload = DisconnectReason::TooManyPeers.encode();
    let frame = frames(&mut b.into_codec().0, &[(base::DISCONNECT, &payload)], SNAPPY);
    assert_eq!(frame[..], bytes(vectors::DISCONNECT_FIRST_FRAME_B));
}

/// `spec/devp2p.md` §2.5: with Snappy on, a payload of no bytes at all is an error.
#[test]
fn section_2_5_empty_wire_payload() {
    let (a, b) = session();
    let mut frame = frames(&mut a.into_codec().0, &[(16, b"")], LITERAL);
    let mut decoder = b.into_codec().1;
    decoder.enable_snappy();
    assert_eq!(decoder.decode(&mut frame), Err(FrameError::Snappy));
}

/// `spec/devp2p.md` §2.4: a message code that is not canonical RLP.
#[test]
fn section_2_4_non_canonical_code() {
    for (body, why) in [
        (&[0x00, 0xc0][..], "zero as 00"),
        (&[0x81, 0x05, 0xc0], "5 as 8105"),
        (&[], "none"),
        (&[0xc0], "a list"),
    ] {
        // The code that the encoder writes, 0x7f, is replaced: payload bytes follow it directly without Snappy.
        let (a, b) = session();
        let (mut encoder, mut decoder) = (a.into_codec().0, b.into_codec().1);
        let mut frame = raw_frame(&mut encoder, body);
        assert_eq!(decoder.decode(&mut frame), Err(FrameError::Code), "{why}");
    }
}

/// A frame with exactly `body` inside.
fn raw_frame(encoder: &mut FrameEncoder, body: &[u8]) -> BytesMut {
    let mut out = BytesMut::zeroed(HEADER);
    out.extend_from_slice(body);
    out.resize(HEADER + body.len().next_multiple_of(16), 0);
    let mut plain = [0; 16];
    plain[..3].copy_from_slice(&(body.len() as u64).to_be_bytes()[5..]);
    encoder.cipher.apply_keystream(&mut plain);
    let mac = encoder.mac.header(&plain);
    out[..16].copy_from_slice(&plain);
    out[16..32].copy_from_slice(&mac);
    encoder.cipher.apply_keystream(&mut out[HEADER..]);
    let mac = encoder.mac.body(&out[HEADER..]);
    out.extend_from_slice(&mac);
    out
}

/// `spec/devp2p.md` §2.6 and the rule to refuse at the header: a header alone is enough.
#[test]
fn section_2_6_size_is_refused_at_the_header() {
    let (mut encoder, mut decoder) = snappy_pair();
    decoder.limit_payload(1000);
    let mut frame = frames(&mut encoder, &[(16, &[7; 2000])], LITERAL);
    frame.truncate(HEADER);
    assert!(matches!(decoder.decode(&mut frame), Err(FrameError::TooBig { size: 2006, .. })), "{frame:?}");
}

/// `spec/devp2p.md` §2.6: the limit holds for the uncompressed payload, equality is allowed.
#[test]
fn section_2_6_uncompressed_size() {
    for (size, fits) in [(1000, true), (1001, false)] {
        for compression in [LITERAL, SNAPPY] {
            let (mut encoder, mut decoder) = snappy_pair();
            decoder.limit_payload(1000);
            let mut frame = frames(&mut encoder, &[(16, &vec![7; size])], compression);
            let got = decoder.decode(&mut frame);
            if fits {
                assert_eq!(got.unwrap().unwrap().payload.len(), size);
            } else {
                assert_eq!(got, Err(FrameError::TooBig { size: 1001, limit: 1000 }));
            }
        }
    }
    let (a, b) = session();
    let mut decoder = b.into_codec().1;
    decoder.limit_payload(1000);
    let mut frame = frames(&mut a.into_codec().0, &[(16, &[7; 1001])], LITERAL);
    assert_eq!(
        decoder.decode(&mut frame),
        Err(FrameError::TooBig { size: 1001, limit: 1000 }),
        "without Snappy"
    );
}

/// `spec/devp2p.md` §2.6: what a message will take is known before it is taken, however often it is asked.
#[test]
fn section_2_6_size_is_known_before_the_payload() {
    for (compression, size) in [(LITERAL, 1000), (SNAPPY, 1000), (SNAPPY, 0)] {
        let (mut encoder, mut decoder) = snappy_pair();
        let mut wire = frames(&mut encoder, &[(16, &vec![7; size]), (17, b"next")], compression);
        let mut buffer = BytesMut::new();
        let last = wire.len() - frames(&mut snappy_pair().0, &[(17, b"next")], compression).len();
        buffer.extend_from_slice(&wire.split_to(last - 1));
        assert_eq!(decoder.payload_size(&mut buffer), Ok(None), "the last byte is missing");
        assert_eq!(decoder.decode(&mut buffer), Ok(None));
        buffer.extend_from_slice(&wire);
        for _ in 0..3 {
            assert_eq!(decoder.payload_size(&mut buffer), Ok(Some(size)));
        }
        assert_eq!(decoder.decode(&mut buffer).unwrap().unwrap().payload[..], vec![7; size]);
        assert_eq!(decoder.payload_size(&mut buffer), Ok(Some(4)));
        assert_eq!(decoder.decode(&mut buffer).unwrap().unwrap().code, 17);
        assert_eq!(decoder.payload_size(&mut buffer), Ok(None));
    }
    let (mut encoder, mut decoder) = snappy_pair();
    decoder.limit_payload(1000);
    let mut frame = frames(&mut encoder, &[(16, &[7; 1001])], SNAPPY);
    assert_eq!(decoder.payload_size(&mut frame), Err(FrameError::TooBig { size: 1001, limit: 1000 }));
}

/// `spec/devp2p.md` §2.6: the largest payload goes through; one more is refused before anything changed.
#[test]
fn section_2_6_largest_payload() {
    let (mut encoder, mut decoder) = snappy_pair();
    let mut out = BytesMut::new();
    let too_big = encoder.encode(16, &vec![0; MAX_PAYLOAD + 1], SNAPPY, &mut out);
    assert_eq!(too_big, Err(FrameError::TooBig { size: MAX_PAYLOAD + 1, limit: MAX_PAYLOAD }));
    // As one literal the body is over 24 bits, compressed it is not.
    let payload = vec![0; MAX_PAYLOAD];
    assert!(matches!(encoder.encode(16, &payload, LITERAL, &mut out), Err(FrameError::TooBig { .. })));
    assert!(out.is_empty());
    encoder.encode(16, &payload, SNAPPY, &mut out).unwrap();
    assert_eq!(decoder.decode(&mut out).unwrap().unwrap().payload.len(), MAX_PAYLOAD);
}

proptest! {
    #[test]
    fn any_messages_survive_any_split(
        messages in proptest::collection::vec((any::<u64>(), proptest::collection::vec(any::<u8>(), 0..200), any::<bool>()), 1..6),
        step in 1usize..70,
        snappy: bool,
    ) {
        let (a, b) = session();
        let (mut encoder, mut decoder) = (a.into_codec().0, b.into_codec().1);
        if snappy {
            encoder.enable_snappy();
            decoder.enable_snappy();
        }
        let mut wire = BytesMut::new();
        for (code, payload, literal) in &messages {
            encoder.encode(*code, payload, if *literal { LITERAL } else { SNAPPY }, &mut wire).unwrap();
        }
        let (mut buffer, mut got) = (BytesMut::new(), Vec::new());
        for piece in wire.chunks(step) {
            buffer.extend_from_slice(piece);
            while let Some(message) = decoder.decode(&mut buffer).unwrap() {
                got.push((message.code, message.payload.to_vec()));
            }
            prop_assert!(buffer.len() < decoder.needed());
        }
        let sent: Vec<_> = messages.into_iter().map(|(code, payload, _)| (code, payload)).collect();
        prop_assert_eq!(got, sent);
        prop_assert!(buffer.is_empty());
    }

    /// `spec/devp2p.md` §2.4: any altered byte is a MAC mismatch.
    #[test]
    fn section_2_4_altered_bytes_are_refused(at in 0usize..96, flip in 1u8..) {
        let (mut encoder, mut decoder) = snappy_pair();
        let mut frame = frames(&mut encoder, &[(16, &[9; 40])], LITERAL);
        prop_assert_eq!(frame.len(), 96);
        frame[at] ^= flip;
        let want = if at < HEADER { FrameError::HeaderMac } else { FrameError::BodyMac };
        prop_assert_eq!(decoder.decode(&mut frame), Err(want));
    }

    #[test]
    fn random_bytes_never_panic(random in proptest::collection::vec(any::<u8>(), 32..200)) {
        let (_, mut decoder) = snappy_pair();
        prop_assert_eq!(decoder.decode(&mut BytesMut::from(&random[..])), Err(FrameError::HeaderMac));
    }

    #[test]
    fn random_bodies_never_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (mut encoder, mut decoder) = snappy_pair();
        let mut frame = raw_frame(&mut encoder, &body);
        let _ = decoder.decode(&mut frame);
    }
}

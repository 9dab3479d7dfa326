//! The encryption handshake, frames, Hello and the base protocol (`spec/devp2p.md` §2).

use std::sync::OnceLock;

use bytes::BytesMut;
use enode::NodeKey;
use rlpx::{
    Compression, DisconnectReason, Hello, ecies,
    handshake::{self, Initiator},
};

/// Largest payload that the frame target lets through: a bigger claim must be refused, not allocated.
const LIMIT: usize = 1 << 16;

fn key(byte: u8) -> NodeKey {
    NodeKey::from_bytes(&[byte; 32]).unwrap()
}

/// An EIP-8 packet whose plaintext is `plain`, so that the fuzzer gets behind the encryption.
fn sealed(to: &NodeKey, plain: &[u8]) -> Vec<u8> {
    let size = u16::try_from((plain.len() + ecies::OVERHEAD).min(usize::from(u16::MAX))).unwrap();
    let plain = &plain[..usize::from(size) - ecies::OVERHEAD];
    let mut packet = size.to_be_bytes().to_vec();
    packet.extend(ecies::encrypt(&to.public_key().to_secp().unwrap(), &size.to_be_bytes(), plain));
    packet
}

/// The first packet of the dialing side: as it is, or (first byte odd) as the plaintext of a well-encrypted one.
pub fn auth(data: &[u8]) {
    let Some((form, data)) = data.split_first() else { return };
    let own = key(1);
    let _ = handshake::packet_length(data);
    let accepted = if form % 2 == 0 {
        handshake::accept(&own, data)
    } else {
        handshake::accept(&own, &sealed(&own, data))
    };
    if let Ok(accepted) = accepted {
        assert_eq!(handshake::packet_length(&accepted.ack), Ok(Some(accepted.ack.len())));
    }
}

/// The answer to it, in the same two forms.
pub fn ack(data: &[u8]) {
    let Some((form, data)) = data.split_first() else { return };
    let own = key(1);
    let initiator = Initiator::new(&own, &key(2).public_key()).unwrap();
    let _ = if form % 2 == 0 { initiator.finish(data) } else { initiator.finish(&sealed(&own, data)) };
}

/// Both directions of one session, made anew for each input: the keys of a real handshake.
fn codecs() -> (rlpx::FrameEncoder, rlpx::FrameDecoder) {
    static PACKETS: OnceLock<(NodeKey, NodeKey)> = OnceLock::new();
    let (dialing, accepting) = PACKETS.get_or_init(|| (key(3), key(4)));
    let initiator = Initiator::new(dialing, &accepting.public_key()).unwrap();
    let accepted = handshake::accept(accepting, initiator.auth()).unwrap();
    let secrets = initiator.finish(&accepted.ack).unwrap();
    (secrets.into_codec().0, accepted.secrets.into_codec().1)
}

/// Frames. First byte: 0 raw bytes in place of a frame; 1 the data as the body of a well-encrypted frame that is read
/// as Snappy; else a message that must come out as it went in.
pub fn frame(data: &[u8]) {
    let Some((form, data)) = data.split_first() else { return };
    let (mut encoder, mut decoder) = codecs();
    decoder.limit_payload(LIMIT);
    let mut wire = BytesMut::new();
    match form {
        0 => {
            wire.extend_from_slice(data);
            while let Ok(Some(message)) = decoder.decode(&mut wire) {
                assert!(message.payload.len() <= LIMIT);
            }
        }
        1 => {
            decoder.enable_snappy();
            if encoder.encode(16, data, Compression::Literal, &mut wire).is_err() {
                return;
            }
            if let Ok(Some(message)) = decoder.decode(&mut wire) {
                assert!(message.payload.len() <= LIMIT);
            }
        }
        form => {
            let compression = if form % 2 == 0 { Compression::Literal } else { Compression::Snappy };
            encoder.enable_snappy();
            decoder.enable_snappy();
            let data = &data[..data.len().min(LIMIT)];
            encoder.encode(u64::from(*form), data, compression, &mut wire).unwrap();
            let message = decoder.decode(&mut wire).unwrap().unwrap();
            assert_eq!((message.code, message.payload.as_ref()), (u64::from(*form), data));
            assert!(wire.is_empty());
        }
    }
}

/// Hello.
pub fn hello(data: &[u8]) {
    if let Ok(hello) = Hello::decode(data) {
        let again = Hello::decode(&hello.encode()).unwrap();
        assert_eq!(again.encode(), hello.encode());
    }
}

/// Disconnect in both of its forms.
pub fn base_messages(data: &[u8]) {
    let reason = DisconnectReason::decode(data);
    assert_eq!(DisconnectReason::decode(&reason.encode()), reason);
}

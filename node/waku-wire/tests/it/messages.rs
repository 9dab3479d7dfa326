//! §10.6.

use bytes::Bytes;
use waku_wire::{
    EnvelopeError, EnvelopeHash, MessageResponse, TIME_NOT_SYNCED, decode_batch_ack, encode_batch_ack,
    messages,
};

use super::{envelope, hex, v30};

const BATCH: &str = "7587fa788c88caed088b47f99b95c0a9e981cd70fae09bab333669ad94b23b7f";
const V32: &str = "e401e2a07587fa788c88caed088b47f99b95c0a9e981cd70fae09bab333669ad94b23b7fc0";
const V33: &str = "a07587fa788c88caed088b47f99b95c0a9e981cd70fae09bab333669ad94b23b7f";
const V34: &str = "f85a01f857a07587fa788c88caed088b47f99b95c0a9e981cd70fae09bab333669ad94b23b7ff5f4a067271693ec77c3c26464c7253f36c8ab3045b307c7f6ae68fb0fe70b1f642197159176657279206f6c6420656e76656c6f7065";
const V35: &str = "f84901f846a00100000000000000000000000000000000000000000000000000000000000000e4e3a000000000000000000000000000000000000000000000000000000000000000000180";

fn batch() -> [u8; 32] {
    hex(BATCH).try_into().unwrap()
}

#[test]
fn v31_messages_packet() {
    let e = envelope(0, 30, "01000000", "010101", 0);
    assert_eq!(e.hash().to_string(), "67271693ec77c3c26464c7253f36c8ab3045b307c7f6ae68fb0fe70b1f642197");
    let payload = messages::encode([e.raw().as_ref()]);
    assert_eq!(hex::encode(&payload), "cdcc801e84010000008301010180");
    assert_eq!(messages::encoded_length(e.raw().len()), payload.len());
    assert_eq!(messages::batch_hash(&payload), batch());
    assert_eq!(messages::decode(&payload).unwrap(), [e]);
}

#[test]
fn v32_v33_no_errors() {
    let response = MessageResponse { batch: batch(), errors: vec![] };
    assert_eq!(hex::encode(response.encode()), V32);
    assert_eq!(MessageResponse::decode(&hex(V32)).unwrap(), Some(response));
    assert_eq!(hex::encode(encode_batch_ack(&batch())), V33);
    assert_eq!(decode_batch_ack(&hex(V33)).unwrap(), batch());
}

#[test]
fn v34_very_old() {
    let response = MessageResponse {
        batch: batch(),
        errors: vec![EnvelopeError {
            hash: "67271693ec77c3c26464c7253f36c8ab3045b307c7f6ae68fb0fe70b1f642197".parse().unwrap(),
            code: TIME_NOT_SYNCED,
            description: "very old envelope".to_owned(),
        }],
    };
    assert_eq!(hex::encode(response.encode()), V34);
    assert_eq!(MessageResponse::decode(&hex(V34)).unwrap(), Some(response));
}

#[test]
fn v35_other_code() {
    let mut batch = [0; 32];
    batch[0] = 1;
    let response = MessageResponse {
        batch,
        errors: vec![EnvelopeError { hash: EnvelopeHash::ZERO, code: 1, description: String::new() }],
    };
    assert_eq!(hex::encode(response.encode()), V35);
    assert_eq!(MessageResponse::decode(&hex(V35)).unwrap(), Some(response));
}

/// S48, S49.
#[test]
fn s48_s49_confirmations_not_understood() {
    let mut version_2 = hex(V32);
    version_2[1] = 2;
    assert_eq!(MessageResponse::decode(&version_2).unwrap(), None);
    assert!(decode_batch_ack(&hex(V33)[..32]).is_err());
    assert!(decode_batch_ack(&[[0x9f].as_slice(), &[7; 31]].concat()).is_err(), "31 bytes");
    let mut short_hash = hex(V35);
    assert_eq!(std::mem::replace(&mut short_hash[40], 0x9f), 0xa0);
    assert!(MessageResponse::decode(&short_hash).is_err());
}

/// S31, S32, §4.6.
#[test]
fn s31_s32_one_bad_byte_spoils_the_packet() {
    let good = v30();
    let packet = messages::encode([good.raw().as_ref(), good.raw()]);
    assert_eq!(messages::decode(&packet).unwrap().len(), 2);
    let bad = messages::encode([good.raw().as_ref(), &hex("c88080840000000080")]);
    assert!(messages::decode(&bad).is_err(), "one envelope of four items");
    let trailing = Bytes::from([packet.as_ref(), &[0x80]].concat());
    assert!(messages::decode(&trailing).is_err(), "one trailing byte");
    assert!(messages::decode(&packet.slice(..packet.len() - 1)).is_err(), "one byte missing");
    assert!(messages::decode(good.raw()).is_err(), "an envelope is no list of envelopes");
    assert!(messages::decode(&Bytes::from_static(&[0xc0])).unwrap().is_empty(), "an empty list is valid");
    assert!(messages::decode(&Bytes::from_static(&[0x80])).is_err(), "an empty string is not");
}

/// §12 Q18, Q31: 1 KiB below one's own limit and the network's; half a limit too small for that.
#[test]
fn q18_q31_largest_packet() {
    for (own, largest) in [
        (1 << 20, (1 << 20) - 1024),
        (10 << 20, (1 << 20) - 1024),
        (4096, 3072),
        (2048, 1024),
        (1024, 512),
        (1, 1),
    ] {
        assert_eq!(messages::largest_packet(own), largest, "{own}");
    }
}

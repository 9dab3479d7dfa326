//! §10.7: requests and completions.

use bytes::Bytes;
use enode::NodeKey;
use waku_wire::{
    Bloom, Completion, Cursor, Envelope, EnvelopeHash, MessagesRequest, P2pRequest, SymmetricKey, Topic,
    messages,
    payload::{Padding, build, decrypt_symmetric, encrypt_symmetric_with, parse},
    pow::Pow,
    seal::seal,
};

use super::{hex, topic, v30};

const V40_PAYLOAD: &str = "f85084616c355284616d86d2b84000000000000080000400000000000000000000000000000000200000000000000000000000000000000000000000000000000000000000000000000000000000c0018001";
const V40_PLAIN: &str = "0552f85084616c355284616d86d2b84000000000000080000400000000000000000000000000000000200000000000000000000000000000000000000000000000000000000000000000000000000000c001800101080f161d242b323940474e555c636a71787f868d949ba2a9b0b7bec5ccd3dae1e8eff6fd040b121920272e353c434a51585f666d747b828990979ea5acb3bac1c8cfd6dde4ebf2f900070e151c232a31383f464d545b626970777e858c939aa1a8afb6bdc4cbd2d9e0e7942f3b1f8f6e500937625f183f2d0279affe40326d83e3ef60c2557d6b2ba95d556c2d131ca5619081d5f58550be1432633ee36aa34a9beefb2a4fafa0c7717000";
const V40: &str = "f9012b84616d8704328400000000b9011c54cd18ea005c7c36b2cdb7db764981e217cc4231c148a6f247a3c3259953ea95eb2ad5e2bd17a3350e6f6002d16e70c373f52b64b2c3c68fcba1eefd90cb15dd5746ed3d65367d3f92b1dcb65ccb7ccdf60ac678457621c6bbb589e7582243dbb1386599e4805cf9d71d0b849395181e76c80dec57dffc8858b6d94983418ff841d5d2cc62dffdf0b6729571f1e90c26bfc1dd163e5562f8a324756fd24d175b83076b96c9b004ddacbb56b0e645ec5edec738432b55a506024a29af2976944e1692e87db8c894d5864e7766d2772e6361934c00ade09cb46cc2d55b996d7cba6d8206e9d7676298c5d6f79e82b54095c29446ad881eac19597b188de3f1c15e49c1c26ef3fe6b127f2b5484045d2d52000102030405060708090a0b01";
const V40_ID: &str = "83078237451f065f5e0b2515e12f4869f55e3b7f33232d80867fbb561e5d1520";
const V41: &str = "f6a0303132333435363738396162636465663031323334353637383961626364656684616c355284616d86d28203e88080c584cd423760";
const V41_CURSOR: &str = "f85aa0303132333435363738396162636465663031323334353637383961626364656684616c355284616d86d28203e8a43b9aca00fe1436549a3c95387719b1ec481928bc9b5612edc277b5cf427ab4b831c8a83980c584cd423760";
const V42_127: &str = "f844f842843b9aca3232840f010200b5aadb80b6cd6285c292e5ef90d2cfa700c5694aa56ce687e44a86c713a10ff7d2e7380ca29765aba30a000102030405060708090a0b80";
const V42_125: &str = "b86483078237451f065f5e0b2515e12f4869f55e3b7f33232d80867fbb561e5d1520fe1436549a3c95387719b1ec481928bc9b5612edc277b5cf427ab4b831c8a8393b9aca00fe1436549a3c95387719b1ec481928bc9b5612edc277b5cf427ab4b831c8a839";
const V43: &str = "b84083078237451f065f5e0b2515e12f4869f55e3b7f33232d80867fbb561e5d1520fe1436549a3c95387719b1ec481928bc9b5612edc277b5cf427ab4b831c8a839";
const V44: &str = "b84083078237451f065f5e0b2515e12f4869f55e3b7f33232d80867fbb561e5d15200000000000000000000000000000000000000000000000000000000000000000";

const NOW: u32 = 1_634_567_890;

fn v40_request() -> MessagesRequest {
    MessagesRequest {
        from: NOW - 86_400,
        to: NOW,
        bloom: Bloom::of_topic(topic("cd423760")).0.to_vec(),
        limit: 1,
        batch: true,
        ..MessagesRequest::default()
    }
}

/// The reference's storage key is the cursor and the topic behind it.
#[test]
fn v36_the_cursor_is_what_the_key_begins_with() {
    let key = hex("abcdef12010203040506070809101112131415161718192021222324252627282930313201020304");
    let hash = EnvelopeHash(
        hex("0102030405060708091011121314151617181920212223242526272829303132").try_into().unwrap(),
    );
    let cursor = Cursor::new(0xabcd_ef12, hash);
    assert_eq!([&cursor.0[..], &topic("01020304").0].concat(), key);
    assert_eq!((cursor.sent(), cursor.hash()), (0xabcd_ef12, hash));
}

#[test]
fn v37_cursor() {
    let cursor = Cursor::of(&v30());
    assert_eq!(
        hex::encode(cursor.0),
        "3b9aca00fe1436549a3c95387719b1ec481928bc9b5612edc277b5cf427ab4b831c8a839"
    );
    assert_eq!(
        hex::encode([&cursor.0[..], &v30().topic().0].concat()),
        "3b9aca00fe1436549a3c95387719b1ec481928bc9b5612edc277b5cf427ab4b831c8a8390f010200",
        "the reference's storage key"
    );
    assert_eq!((cursor.sent(), cursor.hash()), (1_000_000_000, v30().hash()));
    assert_eq!(Cursor::from_slice(&cursor.0), Some(cursor));
    assert_eq!(Cursor::from_slice(&cursor.0[1..]), None);
}

#[test]
fn v38_v39_form_a_payload() {
    let mut request = MessagesRequest {
        from: 50,
        to: 100,
        bloom: vec![1],
        limit: 10,
        batch: true,
        ..MessagesRequest::default()
    };
    assert_eq!(hex::encode(request.encode()), "c7326401c00a8001");
    assert_eq!(MessagesRequest::decode(&hex("c7326401c00a8001")).unwrap(), request);
    request.to = 0;
    assert_eq!(hex::encode(request.encode()), "c7328001c00a8001");
    assert_eq!(MessagesRequest::decode(&hex("c7328001c00a8001")).unwrap(), request);
}

#[test]
fn v40_canary_request_made() {
    assert_eq!(hex::encode(v40_request().encode()), V40_PAYLOAD);
    let padding: Vec<u8> = (0..107u32).map(|i| u8::try_from((7 * i + 1) % 256).unwrap()).collect();
    let key = NodeKey::from_hex("d49dcf37238dc8a7aac57dc61b9fee68f0a97f062968978b9fafa7d1033d03a9").unwrap();
    let plain = build(&hex(V40_PAYLOAD), Padding::Bytes(&padding), Some(&key)).unwrap();
    assert_eq!(hex::encode(&plain), V40_PLAIN);
    let mailbox = SymmetricKey::from_password("status-offline-inbox");
    let nonce = std::array::from_fn(|i| u8::try_from(i).unwrap());
    let data = encrypt_symmetric_with(&plain, &mailbox, nonce).unwrap();
    let unsealed =
        Envelope { expiry: NOW + 50, ttl: 50, topic: Topic::default(), data: Bytes::from(data), nonce: 0 };
    let sealed = seal(unsealed, 0.000_002, || true).unwrap();
    assert_eq!(sealed.nonce(), 1);
    assert_eq!(Pow::exact(&sealed, 0).value(), 0.000_132_890_365_448_505);
    assert_eq!(hex::encode(sealed.raw()), V40);
}

#[test]
fn v40_canary_request_read() {
    let request = P2pRequest::decode(&Bytes::from(hex(V40))).unwrap();
    assert_eq!(hex::encode(request.id()), V40_ID);
    let longer = Bytes::from([hex(V40), vec![0xff]].concat());
    assert_eq!(P2pRequest::decode(&longer).unwrap().id(), request.id(), "bytes behind it are ignored");
    let P2pRequest::Envelope(envelope) = request else { panic!("form A is an envelope") };
    let plain =
        decrypt_symmetric(&envelope.data(), &SymmetricKey::from_password("status-offline-inbox")).unwrap();
    assert_eq!(hex::encode(&plain), V40_PLAIN);
    let parsed = parse(&plain).unwrap();
    assert!(parsed.source.is_some());
    assert_eq!(MessagesRequest::decode(&parsed.payload).unwrap(), v40_request());
}

#[test]
fn v41_plain_form() {
    let id = *b"0123456789abcdef0123456789abcdef";
    let mut request = MessagesRequest {
        from: NOW - 86_400,
        to: NOW,
        limit: 1000,
        topics: vec![topic("cd423760")],
        batch: true,
        ..MessagesRequest::default()
    };
    assert_eq!(hex::encode(request.encode_plain(&id)), V41);
    let read = |bytes: &str| P2pRequest::decode(&Bytes::from(hex(bytes))).unwrap();
    assert_eq!(read(V41), P2pRequest::Plain { id, request: request.clone() });
    request.cursor = Cursor::of(&v30()).0.to_vec();
    assert_eq!(hex::encode(request.encode_plain(&id)), V41_CURSOR);
    assert_eq!(read(V41_CURSOR), P2pRequest::Plain { id, request });
    assert_eq!(
        hex::encode(read(V41).id()),
        "3031323334353637383961626364656630313233343536373839616263646566"
    );
}

#[test]
fn v42_v43_v44_success() {
    assert_eq!(hex::encode(messages::encode([v30().raw().as_ref()])), V42_127);
    let request = hex(V40_ID).try_into().unwrap();
    let last = v30().hash();
    for (completion, vector) in [
        (Completion::Success { request, last, cursor: Some(Cursor::of(&v30())) }, V42_125),
        (Completion::Success { request, last, cursor: None }, V43),
        (Completion::Success { request, last: EnvelopeHash::ZERO, cursor: None }, V44),
    ] {
        assert_eq!(hex::encode(completion.encode()), vector);
        assert_eq!(Completion::decode(&hex(vector)).unwrap(), completion);
    }
}

#[test]
fn v45_errors() {
    let request = hex(V40_ID).try_into().unwrap();
    for (error, vector) in [
        (
            "rate limit exceeded",
            "b8394552524f523d83078237451f065f5e0b2515e12f4869f55e3b7f33232d80867fbb561e5d152072617465206c696d6974206578636565646564",
        ),
        (
            "failed to decrypt p2p request",
            "b8434552524f523d83078237451f065f5e0b2515e12f4869f55e3b7f33232d80867fbb561e5d15206661696c656420746f2064656372797074207032702072657175657374",
        ),
    ] {
        let completion = Completion::Failure { request, error: error.to_owned() };
        assert_eq!(hex::encode(completion.encode()), vector);
        assert_eq!(Completion::decode(&hex(vector)).unwrap(), completion);
    }
}

/// §5.9, "Client parsing"; §4.14.
#[test]
fn section_5_9_lengths() {
    let of = |content: &[u8]| Completion::decode(&alloy_rlp::encode(content));
    assert!(of(&[1; 31]).is_err());
    assert!(of(&[1; 101]).is_err());
    assert!(of(b"ERROR=").is_err());
    assert_eq!(
        of(&[1; 32]).unwrap(),
        Completion::Success { request: [1; 32], last: EnvelopeHash::ZERO, cursor: None }
    );
    for length in [64, 65, 99] {
        let completion = of(&vec![1; length]).unwrap();
        assert_eq!(
            completion,
            Completion::Success { request: [1; 32], last: EnvelopeHash([1; 32]), cursor: None },
            "{length}"
        );
    }
    assert!(matches!(of(&[1; 100]).unwrap(), Completion::Success { cursor: Some(_), .. }));
    let mut bare_error = b"ERROR=".to_vec();
    bare_error.extend_from_slice(&[2; 32]);
    assert_eq!(of(&bare_error).unwrap(), Completion::Failure { request: [2; 32], error: String::new() });
}

/// §5.6: fields, ids of other lengths, topics of other lengths (S74, S80, S86).
#[test]
fn section_5_6_request_forms() {
    for (name, payload) in [
        ("6 fields", "c63264 01c00a80"),
        ("8 fields", "c8326401c00a800180"),
        ("trailing byte", "c7326401c00a800180"),
        ("batch 2", "c7326401c00a8002"),
        ("topics not a list", "c7326401800a8001"),
    ] {
        assert!(MessagesRequest::decode(&hex(payload)).is_err(), "{name}");
    }
    let plain = |bytes: &str| P2pRequest::decode(&Bytes::from(hex(bytes)));
    assert!(plain("c501326480 80").is_err(), "5 fields");
    assert!(plain("c801326480808 0c080").is_err(), "8 fields");
    assert!(plain("deadbeef").is_err());
    assert!(plain("").is_err());
    let mut short_id = [0; 32];
    short_id[31] = 1;
    assert_eq!(plain("c70132648080 80c0").unwrap().id(), short_id, "short id, padded on the left");
    assert_eq!(plain("c70132648080 80c0ff").unwrap().id(), short_id, "bytes behind it are ignored");
    let mut long_id = hex("e9 a2 0909");
    long_id.extend_from_slice(&[5; 32]);
    long_id.extend_from_slice(&hex("3264808080c0"));
    assert_eq!(
        P2pRequest::decode(&Bytes::from(long_id)).unwrap().id(),
        [5; 32],
        "long id, right-most 32 bytes"
    );
    let P2pRequest::Plain { request, .. } = plain("d00132648080 80c9 83010203 84cd423760").unwrap() else {
        panic!("plain form")
    };
    assert_eq!((request.topics, request.ignored_topics), (vec![topic("cd423760")], 1));
}

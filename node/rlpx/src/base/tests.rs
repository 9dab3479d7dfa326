use proptest::prelude::*;

use super::*;
use crate::vectors::{HELLO_A, HELLO_B, HELLO_EIP8, bytes, key_a, key_b};

fn statusd_hello(key: &PublicKey) -> Hello {
    let waku = |version| Capability { name: "waku".into(), version };
    Hello::new("Statusd/v0.84.0/linux-amd64/go1.16.7".into(), vec![waku(1), waku(0)], key)
}

/// `spec/devp2p.md` §11.4, Hello of A and of B, both ways.
#[test]
fn section_11_4_hello() {
    for (text, key) in [(HELLO_A, key_a()), (HELLO_B, key_b())] {
        let hello = statusd_hello(&key.public_key());
        assert_eq!(hello.encode(), bytes(text));
        assert_eq!(Hello::decode(&bytes(text)), Ok(hello));
    }
}

/// `spec/devp2p.md` §11.4, the public EIP-8 Hello with version 55 and three extra elements.
#[test]
fn section_11_4_eip8_hello_is_accepted() {
    let hello = Hello::decode(&bytes(HELLO_EIP8)).unwrap();
    assert_eq!((hello.version, hello.name.as_str(), hello.listen_port), (55, "kneth/v0.91/plan9", 9999));
    let caps: Vec<_> = hello.capabilities.iter().map(ToString::to_string).collect();
    assert_eq!(caps, ["eth/61", "mork/22"]);
    assert_eq!(&hello.public_key, key_a().public_key().as_bytes());
    assert!(hello.wants_snappy());
}

/// `spec/devp2p.md` §2.8: bytes after the list are ignored.
#[test]
fn section_2_8_bytes_after_the_list() {
    let mut payload = bytes(HELLO_A);
    payload.extend_from_slice(&[1, 2, 3]);
    assert_eq!(Hello::decode(&payload), Ok(statusd_hello(&key_a().public_key())));
}

/// `spec/devp2p.md` §2.8, Hello checks in their order.
#[test]
fn section_2_8_hello_checks() {
    // [version 5, "x", caps, port 0, key]
    let hello = |caps: &str, key: &str| {
        let payload = bytes(&format!("0578{caps}80{key}"));
        let mut out = Vec::new();
        Header { list: true, payload_length: payload.len() }.encode(&mut out);
        [out, payload].concat()
    };
    let key = format!("b840{}", "11".repeat(64));
    assert!(Hello::decode(&hello("c0", &key)).is_ok());
    assert_eq!(Hello::decode(&hello("c0", &format!("b83f{}", "11".repeat(63)))), Err(HelloError::Identity));
    assert_eq!(Hello::decode(&hello("c0", &format!("b841{}", "11".repeat(65)))), Err(HelloError::Identity));
    assert_eq!(Hello::decode(&hello("c0", &format!("b840{}", "00".repeat(64)))), Err(HelloError::Identity));
    // One and three elements in a capability.
    assert_eq!(Hello::decode(&hello("c2c178", &key)), Err(HelloError::Malformed));
    assert_eq!(Hello::decode(&hello("c4c3780101", &key)), Err(HelloError::Malformed));
    // Shape comes before identity; a version with a leading zero is not canonical.
    assert_eq!(Hello::decode(&hello("c2c178", "80")), Err(HelloError::Malformed));
    assert_eq!(Hello::decode(&[0xc0]), Err(HelloError::Malformed));
    assert_eq!(Hello::decode(&vec![0; MAX_HELLO + 1]), Err(HelloError::Malformed));
}

/// `spec/devp2p.md` §2.8: list form is sent; list form and bare integer are understood; rubbish counts as 0.
#[test]
fn section_2_8_disconnect_forms() {
    assert_eq!(DisconnectReason::TooManyPeers.encode(), [0xc1, 0x04]);
    assert_eq!(DisconnectReason::Requested.encode(), [0xc1, 0x80]);
    assert_eq!(DisconnectReason::decode(&[0xc1, 0x04]), DisconnectReason::TooManyPeers);
    assert_eq!(DisconnectReason::decode(&[0x07]), DisconnectReason::InvalidIdentity);
    assert_eq!(DisconnectReason::decode(&[0xc2, 0x10, 0x01]), DisconnectReason::SubprotocolError);
    for rubbish in [&[][..], &[0xc0], &[0xc1], &[0x80], &[0xf8], &[0xc2, 0x81, 0x01], &[0x83, 1]] {
        assert_eq!(DisconnectReason::decode(rubbish), DisconnectReason::Requested, "{rubbish:x?}");
    }
}

proptest! {
    #[test]
    fn every_reason_round_trips(code: u64) {
        let reason = DisconnectReason::from_code(code);
        prop_assert_eq!(reason.code(), code);
        prop_assert_eq!(DisconnectReason::decode(&reason.encode()), reason);
    }

    #[test]
    fn every_hello_round_trips(version: u64, name in "\\PC{0,60}", caps in proptest::collection::vec(("[a-z]{0,8}", any::<u64>()), 0..20), listen_port: u64, key in proptest::collection::vec(1u8.., 64)) {
        let capabilities = caps.into_iter().map(|(name, version)| Capability { name, version }).collect();
        let hello = Hello { version, name, capabilities, listen_port, public_key: key.try_into().unwrap() };
        prop_assert_eq!(Hello::decode(&hello.encode()).unwrap(), hello);
    }

    #[test]
    fn random_bytes_never_panic(payload in proptest::collection::vec(any::<u8>(), 0..300), at in 0usize..122, to: u8) {
        let _ = Hello::decode(&payload);
        let _ = DisconnectReason::decode(&payload);
        let mut hello = bytes(HELLO_A);
        hello[at] = to;
        let _ = Hello::decode(&hello);
    }
}

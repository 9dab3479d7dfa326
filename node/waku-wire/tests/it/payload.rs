//! §10.4.

use enode::NodeKey;
use waku_wire::{
    SymmetricKey,
    payload::{
        Padding, Payload, PayloadError, build, decrypt_asymmetric, decrypt_symmetric, encrypt_asymmetric,
        encrypt_asymmetric_with, encrypt_symmetric, encrypt_symmetric_with, parse,
    },
};

use super::{V16_DATA, hex};

const NONCE: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
const V16_PLAIN: &str = "011370657220617370657261206164206173747261aabbccdd";
const V17_PLAIN: &str = "051370657220617370657261206164206173747261aabbccdd99c1bdd30a61afeb277069beafc8e4c5b611445394950862f0eb71d5bf9a9be106543f1c7745e5ccefdbaf642bd8c0fdddd721aedb347bb5e3b1c9a26e4b2f4300";
const V17_DATA: &str = "aedb80b6cd6285c292e5ef90d2cfa700c5694aa56ce687e44a1f54537c4b07e02e39a87b73559174a6f1393b162c99d3b2a0ec5abcaac9a332c86c445421e20e5c4de397bdd3b5befaf7b5b50369ecb699a2203743835cbc983c73f0a815df656906f1349c74c67edfe6000102030405060708090a0b";
const V18_DATA: &str = "046b03257674c6c60b57a605553cc695f05a202022a5e3f2b847ba91f1583218c7f5e1f996e39df90484861d9b2ba75de699642ebe8e0498e050c77a75e6c11152000102030405060708090a0b0c0d0e0fc57c495e76158b8b1ec8d3c24eda4d02eb49a6811704eadca895bc6051422b92955fa26bd36359dc55ba82cc625e0a949c31233b2595649e93";

fn key(index: usize) -> NodeKey {
    NodeKey::from_hex(
        [
            "d49dcf37238dc8a7aac57dc61b9fee68f0a97f062968978b9fafa7d1033d03a9",
            "73fd6143c48e80ed3c56ea159fe7494a0b6b393a392227b422f4c3e8f1b54f98",
            "119dd32adb1daa7a4c7bf77f847fb28730785aa92947edf42fdd997b54de40dc",
        ][index],
    )
    .unwrap()
}

fn shared_key() -> SymmetricKey {
    let bytes = hex("03ca634cae0d49acb401d8a4c6b6fe8c55b70d115bf400769cc1400f3258cd31");
    SymmetricKey::from_bytes(bytes.try_into().unwrap()).unwrap()
}

#[test]
fn v12_v13_size_field_beyond_the_end() {
    assert_eq!(parse(&[0x01]), Err(PayloadError::Layout));
    assert_eq!(parse(&[0x01, 0x01]), Err(PayloadError::Layout));
    assert_eq!(parse(&[]), Err(PayloadError::Layout));
}

#[test]
fn v16_unsigned_symmetric() {
    let plain = build(b"per aspera ad astra", Padding::Bytes(&[0xaa, 0xbb, 0xcc, 0xdd]), None).unwrap();
    assert_eq!(hex::encode(&plain), V16_PLAIN);
    let data = encrypt_symmetric_with(&plain, &shared_key(), NONCE).unwrap();
    assert_eq!(hex::encode(&data), V16_DATA);
    let parsed = parse(&decrypt_symmetric(&data, &shared_key()).unwrap()).unwrap();
    assert_eq!(
        parsed,
        Payload { payload: b"per aspera ad astra".to_vec(), padding: hex("aabbccdd"), source: None }
    );
}

#[test]
fn v17_signed_symmetric() {
    let plain = build(b"per aspera ad astra", Padding::Bytes(&hex("aabbccdd")), Some(&key(0))).unwrap();
    assert_eq!(
        hex::encode(enode::keccak256(&plain[..plain.len() - 65])),
        "9f34cabdb1e345f91e0363d9332db393ba07e23caf194b08961740fd703d3bf0"
    );
    assert_eq!(hex::encode(&plain), V17_PLAIN);
    assert_eq!(hex::encode(encrypt_symmetric_with(&plain, &shared_key(), NONCE).unwrap()), V17_DATA);
    let parsed = parse(&decrypt_symmetric(&hex(V17_DATA), &shared_key()).unwrap()).unwrap();
    assert_eq!(parsed.source, Some(key(0).public_key()));
    assert_eq!(parsed.payload, b"per aspera ad astra");
}

#[test]
fn v18_asymmetric() {
    let iv = std::array::from_fn(|i| u8::try_from(i).unwrap());
    let data = encrypt_asymmetric_with(&hex(V16_PLAIN), &key(1).public_key(), &key(2), iv).unwrap();
    assert_eq!(hex::encode(&data), V18_DATA);
    assert_eq!(hex::encode(decrypt_asymmetric(&data, &key(1)).unwrap()), V16_PLAIN);
    assert_eq!(decrypt_asymmetric(&data, &key(0)), Err(PayloadError::Decrypt));
}

#[test]
fn v46_sizes_are_little_endian() {
    // A payload of 0x80e5ff bytes says ff e5 80.
    let plain = build(&vec![1; 0x80_e5ff], Padding::Bytes(&[]), None).unwrap();
    assert_eq!(plain[..4], [0x03, 0xff, 0xe5, 0x80]);
    assert_eq!(parse(&plain).unwrap().payload.len(), 0x80_e5ff);
}

#[test]
fn v47_padding() {
    let plain = build(&[7; 246], Padding::Random, Some(&key(0))).unwrap();
    assert_eq!(plain.len(), 512);
    assert_eq!(plain.len() - 65, 447);
    assert_eq!(parse(&plain).unwrap().padding.len(), 199);
    for length in (1..=259).chain(65_531..=65_537).chain([100_003, 1_000_000]) {
        let padding = vec![0x5a; length];
        for signer in [None, Some(key(0))] {
            let plain = build(b"payload", Padding::Bytes(&padding), signer.as_ref()).unwrap();
            let parsed = parse(&plain).unwrap();
            assert_eq!(parsed.padding, padding);
            assert_eq!(parsed.payload, b"payload");
            assert_eq!(parsed.source, signer.map(|key| key.public_key()));
        }
    }
}

/// §3.1: already a multiple of 256 gets 256 more.
#[test]
fn section_3_1_random_padding_is_1_to_256() {
    for length in 0..600 {
        let plain = build(&vec![0; length], Padding::Random, None).unwrap();
        assert_eq!(plain.len() % 256, 0);
        assert!((1..=256).contains(&parse(&plain).unwrap().padding.len()), "{length}");
    }
}

#[test]
fn section_3_1_size_field_lengths() {
    for (length, bytes) in [(0, 1), (255, 1), (256, 2), (65_535, 2), (65_536, 3)] {
        assert_eq!(build(&vec![0; length], Padding::Random, None).unwrap()[0], bytes);
    }
    assert_eq!(build(&vec![0; 1 << 24], Padding::Random, None), Err(PayloadError::TooLong));
}

/// §3.2: V is a recovery id 0..3; 27 and 28 are refused.
#[test]
fn section_3_2_recovery_id() {
    for v in [4, 27, 28, 255] {
        let mut plain = hex(V17_PLAIN);
        *plain.last_mut().unwrap() = v;
        assert_eq!(parse(&plain), Err(PayloadError::Signature), "{v}");
    }
}

/// §3.5: signed, but nothing is left before the signature.
#[test]
fn section_3_5_signed_and_too_short() {
    for length in 1..=66 {
        let mut plain = vec![0; length];
        plain[0] = 4;
        assert_eq!(parse(&plain), Err(PayloadError::Layout), "{length}");
    }
    let no_size_field = parse(&[0, 1, 2, 3]).unwrap();
    assert_eq!((no_size_field.payload.len(), no_size_field.padding), (0, vec![1, 2, 3]));
}

#[test]
fn section_3_3_changed_or_short_data_is_refused() {
    let good = hex(V16_DATA);
    for i in 0..good.len() {
        let mut bad = good.clone();
        bad[i] ^= 1;
        assert_eq!(decrypt_symmetric(&bad, &shared_key()), Err(PayloadError::Decrypt), "byte {i}");
        assert_eq!(decrypt_symmetric(&good[..i], &shared_key()), Err(PayloadError::Decrypt), "first {i}");
    }
}

#[test]
fn section_3_4_changed_or_short_data_is_refused() {
    let good = hex(V18_DATA);
    for i in 0..good.len() {
        let mut bad = good.clone();
        bad[i] ^= 1;
        assert_eq!(decrypt_asymmetric(&bad, &key(1)), Err(PayloadError::Decrypt), "byte {i}");
        assert_eq!(decrypt_asymmetric(&good[..i], &key(1)), Err(PayloadError::Decrypt), "first {i}");
    }
}

/// §12 Q13: a body shorter than an IV under a valid tag crashes the reference.
#[test]
fn q13_short_body_with_a_valid_tag() {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    // Km of V18, which depends on the two keys only.
    let mac_key = hex("1592ffaa3349a934f29f9c12191cbf75f8d07eb0079fec14bd50da90719784a1");
    for length in 0..16 {
        let body = vec![0; length];
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&mac_key).unwrap();
        mac.update(&body);
        let mut data = hex(V18_DATA)[..65].to_vec();
        data.extend_from_slice(&body);
        data.extend_from_slice(&mac.finalize().into_bytes());
        assert_eq!(decrypt_asymmetric(&data, &key(1)), Err(PayloadError::Decrypt), "{length}");
    }
}

#[test]
fn random_nonces_and_keys_round_trip() {
    let plain = b"some bytes";
    let a = encrypt_symmetric(plain, &shared_key()).unwrap();
    assert_ne!(a, encrypt_symmetric(plain, &shared_key()).unwrap());
    assert_eq!(decrypt_symmetric(&a, &shared_key()).unwrap(), plain);
    let b = encrypt_asymmetric(plain, &key(0).public_key()).unwrap();
    assert_ne!(b, encrypt_asymmetric(plain, &key(0).public_key()).unwrap());
    assert_eq!(decrypt_asymmetric(&b, &key(0)).unwrap(), plain);
}

//! §10.1.

use bytes::Bytes;
use waku_wire::{
    Envelope, Topic, WireEnvelope, WireError, pow,
    seal::{SealError, seal},
};

use super::{envelope, hex, v30};

fn assert_wire(envelope: &WireEnvelope, rlp: &str, hash: &str) {
    assert_eq!(hex::encode(envelope.raw()), rlp);
    assert_eq!(envelope.hash().to_string(), hash);
    assert_eq!(&WireEnvelope::decode(&Bytes::from(hex(rlp))).unwrap(), envelope);
}

#[test]
fn v01_no_leading_zero() {
    let e = envelope(0, 1, "00000000", "deadbeef", 100_000);
    assert_wire(
        &e,
        "d08001840000000084deadbeef830186a0",
        "660f65a268e219b51aa55347adab435ffa14835a64d247a72bc2ef88cae6dc58",
    );
    assert_eq!(pow::covered_length(&e), 13);
    // The hash is over the short form and the nonce as 8 bytes.
    let covered = hex("cc8001840000000084deadbeef 00000000000186a0");
    assert_eq!(pow::hash(&e), enode::keccak256(&covered));
    assert_eq!(
        hex::encode(pow::hash(&e)),
        "a788e02a95bfc673709e97ca81e39ca903bad5638d3388964c51eb64952172d6"
    );
    assert_eq!(pow::leading_zeros(&pow::hash(&e)), 0);
    assert_eq!(pow::Pow::exact(&e, 0).value(), 0.07692307692307693);
    assert_eq!(e.size(), 24);
}

#[test]
fn v02_eight_leading_zeros() {
    let e = envelope(0, 1, "00000000", "deadbeef", 276);
    assert_wire(
        &e,
        "cf8001840000000084deadbeef820114",
        "300e63ed3c7a65d646006bd8f92ed35851ac71038f39912186f66bcb8003413f",
    );
    assert_eq!(
        hex::encode(pow::hash(&e)),
        "00e2374c6353c243e4073e209a7f2acb2506522af318b3b78cf9a88310a2a11c"
    );
    assert_eq!(pow::leading_zeros(&pow::hash(&e)), 8);
    assert_eq!(pow::Pow::exact(&e, 0).value(), 19.692307692307693);
}

#[test]
fn v03_all_zero() {
    assert_wire(
        &envelope(0, 0, "00000000", "", 0),
        "c9808084000000008080",
        "c3924c71fddd7f9ad4135cc4a594faaed965fd5110b11e429cb8d64b1974c41b",
    );
}

#[test]
fn v04_diff_and_its_limits() {
    let e = v30();
    assert_eq!(pow::covered_length(&e), 67);
    assert_eq!(
        hex::encode(pow::hash(&e)),
        "a446f209b16dd86bb6262d7237dff4cade6b9346fb9e5e3d5e0196982be973d6"
    );
    assert_eq!(pow::Pow::exact(&e, 6).value(), 0.00026652452025586353);
    assert_eq!(pow::Pow::exact(&e, 0).value(), 0.00029850746268656717);
    assert_eq!(pow::Pow::exact(&envelope(0, 0, "00000000", "", 0), 0).value(), f64::INFINITY);
    let wrapping = envelope(0, u32::MAX, "00000000", "deadbeef", 100_000);
    let zeros = pow::leading_zeros(&pow::hash(&wrapping));
    let divided_by_1 = f64::from(1u32 << zeros) / pow::covered_length(&wrapping) as f64;
    assert_eq!(pow::Pow::exact(&wrapping, 2).value(), divided_by_1);
}

#[test]
fn v30_complete_envelope() {
    let e = v30();
    assert_wire(
        &e,
        "f842843b9aca3232840f010200b5aadb80b6cd6285c292e5ef90d2cfa700c5694aa56ce687e44a86c713a10ff7d2e7380ca29765aba30a000102030405060708090a0b80",
        "fe1436549a3c95387719b1ec481928bc9b5612edc277b5cf427ab4b831c8a839",
    );
    assert_eq!(e.sent(), 1_000_000_000);
    assert_eq!(hex::encode(e.data()), super::V16_DATA);
    assert_eq!(e.size(), 20 + 53);
}

/// §2.1: what makes an envelope undecodable.
#[test]
fn section_2_1_decoding_rules() {
    let bad = [
        ("four items", "c88080840000000080"),
        ("six items", "ca80808400000000808080"),
        ("leading zero in expiry", "cb8200018084000000008080"),
        ("expiry as byte 00", "c9008084000000008080"),
        ("five-byte expiry", "ce85010000000080840000000080 80"),
        ("topic of 3 bytes", "c88080830000008080"),
        ("topic of 5 bytes", "ca808085000000000080 80"),
        ("list where data is expected", "c980808400000000c080"),
        ("single data byte below 80 with a prefix", "ca8080840000000081058 0"),
        ("long form for a short string", "cb80808400000000b8010580"),
        ("nine-byte nonce", "d280808400000000808901 0000000000000000"),
        ("string instead of a list", "89808084000000008080"),
        ("one trailing byte", "c980808400000000808000"),
        ("list longer than the input", "ca80808400000000 8080"),
        ("nothing", ""),
    ];
    for (name, bytes) in bad {
        assert!(WireEnvelope::decode(&Bytes::from(hex(bytes))).is_err(), "{name}");
    }
    assert_eq!(
        WireEnvelope::decode(&Bytes::from(hex("c88080830000008080"))),
        Err(WireError::Length { field: "topic", actual: 3, wanted: "4" })
    );
    assert!(
        WireEnvelope::decode(&Bytes::from(hex("c980808400000000 0580"))).is_ok(),
        "a data byte as itself"
    );
}

/// §2.4: the second hash is taken only when size and ttl do not settle the question.
#[test]
fn pow_is_settled_without_hashing_where_possible() {
    let e = v30();
    let cheap = pow::Pow::settle(&e, 0, 0.0002);
    assert!(!cheap.is_exact());
    assert_eq!(cheap.reaches(0.0002), Some(true));
    assert_eq!(cheap.reaches(0.5), None);
    let exact = pow::Pow::settle(&e, 0, 0.001);
    assert!(exact.is_exact());
    assert_eq!(exact.reaches(0.001), Some(false));
    let mut later = pow::Pow::at_least(&e, 6);
    assert!(!later.resolve(&e, 0.5));
    assert_eq!(later, pow::Pow::exact(&e, 6), "the hash is taken with the diff of admission");
}

fn unsealed(ttl: u32, length: usize) -> Envelope {
    Envelope { expiry: 1_000_000_000, ttl, topic: Topic::default(), data: vec![7; length].into(), nonce: 9 }
}

/// §2.5, §12 Q04: a sealed envelope passes the checker, also where the reference's sealer falls short of it.
#[test]
fn section_2_5_sealed_reaches_its_target() {
    for (ttl, length, target) in
        [(50, 300, 0.002), (256, 65_536, 0.000_002), (1, 0, 1.0), (u32::MAX, 10, 1e-10)]
    {
        let sealed = seal(unsealed(ttl, length), target, || true).unwrap();
        assert!(pow::Pow::exact(&sealed, 0).value() >= target, "{ttl} {length} {target}");
    }
}

#[test]
fn section_2_5_target_zero_takes_nonce_zero() {
    assert_eq!(seal(unsealed(50, 10), 0.0, || false).unwrap().nonce(), 0);
}

#[test]
fn section_2_5_out_of_time_and_bad_arguments() {
    let error = seal(unsealed(50, 300), 1e9, || false).unwrap_err();
    assert!(matches!(error, SealError::OutOfTime { tried: 1024, .. }), "{error}");
    assert_eq!(seal(unsealed(0, 1), 0.1, || true), Err(SealError::ZeroTtl));
    assert_eq!(seal(unsealed(1, 1), -1.0, || true), Err(SealError::Target(-1.0)));
    assert!(matches!(seal(unsealed(1, 1), f64::NAN, || true), Err(SealError::Target(_))));
}

#[test]
fn detached_shares_no_memory_with_its_packet() {
    let packet = Bytes::from(hex("cdcc801e84010000008301010180"));
    let inside = waku_wire::messages::decode(&packet).unwrap().remove(0);
    let range = packet.as_ptr_range();
    assert!(range.contains(&inside.raw().as_ptr()), "decoding copies nothing");
    let detached = inside.detach();
    assert_eq!(detached, inside);
    assert!(!range.contains(&detached.raw().as_ptr()));
}

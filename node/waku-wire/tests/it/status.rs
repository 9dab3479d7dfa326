//! §10.5 and the decoding rules of §4.2.

use waku_wire::{
    Bloom,
    ProtocolVersion::{self, V0, V1},
    RateLimits, StatusOptions, Topic, WireError,
};

use super::{hex, topic};

const V19: &str = "ddca80883ec0c6f7a0b5ed8dc20280c20380c504c3808080c506c3808080";
const V20: &str = "d980d7ca30883ec0c6f7a0b5ed8dc23280c23380c534c3808080";
const V21: &str = "f862ca80883ec0c6f7a0b5ed8df84301b840ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffc20280c20380c504c3808080c506c3808080";
const V22: &str = "f85f80f85cca30883ec0c6f7a0b5ed8df84331b840ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffc23280c23380c534c3808080";
const V23: &str = "f879ca80884018147ae147ae14f84301b84000000000000000000000000000000000000000000000000800000000000000000000000000000000000000000000000000000000000400000010000000000000c20201c20301c504c30a0501d605d48401000000840200000084030000008404000000c506c30a0501";
const V24: &str = "f873ca30884018147ae147ae14f84331b84000000000000000000000000000000000000000000000000800000000000000000000000000000000000000000000000000000000000400000010000000000000c23201c23301c534c30a0501d635d48401000000840200000084030000008404000000";

fn mailserver(version: ProtocolVersion) -> StatusOptions {
    StatusOptions {
        pow_requirement: Some(0.000_002),
        light_node: Some(false),
        confirmations: Some(false),
        packet_limits: Some(RateLimits::default()),
        bytes_limits: (version == V1).then(RateLimits::default),
        ..StatusOptions::default()
    }
}

fn full_node(version: ProtocolVersion) -> StatusOptions {
    StatusOptions { bloom: Some(Bloom::FULL.0.to_vec()), ..mailserver(version) }
}

fn assert_status(version: ProtocolVersion, options: &StatusOptions, vector: &str) {
    assert_eq!(hex::encode(options.encode_status(version)), vector);
    assert_eq!(&StatusOptions::decode_status(version, &hex(vector)).unwrap(), options);
}

#[test]
fn doubles_as_uint64() {
    for (value, bits) in [
        (0.000_002, "3ec0c6f7a0b5ed8d"),
        (0.001, "3f50624dd2f1a9fc"),
        (0.002, "3f60624dd2f1a9fc"),
        (0.2, "3fc999999999999a"),
        (2.05, "4000666666666666"),
        (6.02, "4018147ae147ae14"),
    ] {
        let options = StatusOptions { pow_requirement: Some(value), ..StatusOptions::default() };
        assert_eq!(hex::encode(options.encode_update(V1)), format!("cbca8088{bits}"));
    }
    let zero = StatusOptions { pow_requirement: Some(0.0), ..StatusOptions::default() };
    assert_eq!(hex::encode(zero.encode_update(V1)), "c3c28080");
}

#[test]
fn v19_to_v22_default_and_full_node() {
    assert_status(V1, &mailserver(V1), V19);
    assert_status(V0, &mailserver(V0), V20);
    assert_status(V1, &full_node(V1), V21);
    assert_status(V0, &full_node(V0), V22);
}

#[test]
fn v23_v24_all_options() {
    let limits = RateLimits { ip: 10, peer: 5, topic: 1 };
    let mut options = StatusOptions {
        pow_requirement: Some(6.02),
        bloom: Some(Bloom::of_topic(topic("aabbccdd")).0.to_vec()),
        light_node: Some(true),
        confirmations: Some(true),
        packet_limits: Some(limits),
        topics: Some((1..=4).map(|n| Topic([n, 0, 0, 0])).collect()),
        bytes_limits: Some(limits),
    };
    assert_eq!(hex::encode(options.encode_update(V1)), V23);
    assert_eq!(StatusOptions::decode_update(V1, &hex(V23)).unwrap(), options);
    assert_eq!(hex::encode(options.encode_update(V0)), V24);
    options.bytes_limits = None;
    assert_eq!(StatusOptions::decode_update(V0, &hex(V24)).unwrap(), options);
}

#[test]
fn v25_v26_backward_and_forward_compatible() {
    let only_pow = StatusOptions { pow_requirement: Some(2.05), ..StatusOptions::default() };
    for (version, vector) in [(V1, "cbca80884000666666666666"), (V0, "cbca30884000666666666666")] {
        assert_eq!(hex::encode(only_pow.encode_update(version)), vector);
        assert_eq!(StatusOptions::decode_update(version, &hex(vector)).unwrap(), only_pow);
    }
    for (version, vector) in
        [(V1, "ceca80884000666666666666c2630a"), (V0, "d0ca30884000666666666666c48239390a")]
    {
        assert_eq!(StatusOptions::decode_update(version, &hex(vector)).unwrap(), only_pow);
    }
}

/// S14, §12 Q16: what follows an unknown key is not lost.
#[test]
fn s14_unknown_key_first() {
    let only_pow = StatusOptions { pow_requirement: Some(2.05), ..StatusOptions::default() };
    for (version, bytes) in [
        (V1, "ce c2630a ca80884000666666666666"),
        (V0, "d0 c48239390a ca30884000666666666666"),
        (V1, "d0 c4630ac101 ca80884000666666666666"),
    ] {
        assert_eq!(StatusOptions::decode_update(version, &hex(bytes)).unwrap(), only_pow, "{bytes}");
    }
    let inside_v0_status = hex("d280d0c48239390aca30884000666666666666");
    assert_eq!(StatusOptions::decode_status(V0, &inside_v0_status).unwrap(), only_pow);
}

#[test]
fn v27_updates() {
    let topics = |topics| StatusOptions { topics: Some(topics), ..StatusOptions::default() };
    for (version, options, vector) in [
        (V1, topics(vec![topic("cd423760")]), "c8c705c584cd423760"),
        (V0, topics(vec![topic("cd423760")]), "c8c735c584cd423760"),
        (V1, topics(vec![]), "c3c205c0"),
        (
            V1,
            StatusOptions { pow_requirement: Some(0.2), ..StatusOptions::default() },
            "cbca80883fc999999999999a",
        ),
        (V1, StatusOptions::default(), "c0"),
        (
            V1,
            StatusOptions { bloom: Some(vec![0; 64]), ..StatusOptions::default() },
            "f845f84301b84000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
        ),
    ] {
        assert_eq!(hex::encode(options.encode_update(version)), vector);
        assert_eq!(StatusOptions::decode_update(version, &hex(vector)).unwrap(), options);
    }
}

/// S06, S07.
#[test]
fn s06_s07_version_of_a_v0_status() {
    assert_eq!(
        StatusOptions::decode_status(V0, &hex("c201c0")),
        Err(WireError::Version { actual: 1, wanted: 0 })
    );
    assert!(StatusOptions::decode_status(V1, &hex("c280c0")).is_err(), "v0 shape in waku/1");
    assert!(StatusOptions::decode_status(V1, &hex(V20)).is_err());
    assert!(StatusOptions::decode_status(V0, &hex(V19)).is_err());
}

/// §4.2, "Decoding".
#[test]
fn section_4_2_decoding_rules() {
    for (name, version, bytes) in [
        ("no list", V1, "80"),
        ("nothing", V1, ""),
        ("element is no list", V1, "c180"),
        ("key is a list", V1, "c3c2c080"),
        ("key has a leading zero", V1, "c3c20080"),
        ("v0 key is a list", V0, "c3c2c080"),
        ("pow is a list", V1, "c3c280c0"),
        ("pow is 9 bytes", V1, "ccca8089010000000000000000"),
        ("value missing", V1, "c2c180"),
        ("extra item after a known value", V1, "c4c3020101"),
        ("light-node 2 (S15)", V1, "c3c20202"),
        ("confirmations 2", V1, "c3c20302"),
        ("two limits", V1, "c5c404c28080"),
        ("four limits", V1, "c7c604c480808080"),
        ("topic of 3 bytes", V1, "c7c605c483010203"),
        ("v0 status without options", V0, "c180"),
        ("v0 status with a third item", V0, "c380c080"),
    ] {
        let result = match version {
            V1 => StatusOptions::decode_update(version, &hex(bytes)),
            V0 => StatusOptions::decode_status(version, &hex(bytes)),
        };
        assert!(result.is_err(), "{name}: {result:?}");
    }
    let repeated = StatusOptions::decode_update(V1, &hex("c6c20201c20280")).unwrap();
    assert_eq!(repeated.light_node, Some(false), "a repeated key overwrites");
    assert!(StatusOptions::decode_status(V1, &hex("c001")).is_ok(), "bytes behind the list are ignored");
    assert!(StatusOptions::decode_update(V1, &hex("c0ff")).is_ok(), "bytes behind the list are ignored");
}

/// S12.
#[test]
fn s12_ten_thousand_topics() {
    let options = |count: u32| StatusOptions {
        topics: Some((0..count).map(|n| Topic(n.to_be_bytes())).collect()),
        ..StatusOptions::default()
    };
    let at_limit = options(10_000);
    assert_eq!(StatusOptions::decode_status(V1, &at_limit.encode_status(V1)).unwrap(), at_limit);
    assert_eq!(
        StatusOptions::decode_status(V1, &options(10_001).encode_status(V1)),
        Err(WireError::TooManyTopics { max: 10_000 })
    );
}

/// `spec/waku-mailserver.md` §2.9: what a status says after a change.
#[test]
fn section_2_9_changed_options_take_the_place_of_others() {
    let base = full_node(V1);
    assert_eq!(StatusOptions::default().over(base.clone()), base);
    let pow = StatusOptions { pow_requirement: Some(0.5), ..StatusOptions::default() };
    assert_eq!(pow.over(base.clone()), StatusOptions { pow_requirement: Some(0.5), ..base.clone() });
    let topics = StatusOptions { topics: Some(vec![]), ..StatusOptions::default() };
    assert_eq!(topics.over(base.clone()), StatusOptions { topics: Some(vec![]), bloom: None, ..base });
}

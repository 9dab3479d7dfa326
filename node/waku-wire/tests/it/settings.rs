//! §4.3 "Applying options", §4.5, and the rows of §9.1 that it decides.

use waku_wire::{
    Bloom, InvalidSetting, PeerInterest, PeerSettings, ProtocolVersion::V1, StatusOptions, Topic,
};

use super::{hex, topic};

fn pow(value: f64) -> StatusOptions {
    StatusOptions { pow_requirement: Some(value), ..StatusOptions::default() }
}

fn bloom(bytes: Vec<u8>) -> StatusOptions {
    StatusOptions { bloom: Some(bytes), ..StatusOptions::default() }
}

fn topics(topics: &[Topic]) -> StatusOptions {
    StatusOptions { topics: Some(topics.to_vec()), ..StatusOptions::default() }
}

#[test]
fn s05_empty_options() {
    let mut settings = PeerSettings::default();
    settings.apply(StatusOptions::decode_status(V1, &hex("c0")).unwrap()).unwrap();
    assert_eq!(settings.pow_requirement, 0.001);
    assert_eq!(settings.interest, PeerInterest::Full);
    assert!(!settings.confirmations && !settings.light_node);
}

#[test]
fn s08_pow_must_be_finite_and_not_negative() {
    let nan = StatusOptions::decode_status(V1, &hex("cbca80887ff8000000000001")).unwrap();
    assert!(matches!(PeerSettings::default().apply(nan), Err(InvalidSetting::Pow(p)) if p.is_nan()));
    for bad in [f64::INFINITY, f64::NEG_INFINITY, -1.0] {
        assert_eq!(PeerSettings::default().apply(pow(bad)), Err(InvalidSetting::Pow(bad)));
    }
    PeerSettings::default().apply(pow(0.0)).unwrap();
}

#[test]
fn s09_bloom_of_63_bytes() {
    for length in [1, 10, 63, 65, 128] {
        assert_eq!(
            PeerSettings::default().apply(bloom(vec![0; length])),
            Err(InvalidSetting::BloomLength(length))
        );
    }
}

#[test]
fn s10_bloom_of_63_bytes_beside_topics() {
    let mut settings = PeerSettings::default();
    let options = StatusOptions { topics: Some(vec![topic("01020304")]), ..bloom(vec![0; 63]) };
    settings.apply(options).unwrap();
    assert_eq!(settings.interest, PeerInterest::topics(vec![topic("01020304")]));
}

/// `spec/waku-mailserver.md` §11 TestTopicOrBloomMatchFullNode: topics beat a full filter beside them.
#[test]
fn topics_beat_a_full_bloom() {
    let mut settings = PeerSettings::default();
    let options = StatusOptions { topics: Some(vec![topic("01020304")]), ..bloom(vec![0xff; 64]) };
    settings.apply(options).unwrap();
    assert_eq!(settings.interest, PeerInterest::topics(vec![topic("01020304")]));
}

#[test]
fn s11_bloom_of_0_bytes() {
    let mut settings = PeerSettings::default();
    settings.apply(topics(&[])).unwrap();
    settings.apply(bloom(vec![])).unwrap();
    assert_eq!(settings.interest, PeerInterest::Full);
}

#[test]
fn s13_unknown_key_last() {
    let mut settings = PeerSettings::default();
    let v26 = StatusOptions::decode_status(V1, &hex("ceca80884000666666666666c2630a")).unwrap();
    settings.apply(v26).unwrap();
    assert_eq!(settings.pow_requirement, 2.05);
}

/// S33 to S35.
#[test]
fn s33_s34_s35_interest_changes() {
    let (t, u) = (topic("01020304"), topic("0a0b0c0d"));
    let mut settings = PeerSettings::default();
    settings.apply(topics(&[t, t])).unwrap();
    assert!(settings.interest.wants(t) && !settings.interest.wants(u));
    settings.apply(topics(&[])).unwrap();
    assert!(!settings.interest.wants(t) && !settings.interest.wants(u));
    settings.apply(bloom(vec![0xff; 64])).unwrap();
    assert_eq!(settings.interest, PeerInterest::Full);
    settings.apply(bloom(vec![0; 64])).unwrap();
    assert!(!settings.interest.wants(t));
}

/// S37.
#[test]
fn s37_reference_bloom_of_v06() {
    let t = topic("0f010200");
    assert!(PeerInterest::bloom(Bloom::of_topic(t)).wants(t));
}

#[test]
fn section_4_3_stops_at_the_first_error_and_keeps_the_rest() {
    let mut settings = PeerSettings::default();
    let options = StatusOptions { pow_requirement: Some(0.5), confirmations: Some(true), ..bloom(vec![1]) };
    assert!(settings.apply(options).is_err());
    assert_eq!(settings.pow_requirement, 0.5);
    assert!(!settings.confirmations);
}

#[test]
fn section_4_4_update_keeps_what_it_does_not_name() {
    let mut settings = PeerSettings::default();
    settings.apply(StatusOptions { confirmations: Some(true), ..topics(&[topic("01020304")]) }).unwrap();
    let before = settings.clone();
    settings.apply(StatusOptions::default()).unwrap();
    assert_eq!(settings, before);
    settings.apply(pow(0.3)).unwrap();
    assert_eq!(settings, PeerSettings { pow_requirement: 0.3, ..before });
}

#[test]
fn is_within() {
    let (t, u) = (topic("01020304"), topic("0a0b0c0d"));
    let one = PeerInterest::topics(vec![t]);
    let two = PeerInterest::topics(vec![u, t]);
    let bloom_one = PeerInterest::bloom(Bloom::of_topic(t));
    let bloom_two = PeerInterest::bloom(Bloom::of_topics([t, u]));
    for (inner, outer, within) in [
        (&one, &two, true),
        (&two, &one, false),
        (&one, &bloom_one, true),
        (&two, &bloom_one, false),
        (&bloom_one, &bloom_two, true),
        (&bloom_two, &bloom_one, false),
        (&bloom_one, &one, false),
        (&PeerInterest::Full, &two, false),
        (&two, &PeerInterest::Full, true),
        (&PeerInterest::Full, &PeerInterest::Full, true),
    ] {
        assert_eq!(inner.is_within(outer), within, "{inner:?} in {outer:?}");
    }
}

//! `spec/waku-mailserver.md` §2.7, and the rows of §9.2 that it decides.

use bytes::Bytes;
use relay::{Admission, Rejection};
use waku_wire::{Bloom, Envelope, PeerInterest, Topic, WireEnvelope, pow, pow::Pow};

use super::NOW;

/// Sent at `sent`, living `ttl` seconds, both wrapping as uint32 do.
fn sent(sent: u32, ttl: u32) -> WireEnvelope {
    with_data(sent.wrapping_add(ttl), ttl, 100)
}

fn with_data(expiry: u32, ttl: u32, length: usize) -> WireEnvelope {
    let data = Bytes::from(vec![1; length]);
    Envelope { expiry, ttl, topic: Topic([1, 2, 3, 4]), data, nonce: 0 }.encode().unwrap()
}

fn check(envelope: &WireEnvelope) -> Result<Pow, Rejection> {
    Admission::default().check(NOW, envelope, 0.0)
}

fn assert_rejected(result: Result<Pow, Rejection>, label: &str, code: Option<u32>, text: &str) {
    let rejection = result.expect_err("rejected");
    assert_eq!((rejection.label(), rejection.error_code()), (label, code));
    assert!(rejection.to_string().starts_with(text), "{rejection}");
}

/// Step 1, S26.
#[test]
fn s26_sent_11_seconds_ahead() {
    assert_rejected(check(&sent(NOW + 11, 50)), "in_future", Some(21), "envelope from future");
}

/// Step 1b, S25.
#[test]
fn s25_sent_up_to_10_seconds_ahead() {
    for ahead in [1, 10] {
        let envelope = sent(NOW + ahead, 50);
        let pow = check(&envelope).unwrap();
        assert_eq!(pow.value(), Pow::at_least(&envelope, ahead + 1).value());
    }
}

/// S28: enough work for ttl, not for ttl + 6.
#[test]
fn s28_work_is_judged_with_the_distance_to_the_future() {
    let envelope = sent(NOW + 5, 50);
    let enough_now = Pow::exact(&envelope, 0).value();
    let admission = Admission { min_pow: enough_now, ..Admission::default() };
    admission.check(NOW + 5, &envelope, 0.0).unwrap();
    assert_rejected(
        admission.check(NOW, &envelope, 0.0),
        "low_pow",
        Some(22),
        "envelope with low PoW received: PoW=",
    );
}

/// Step 2, S24.
#[test]
fn s24_expired_21_seconds_ago() {
    assert_rejected(check(&with_data(NOW - 21, 50, 10)), "very_old", Some(21), "very old envelope");
    assert_rejected(check(&with_data(0, 0, 10)), "very_old", Some(21), "very old envelope");
}

/// Step 2b, S23: silent.
#[test]
fn s23_expired_1_to_20_seconds_ago() {
    for ago in [1, 20] {
        assert_rejected(check(&with_data(NOW - ago, 50, 10)), "expired", None, "");
    }
}

/// S22.
#[test]
fn s22_expiry_now() {
    check(&with_data(NOW, 50, 10)).unwrap();
}

/// Step 3, S29.
#[test]
fn s29_oversized() {
    let admission = Admission { max_size: 48, ..Admission::default() };
    let envelope = with_data(NOW + 50, 50, 30);
    assert_eq!(envelope.size(), 50);
    let text = format!("huge messages are not allowed [{}][50][48]", envelope.hash());
    assert_rejected(admission.check(NOW, &envelope, 0.0), "oversized", Some(22), &text);
    admission.check(NOW, &with_data(NOW + 50, 50, 28), 0.0).unwrap();
}

/// Step 4, S27.
#[test]
fn s27_low_pow() {
    let envelope = sent(NOW, 50);
    let pow = Pow::exact(&envelope, 0).value();
    let admission = |min_pow| Admission { min_pow, ..Admission::default() };
    admission(pow).check(NOW, &envelope, 0.0).unwrap();
    let result = admission(pow * 1.01).check(NOW, &envelope, 0.0);
    assert_rejected(result, "low_pow", Some(22), "envelope with low PoW received: PoW=");
}

/// Step 5.
#[test]
fn step_5_interest() {
    let envelope = sent(NOW, 50);
    let admission = |interest| Admission { interest, ..Admission::default() };
    let topics = |topic| admission(PeerInterest::topics(vec![topic]));
    topics(Topic([1, 2, 3, 4])).check(NOW, &envelope, 0.0).unwrap();
    let result = topics(Topic([1, 2, 3, 5])).check(NOW, &envelope, 0.0);
    assert_rejected(result, "no_topic_interest_match", Some(22), "envelope does not match topic interest");
    let light = admission(PeerInterest::bloom(Bloom::EMPTY));
    let result = light.check(NOW, &envelope, 0.0);
    assert_rejected(result, "no_bloom_match", Some(22), "envelope does not match bloom filter");
    admission(PeerInterest::bloom(Bloom::of_topic(Topic([1, 2, 3, 4])))).check(NOW, &envelope, 0.0).unwrap();
}

/// `spec/waku-mailserver.md` §2.7 step 5: the tolerance set is asked after the current one.
#[test]
fn step_5_tolerance() {
    let envelope = sent(NOW, 50);
    let topics = |topics: &[Topic]| PeerInterest::topics(topics.to_vec());
    let admission = |tolerated| Admission { interest: topics(&[]), tolerated, ..Admission::default() };
    admission(Some(topics(&[Topic([1, 2, 3, 4])]))).check(NOW, &envelope, 0.0).unwrap();
    let result = admission(Some(topics(&[Topic([1, 2, 3, 5])]))).check(NOW, &envelope, 0.0);
    assert_rejected(result, "no_topic_interest_match", Some(22), "envelope does not match topic interest");
}

/// The first failing check wins.
#[test]
fn order_of_checks() {
    let strict = Admission {
        min_pow: 1e9,
        max_size: 1,
        max_remaining_life: 1,
        interest: PeerInterest::topics(vec![]),
        tolerated: None,
    };
    let label = |admission: &Admission, envelope| admission.check(NOW, &envelope, 0.0).unwrap_err().label();
    assert_eq!(label(&strict, sent(NOW + 11, 50)), "in_future");
    assert_eq!(label(&strict, with_data(NOW - 21, 50, 10)), "very_old");
    assert_eq!(label(&strict, with_data(NOW - 1, 50, 10)), "expired");
    assert_eq!(label(&strict, with_data(NOW + 2, 50, 10)), "far_expiry");
    assert_eq!(label(&strict, with_data(NOW + 1, 50, 10)), "oversized");
    let strict = Admission { max_size: 1000, ..strict };
    assert_eq!(label(&strict, with_data(NOW + 1, 50, 10)), "low_pow");
    let strict = Admission { min_pow: 0.0, ..strict };
    assert_eq!(label(&strict, with_data(NOW + 1, 50, 10)), "no_topic_interest_match");
}

/// §12 Q03: ttl 0, and a ttl beyond expiry, whose time of sending wraps.
#[test]
fn q03_ttl_without_meaning() {
    assert_rejected(
        check(&with_data(NOW + 1, 0, 10)),
        "invalid_ttl",
        Some(22),
        "envelope with invalid ttl 0",
    );
    let wraps_to_the_far_future = with_data(NOW, NOW + 1, 10);
    assert_eq!(wraps_to_the_far_future.sent(), u32::MAX);
    assert_rejected(check(&wraps_to_the_far_future), "in_future", Some(21), "envelope from future");
    let wraps_to_now = with_data(NOW, u32::MAX - 4, 10);
    assert_eq!(wraps_to_now.sent(), NOW + 5);
    assert_rejected(check(&wraps_to_now), "invalid_ttl", Some(22), "envelope with invalid ttl");
}

/// §12 Q07: no cap on ttl, but on remaining life.
#[test]
fn q07_remaining_life() {
    check(&with_data(NOW + 600, 3600, 10)).unwrap();
    assert_rejected(
        check(&with_data(NOW + 601, 601, 10)),
        "far_expiry",
        Some(22),
        "envelope expires in 601 seconds, at most 600 are taken",
    );
}

/// The second hash is computed only when size and ttl do not settle what is asked, here and for the peers.
#[test]
fn pow_is_known_as_far_as_peers_require() {
    let envelope = sent(NOW, 50);
    assert!(!Admission::default().check(NOW, &envelope, 0.000_01).unwrap().is_exact());
    let pow = Admission::default().check(NOW, &envelope, 0.5).unwrap();
    assert!(pow.is_exact());
    assert_eq!(pow.value(), Pow::exact(&envelope, 0).value());
    assert!(pow::covered_length(&envelope) < envelope.raw().len());
}

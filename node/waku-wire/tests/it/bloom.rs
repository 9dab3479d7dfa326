//! §10.2.

use waku_wire::{Bloom, Topic};

use super::{hex, topic};

fn bloom(text: &str) -> Bloom {
    Bloom::try_from(hex(text).as_slice()).unwrap()
}

/// `byte` at `index`, all others 0.
fn with(bytes: &[(usize, u8)]) -> Bloom {
    let mut bloom = Bloom::EMPTY;
    for (index, byte) in bytes {
        bloom.0[*index] = *byte;
    }
    bloom
}

#[test]
fn v05_three_bytes() {
    let v05 = bloom(
        "01000000000000000000000000000000000000000000000000000000000000000100000000000000000000000000000000000000000000000000000000000080",
    );
    assert_eq!(v05, with(&[(0, 0x01), (32, 0x01), (63, 0x80)]));
    assert_eq!(Bloom::of_topic(topic("0000ff06")), v05);
}

#[test]
fn v06_assignment_not_or() {
    let reference = bloom(
        "04800000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
    );
    let or = bloom(
        "06800000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
    );
    assert_eq!(Bloom::of_topic(topic("0f010200")), reference);
    assert!(reference.matches(topic("0f010200")));
    assert!(or.matches(topic("0f010200")), "a filter made by OR is accepted too");
}

#[test]
fn v07_three_indices_in_one_byte() {
    let reference = bloom(
        "08000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
    );
    let or = bloom(
        "0e000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
    );
    assert_eq!(Bloom::of_topic(topic("01020300")), reference);
    assert!(or.matches(topic("01020300")));
    assert_eq!(Bloom::of_topic(topic("01000000")), with(&[(0, 0x01)]));
    assert!(with(&[(0, 0x03)]).matches(topic("01000000")));
}

#[test]
fn v08_no_collision() {
    assert_eq!(
        Bloom::of_topic(topic("cd423760")),
        bloom(
            "00000000000080000400000000000000000000000000000000200000000000000000000000000000000000000000000000000000000000000000000000000000"
        )
    );
    assert_eq!(
        Bloom::of_topic(topic("aabbccdd")),
        bloom(
            "00000000000000000000000000000000000000000000000800000000000000000000000000000000000000000000000000000000000400000010000000000000"
        )
    );
    assert_eq!(
        Bloom::of_topic(topic("1f7ea17f")),
        bloom(
            "00000000000000000000000000000000000000000000000000000000000000000000008000000000000000000000004000000000020000000000000000000000"
        )
    );
}

#[test]
fn v09_combined() {
    let combined = Bloom::of_topics([topic("cd423760"), topic("aabbccdd")]);
    assert_eq!(
        combined,
        bloom(
            "00000000000080000400000000000000000000000000000800200000000000000000000000000000000000000000000000000000000400000010000000000000"
        )
    );
    assert!(combined.matches(topic("cd423760")));
    assert!(combined.matches(topic("aabbccdd")));
    assert!(!combined.matches(topic("1f7ea17f")));
}

#[test]
fn v09b_subset_of_topics() {
    let [t1, t2, t3] = ["74310000", "74320000", "74330000"].map(topic);
    let matched = |bloom: Bloom| [t1, t2, t3].map(|t| bloom.matches(t));
    assert_eq!(matched(Bloom::of_topic(t1)), [true, false, false]);
    assert_eq!(matched(Bloom::of_topics([t1, t2])), [true, true, false]);
    assert_eq!(matched(Bloom::of_topics([t1, t2, t3])), [true; 3]);
}

#[test]
fn section_2_6_full_and_empty() {
    let any = Topic([1, 2, 3, 4]);
    assert!(Bloom::FULL.matches(any) && Bloom::FULL.is_full());
    assert!(!Bloom::EMPTY.matches(any) && !Bloom::EMPTY.is_full());
    assert!(Bloom::try_from([0; 63].as_slice()).is_err());
}

/// §2.6: matching by bits and by subset of the whole filter are the same, for every kind of collision.
#[test]
fn bits_and_filter_agree() {
    for a in 0..=255u8 {
        for high in 0..8u8 {
            for (b, c) in [(a, a), (a ^ 1, a ^ 2), (a, a ^ 0x40), (a ^ 0x40, a), (a ^ 0x80, a ^ 7)] {
                let topic = Topic([a, b, c, high]);
                let from_bits = Bloom::topic_bits(topic).fold(Bloom::EMPTY, |mut bloom, bit| {
                    assert!(bloom.0[bit / 8] & (1 << (bit % 8)) == 0, "each bit once");
                    bloom.0[bit / 8] |= 1 << (bit % 8);
                    bloom
                });
                assert_eq!(from_bits, Bloom::of_topic(topic), "{topic}");
            }
        }
    }
}

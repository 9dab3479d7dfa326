//! Each number of `spec/devp2p.md` §6.9 about the radius.

use rand::SeedableRng as _;

use super::*;
use crate::topics::testing::node;

fn rng() -> StdRng {
    StdRng::from_seed([3; 32])
}

fn radius(now: Instant) -> Radius {
    Radius::new(now, &"whispermail".parse().unwrap())
}

fn bucket(outside: f64, inside: f64) -> Bucket {
    Bucket { outside, inside, no_adjust: 0.0 }
}

/// §11.9: the centre; §6.9: the radius is the greatest at first.
#[test]
fn section_6_9_a_new_topic() {
    let radius = radius(Instant::now());
    assert_eq!(radius.centre, 0x9a76_6b49_5301_38b0);
    assert_eq!(radius.radius, u64::MAX);
}

/// §11.9: numeric checks of the buckets.
#[test]
fn section_11_9_bucket_of_a_distance() {
    for (distance, want) in [(u64::MAX, 0), (1 << 63, 8), (1 << 40, 192), (1, 511), (0, 511)] {
        assert_eq!(bucket_of(distance), want, "{distance}");
    }
    assert_eq!((distance_at(0), distance_at(8), distance_at(192)), (u64::MAX, 1 << 63, 1 << 40));
}

/// §6.9: the target of a radius lookup lies in its bucket.
#[test]
fn section_6_9_targets_in_a_bucket() {
    let mut rng = rng();
    for bucket in (0..400).chain([511]) {
        for _ in 0..20 {
            let distance = distance_in(&mut rng, bucket);
            assert!(bucket_of(distance).abs_diff(bucket) <= 1, "{distance} for {bucket}");
        }
    }
    let in_first = (0..1000).filter(|_| bucket_of(distance_in(&mut rng, 16)) == 16).count();
    assert!(in_first > 990, "{in_first}");
}

/// §6.9: a regular target is uniform inside the radius but for its rim, and never beyond radius + rim.
#[test]
fn section_6_9_regular_targets() {
    let mut rng = rng();
    for radius in [1, 1000, 1 << 40, 1 << 63, u64::MAX - 5, u64::MAX] {
        let rim = (radius / 2).min(u64::MAX - radius);
        let distances: Vec<u64> = (0..4000).map(|_| regular_distance(&mut rng, radius)).collect();
        assert!(distances.iter().all(|distance| *distance <= radius.saturating_add(rim)), "{radius}");
        if radius > 1 {
            let near = distances.iter().filter(|distance| **distance < radius / 2).count();
            assert!((1800..2200).contains(&near), "half of them within half the radius {radius}: {near}");
        }
    }
}

/// §6.9: target = BE64(P xor distance) ++ 24 random bytes.
#[test]
fn section_6_9_shape_of_a_target() {
    let (now, mut rng) = (Instant::now(), rng());
    let mut radius = radius(now);
    let a = radius.next_target(now, &mut rng, true);
    let b = radius.next_target(now, &mut rng, true);
    assert_eq!(a.bucket, None);
    assert_eq!(a.hash[..8], radius.centre.to_be_bytes(), "the centre while nothing is known");
    assert_ne!(a.hash[8..], b.hash[8..]);
    let first = radius.next_target(now, &mut rng, false);
    let wanted = first.bucket.expect("nothing is known yet");
    assert!(wanted < 8, "the first eight buckets from the peak on");
    assert!(bucket_of(prefix(&first.hash) ^ radius.centre).abs_diff(wanted) <= 1);
}

/// §6.9: v = clamp(wait / 600 - 0.5, 0, 1) of a ticket; 1 or 0 of an answer; v to inside and 1 - v to outside.
#[test]
fn section_6_9_samples() {
    for (wait, inside) in [(60, 0.0), (300, 0.0), (450, 0.25), (600, 0.5), (900, 1.0), (u32::MAX, 1.0)] {
        let now = Instant::now();
        let mut radius = radius(now);
        radius.buckets = vec![Bucket::default(); 9];
        let far = node(!radius.centre).id;
        radius.sample_wait(now, &[0; 32], &far, wait);
        assert_eq!((radius.buckets[0].inside, radius.buckets[0].outside), (inside, 1.0 - inside), "{wait}");
        radius.sample_answer(now, &[0; 32], &far, true);
        radius.sample_answer(now, &[0; 32], &far, false);
        assert_eq!((radius.buckets[0].inside, radius.buckets[0].outside), (inside + 1.0, 2.0 - inside));
        let near = node(radius.centre).id;
        radius.sample_wait(now, &[0; 32], &near, wait);
        assert!(
            radius.buckets[1..].iter().all(|b| b.outside + b.inside == 0.0),
            "only tracked buckets count"
        );
    }
}

/// §6.9: weights decay with exp(-dt / 20 min).
#[test]
fn section_6_9_decay() {
    let now = Instant::now();
    let mut radius = radius(now);
    radius.buckets = vec![Bucket { outside: 1.0, inside: 2.0, no_adjust: 4.0 }];
    radius.update(now + Duration::from_secs(1200));
    let Bucket { outside, inside, no_adjust } = radius.buckets[0];
    for (got, want) in [(outside, 1.0), (inside, 2.0), (no_adjust, 4.0)] {
        assert!((got - want / std::f64::consts::E).abs() < 1e-9);
    }
}

/// §6.9: a radius lookup without a sample within 500 ms adds 1 to noAdjust; at 20 the bucket is left alone.
#[test]
fn section_6_9_lookups_that_bring_nothing() {
    let (now, mut rng) = (Instant::now(), rng());
    let mut radius = radius(now);
    radius.buckets = vec![Bucket::default(); 9];
    let target = Target { hash: [1; 32], bucket: Some(0) };
    let far = node(!radius.centre).id;
    radius.looked_up(now, &target);
    radius.update(now + Duration::from_millis(500));
    assert_eq!(radius.buckets[0].no_adjust, 0.0);
    radius.update(now + Duration::from_millis(501));
    assert!((radius.buckets[0].no_adjust - 1.0).abs() < 0.001);
    radius.looked_up(now, &target);
    radius.sample_wait(now, &[1; 32], &far, 60);
    radius.update(now + Duration::from_secs(1));
    assert!(radius.buckets[0].no_adjust < 1.0, "that one brought something");

    radius.buckets = vec![Bucket { no_adjust: 20.0, ..Bucket::default() }; 9];
    assert_eq!(radius.pick(&mut rng, 0..8), None);
    radius.buckets[3].no_adjust = 19.9;
    assert_eq!(radius.pick(&mut rng, 0..8), Some(3));
    for _ in 0..1000 {
        radius.looked_up(now, &target);
    }
    assert_eq!(radius.awaited.len(), 64);
}

/// §6.9: nothing is known: candidates 0..7, the list grows to maxBucket + 9.
#[test]
fn section_6_9_where_to_look_first() {
    let mut rng = rng();
    let mut radius = radius(Instant::now());
    let picked: std::collections::BTreeSet<usize> =
        (0..200).map(|_| radius.recalculate(&mut rng).unwrap()).collect();
    assert_eq!(picked.into_iter().collect::<Vec<_>>(), (0..8).collect::<Vec<_>>());
    assert_eq!(radius.buckets.len(), 9);
}

/// §6.9: both sides of the peak, and the list grows with it.
#[test]
fn section_6_9_both_sides_of_the_peak() {
    let mut rng = rng();
    let mut radius = radius(Instant::now());
    radius.buckets = vec![Bucket::default(); 40];
    for index in 0..20 {
        radius.buckets[index] = bucket(2.0, 0.0);
    }
    let picked: std::collections::BTreeSet<usize> =
        (0..500).map(|_| radius.recalculate(&mut rng).unwrap()).collect();
    assert_eq!(picked.into_iter().collect::<Vec<_>>(), (12..28).collect::<Vec<_>>());
    radius.buckets.truncate(20);
    radius.recalculate(&mut rng).unwrap();
    assert_eq!(radius.buckets.len(), 29);
}

/// §6.9: a peak of 40 over what is left of it, and a slope crossing right after it: enough is known.
#[test]
fn section_6_9_converged() {
    let (now, mut rng) = (Instant::now(), rng());
    let mut radius = radius(now);
    radius.buckets = vec![Bucket::default(); 30];
    for index in 10..16 {
        radius.buckets[index] = bucket(10.0, 0.0);
    }
    radius.buckets[0] = bucket(16.0, 0.0);
    radius.buckets[16] = bucket(0.0, 200.0);
    assert_eq!(radius.recalculate(&mut rng), None);
    assert_eq!(radius.radius, distance_at(16), "the peak is bucket 15");
    let target = radius.next_target(now, &mut rng, false);
    assert_eq!(target.bucket, None, "then the lookups are regular");
    assert_ne!(target.hash[..8], radius.centre.to_be_bytes(), "anywhere in the radius");

    // 89 at the peak and 50 left of it: 1 too little.
    radius.buckets[0] = bucket(50.0, 0.0);
    radius.buckets[10] = bucket(0.0, 11.0);
    assert!(radius.recalculate(&mut rng).is_some());
}

/// §6.9: minRadBucket is the largest index from which on the weights are 20 or more, 0 if never.
#[test]
fn section_6_9_least_bucket() {
    let mut radius = radius(Instant::now());
    assert_eq!(radius.least_bucket(), 0);
    radius.buckets = vec![bucket(2.0, 1.0); 6];
    assert_eq!(radius.least_bucket(), 0, "18 in all");
    radius.buckets = vec![bucket(2.0, 2.0); 6];
    assert_eq!(radius.least_bucket(), 1, "20 in the last five");
}

/// The list of buckets has an end, however near the nodes are that answer.
#[test]
fn the_buckets_are_bounded() {
    let (now, mut rng) = (Instant::now(), rng());
    let mut radius = radius(now);
    let near = node(radius.centre).id;
    for _ in 0..100 {
        radius.next_target(now, &mut rng, false);
        radius.buckets.iter_mut().for_each(|bucket| bucket.outside += MIN_PEAK);
        radius.sample_wait(now, &[0; 32], &near, 60);
    }
    assert_eq!(radius.buckets.len(), 512);
}

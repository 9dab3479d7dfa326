//! Around a topic's hash, how far out its registrars are: estimated from waits and answers. Pure.
//!
//! Distance is the XOR of 64-bit prefixes. It is cut into buckets of an eighth of a bit; an early bucket is far away. A
//! sample is *inside* when the node had to do with the topic, *outside* when not; the running sum of outside − inside
//! over the buckets has its peak at the radius. Facts: `spec/devp2p.md` §6.9.

use std::time::{Duration, Instant};

use enode::NodeId;
use rand::{Rng as _, RngCore as _, rngs::StdRng};

use crate::Topic;

/// Buckets a bit of distance.
const BUCKETS_PER_BIT: f64 = 8.0;
/// Most buckets: 64 bits of them.
const MAX_BUCKETS: usize = 512;
/// In how long a weight falls to 1/e, seconds.
pub(super) const TIME_CONSTANT: Duration = Duration::from_secs(1200);
/// How long a lookup has to bring a sample into its bucket.
const RESULT_TIMEOUT: Duration = Duration::from_millis(500);
/// Lookups without a sample after which a bucket is left alone.
const MAX_NO_ADJUST: f64 = 20.0;
/// The sum ends at the first bucket where it is below this times the bucket's index.
const MIN_SLOPE: f64 = 1.0;
/// How far the peak must stand above the sum beside it.
const MIN_PEAK: f64 = 40.0;
/// Weight of the innermost samples that bounds the least radius.
const MIN_RIGHT_SUM: f64 = 20.0;
/// Buckets on each side of the peak where more is wanted to be known.
const LOOKUP_WIDTH: usize = 8;
/// Lookups that wait for a sample at once; more are counted as if they had one.
const MAX_AWAITED: usize = 64;

#[derive(Default, Clone, Debug)]
struct Bucket {
    outside: f64,
    inside: f64,
    no_adjust: f64,
}

/// A lookup of one bucket that has brought no sample yet.
#[derive(Debug)]
struct Awaited {
    target: [u8; 32],
    bucket: usize,
    since: Instant,
}

/// Where to look next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Target {
    pub(super) hash: [u8; 32],
    /// The bucket that this is about, for a radius lookup; `None` for a regular one.
    pub(super) bucket: Option<usize>,
}

/// What is known about where a topic's registrars are.
#[derive(Debug)]
pub(super) struct Radius {
    centre: u64,
    radius: u64,
    buckets: Vec<Bucket>,
    updated: Instant,
    awaited: Vec<Awaited>,
}

impl Radius {
    pub(super) fn new(now: Instant, topic: &Topic) -> Self {
        Self {
            centre: prefix(&topic.hash()),
            radius: u64::MAX,
            buckets: Vec::new(),
            updated: now,
            awaited: Vec::new(),
        }
    }

    /// Where to look next: at a bucket that more is to be known of, unless there is none or it is to be `regular`. As long
    /// as the radius is not known, a regular target is the centre: there both sides of a quiet topic meet.
    pub(super) fn next_target(&mut self, now: Instant, rng: &mut StdRng, regular: bool) -> Target {
        self.update(now);
        let open = self.recalculate(rng);
        let bucket = open.filter(|_| !regular);
        let distance = match (bucket, open) {
            (Some(bucket), _) => distance_in(rng, bucket),
            (None, Some(_)) => 0,
            (None, None) => regular_distance(rng, self.radius),
        };
        let mut hash = [0; 32];
        rng.fill_bytes(&mut hash);
        hash[..8].copy_from_slice(&(self.centre ^ distance).to_be_bytes());
        Target { hash, bucket }
    }

    /// The nodes that a lookup of `target` found were asked just now; samples are due.
    pub(super) fn looked_up(&mut self, now: Instant, target: &Target) {
        if let Some(bucket) = target.bucket
            && self.awaited.len() < MAX_AWAITED
        {
            self.awaited.push(Awaited { target: target.hash, bucket, since: now });
        }
    }

    /// What a node at `id` said to a ticket wish: how long to wait, seconds.
    pub(super) fn sample_wait(&mut self, now: Instant, target: &[u8; 32], id: &NodeId, wait_s: u32) {
        self.sample(now, target, id, (f64::from(wait_s) / 600.0 - 0.5).clamp(0.0, 1.0));
    }

    /// Whether a node at `id` knew nodes of the topic.
    pub(super) fn sample_answer(&mut self, now: Instant, target: &[u8; 32], id: &NodeId, any: bool) {
        self.sample(now, target, id, f64::from(u8::from(any)));
    }

    fn sample(&mut self, now: Instant, target: &[u8; 32], id: &NodeId, inside: f64) {
        self.update(now);
        let index = bucket_of(prefix(id.as_bytes()) ^ self.centre);
        if let Some(bucket) = self.buckets.get_mut(index) {
            bucket.inside += inside;
            bucket.outside += 1.0 - inside;
            self.awaited.retain(|awaited| awaited.bucket != index || awaited.target != *target);
        }
    }

    /// Lets the weights decay up to `now` and counts the lookups that brought nothing.
    fn update(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.updated);
        self.updated = self.updated.max(now);
        if !since.is_zero() {
            let factor = (-since.as_secs_f64() / TIME_CONSTANT.as_secs_f64()).exp();
            for bucket in &mut self.buckets {
                bucket.outside *= factor;
                bucket.inside *= factor;
                bucket.no_adjust *= factor;
            }
        }
        let buckets = &mut self.buckets;
        self.awaited.retain(|awaited| {
            let waits = now.saturating_duration_since(awaited.since) <= RESULT_TIMEOUT;
            if !waits && let Some(bucket) = buckets.get_mut(awaited.bucket) {
                bucket.no_adjust += 1.0;
            }
            waits
        });
    }

    /// What is learned so far of both radii, and the bucket to look up next; `None` when enough is known. (The reference
    /// takes the radius for boundless until then.)
    fn recalculate(&mut self, rng: &mut StdRng) -> Option<usize> {
        let mut sum = 0.0;
        let mut values = Vec::with_capacity(self.buckets.len());
        for bucket in &self.buckets {
            sum += bucket.outside - bucket.inside;
            values.push(sum);
        }
        let (mut peak, mut after_peak, mut crossing) = (0.0, 0, None);
        let mut slope = 0.0;
        for (index, value) in values.iter().enumerate() {
            if *value < slope {
                crossing = Some(index);
                break;
            }
            if *value > peak {
                (peak, after_peak) = (*value, index + 1);
            }
            slope += MIN_SLOPE;
        }
        let least = self.least_bucket();

        let stands_out = |side: &[f64]| peak - side.iter().copied().fold(0.0, f64::max) >= MIN_PEAK;
        let left_end = after_peak.saturating_sub(LOOKUP_WIDTH).min(values.len());
        let left = (!stands_out(&values[..left_end]))
            .then(|| self.pick(rng, after_peak.saturating_sub(LOOKUP_WIDTH)..after_peak))
            .flatten();
        let right_start = (after_peak + LOOKUP_WIDTH).min(values.len());
        let wants_right =
            crossing != Some(after_peak) && (least <= after_peak || !stands_out(&values[right_start..]));
        let right = wants_right
            .then(|| {
                let wanted = (after_peak + LOOKUP_WIDTH + 1).min(MAX_BUCKETS);
                if self.buckets.len() < wanted {
                    self.buckets.resize(wanted, Bucket::default());
                }
                self.pick(rng, after_peak..after_peak + LOOKUP_WIDTH)
            })
            .flatten();
        let picked = match (left, right) {
            (Some(left), Some(right)) => Some(if rng.random() { left } else { right }),
            (left, right) => left.or(right),
        };
        self.radius = distance_at(after_peak.min(least));
        picked
    }

    /// The largest bucket from which on to the end the samples have weight enough; 0 if there is none.
    fn least_bucket(&self) -> usize {
        let mut sum = 0.0;
        let weights = self.buckets.iter().enumerate().rev();
        for (index, bucket) in weights {
            sum += bucket.inside + bucket.outside;
            if sum >= MIN_RIGHT_SUM {
                return index;
            }
        }
        0
    }

    /// One at random of those buckets in `range` that may still bring something.
    fn pick(&self, rng: &mut StdRng, range: std::ops::Range<usize>) -> Option<usize> {
        let open: Vec<usize> = range
            .filter(|index| self.buckets.get(*index).is_some_and(|b| b.no_adjust < MAX_NO_ADJUST))
            .collect();
        (!open.is_empty()).then(|| open[rng.random_range(0..open.len())])
    }
}

/// The first 8 bytes as an integer.
fn prefix(hash: &[u8; 32]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *hash;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// `floor((64 - log2(distance)) * 8)`, at most 511.
fn bucket_of(distance: u64) -> usize {
    if distance == 0 {
        return MAX_BUCKETS - 1;
    }
    let bucket = (64.0 - (distance as f64).log2()) * BUCKETS_PER_BIT;
    #[expect(clippy::cast_possible_truncation, reason = "between 0 and 512")]
    let bucket = bucket as usize;
    bucket.min(MAX_BUCKETS - 1)
}

/// The outer end of a bucket, `2^(64 - bucket / 8)`, at most what 64 bits hold: in the reference bucket 0 overflows.
fn distance_at(bucket: usize) -> u64 {
    let distance = (64.0 - bucket as f64 / BUCKETS_PER_BIT).exp2();
    #[expect(clippy::cast_possible_truncation, reason = "saturates")]
    let distance = distance as u64;
    distance
}

/// A distance at random in a bucket.
fn distance_in(rng: &mut StdRng, bucket: usize) -> u64 {
    let (near, far) = (distance_at(bucket + 1), distance_at(bucket));
    if near < far { rng.random_range(near..far) } else { near }
}

/// A distance at random for a regular lookup: within the radius, less often beyond its rim.
fn regular_distance(rng: &mut StdRng, radius: u64) -> u64 {
    let rim = (radius / 2).min(u64::MAX - radius);
    let inner = u128::from(rng.random_range(0..radius.max(1)));
    let outer = if rim == 0 { 0 } else { rng.random_range(0..2 * u128::from(rim)) };
    u64::try_from((inner + outer).abs_diff(u128::from(rim))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;

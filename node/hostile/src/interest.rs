//! Interest as large as is allowed, larger, and changed all the time. `spec/waku-mailserver.md` §4.2, §4.4, §4.14.

use waku_wire::{BLOOM_BYTES, ProtocolVersion, StatusOptions, Topic, codes};

use crate::{
    End, PERIOD, Target,
    peer::{Life, Peer},
};

pub(crate) const WAYS: &[&str] = &["10000 topics", "256 topics", "bloom", "10001 topics", "changes"];

/// Most topics of a peer.
const MAX_TOPICS: u32 = 10_000;
/// The largest set that the relay keeps topic by topic.
const SMALL_SET: u32 = 256;

pub(crate) async fn live(way: &str, number: u32, target: &Target) -> Life<End> {
    let status = match way {
        "10000 topics" => topics(number, MAX_TOPICS),
        "256 topics" => topics(number, SMALL_SET),
        "10001 topics" => topics(number, MAX_TOPICS + 1),
        // Half of its bits, other ones for each peer.
        _ => StatusOptions {
            bloom: Some((0..BLOOM_BYTES).map(|_| rand::random()).collect()),
            ..StatusOptions::default()
        },
    };
    let peer = Peer::joined(target, &status, false).await?;
    if way != "changes" {
        return Ok(peer.end().await);
    }
    let mut round = number;
    let next = move |peer: &mut Peer| {
        round = round.wrapping_add(0x1000_0000);
        let update = topics(round, if round & 0x1000_0000 == 0 { SMALL_SET } else { MAX_TOPICS });
        peer.frame(codes::STATUS_UPDATE, &update.encode_update(ProtocolVersion::V1))
    };
    peer.flood(PERIOD, next).await
}

/// So many topics that no other peer has.
fn topics(number: u32, count: u32) -> StatusOptions {
    let first = number.wrapping_mul(2 * MAX_TOPICS);
    let topics = (0..count).map(|n| Topic(first.wrapping_add(n).to_be_bytes())).collect();
    StatusOptions { topics: Some(topics), ..StatusOptions::default() }
}

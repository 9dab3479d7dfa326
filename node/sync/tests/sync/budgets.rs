//! Bytes on the wire, frames of RLPx and all, as design §2 allows them.

use std::sync::atomic::Ordering;

use archive::conformance::DAY_START;
use waku_wire::WireEnvelope;

use crate::support::*;

fn bytes(traffic: &Traffic) -> u64 {
    traffic.bytes.load(Ordering::Relaxed) - traffic.envelope_bytes.load(Ordering::Relaxed)
}

/// Four days, all hours, and one of them with as many as a million a day has.
fn busy() -> Vec<WireEnvelope> {
    [
        every(DAY_START, 60, 5700, 0),
        (0..41_000).flat_map(|n| every(DAY_START + 86_400 + n % 3600, 1, 1, n)).collect(),
    ]
    .concat()
}

#[tokio::test]
async fn equal_archives_take_less_than_2_kb() {
    let all = busy();
    let (one, two) = (Replica::holding(&all).await, Replica::holding(&all).await);
    let (asked, _, traffic) = round(&one, &two).await;
    assert!(asked.complete && asked.hours == 0);
    assert!(bytes(&traffic) <= 2000, "{} B", bytes(&traffic));
}

#[tokio::test]
async fn differences_take_4_kb_an_hour_and_100_bytes_each() {
    let all = busy();
    let mut hour: Vec<usize> = (0..all.len())
        .filter(|at| (DAY_START + 86_400..DAY_START + 90_000).contains(&all[*at].sent()))
        .collect();
    hour.sort_unstable_by_key(|at| all[*at].hash());
    for d in [1, 2, 10, 100, 1000, 10_000, hour.len()] {
        // Half of them on each side.
        let lost = |from: usize, to: usize| {
            let gone: std::collections::HashSet<usize> = hour[from..to].iter().copied().collect();
            all.iter()
                .enumerate()
                .filter(|(at, _)| !gone.contains(at))
                .map(|(_, it)| it.clone())
                .collect::<Vec<_>>()
        };
        let (a, b) = (lost(0, d / 2), lost(d / 2, d));
        let (one, two) = (Replica::holding(&a).await, Replica::holding(&b).await);
        let (asked, answered, traffic) = round(&one, &two).await;
        assert_eq!((asked.hours, asked.complete), (1, true));
        assert_eq!(asked.stored + answered.stored, d as u64);
        let budget = 4096 + 100 * d as u64;
        println!("d = {d}: {} B of {budget} in {:?} messages", bytes(&traffic), traffic.messages);
        assert!(bytes(&traffic) <= budget, "{d} differences: {} B", bytes(&traffic));
    }
}

#[tokio::test]
async fn an_empty_archive_fills_within_the_budget() {
    let all = every(DAY_START, 17, 20_000, 0);
    let (one, two) = (Replica::new(), Replica::holding(&all).await);
    let (asked, _, traffic) = round(&one, &two).await;
    assert_eq!(asked.stored, 20_000);
    let budget = 4096 * u64::from(asked.hours) + 100 * 20_000;
    assert!(bytes(&traffic) <= budget, "{} B of {budget}", bytes(&traffic));
    let given: usize = all.iter().map(|envelope| envelope.raw().len()).sum();
    assert_eq!(traffic.envelope_bytes.load(Ordering::Relaxed), given as u64, "each once");
}

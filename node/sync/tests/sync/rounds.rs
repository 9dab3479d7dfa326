//! What two and three archives hold after rounds between them.

use archive::{
    History as _, Retention,
    conformance::{DAY_START, envelope},
};
use proptest::prelude::*;
use waku_wire::WireEnvelope;

use crate::support::*;

/// An envelope and who of three has it.
fn contents() -> impl Strategy<Value = Vec<(WireEnvelope, [bool; 3])>> {
    // Some hours are crowded, and some envelopes share a second.
    let sent = prop_oneof![0..3 * 86_400u32, 7200..7260u32, 86_400..90_000u32];
    let one = (sent, 0..4u32, any::<[bool; 3]>())
        .prop_map(|(sent, salt, who)| (envelope(DAY_START + sent, [1; 4], salt, 60), who));
    prop::collection::vec(one, 0..300)
}

fn of(all: &[(WireEnvelope, [bool; 3])], who: usize) -> Vec<WireEnvelope> {
    all.iter().filter(|(_, has)| has[who]).map(|(envelope, _)| envelope.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn after_a_round_both_hold_the_union_and_only_what_was_missing_went_over(all in contents()) {
        archive::conformance::block_on(async {
            let (a, b) = (of(&all, 0), of(&all, 1));
            let union = places(&[a.clone(), b.clone()].concat());
            let (one, two) = (Replica::holding(&a).await, Replica::holding(&b).await);
            let (asked, answered, _) = round(&one, &two).await;
            assert_eq!((one.held().await, two.held().await), (union.clone(), union.clone()));
            assert!(asked.complete && answered.complete);
            let lacked = |had: &[WireEnvelope]| (union.len() - places(had).len()) as u64;
            assert_eq!((asked.stored, answered.stored), (lacked(&a), lacked(&b)));
            assert_eq!((answered.given, asked.given), (lacked(&a), lacked(&b)));
            assert_eq!(one.counts.stored.load(std::sync::atomic::Ordering::Relaxed), lacked(&a));
        });
    }

    #[test]
    fn three_archives_hold_the_union_after_rounds_at_the_same_time_and_one_more(all in contents()) {
        archive::conformance::block_on(async {
            let replicas = [
                Replica::holding(&of(&all, 0)).await,
                Replica::holding(&of(&all, 1)).await,
                Replica::holding(&of(&all, 2)).await,
            ];
            let union = places(&[of(&all, 0), of(&all, 1), of(&all, 2)].concat());
            let [a, b, c] = &replicas;
            tokio::join!(round(a, b), round(b, c), round(c, a));
            tokio::join!(round(a, b), round(b, c), round(c, a));
            let (asked, _, _) = round(a, b).await;
            assert!(asked.complete);
            for replica in &replicas {
                assert_eq!(replica.held().await, union);
            }
        });
    }
}

#[tokio::test]
async fn an_empty_replica_fills_from_two_at_once_and_is_given_nothing_twice() {
    let all = every(DAY_START, 30, 6000, 0);
    let (full, other, empty) = (Replica::holding(&all).await, Replica::holding(&all).await, Replica::new());
    let ((asked, _, _), (also, _, _)) = tokio::join!(round(&empty, &full), round(&empty, &other));
    assert_eq!(asked.stored + also.stored, 6000);
    assert_eq!(asked.duplicates + also.duplicates, 0);
    assert!(asked.stored > 1000 && also.stored > 1000, "{} and {}", asked.stored, also.stored);
    assert_eq!(empty.held().await, places(&all));
}

#[tokio::test]
async fn a_round_after_a_cut_at_any_message_ends_with_the_union() {
    let common = every(DAY_START, 600, 300, 0);
    let (left, right) = (every(DAY_START + 7, 97, 700, 1000), every(DAY_START + 50_000, 11, 900, 5000));
    let (a, b) = ([common.clone(), left].concat(), [common, right].concat());
    let union = places(&[a.clone(), b.clone()].concat());
    // How many messages a round takes differs with its salt.
    for cut in 0.. {
        let (one, two) = (Replica::holding(&a).await, Replica::holding(&b).await);
        let (first, second, _) = round_of(&one, &two, cut).await;
        if first.1.is_ok() && second.1.is_ok() {
            assert!(cut > 50, "{cut} messages: too few to try");
            break;
        }
        assert!(!first.0.complete, "cut at {cut}");
        let (asked, answered, _) = round(&one, &two).await;
        assert!(asked.complete && answered.complete, "cut at {cut}");
        assert_eq!((one.held().await, two.held().await), (union.clone(), union.clone()), "cut at {cut}");
        // Nothing that was stored before the cut is transferred again.
        assert_eq!(first.0.stored + asked.stored, (union.len() - a.len()) as u64, "cut at {cut}");
        assert_eq!((asked.duplicates, answered.duplicates), (0, 0), "cut at {cut}");
    }
}

#[tokio::test]
async fn nothing_below_a_floor_is_asked_for_or_lost() {
    let all = every(DAY_START, 600, 500, 0);
    let (old, young) = (Replica::holding(&all).await, Replica::new());
    let policy = Retention { max_age: Some(86_400), max_bytes: None };
    young.store.rows.evict(policy, NOW).await.unwrap();
    let floor = young.store.rows.floor();
    assert!(floor > DAY_START + 86_400);
    let kept: Vec<_> = all.iter().filter(|envelope| envelope.sent() >= floor).cloned().collect();
    for (asking, answering) in [(&young, &old), (&old, &young)] {
        let (asked, answered, _) = round(asking, answering).await;
        assert!(asked.complete && answered.complete);
        assert_eq!((asked.refused, answered.refused), (0, 0));
        assert_eq!(young.held().await, places(&kept));
        assert_eq!(old.held().await, places(&all), "what one drops, the other keeps");
    }
}

#[tokio::test]
async fn the_last_minute_is_left_to_gossip() {
    let edge =
        [envelope(NOW - 60, [1; 4], 0, 50), envelope(NOW - 59, [1; 4], 0, 50), envelope(NOW, [1; 4], 0, 50)];
    let (full, empty) = (Replica::holding(&edge).await, Replica::new());
    let (asked, _, _) = round(&empty, &full).await;
    assert_eq!((asked.complete, asked.to), (true, NOW - 60));
    assert_eq!(empty.held().await, places(&edge[..1]));
    let late = envelope(NOW - 70, [1; 4], 9, 50);
    full.add(std::slice::from_ref(&late)).await;
    round(&full, &empty).await;
    assert_eq!(empty.held().await, places(&[edge[0].clone(), late]));
}

#[tokio::test]
async fn an_hour_and_a_second_of_more_ids_than_one_go_allows_are_halved() {
    let crowd: Vec<WireEnvelope> = (0..70_000).map(|salt| envelope(DAY_START + 7, [1; 4], salt, 4)).collect();
    let mut other = crowd.clone();
    let lost = other.swap_remove(40_000);
    let extra = envelope(DAY_START + 3599, [2; 4], 1, 40);
    other.push(extra.clone());
    let union = places(&[&crowd[..], &[extra]].concat());
    for turned in [false, true] {
        let (one, two) = (Replica::holding(&crowd).await, Replica::holding(&other).await);
        let (asking, answering) = if turned { (&two, &one) } else { (&one, &two) };
        let (asked, answered, _) = round(asking, answering).await;
        assert!(asked.complete && answered.complete);
        assert_eq!((asked.stored, answered.stored), (1, 1));
        assert_eq!((one.held().await.len(), two.held().await.len()), (70_001, 70_001));
        assert!(two.held().await.contains(&places(std::slice::from_ref(&lost))[0]));
        assert_eq!(one.held().await, union);
    }
    // Nobody but the answering side has too many.
    let (one, two) = (Replica::new(), Replica::holding(&crowd).await);
    let (asked, _, _) = round(&one, &two).await;
    assert!(asked.complete);
    assert_eq!(one.held().await, places(&crowd));
}

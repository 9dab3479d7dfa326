//! Archives that cannot take or read, quotas: the round ends, the session goes on.

use std::sync::atomic::Ordering;

use archive::{
    ArchiveError,
    conformance::{DAY_START, envelope},
};
use replica_sync::{QuotaConfig, Report, SiteConfig, SyncError, initiate, respond};

use crate::support::*;

/// A failed round and then a good one over the same wire.
async fn fails_then_works(
    asking: &Replica,
    answering: &Replica,
    repair: impl Fn(),
) -> [Result<(), SyncError>; 2] {
    let (mut a, mut b, _) = wire(i64::MAX);
    let ask =
        async |end: &mut End, report: &mut Report| initiate(end, &asking.site, &asking.quota, report).await;
    let answer = async |end: &mut End, report: &mut Report| {
        respond(end, &answering.site, &answering.quota, report).await
    };
    let (mut first, mut second) = (Report::default(), Report::default());
    let (one, two) = tokio::join!(ask(&mut a, &mut first), answer(&mut b, &mut second));
    assert!(!first.complete && !second.complete);
    repair();
    let (mut third, mut fourth) = (Report::default(), Report::default());
    let (again, also) = tokio::join!(ask(&mut a, &mut third), answer(&mut b, &mut fourth));
    again.unwrap();
    also.unwrap();
    assert!(third.complete && fourth.complete);
    assert_eq!(asking.held().await, answering.held().await);
    [one, two]
}

#[tokio::test]
async fn a_full_disk_on_either_side_ends_the_round_and_not_the_session() {
    let (left, right) = (every(DAY_START, 13, 3000, 0), every(DAY_START + 5, 11, 3000, 9000));
    for asking_is_full in [true, false] {
        let (one, two) = (Replica::holding(&left).await, Replica::holding(&right).await);
        let full = if asking_is_full { &one } else { &two };
        full.store.full.store(true, Ordering::Relaxed);
        let repair = || full.store.full.store(false, Ordering::Relaxed);
        let mut outcomes = fails_then_works(&one, &two, repair).await;
        if !asking_is_full {
            outcomes.reverse();
        }
        let [own, other] = outcomes;
        assert!(matches!(own, Err(SyncError::Archive(ArchiveError::Full(_)))), "{own:?}");
        assert!(matches!(other, Ok(()) | Err(SyncError::PeerFailed | SyncError::PeerEnded)), "{other:?}");
        assert!(!own.unwrap_err().ends_session());
        assert!(full.counts.failed.load(Ordering::Relaxed) > 0);
    }
}

#[tokio::test]
async fn a_peer_adds_no_more_than_its_quota() {
    let all = every(DAY_START, 13, 3000, 0);
    let size: u64 = all.iter().map(|envelope| envelope.raw().len() as u64).sum();
    let quota = QuotaConfig { bytes_per_day: size / 3 };
    for asking in [true, false] {
        let (poor, rich) = (Replica::with(config(), quota), Replica::holding(&all).await);
        let (first, second, _) = match asking {
            true => round_of(&poor, &rich, i64::MAX).await,
            false => round_of(&rich, &poor, i64::MAX).await,
        };
        let (own, other) = if asking { (first, second) } else { (second, first) };
        assert!(matches!(own.1, Err(SyncError::OverQuota)), "{:?}", own.1);
        assert!(other.1.is_err() || !other.0.complete);
        assert!(own.0.bytes <= size / 3 && own.0.bytes > size / 4, "{} of {size}", own.0.bytes);
        let held = poor.held().await;
        assert_eq!(held.len() as u64, own.0.stored);
        assert!(held.iter().all(|place| places(&all).contains(place)));
        assert_eq!(rich.held().await.len(), all.len());
    }
}

#[tokio::test]
async fn what_has_no_work_or_is_too_large_is_refused_and_agreement_does_not_wait_for_it() {
    let (small, large) = (envelope(DAY_START, [1; 4], 0, 100), envelope(DAY_START + 1, [1; 4], 0, 9000));
    let work = waku_wire::pow::Pow::exact(&small, 0).value();
    let picky = |min_pow, max_message_size| {
        Replica::with(SiteConfig { min_pow, max_message_size, ..config() }, QuotaConfig::default())
    };
    for (replica, kept) in [
        (picky(work, 1 << 20), vec![small.clone()]),
        (picky(0.0, 8000), vec![small.clone()]),
        (picky(work * 1e9, 1 << 20), vec![]),
    ] {
        let both = [small.clone(), large.clone()];
        if places(&kept).len() == 1 && waku_wire::pow::Pow::exact(&large, 0).value() >= work {
            // The larger one has at least as little work by length; its hash may be lucky.
            continue;
        }
        let full = Replica::holding(&both).await;
        let (asked, answered, _) = round(&replica, &full).await;
        assert_eq!(replica.held().await, places(&kept));
        assert_eq!(asked.refused, 2 - kept.len() as u64);
        assert!(asked.complete && answered.complete);
    }
}

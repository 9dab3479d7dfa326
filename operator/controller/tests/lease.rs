//! Leader election (design §3 "Leader election"): at most one leader, hand-over at once on release, take-over after
//! the duration on a crash.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

mod support;

use std::time::Duration;

use serde_json::json;
use status_operator::lease::{Config, Elector};
use support::{FakeApi, Fault, objects::Path};
use tokio::time::{Instant, timeout};

fn candidate(api: &FakeApi, identity: &str) -> Elector {
    let config = Config {
        namespace: "ops".into(),
        name: "status-operator".into(),
        identity: identity.into(),
        duration: Duration::from_secs(15),
    };
    Elector::new(api.client(), config)
}

fn lease() -> Path {
    Path::new("leases", "ops", "status-operator")
}

fn holder(api: &FakeApi) -> String {
    api.get(&lease()).unwrap()["spec"]["holderIdentity"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn the_first_candidate_leads_and_the_second_waits() {
    let api = FakeApi::default();
    let mut first = candidate(&api, "a").acquire().await;
    assert_eq!(holder(&api), "a");
    let second = tokio::spawn(candidate(&api, "b").acquire());
    let kept = timeout(Duration::from_secs(120), first.keep()).await;
    assert!(kept.is_err(), "lost: {kept:?}");
    assert!(!second.is_finished());
    assert_eq!(holder(&api), "a");
    second.abort();
}

#[tokio::test(start_paused = true)]
async fn a_release_hands_over_within_two_seconds() {
    let api = FakeApi::default();
    let first = candidate(&api, "a").acquire().await;
    let second = tokio::spawn(candidate(&api, "b").acquire());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asked = Instant::now();
    first.release().await;
    second.await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert_eq!(holder(&api), "b");
    assert_eq!(api.get(&lease()).unwrap()["spec"]["leaseTransitions"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_silent_leader_is_succeeded_within_twenty_seconds_and_not_before_its_duration() {
    let api = FakeApi::default();
    let first = candidate(&api, "a").acquire().await;
    let asked = Instant::now();
    candidate(&api, "b").acquire().await;
    let elapsed = asked.elapsed();
    assert!((Duration::from_secs(15)..Duration::from_secs(20)).contains(&elapsed), "{elapsed:?}");
    drop(first);
}

/// A watch that breaks again and again brings the same Lease each time: no sign of life of its holder.
#[tokio::test(start_paused = true)]
async fn a_silent_leader_is_succeeded_in_time_also_over_a_watch_that_breaks() {
    let api = FakeApi::default();
    let first = candidate(&api, "a").acquire().await;
    let asked = Instant::now();
    let breaking = async {
        loop {
            tokio::time::sleep(Duration::from_secs(4)).await;
            api.cut_watches();
            // Something else happens, so that the watch cannot go on from where it was.
            api.put(json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"at": format!("{:?}", Instant::now())},
                "metadata": {"namespace": "ops", "name": "other"}}));
            api.forget_history();
            api.restore_watches();
        }
    };
    tokio::select! {
        _ = candidate(&api, "b").acquire() => {}
        () = breaking => unreachable!(),
        () = tokio::time::sleep(Duration::from_secs(300)) => panic!("never succeeded"),
    }
    let elapsed = asked.elapsed();
    assert!((Duration::from_secs(15)..Duration::from_secs(20)).contains(&elapsed), "{elapsed:?}");
    drop(first);
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_the_other_machine_does_not_count() {
    let api = FakeApi::default();
    api.put(json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"namespace": "ops", "name": "status-operator"},
        "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": "2001-01-01T00:00:00.000000Z"}
    }));
    let asked = Instant::now();
    candidate(&api, "b").acquire().await;
    assert!(asked.elapsed() >= Duration::from_secs(15), "{:?}", asked.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_lease_was_taken_stops() {
    let api = FakeApi::default();
    let mut first = candidate(&api, "a").acquire().await;
    api.change(&lease(), |l| l["spec"]["holderIdentity"] = json!("b"));
    let reason = timeout(Duration::from_secs(10), first.keep()).await.unwrap();
    assert!(reason.contains("\"b\""), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_stops_before_its_lease_expires() {
    let api = FakeApi::default();
    let mut first = candidate(&api, "a").acquire().await;
    let asked = Instant::now();
    let failing = async {
        loop {
            api.fail_at(0, Fault::Refused);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let reason = tokio::select! {
        reason = first.keep() => reason,
        () = failing => unreachable!(),
    };
    assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
    assert!(reason.contains("not renewed"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn one_failed_renewal_of_any_kind_is_survived() {
    for fault in [Fault::Refused, Fault::Conflict, Fault::CutBefore, Fault::CutAfter] {
        let api = FakeApi::default();
        let mut first = candidate(&api, "a").acquire().await;
        api.fail_at(0, fault);
        let kept = timeout(Duration::from_secs(60), first.keep()).await;
        assert!(kept.is_err(), "{fault:?}: {kept:?}");
        assert!(api.has_failed());
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_candidates_at_once_one_leads() {
    let api = FakeApi::default();
    let mut a = tokio::spawn(candidate(&api, "a").acquire());
    let mut b = tokio::spawn(candidate(&api, "b").acquire());
    tokio::select! { _ = &mut a => {}, _ = &mut b => {} }
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(a.is_finished() != b.is_finished());
    a.abort();
    b.abort();
}

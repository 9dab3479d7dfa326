//! The controller as a whole against an API server in memory: it brings the objects, rests, and survives what happens.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

mod support;

use std::time::Duration;

use serde_json::json;
use support::{
    FakeApi, Write,
    objects::Path,
    world::{Running, condition, mail, node, play, set_address, settle, text},
};
use tokio::time::sleep;

fn ready() -> Option<(String, String)> {
    Some(("True".into(), "AllReady".into()))
}

fn names(api: &FakeApi, plural: &str) -> Vec<String> {
    api.list(plural).iter().map(|o| text(o, "/metadata/name")).collect()
}

/// Writes but those of events.
fn writes(api: &FakeApi) -> Vec<Write> {
    api.take_writes().into_iter().filter(|w| !w.path.starts_with("events/")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_resource_gets_its_objects_and_becomes_ready() {
    let api = FakeApi::default();
    api.put(mail("status", "mail"));
    let operator = Running::start(&api, &[]);
    settle(&api).await;
    assert_eq!(condition(&api, &node("status", "mail"), "Ready"), ready());
    assert_eq!(names(&api, "statefulsets"), ["mail-0", "mail-1", "mail-2"]);
    assert_eq!(names(&api, "persistentvolumeclaims"), ["data-mail-0", "data-mail-1", "data-mail-2"]);
    assert_eq!(
        names(&api, "services"),
        ["mail-0-p2p", "mail-1-p2p", "mail-2-p2p", "mail-headless", "mail-metrics", "mail-rpc"]
    );
    assert_eq!(names(&api, "secrets").len(), 4);
    let status = api.get(&node("status", "mail")).unwrap()["status"].clone();
    for entry in status["nodes"].as_array().unwrap() {
        assert!(text(entry, "/enode").contains("@198.51.100."), "{entry}");
    }
    operator.stop().await;
}

#[tokio::test(start_paused = true)]
async fn each_child_is_written_once_and_the_status_at_most_twice_before_the_first_address() {
    let api = FakeApi::default();
    api.put(mail("status", "mail"));
    let operator = Running::start(&api, &[]);
    sleep(Duration::from_secs(5)).await;
    let writes = writes(&api);
    let statuses = writes.iter().filter(|w| w.path == "statusnodes/status/mail/status").count();
    assert!((1..=2).contains(&statuses), "{statuses} of {writes:?}");
    let mut children: Vec<&Write> = writes.iter().filter(|w| !w.path.ends_with("/status")).collect();
    children.sort_by(|a, b| a.path.cmp(&b.path));
    let count = children.len();
    children.dedup_by(|a, b| a.path == b.path);
    assert_eq!(children.len(), count, "{writes:#?}");
    operator.stop().await;
}

#[tokio::test(start_paused = true)]
async fn at_rest_nothing_is_written() {
    let api = FakeApi::default();
    api.put(mail("status", "mail"));
    let operator = Running::start(&api, &[]);
    settle(&api).await;
    api.take_writes();
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(api.take_writes(), []);
    let reconciles = operator.metrics.reconciles.with_label_values(&["ok"]).get();
    assert!((60..200).contains(&reconciles), "{reconciles} in an hour");
    operator.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_changes_nothing() {
    let api = FakeApi::default();
    api.serve_group("monitoring.coreos.com/v1");
    api.put(mail("status", "mail"));
    let operator = Running::start(&api, &[]);
    settle(&api).await;
    operator.stop().await;
    assert_eq!(names(&api, "servicemonitors"), ["mail-metrics"]);
    // What canaries came to is known to the status alone.
    api.change(&node("status", "mail"), |n| {
        for entry in n["status"]["nodes"].as_array_mut().unwrap() {
            entry["canary"] = json!("Passing");
        }
        for condition in n["status"]["conditions"].as_array_mut().unwrap() {
            if condition["type"] == "CanaryPassing" {
                condition["status"] = json!("True");
                condition["reason"] = json!("CanaryPassed");
            }
        }
    });
    let before = api.contents();
    api.take_writes();
    let operator = Running::start(&api, &[]);
    sleep(Duration::from_secs(300)).await;
    assert_eq!(api.take_writes(), []);
    assert_eq!(api.contents(), before);
    operator.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_others_change_is_put_back() {
    let api = FakeApi::default();
    api.put(mail("status", "mail"));
    let operator = Running::start(&api, &[]);
    settle(&api).await;
    let policy = Path::new("networkpolicies", "status", "mail");
    let before = api.get(&policy).unwrap()["spec"].clone();
    api.change(&policy, |p| p["spec"]["ingress"] = json!([{}]));
    api.remove(&Path::new("services", "status", "mail-rpc"));
    settle(&api).await;
    assert_eq!(api.get(&policy).unwrap()["spec"], before);
    assert!(api.get(&Path::new("services", "status", "mail-rpc")).is_some());
    operator.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_address_reaches_the_pod_and_the_status_without_a_restart() {
    let api = FakeApi::default();
    api.put(mail("status", "mail"));
    let operator = Running::start(&api, &[]);
    settle(&api).await;
    let set = Path::new("statefulsets", "status", "mail-1");
    let pod = Path::new("pods", "status", "mail-1-0");
    let (set_before, pod_before) = (api.get(&set), api.get(&pod).unwrap());
    set_address(&api, &Path::new("services", "status", "mail-1-p2p"), "203.0.113.7");
    sleep(Duration::from_secs(2)).await;
    let live = api.get(&Path::new("configmaps", "status", "mail-1-live")).unwrap();
    assert!(text(&live, "/data/live.json").contains("203.0.113.7"), "{live}");
    let pod_after = api.get(&pod).unwrap();
    assert_eq!(pod_after["metadata"]["uid"], pod_before["metadata"]["uid"]);
    assert_ne!(pod_after["metadata"]["annotations"], pod_before["metadata"]["annotations"]);
    assert_eq!(api.get(&set), set_before);
    let status = api.get(&node("status", "mail")).unwrap()["status"].clone();
    assert!(text(&status, "/nodes/1/enode").contains("@203.0.113.7:"), "{status}");
    operator.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_malformed_resource_stops_nobody() {
    let api = FakeApi::default();
    let mut broken = mail("status", "broken");
    broken["spec"] = json!({"mode": "Nonsense", "replicas": "many"});
    api.put(broken);
    api.put(mail("status", "mail"));
    let operator = Running::start(&api, &[]);
    settle(&api).await;
    assert_eq!(condition(&api, &node("status", "mail"), "Ready"), ready());
    let invalid = operator.metrics.invalid_objects.with_label_values(&["StatusNode"]);
    assert_eq!(invalid.get(), 1);
    let events = api.list("events");
    assert!(
        events.iter().any(|e| e["regarding"]["name"] == "broken" && e["reason"] == "InvalidSpec"),
        "{events:?}"
    );
    // One that breaks while it is watched, and is mended.
    api.change(&node("status", "mail"), |n| n["spec"]["replicas"] = json!("two"));
    sleep(Duration::from_secs(5)).await;
    assert_eq!(invalid.get(), 2);
    assert_eq!(names(&api, "statefulsets").len(), 3);
    api.change(&node("status", "mail"), |n| n["spec"]["replicas"] = json!(2));
    settle(&api).await;
    assert_eq!(invalid.get(), 1);
    assert_eq!(names(&api, "statefulsets"), ["mail-0", "mail-1"]);
    operator.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_object_is_said_in_the_status_and_holds_up_nobody_else() {
    let api = FakeApi::default();
    api.refuse("services/status/stuck-");
    api.put(mail("status", "stuck"));
    api.put(mail("status", "mail"));
    let operator = Running::start(&api, &[]);
    sleep(Duration::from_secs(5)).await;
    play(&api);
    sleep(Duration::from_secs(5)).await;
    play(&api);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(condition(&api, &node("status", "mail"), "Ready"), ready());
    let stuck = condition(&api, &node("status", "stuck"), "Ready");
    assert_eq!(stuck, Some(("False".into(), "ApplyFailed".into())));
    // Each is tried again with growing pauses, and no other write than the tries.
    api.take_writes();
    sleep(Duration::from_secs(600)).await;
    let tries = writes(&api);
    assert!(tries.iter().all(|w| w.path.starts_with("services/status/stuck-")), "{tries:#?}");
    for name in ["stuck-0-p2p", "stuck-headless", "stuck-rpc", "stuck-metrics"] {
        let of = tries.iter().filter(|w| w.path == format!("services/status/{name}")).count();
        assert!((5..=20).contains(&of), "{name}: {of}");
    }
    api.accept_all();
    sleep(Duration::from_secs(120)).await;
    settle(&api).await;
    assert_eq!(condition(&api, &node("status", "stuck"), "Ready"), ready());
    operator.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_object_of_somebody_else_is_never_applied_over() {
    let api = FakeApi::default();
    let theirs = api.put(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "status", "name": "mail-1-p2p"},
        "spec": {"selector": {"app": "theirs"}}
    }));
    api.put(mail("status", "mail"));
    let operator = Running::start(&api, &[]);
    settle(&api).await;
    assert_eq!(api.get(&Path::of(&theirs)), Some(theirs));
    let stalled = condition(&api, &node("status", "mail"), "Stalled");
    assert_eq!(stalled, Some(("True".into(), "NameConflict".into())));
    api.remove(&Path::new("services", "status", "mail-1-p2p"));
    sleep(Duration::from_secs(90)).await;
    settle(&api).await;
    assert_eq!(condition(&api, &node("status", "mail"), "Ready"), ready());
    operator.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_identity_is_never_replaced_and_is_taken_up_when_it_is_back() {
    let api = FakeApi::default();
    api.put(mail("status", "mail"));
    let operator = Running::start(&api, &[]);
    settle(&api).await;
    let path = Path::new("secrets", "status", "mail-1-identity");
    let secret = api.get(&path).unwrap();
    api.remove(&path);
    sleep(Duration::from_secs(130)).await;
    let stalled = condition(&api, &node("status", "mail"), "Stalled");
    assert_eq!(stalled, Some(("True".into(), "IdentityLost".into())));
    assert_eq!(api.get(&path), None);
    api.put(secret.clone());
    sleep(Duration::from_secs(130)).await;
    assert_eq!(condition(&api, &node("status", "mail"), "Stalled"), None);
    assert_eq!(api.get(&path).unwrap()["data"], secret["data"]);
    operator.stop().await;
}

#[tokio::test(start_paused = true)]
async fn deleted_and_applied_again_it_has_the_same_identities_and_volumes() {
    let api = FakeApi::default();
    api.put(mail("status", "mail"));
    let operator = Running::start(&api, &[]);
    settle(&api).await;
    let ids = |api: &FakeApi| -> Vec<String> {
        let status = api.get(&node("status", "mail")).unwrap()["status"].clone();
        status["nodes"].as_array().unwrap().iter().map(|n| text(n, "/nodeId")).collect()
    };
    let claims = |api: &FakeApi| -> Vec<String> {
        api.list("persistentvolumeclaims").iter().map(|c| text(c, "/metadata/uid")).collect()
    };
    let before = (ids(&api), claims(&api));
    api.remove(&node("status", "mail"));
    settle(&api).await;
    assert_eq!(names(&api, "statefulsets").len(), 0);
    api.put(mail("status", "mail"));
    settle(&api).await;
    assert_eq!((ids(&api), claims(&api)), before);
    assert_eq!(condition(&api, &node("status", "mail"), "Ready"), ready());
    operator.stop().await;
}

#[tokio::test(start_paused = true)]
async fn service_monitors_follow_their_api() {
    let api = FakeApi::default();
    api.put(mail("status", "mail"));
    let operator = Running::start(&api, &[]);
    settle(&api).await;
    assert_eq!(names(&api, "servicemonitors").len(), 0);
    api.serve_group("monitoring.coreos.com/v1");
    sleep(Duration::from_secs(65)).await;
    assert_eq!(names(&api, "servicemonitors"), ["mail-metrics"]);
    // From then on it is watched.
    let monitor = Path::new("servicemonitors", "status", "mail-metrics");
    let before = api.get(&monitor).unwrap()["spec"].clone();
    api.change(&monitor, |m| m["spec"]["endpoints"] = json!([]));
    sleep(Duration::from_secs(2)).await;
    assert_eq!(api.get(&monitor).unwrap()["spec"], before);
    operator.stop().await;
}

#[tokio::test(start_paused = true)]
async fn only_the_watched_namespaces_are_touched() {
    let api = FakeApi::default();
    for namespace in ["a", "b", "c"] {
        api.put(mail(namespace, "mail"));
    }
    let operator = Running::start(&api, &["a", "c"]);
    settle(&api).await;
    for (namespace, expected) in [("a", ready()), ("b", None), ("c", ready())] {
        assert_eq!(condition(&api, &node(namespace, "mail"), "Ready"), expected, "{namespace}");
    }
    api.remove(&node("a", "mail"));
    settle(&api).await;
    assert_eq!(condition(&api, &node("c", "mail"), "Ready"), ready());
    operator.stop().await;
}

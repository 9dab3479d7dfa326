//! What the API server refuses, loses or does not answer: said in the status, and never in the way of what can be done
//! (design §3 "Order", "Identity", "Conditions").
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{
    FakeApi, Fault,
    objects::Path,
    world::{Running, condition, mail, node, play, set_address, settle, text},
};
use tokio::time::sleep;

fn ready() -> Option<(String, String)> {
    Some(("True".into(), "AllReady".into()))
}

fn message(api: &FakeApi, kind: &str) -> String {
    let node = api.get(&node("status", "mail")).unwrap();
    let conditions = node["status"]["conditions"].as_array().unwrap();
    conditions.iter().find(|c| c["type"] == kind).map(|c| text(c, "/message")).unwrap_or_default()
}

fn names(api: &FakeApi, plural: &str) -> Vec<String> {
    api.list(plural).iter().map(|o| text(o, "/metadata/name")).collect()
}

/// Reason and note of every event about a resource, in the order of their writing.
fn events(api: &FakeApi, name: &str) -> Vec<(String, String)> {
    let mut events = api.list("events");
    events.retain(|event| event["regarding"]["name"] == name);
    events.sort_by_key(|event| text(event, "/eventTime"));
    events.iter().map(|event| (text(event, "/reason"), text(event, "/note"))).collect()
}

async fn running() -> (FakeApi, Running) {
    let api = FakeApi::default();
    api.put(mail("status", "mail"));
    let operator = Running::start(&api, &[]);
    settle(&api).await;
    assert_eq!(condition(&api, &node("status", "mail"), "Ready"), ready());
    (api, operator)
}

/// A volume that cannot grow and cannot shrink again (the spec may not either) must not keep an address from its node.
#[tokio::test(start_paused = true)]
async fn one_refused_object_holds_up_no_other() {
    let (api, operator) = running().await;
    api.refuse("persistentvolumeclaims/status/data-mail-0");
    api.change(&node("status", "mail"), |n| n["spec"]["storage"] = json!({"size": "30Gi"}));
    sleep(Duration::from_secs(5)).await;
    let ready = condition(&api, &node("status", "mail"), "Ready");
    assert_eq!(ready, Some(("False".into(), "ApplyFailed".into())));
    assert!(
        message(&api, "Ready").contains("PersistentVolumeClaim data-mail-0"),
        "{}",
        message(&api, "Ready")
    );
    for ordinal in 0..3 {
        let service = Path::new("services", "status", &format!("mail-{ordinal}-p2p"));
        set_address(&api, &service, &format!("203.0.113.{ordinal}"));
    }
    sleep(Duration::from_secs(70)).await;
    for ordinal in 0..3 {
        let address = format!("203.0.113.{ordinal}");
        let live = api.get(&Path::new("configmaps", "status", &format!("mail-{ordinal}-live"))).unwrap();
        assert!(text(&live, "/data/live.json").contains(&address), "{live}");
        let status = api.get(&node("status", "mail")).unwrap()["status"]["nodes"][ordinal].clone();
        assert!(text(&status, "/enode").contains(&address), "{status}");
    }
    let size = |ordinal: usize| {
        let claim = Path::new("persistentvolumeclaims", "status", &format!("data-mail-{ordinal}"));
        text(&api.get(&claim).unwrap(), "/spec/resources/requests/storage")
    };
    assert_eq!([size(0), size(1), size(2)], ["20Gi", "30Gi", "30Gi"]);
    operator.stop().await;
}

/// Scale-up under a quota: the new pod waits for its volume, the others are left alone.
#[tokio::test(start_paused = true)]
async fn a_pod_is_not_started_without_its_volume() {
    let (api, operator) = running().await;
    api.refuse("persistentvolumeclaims/status/data-mail-3");
    api.change(&node("status", "mail"), |n| n["spec"]["replicas"] = json!(5));
    sleep(Duration::from_secs(5)).await;
    play(&api);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(names(&api, "statefulsets"), ["mail-0", "mail-1", "mail-2", "mail-4"]);
    api.accept_all();
    sleep(Duration::from_secs(70)).await;
    settle(&api).await;
    assert_eq!(names(&api, "statefulsets").len(), 5);
    assert_eq!(condition(&api, &node("status", "mail"), "Ready"), ready());
    operator.stop().await;
}

/// No pod without its wall.
#[tokio::test(start_paused = true)]
async fn no_pod_is_started_while_its_network_policy_is_refused() {
    let api = FakeApi::default();
    api.refuse("networkpolicies/status/mail");
    api.put(mail("status", "mail"));
    let operator = Running::start(&api, &[]);
    sleep(Duration::from_secs(30)).await;
    assert_eq!(names(&api, "statefulsets"), Vec::<String>::new());
    assert!(message(&api, "Ready").contains("NetworkPolicy mail"), "{}", message(&api, "Ready"));
    assert_eq!(names(&api, "services").len(), 6, "addresses take long and come first");
    api.accept_all();
    sleep(Duration::from_secs(70)).await;
    settle(&api).await;
    assert_eq!(condition(&api, &node("status", "mail"), "Ready"), ready());
    operator.stop().await;
}

/// A key that cannot be stored leaves no record that would make it a lost one, and no event of a node id that never was.
#[tokio::test(start_paused = true)]
async fn a_key_that_cannot_be_stored_is_no_lost_one_afterwards() {
    let (api, operator) = running().await;
    api.refuse("secrets/status/mail-3-identity");
    api.change(&node("status", "mail"), |n| n["spec"]["replicas"] = json!(4));
    sleep(Duration::from_secs(130)).await;
    assert!(message(&api, "Ready").contains("Secret mail-3-identity"), "{}", message(&api, "Ready"));
    let told = |api: &FakeApi| -> Vec<String> {
        let of = |(reason, note): (String, String)| (reason == "IdentityCreated").then_some(note);
        events(api, "mail").into_iter().filter_map(of).collect()
    };
    assert_eq!(told(&api).len(), 3, "{:?}", told(&api));
    api.accept_all();
    sleep(Duration::from_secs(130)).await;
    settle(&api).await;
    assert_eq!(condition(&api, &node("status", "mail"), "Stalled"), None);
    assert_eq!(condition(&api, &node("status", "mail"), "Ready"), ready());
    let nodes = api.get(&node("status", "mail")).unwrap()["status"]["nodes"].clone();
    let ids: Vec<String> = nodes.as_array().unwrap().iter().map(|n| text(n, "/nodeId")).collect();
    let expected: Vec<String> =
        ids.iter().enumerate().map(|(ordinal, id)| format!("ordinal {ordinal}: node id {id}")).collect();
    assert_eq!(told(&api), expected);
    operator.stop().await;
}

/// The same when the answer is lost at any request of the scale-up.
#[tokio::test(start_paused = true)]
async fn whatever_request_of_a_scale_up_fails_no_identity_is_lost() {
    for fault in [Fault::Refused, Fault::CutBefore, Fault::CutAfter, Fault::Conflict] {
        let mut met = 0;
        for nth in 0..40 {
            let (api, operator) = running().await;
            api.fail_at(nth, fault);
            api.change(&node("status", "mail"), |n| n["spec"]["replicas"] = json!(4));
            sleep(Duration::from_secs(70)).await;
            settle(&api).await;
            met += usize::from(api.has_failed());
            let stalled = condition(&api, &node("status", "mail"), "Stalled");
            assert_eq!(stalled, None, "{fault:?} {nth}");
            assert_eq!(condition(&api, &node("status", "mail"), "Ready"), ready(), "{fault:?} {nth}");
            operator.stop().await;
        }
        assert!(met > 15, "{fault:?}: only {met} requests were made to fail");
    }
}

/// An admission webhook that is down is answered with 500: told when it lasts, not when it passes.
#[tokio::test(start_paused = true)]
async fn an_answer_of_500_that_lasts_is_told() {
    let (api, operator) = running().await;
    api.answer("services/status/mail-rpc", 500);
    api.remove(&Path::new("services", "status", "mail-rpc"));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(condition(&api, &node("status", "mail"), "Ready"), ready());
    sleep(Duration::from_secs(20)).await;
    let ready_now = condition(&api, &node("status", "mail"), "Ready");
    assert_eq!(ready_now, Some(("False".into(), "ApplyFailed".into())));
    assert!(message(&api, "Ready").contains("Service mail-rpc"), "{}", message(&api, "Ready"));
    // Not more than one try a pause, and no write of the status with each.
    api.take_writes();
    sleep(Duration::from_secs(600)).await;
    let writes = api.take_writes();
    assert!(writes.len() <= 20, "{writes:#?}");
    assert!(writes.iter().all(|w| w.path == "services/status/mail-rpc"), "{writes:#?}");
    api.accept_all();
    sleep(Duration::from_secs(70)).await;
    settle(&api).await;
    assert_eq!(condition(&api, &node("status", "mail"), "Ready"), ready());
    operator.stop().await;
}

/// A right that is missing is told by name; nothing is concluded from what was not read.
#[tokio::test(start_paused = true)]
async fn a_secret_that_may_not_be_read_is_told_and_changes_no_node() {
    let (api, operator) = running().await;
    let before = api.get(&node("status", "mail")).unwrap()["status"]["nodes"].clone();
    let sets = api.list("statefulsets");
    let live = api.get(&Path::new("configmaps", "status", "mail-0-live"));
    api.answer("secrets/status/mail-1-identity", 403);
    sleep(Duration::from_secs(130)).await;
    let told = condition(&api, &node("status", "mail"), "Ready");
    assert_eq!(told, Some(("False".into(), "ApplyFailed".into())));
    assert!(message(&api, "Ready").contains("Secret mail-1-identity"), "{}", message(&api, "Ready"));
    assert_eq!(api.get(&node("status", "mail")).unwrap()["status"]["nodes"], before);
    assert_eq!(api.list("statefulsets"), sets);
    assert_eq!(api.get(&Path::new("configmaps", "status", "mail-0-live")), live);
    api.accept_all();
    sleep(Duration::from_secs(130)).await;
    assert_eq!(condition(&api, &node("status", "mail"), "Ready"), ready());
    operator.stop().await;
}

/// 429 and 503 pass: waited for, with pauses, and not told at once.
#[tokio::test(start_paused = true)]
async fn a_server_that_asks_to_be_left_alone_is_left_alone() {
    for code in [429, 503] {
        let (api, operator) = running().await;
        api.answer("services/status/", code);
        api.remove(&Path::new("services", "status", "mail-rpc"));
        sleep(Duration::from_secs(2)).await;
        assert_eq!(condition(&api, &node("status", "mail"), "Ready"), ready(), "{code}");
        api.take_requests();
        sleep(Duration::from_secs(600)).await;
        let asked = api.take_requests();
        assert!(asked < 60, "{asked} requests in ten minutes after {code}");
        api.accept_all();
        sleep(Duration::from_secs(70)).await;
        settle(&api).await;
        assert!(names(&api, "services").contains(&"mail-rpc".to_owned()), "{code}");
        assert_eq!(condition(&api, &node("status", "mail"), "Ready"), ready(), "{code}");
        operator.stop().await;
    }
}

/// Watches break, the server is away, and the history that they would go on from is gone (410): everything that happened
/// meanwhile is seen.
#[tokio::test(start_paused = true)]
async fn what_happened_while_the_watches_were_cut_is_seen() {
    let (api, operator) = running().await;
    api.cut_watches();
    api.remove(&Path::new("services", "status", "mail-rpc"));
    api.change(&Path::new("networkpolicies", "status", "mail"), |p| p["spec"]["ingress"] = json!([{}]));
    api.change(&node("status", "mail"), |n| n["spec"]["replicas"] = json!(2));
    api.put(mail("status", "late"));
    api.forget_history();
    sleep(Duration::from_secs(60)).await;
    api.restore_watches();
    // Twice the longest pause between two tries.
    sleep(Duration::from_secs(120)).await;
    settle(&api).await;
    assert_eq!(names(&api, "statefulsets"), ["late-0", "late-1", "late-2", "mail-0", "mail-1"]);
    assert!(names(&api, "services").contains(&"mail-rpc".to_owned()));
    let policy = api.get(&Path::new("networkpolicies", "status", "mail")).unwrap();
    assert_eq!(policy["spec"]["ingress"].as_array().unwrap().len(), 1);
    assert_eq!(condition(&api, &node("status", "mail"), "Ready"), ready());
    assert_eq!(condition(&api, &node("status", "late"), "Ready"), ready());
    operator.stop().await;
}

/// A resource that was deleted while nobody watched is forgotten, and its successor begins anew.
#[tokio::test(start_paused = true)]
async fn a_resource_that_was_replaced_while_the_watches_were_cut_is_the_new_one() {
    let (api, operator) = running().await;
    let ids = |api: &FakeApi| -> Vec<String> {
        let nodes = api.get(&node("status", "mail")).unwrap()["status"]["nodes"].clone();
        nodes.as_array().unwrap().iter().map(|n| text(n, "/nodeId")).collect()
    };
    let before = ids(&api);
    api.cut_watches();
    api.remove(&node("status", "mail"));
    let new = api.put(mail("status", "mail"));
    api.forget_history();
    sleep(Duration::from_secs(30)).await;
    api.restore_watches();
    // Twice the longest pause between two tries.
    sleep(Duration::from_secs(120)).await;
    settle(&api).await;
    assert_eq!(condition(&api, &node("status", "mail"), "Ready"), ready());
    assert_eq!(ids(&api), before);
    for set in api.list("statefulsets") {
        assert_eq!(set["metadata"]["ownerReferences"][0]["uid"], new["metadata"]["uid"]);
    }
    operator.stop().await;
}

/// What somebody adds within a wall is taken out again; a selector as well.
#[tokio::test(start_paused = true)]
async fn a_wall_that_was_widened_is_put_back() {
    let api = FakeApi::default();
    let mut mail = mail("status", "mail");
    mail["spec"]["rpc"] = json!({"allowedFrom": [{"podSelector": {"matchLabels": {"app": "console"}}}]});
    api.put(mail);
    let operator = Running::start(&api, &[]);
    settle(&api).await;
    type Change = fn(&mut Value);
    let changes: [(&str, &str, Change); 4] = [
        ("networkpolicies", "mail", |p| {
            p["spec"]["ingress"][1]["from"][0]["namespaceSelector"] = json!({});
        }),
        ("networkpolicies", "mail", |p| p["spec"]["podSelector"]["matchLabels"]["x"] = json!("y")),
        ("networkpolicies", "mail", |p| p["spec"]["ingress"][1]["ports"][0]["endPort"] = json!(65535)),
        ("services", "mail-0-p2p", |s| s["spec"]["selector"]["x"] = json!("y")),
    ];
    for (index, (plural, name, change)) in changes.into_iter().enumerate() {
        let path = Path::new(plural, "status", name);
        let before = api.get(&path).unwrap()["spec"].clone();
        api.change(&path, change);
        assert_ne!(api.get(&path).unwrap()["spec"], before, "{index}");
        sleep(Duration::from_secs(2)).await;
        assert_eq!(api.get(&path).unwrap()["spec"], before, "{index}");
    }
    operator.stop().await;
}

/// The controlling owner says whose an object is, also when its labels were taken off; without either it is a stranger.
#[tokio::test(start_paused = true)]
async fn an_object_whose_labels_were_taken_off_gets_them_back() {
    let (api, operator) = running().await;
    let path = Path::new("services", "status", "mail-rpc");
    let uid = api.get(&path).unwrap()["metadata"]["uid"].clone();
    api.change(&path, |s| s["metadata"]["labels"] = json!({}));
    settle(&api).await;
    let after = api.get(&path).unwrap();
    assert_eq!(after["metadata"]["labels"]["app.kubernetes.io/instance"], "mail");
    assert_eq!(after["metadata"]["uid"], uid);
    assert_eq!(condition(&api, &node("status", "mail"), "Stalled"), None);
    operator.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_secret_of_somebody_else_is_never_used_nor_changed() {
    for name in ["mail-1-identity", "mail-rpc-token"] {
        let api = FakeApi::default();
        let theirs = api.put(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "status", "name": name},
            "data": {"nodekey": "eA==", "token": "eA=="}
        }));
        api.put(mail("status", "mail"));
        let operator = Running::start(&api, &[]);
        settle(&api).await;
        assert_eq!(api.get(&Path::of(&theirs)), Some(theirs.clone()));
        let stalled = condition(&api, &node("status", "mail"), "Stalled");
        assert_eq!(stalled, Some(("True".into(), "NameConflict".into())));
        assert!(message(&api, "Stalled").contains(&format!("Secret {name}")), "{}", message(&api, "Stalled"));
        api.remove(&Path::of(&theirs));
        sleep(Duration::from_secs(130)).await;
        settle(&api).await;
        assert_eq!(condition(&api, &node("status", "mail"), "Ready"), ready(), "{name}");
        operator.stop().await;
    }
}

/// Every event has its own words; the same one again within minutes is counted, not written anew.
#[tokio::test(start_paused = true)]
async fn events_are_not_mixed_up_and_repeated_ones_are_a_series() {
    let (api, operator) = running().await;
    let service = Path::new("services", "status", "mail-1-p2p");
    for address in ["203.0.113.1", "203.0.113.2", "203.0.113.1", "203.0.113.2"] {
        set_address(&api, &service, address);
        sleep(Duration::from_secs(5)).await;
    }
    let notes: Vec<String> =
        events(&api, "mail").into_iter().filter(|e| e.0 == "AddressChanged").map(|e| e.1).collect();
    let there = "ordinal 1: 203.0.113.1 became 203.0.113.2".to_owned();
    let back = "ordinal 1: 203.0.113.2 became 203.0.113.1".to_owned();
    assert_eq!(notes.len(), 3, "{notes:?}");
    assert_eq!(notes[1..], [there.clone(), back]);
    let again = api.list("events").into_iter().find(|event| event["note"] == there).unwrap();
    assert_eq!(again["series"]["count"], 2);
    // Minutes later it is news.
    sleep(Duration::from_secs(900)).await;
    for address in ["203.0.113.1", "203.0.113.2"] {
        set_address(&api, &service, address);
        sleep(Duration::from_secs(5)).await;
    }
    let same = api.list("events").into_iter().filter(|event| event["note"] == there).count();
    assert_eq!(same, 2);
    operator.stop().await;
}

/// A stored object that cannot be read is told once, however often its objects change.
#[tokio::test(start_paused = true)]
async fn a_malformed_resource_is_told_once() {
    let (api, operator) = running().await;
    api.change(&node("status", "mail"), |n| n["spec"]["replicas"] = json!("many"));
    sleep(Duration::from_secs(5)).await;
    let pod = Path::new("pods", "status", "mail-0-0");
    for count in 0..20 {
        api.change(&pod, |p| p["status"]["restarts"] = json!(count));
        sleep(Duration::from_secs(1)).await;
    }
    api.take_writes();
    sleep(Duration::from_secs(600)).await;
    assert_eq!(api.take_writes(), []);
    let told: Vec<Value> = api.list("events").into_iter().filter(|e| e["reason"] == "InvalidSpec").collect();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0]["series"], Value::Null);
    operator.stop().await;
}

/// The news that an object is gone overtakes the answer to its writing.
#[tokio::test(start_paused = true)]
async fn an_object_that_is_deleted_while_it_is_written_is_made_again() {
    let (api, operator) = running().await;
    let path = Path::new("services", "status", "mail-rpc");
    api.answer_late("services/status/mail-rpc", Duration::from_secs(5));
    api.change(&path, |s| s["spec"]["ports"] = json!([]));
    while !api.acted_late() {
        sleep(Duration::from_millis(10)).await;
    }
    api.remove(&path);
    sleep(Duration::from_secs(10)).await;
    assert!(api.get(&path).is_some(), "what the late answer brought back keeps the operator from making it");
    settle(&api).await;
    assert_eq!(condition(&api, &node("status", "mail"), "Ready"), ready());
    operator.stop().await;
}

/// In a namespace that is being deleted everything goes, one after the other; nothing can be made again.
#[tokio::test(start_paused = true)]
async fn a_namespace_that_is_being_deleted_is_left_alone_after_the_first_refusal() {
    let (api, operator) = running().await;
    api.end_namespace("status");
    api.take_writes();
    let objects: Vec<Path> = ["services", "configmaps", "statefulsets"]
        .iter()
        .flat_map(|p| api.list(p))
        .map(|o| Path::of(&o))
        .collect();
    assert!(objects.len() > 10);
    for path in objects {
        api.remove(&path);
        sleep(Duration::from_secs(1)).await;
    }
    let writes = api.take_writes();
    let made: Vec<_> = writes.iter().filter(|w| !w.path.contains("statusnodes/")).collect();
    assert_eq!(made.len(), 1, "{made:#?}");
    // The next one of that name, in the next namespace, is a resource like any other.
    api.remove(&node("status", "mail"));
    api.begin_namespace("status");
    sleep(Duration::from_secs(1)).await;
    api.put(mail("status", "mail"));
    settle(&api).await;
    assert_eq!(condition(&api, &node("status", "mail"), "Ready"), ready());
    operator.stop().await;
}

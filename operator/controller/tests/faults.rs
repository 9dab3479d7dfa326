//! The API server fails, or the connection breaks, or the operator is killed, at any request: the objects that come of
//! it are the same (design §4.3, spec/operators.md §6 item 3).
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

mod support;

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use support::{
    FakeApi, Fault,
    objects::{Path, base64},
    world::{Running, condition, mail, node, settle, text},
};

/// A resource with one replica whose key is given, so that two runs can be compared byte by byte.
fn resource(api: &FakeApi) {
    let data = json!({"key": base64(&"01".repeat(32))});
    api.put(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "a", "name": "own"},
        "data": data}));
    let mut resource = mail("a", "mail");
    resource["spec"]["replicas"] = json!(1);
    resource["spec"]["identity"] =
        json!({"keys": [{"ordinal": 0, "secretKeyRef": {"name": "own", "key": "key"}}]});
    api.put(resource);
}

/// Takes out what two runs of the same cannot have in common.
fn comparable(api: &FakeApi) -> BTreeMap<String, Value> {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(map) => {
                for key in
                    ["uid", "resourceVersion", "generation", "lastTransitionTime", "observedGeneration"]
                {
                    map.remove(key);
                }
                for key in ["revision", "currentRevision", "updateRevision", "status.im/live-changed"] {
                    map.remove(key);
                }
                // The hash covers the owner's uid; a pod is touched only when it was there before its live file.
                map.remove("status.im/applied-hash");
                map.remove("status.im/live-hash");
                map.values_mut().for_each(strip);
                if map.get("annotations") == Some(&json!({})) {
                    map.remove("annotations");
                }
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut contents = api.contents();
    for (path, object) in &mut contents {
        strip(object);
        if path.ends_with("-rpc-token") {
            assert!(!text(object, "/data/token").is_empty());
            object["data"] = json!("random");
        }
    }
    contents
}

async fn undisturbed() -> BTreeMap<String, Value> {
    let api = FakeApi::default();
    resource(&api);
    let operator = Running::start(&api, &[]);
    settle(&api).await;
    operator.stop().await;
    assert_eq!(condition(&api, &node("a", "mail"), "Ready"), Some(("True".into(), "AllReady".into())));
    comparable(&api)
}

fn assert_same(got: &BTreeMap<String, Value>, expected: &BTreeMap<String, Value>, what: &str) {
    assert_eq!(got.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{what}");
    for (path, object) in expected {
        assert_eq!(&got[path], object, "{path} after {what}");
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_request_fails_the_result_is_the_same() {
    let expected = undisturbed().await;
    for fault in [Fault::Refused, Fault::CutBefore, Fault::CutAfter, Fault::Conflict] {
        let mut met = 0;
        for nth in 0.. {
            let api = FakeApi::default();
            resource(&api);
            api.fail_at(nth, fault);
            let operator = Running::start(&api, &[]);
            settle(&api).await;
            operator.stop().await;
            if !api.has_failed() {
                break;
            }
            met += 1;
            assert_same(&comparable(&api), &expected, &format!("{fault:?} at request {nth}"));
        }
        assert!(met > 20, "only {met} requests were made to fail");
    }
}

#[tokio::test(start_paused = true)]
async fn wherever_the_operator_is_killed_the_next_one_ends_with_the_same() {
    let expected = undisturbed().await;
    let mut met = 0;
    for nth in 0.. {
        let api = FakeApi::default();
        resource(&api);
        api.fail_at(nth, Fault::CutAfter);
        let operator = Running::start(&api, &[]);
        for _ in 0..2000 {
            if api.has_failed() {
                break;
            }
            support::world::play(&api);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if !api.has_failed() {
            operator.kill().await;
            break;
        }
        operator.kill().await;
        met += 1;
        let operator = Running::start(&api, &[]);
        settle(&api).await;
        operator.stop().await;
        assert_same(&comparable(&api), &expected, &format!("a kill at request {nth}"));
    }
    assert!(met > 20, "only {met} kills");
}

/// The one thing that must never happen: two keys for one ordinal.
#[tokio::test(start_paused = true)]
async fn whatever_request_fails_a_generated_key_stays() {
    for fault in [Fault::Refused, Fault::CutBefore, Fault::CutAfter, Fault::Conflict] {
        for nth in 0..30 {
            let api = FakeApi::default();
            api.put(mail("a", "mail"));
            api.fail_at(nth, fault);
            let operator = Running::start(&api, &[]);
            settle(&api).await;
            operator.stop().await;
            assert!(api.has_failed(), "{fault:?} {nth}");
            for ordinal in 0..3 {
                let get = |plural: &str, name: String| api.get(&Path::new(plural, "a", &name)).unwrap();
                let secret = get("secrets", format!("mail-{ordinal}-identity"));
                assert_eq!(secret["metadata"]["generation"], 1, "{fault:?} {nth}: written more than once");
                let recorded = |o: Value| text(&o, "/metadata/annotations/status.im~1node-id");
                let claim = recorded(get("persistentvolumeclaims", format!("data-mail-{ordinal}")));
                let service = recorded(get("services", format!("mail-{ordinal}-p2p")));
                let status = api.get(&node("a", "mail")).unwrap()["status"]["nodes"][ordinal].clone();
                assert_eq!(claim.len(), 64, "{fault:?} {nth}");
                assert_eq!((&service, &text(&status, "/nodeId")), (&claim, &claim), "{fault:?} {nth}");
            }
        }
    }
}

//! Wrong specs: the API server itself refuses them, in words that name the field; what slips past a schema (a stored
//! object that no longer fits the types) stops nobody else.

use std::time::{Duration, Instant};

use e2e_tests::{Access, eventually, kubectl, kubectl_file, relay, test};
use serde_json::{Value, json};

/// `change` merged into `base` (RFC 7396).
fn merged(base: &Value, change: &Value) -> Value {
    let (Value::Object(base), Value::Object(change)) = (base, change) else { return change.clone() };
    let mut all = base.clone();
    for (key, value) in change {
        if value.is_null() {
            all.remove(key);
        } else {
            let merged = merged(all.get(key).unwrap_or(&Value::Null), value);
            all.insert(key.clone(), merged);
        }
    }
    Value::Object(all)
}

#[test]
fn every_wrong_spec_is_refused_with_a_message_that_names_the_field() {
    test("refused", Access::Definitions, |env| async move {
        // The table that the definition's own tests use.
        let table: Value =
            serde_yaml::from_str(include_str!("../../../../operator/api/tests/wrong-specs.yaml")).unwrap();
        let base = &table["base"];
        let ns = &env.namespace;
        kubectl_file(&["create", "--dry-run=server"], ns, base).await.ok();

        let cases = table["cases"].as_array().expect("cases");
        assert!(cases.len() >= 20, "{} cases", cases.len());
        for case in cases {
            let wrong = merged(base, &case["change"]);
            let out = if case["from"].is_null() {
                kubectl_file(&["create"], ns, &wrong).await
            } else {
                kubectl_file(&["create"], ns, &merged(base, &case["from"])).await.ok();
                // The operator writes the status of the same object meanwhile.
                let out = eventually("no conflict", || async {
                    let out = kubectl_file(&["replace"], ns, &wrong).await;
                    if out.stderr.contains("Conflict") { Err(out.stderr) } else { Ok(out) }
                })
                .await;
                kubectl(&["delete", "statusnodes", "--all", "-n", ns]).await.ok();
                out
            };
            let expected = case["message"].as_str().expect("message");
            assert_eq!(out.code, Some(1), "{}: accepted", case["name"]);
            assert!(out.stderr.contains(expected), "{}\nsaid: {}", case["name"], out.stderr);
        }
    });
}

#[test]
fn a_malformed_stored_object_stops_nobody_else() {
    test("malformed", Access::Exclusive, |env| async move {
        // Stored while the schema was looser than the types: what a rollback or a hand-edited CRD leaves behind.
        let crd = "customresourcedefinition/statusnodes.status.im";
        let strict = kubectl(&["get", crd, "-o", "json"]).await.json();
        let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
        let open = json!([{"op": "replace", "path": spec, "value": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}]);
        kubectl(&["patch", crd, "--type=json", "-p", &open.to_string()]).await.ok();
        // `replicas` stays a number: the scale subresource reads it at each write, without the schema too.
        let bad = json!({"mode": {"not": "a string"}, "replicas": 1, "storage": [20]});
        let deadline = Instant::now() + Duration::from_secs(60);
        let stored = loop {
            let stored = env.try_apply("malformed", bad.clone()).await;
            if stored.is_ok() || Instant::now() > deadline {
                break stored.map(|_| ());
            }
        };
        // Put back before anything is asserted: other tests use the definition.
        let back = json!([{"op": "replace", "path": spec, "value": strict["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]}]);
        kubectl(&["patch", crd, "--type=json", "-p", &back.to_string()]).await.ok();
        stored.expect("stored while the schema is loose");

        let pods = || async {
            kubectl(&["get", "pods", "-n", e2e_tests::OPERATOR_NAMESPACE, "-o", "json"]).await.json()
        };
        let restarts =
            |pods: &Value| pods["items"][0]["status"]["containerStatuses"][0]["restartCount"].clone();
        let before = restarts(&pods().await);
        env.ready("good", relay(1)).await;
        // A second change after the first one: the watch itself goes on.
        let good = env.ready("good-too", relay(1)).await;
        good.wait_condition("Ready", "True", Duration::from_secs(5)).await;
        assert_eq!(restarts(&pods().await), before, "the operator did not restart");
    });
}

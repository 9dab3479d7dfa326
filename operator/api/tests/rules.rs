//! The CEL rules of the definition, evaluated in-process over the table that the end-to-end tests run on a real API
//! server. Facts: design §3; `spec/operators.md` §1.1 row 8, §5.2.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests

use kube_cel::Validator;
use serde_json::{Value, json};

const TABLE: &str = include_str!("wrong-specs.yaml");
const SAMPLES: [&str; 3] = [
    include_str!("../../../manifests/samples/relay.yaml"),
    include_str!("../../../manifests/samples/mailserver.yaml"),
    include_str!("../../../manifests/samples/mailserver-full.yaml"),
];

fn schema() -> Value {
    let crd = serde_json::to_value(statusnode_api::crd()).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// The messages of the rules that an object breaks.
fn refusals(object: &Value, old: Option<&Value>) -> Vec<String> {
    let schema = schema();
    match Validator::new().validate_with_defaults(&schema, object, old) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.into_vec().into_iter().map(|error| error.to_string()).collect(),
    }
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let members = target.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            members.remove(key);
        } else {
            merge(members.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

fn table() -> (Value, Vec<Value>) {
    let table: Value = serde_yaml::from_str(TABLE).unwrap();
    (table["base"].clone(), table["cases"].as_array().unwrap().clone())
}

fn with(base: &Value, patch: &Value) -> Value {
    let mut object = base.clone();
    merge(&mut object, patch);
    object
}

#[test]
fn every_wrong_spec_of_the_table_is_refused_with_its_message() {
    let (base, cases) = table();
    assert_eq!(refusals(&base, None), Vec::<String>::new(), "the base is right");
    let mut checked = 0;
    for case in cases.iter().filter(|case| case["by"] == "cel") {
        let old = case.get("from").map(|from| with(&base, from));
        if let Some(old) = &old {
            assert_eq!(
                refusals(old, None),
                Vec::<String>::new(),
                "{}: what it comes from is right",
                case["name"]
            );
        }
        let found = refusals(&with(&base, &case["change"]), old.as_ref());
        let wanted = case["message"].as_str().unwrap();
        assert!(found.iter().any(|message| message.contains(wanted)), "{}: {found:?}", case["name"]);
        assert_eq!(found.len(), 1, "{}: one rule and no other: {found:?}", case["name"]);
        checked += 1;
    }
    assert!(checked >= 15, "{checked} cases");
}

#[test]
fn the_same_spec_as_before_is_never_refused() {
    for sample in SAMPLES {
        let sample: Value = serde_yaml::from_str(sample).unwrap();
        assert_eq!(refusals(&sample, None), Vec::<String>::new());
        assert_eq!(refusals(&sample, Some(&sample)), Vec::<String>::new());
    }
}

#[test]
fn what_may_change_may_change() {
    let (base, _) = table();
    let from =
        with(&base, &json!({"spec": {"storage": {"size": "10Gi"}, "p2p": {"exposure": {"type": "None"}}}}));
    for change in [
        json!({"spec": {"storage": {"size": "11Gi"}, "p2p": {"exposure": {"type": "None"}}}}),
        json!({"spec": {"storage": {"size": "10Gi"}, "p2p": {"exposure": {"type": "LoadBalancer"}}}}),
        json!({"spec": {"storage": {"size": "10Gi"}, "p2p": {"exposure": {"type": "ClusterIP"}}, "replicas": 0}}),
    ] {
        assert_eq!(refusals(&with(&base, &change), Some(&from)), Vec::<String>::new(), "{change}");
    }
}

/// Every rule of the project has a message, and a case in the table that breaks it.
#[test]
fn every_rule_has_a_message_and_a_case() {
    fn collect(schema: &Value, messages: &mut Vec<String>) {
        match schema {
            Value::Object(members) => {
                for rule in
                    members.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten()
                {
                    messages.push(rule["message"].as_str().expect("a message").to_owned());
                }
                members.values().for_each(|value| collect(value, messages));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, messages)),
            _ => {}
        }
    }
    let mut messages = Vec::new();
    collect(&schema(), &mut messages);
    let (_, cases) = table();
    for message in messages {
        let used = cases
            .iter()
            .any(|case| case["by"] == "cel" && message.contains(case["message"].as_str().unwrap()));
        assert!(used, "no case breaks the rule {message:?}");
    }
}

/// The API server prices rules by the bounds of what they look at; without bounds it refuses the definition.
#[test]
fn every_field_of_ours_has_bounds() {
    fn walk(schema: &Value, path: &str, unbounded: &mut Vec<String>) {
        let bounded = |keys: &[&str]| keys.iter().any(|key| schema.get(key).is_some());
        match schema["type"].as_str() {
            Some("string") if !bounded(&["maxLength", "enum", "format"]) => unbounded.push(path.to_owned()),
            Some("integer") if !(bounded(&["minimum"]) && bounded(&["maximum"])) => {
                unbounded.push(path.to_owned())
            }
            Some("array") if !bounded(&["maxItems"]) => unbounded.push(path.to_owned()),
            Some("object") if bounded(&["additionalProperties"]) && !bounded(&["maxProperties"]) => {
                unbounded.push(path.to_owned());
            }
            _ => {}
        }
        if let Some(items) = schema.get("items") {
            walk(items, &format!("{path}[]"), unbounded);
        }
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            walk(field, &format!("{path}.{name}"), unbounded);
        }
    }
    let mut unbounded = Vec::new();
    walk(&schema()["properties"]["spec"], "spec", &mut unbounded);
    // Types of Kubernetes are bounded where Kubernetes reads them; no rule looks into them.
    let foreign = [
        "affinity",
        "tolerations[]",
        "topologySpreadConstraints[]",
        "resources",
        "namespaceSelector",
        "podSelector",
        "imagePullSecrets[]",
    ];
    unbounded.retain(|path| !foreign.iter().any(|type_| path.contains(&format!(".{type_}."))));
    assert_eq!(unbounded, Vec::<String>::new());
}

#[test]
fn a_new_object_has_a_status_that_nobody_takes_for_current() {
    assert_eq!(schema()["properties"]["status"]["default"], json!({"observedGeneration": -1}));
    let crd = serde_json::to_value(statusnode_api::crd()).unwrap();
    assert_eq!(crd["spec"]["versions"][0]["subresources"]["status"], json!({}));
    assert_eq!(crd["spec"]["names"]["shortNames"], json!(["sn"]));
}

#[test]
fn the_columns_are_those_of_the_design() {
    let crd = serde_json::to_value(statusnode_api::crd()).unwrap();
    let columns = crd["spec"]["versions"][0]["additionalPrinterColumns"].as_array().unwrap().clone();
    let named = |wide: bool| {
        let of = columns.iter().filter(|column| (column["priority"].as_i64().unwrap_or(0) > 0) == wide);
        of.map(|column| column["name"].as_str().unwrap().to_uppercase()).collect::<Vec<_>>()
    };
    assert_eq!(named(false), ["MODE", "READY", "EXTERNAL", "STATUS", "AGE"]);
    assert_eq!(named(true), ["ENODE", "IMAGE"]);
}

/// `retention: {addresses: {whenDeleted: Retain}}` says all that one wants to say.
#[test]
fn each_member_of_a_retention_policy_has_the_default_of_its_field() {
    let retention = schema()["properties"]["spec"]["properties"]["retention"].clone();
    for (field, expected) in [("volumes", "Retain"), ("identities", "Retain"), ("addresses", "Delete")] {
        let policy = &retention["properties"][field];
        assert_eq!(policy["required"], Value::Null, "{field}");
        for member in ["whenDeleted", "whenScaled"] {
            assert_eq!(policy["properties"][member]["default"], expected, "{field}.{member}");
            assert_eq!(policy["default"][member], expected, "{field}.{member}");
        }
    }
}

#[test]
fn the_definition_as_json_stays_below_200_kib() {
    assert!(serde_json::to_string(&statusnode_api::crd()).unwrap().len() < 200 * 1024);
}

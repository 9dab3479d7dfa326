//! Hostile arguments of `waku_*`: members by their names with values of every kind, good ones among them.

use std::cell::Cell;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::tests::api;
use crate::rpc::properties::{answer, any_json, is_response};

/// Stands for the id of a key that exists.
const KEY: &str = "the key";
/// Of what is posted and of what is filtered for. Without `powTime`: nothing is searched for long.
const MEMBERS: [&str; 14] = [
    "symKeyID",
    "privateKeyID",
    "pubKey",
    "sig",
    "ttl",
    "topic",
    "topics",
    "payload",
    "padding",
    "powTarget",
    "targetPeer",
    "minPow",
    "allowP2P",
    "other",
];
/// None that would refuse what comes after it.
const METHODS: [&str; 11] = [
    "waku_post",
    "waku_newMessageFilter",
    "waku_getFilterMessages",
    "waku_deleteMessageFilter",
    "waku_addPrivateKey",
    "waku_addSymKey",
    "waku_getPublicKey",
    "waku_deleteKeyPair",
    "waku_setBloomFilter",
    "waku_markTrustedPeer",
    "waku_info",
];

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(KEY)),
        Just(json!("0xcd423760")),
        Just(json!(["0xcd423760", "0x01020304"])),
        Just(json!("aGVsbG8=")),
        any::<u32>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "(0x)?[0-9a-f]{0,10}".prop_map(Value::from),
        any_json(),
    ]
}

fn any_members() -> impl Strategy<Value = Map<String, Value>> {
    let member = (prop::sample::select(MEMBERS.to_vec()), any_value());
    let named = |members: Vec<(&str, Value)>| {
        members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    };
    prop::collection::vec(member, 0..4).prop_map(named)
}

/// Most often what a method needs to get far, changed in a few members.
fn any_params() -> impl Strategy<Value = Value> {
    let message = any_members().prop_map(|changed| {
        let mut message = json!({"symKeyID": KEY, "topic": "0xcd423760", "topics": ["0xcd423760"],
            "payload": "aGVsbG8=", "powTarget": 0.000_002});
        message.as_object_mut().unwrap().extend(changed);
        message
    });
    let any = prop_oneof![3 => message, 1 => any_members().prop_map(Value::from), 2 => any_value()];
    prop::collection::vec(any, 0..3).prop_map(Value::from)
}

/// Puts the key's id where a value stands for it.
fn with_key(value: &mut Value, key: &Value) {
    match value {
        Value::String(text) if text == KEY => *value = key.clone(),
        Value::Array(values) => values.iter_mut().for_each(|value| with_key(value, key)),
        Value::Object(members) => members.values_mut().for_each(|value| with_key(value, key)),
        _ => {}
    }
}

#[test]
fn any_call_gets_one_response_and_no_method_panics() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let api = api();
    let key = futures::executor::block_on(api.key());
    let posted = Cell::new(0);
    let calls = (prop::sample::select(METHODS.to_vec()), any_params());
    proptest!(ProptestConfig::with_cases(2000), |((method, params) in calls)| {
        let mut params = params;
        with_key(&mut params, &key);
        let body = json!({"id": 1, "method": method, "params": params}).to_string();
        let value = answer(&api.rpc, body.as_bytes()).unwrap();
        prop_assert!(is_response(&value), "{body}: {value}");
        posted.set(posted.get() + u32::from(method == "waku_post" && value["result"].is_string()));
    });
    assert!(posted.get() > 0, "some get all the way");
}

//! Hostile bodies: whatever comes in, what goes out is JSON-RPC.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    dispatch::{Authorized, Rpc},
    testing,
};

pub(super) fn answer(rpc: &Rpc, body: &[u8]) -> Option<Value> {
    let text = futures::executor::block_on(rpc.answer(body, Authorized(true), None))?;
    Some(serde_json::from_str(&text).unwrap())
}

/// One result or one error, and no method panicked.
pub(super) fn is_response(value: &Value) -> bool {
    let members = value.as_object().is_some_and(|object| object.contains_key("id") && object.len() == 3);
    let crashed = value["error"]["message"] == "method handler crashed";
    members
        && !crashed
        && value["jsonrpc"] == "2.0"
        && (value.get("result").is_some() != value.get("error").is_some())
}

pub(super) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-z\"\\\\{}]{0,6}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

fn any_request() -> impl Strategy<Value = Value> {
    let methods = ["admin_addPeer", "admin_peers", "admin_subscribe", "web3_sha3", "rpc_modules", "x_y"];
    (any_json(), prop::sample::select(methods.to_vec()), any_json())
        .prop_map(|(id, method, params)| json!({"id": id, "method": method, "params": params}))
}

proptest! {
    #[test]
    fn any_bytes_get_a_response_or_nothing(body in prop::collection::vec(any::<u8>(), 0..256)) {
        let rpc = testing::services(Arc::default()).full_rpc().unwrap();
        if let Some(value) = answer(&rpc, &body) {
            let all = value.as_array().map_or(vec![value.clone()], Clone::clone);
            prop_assert!(all.iter().all(is_response), "{value}");
        }
    }

    #[test]
    fn any_request_gets_one_response_under_its_id(request in any_request()) {
        let rpc = testing::services(Arc::default()).full_rpc().unwrap();
        let value = answer(&rpc, request.to_string().as_bytes()).unwrap();
        prop_assert!(is_response(&value), "{value}");
        let echoed = if request["id"].is_object() || request["id"].is_array() { &Value::Null } else { &request["id"] };
        prop_assert_eq!(&value["id"], echoed);
    }
}

//! `waku_*` from request to answer, over a relay without peers. Facts: `spec/operations.md` §2.4.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::StreamExt as _;
use prometheus::Registry as Families;
use serde_json::{Value, json};

use super::*;
use crate::rpc::dispatch::{Authorized, Rpc};

const NOW: u32 = 1_700_000_000;
const TOPIC: &str = "0xcd423760";

pub(super) struct Api {
    pub(super) rpc: Rpc,
    api: Arc<WakuApi>,
}

pub(super) fn api() -> Api {
    let metrics = waku::Metrics::register(&Families::new()).unwrap();
    let waku = Waku::new(waku::Config::new(Arc::new(|| NOW)), None, None, metrics);
    let api = WakuApi::new(waku, enode::NodeKey::generate(), || NOW);
    let mut registry = Registry::new(true);
    register(&mut registry, &api).unwrap();
    Api { rpc: Rpc::new(registry, crate::rpc::Calls::default()), api }
}

impl Api {
    async fn text(&self, method: &str, params: Value) -> String {
        let body = json!({"id": 1, "method": method, "params": params}).to_string();
        self.rpc.answer(body.as_bytes(), Authorized(true), None).await.unwrap()
    }

    async fn ask(&self, method: &str, params: Value) -> Value {
        let text = self.text(method, params).await;
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    async fn refused(&self, method: &str, params: Value) -> (i64, String) {
        let answer: Value = serde_json::from_str(&self.text(method, params).await).unwrap();
        let error = &answer["error"];
        (error["code"].as_i64().unwrap(), error["message"].as_str().unwrap().to_owned())
    }

    pub(super) async fn key(&self) -> Value {
        self.ask("waku_generateSymKeyFromPassword", json!(["status"])).await
    }
}

#[tokio::test]
async fn ops_2_4_info_and_version_in_their_exact_text() {
    let api = api();
    assert_eq!(
        api.text("waku_info", json!([])).await,
        r#"{"jsonrpc":"2.0","id":1,"result":{"messages":0,"minPow":0.000002,"maxMessageSize":1048576}}"#
    );
    assert_eq!(api.ask("waku_version", json!([])).await, "1");
}

#[tokio::test]
async fn ops_2_4_settings() {
    let api = api();
    assert_eq!(api.ask("waku_setMinPoW", json!([0.5])).await, true);
    assert_eq!(api.ask("waku_info", json!([])).await["minPow"], 0.5);
    assert_eq!(api.refused("waku_setMinPoW", json!([-1])).await.0, -32000);
    assert_eq!(api.ask("waku_setMaxMessageSize", json!([2048])).await, true);
    assert_eq!(api.ask("waku_info", json!([])).await["maxMessageSize"], 2048);
    let (code, message) = api.refused("waku_setMaxMessageSize", json!([1_048_577])).await;
    assert!(code == -32000 && message.contains("set WakuConfig.MaxMessageSize and restart"), "{message}");
    assert_eq!(api.refused("waku_setMaxMessageSize", json!([-1])).await.0, -32602);
    assert_eq!(api.ask("waku_setBloomFilter", json!([format!("0x{}", "00".repeat(64))])).await, true);
    assert_eq!(api.refused("waku_setBloomFilter", json!(["0x00"])).await.0, -32602);
    let enode = format!("enode://{}@127.0.0.1:1", crate::rpc::testing::PUBLIC);
    let (code, message) = api.refused("waku_markTrustedPeer", json!([enode])).await;
    assert!(code == -32000 && message.starts_with("could not find peer with ID"), "{message}");
    assert_eq!(api.ask("waku_makeLightClient", json!([])).await, true);
    assert_eq!(api.ask("waku_cancelLightClient", json!([])).await, true);
}

#[tokio::test]
async fn ops_2_4_key_pairs() {
    let api = api();
    let secret = "0xd49dcf37238dc8a7aac57dc61b9fee68f0a97f062968978b9fafa7d1033d03a9";
    let id = api.ask("waku_addPrivateKey", json!([secret])).await;
    assert_eq!(api.ask("waku_hasKeyPair", json!([id])).await, true);
    assert_eq!(api.ask("waku_getPrivateKey", json!([id])).await, secret);
    let public = api.ask("waku_getPublicKey", json!([id])).await;
    assert_eq!(
        public,
        "0x0482c4d72810c43f35c57f02b1b6bb0099a1cd58a44c4b210ccd10f326330ce41f0610144ec77e28036f7eb09cf87eababb659c58d1a9a832a3097e70ec7c7ecef"
    );
    assert_eq!(api.ask("waku_deleteKeyPair", json!([id])).await, true);
    assert_eq!(api.ask("waku_hasKeyPair", json!([id])).await, false);
    let text = id.as_str().unwrap();
    assert_eq!(
        api.refused("waku_deleteKeyPair", json!([id])).await,
        (-32000, format!("key pair {text} not found"))
    );
    assert_eq!(api.refused("waku_getPrivateKey", json!([id])).await, (-32000, "invalid id".to_owned()));
    assert_eq!(api.ask("waku_newKeyPair", json!([])).await.as_str().unwrap().len(), 64);
    assert_eq!(
        api.refused("waku_addPrivateKey", json!(["0x01"])).await,
        (-32000, "wrong key size: 1".to_owned())
    );
}

#[tokio::test]
async fn ops_2_4_symmetric_keys() {
    let api = api();
    let id = api.key().await;
    // V11.
    let key = "0x36224048e42c49e5c59c57bba5024fbb8822d6b4ee6ac5fbefd8b77f5323ecc4";
    assert_eq!(api.ask("waku_getSymKey", json!([id])).await, key);
    assert_eq!(api.ask("waku_hasSymKey", json!([id])).await, true);
    assert_eq!(api.ask("waku_deleteSymKey", json!([id])).await, true);
    assert_eq!(api.ask("waku_deleteSymKey", json!([id])).await, false);
    assert_eq!(api.ask("waku_hasSymKey", json!([id])).await, false);
    assert_eq!(api.refused("waku_getSymKey", json!([id])).await, (-32000, "non-existent key ID".to_owned()));
    let added = api.ask("waku_addSymKey", json!([key])).await;
    assert_eq!(api.ask("waku_getSymKey", json!([added])).await, key);
    let zero = format!("0x{}", "00".repeat(32));
    assert_eq!(
        api.refused("waku_addSymKey", json!([zero])).await,
        (-32000, "invalid symmetric key".to_owned())
    );
    assert_eq!(api.ask("waku_newSymKey", json!([])).await.as_str().unwrap().len(), 64);
}

fn message(key: &Value) -> Value {
    json!({"symKeyID": key, "topic": TOPIC, "payload": STANDARD.encode("hello"), "powTarget": 0.000_002,
        "powTime": 5, "ttl": 20})
}

#[tokio::test]
async fn ops_2_4_what_is_posted_is_found_by_a_filter_once() {
    let api = api();
    let key = api.key().await;
    let filter = api.ask("waku_newMessageFilter", json!([{"symKeyID": key, "topics": [TOPIC]}])).await;
    assert_eq!(api.ask("waku_getFilterMessages", json!([filter])).await, json!([]));
    let hash = api.ask("waku_post", json!([message(&key)])).await;
    let found = api.ask("waku_getFilterMessages", json!([filter])).await;
    let found = found.as_array().unwrap();
    assert_eq!(found.len(), 1);
    let raw = STANDARD.decode(found[0]["hash"].as_str().unwrap()).unwrap();
    assert_eq!(format!("0x{}", hex::encode(raw)), hash);
    assert_eq!(
        (&found[0]["ttl"], &found[0]["timestamp"], &found[0]["topic"]),
        (&json!(20), &json!(NOW), &json!(TOPIC))
    );
    assert_eq!(found[0]["payload"], STANDARD.encode("hello"));
    assert!(found[0].get("sig").is_none() && found[0].get("bool").is_none());
    assert_eq!(api.ask("waku_getFilterMessages", json!([filter])).await, json!([]), "drained");
    assert_eq!(api.ask("waku_deleteMessageFilter", json!([filter])).await, true);
    for method in ["waku_getFilterMessages", "waku_deleteMessageFilter"] {
        assert_eq!(api.refused(method, json!([filter])).await, (-32000, "filter not found".to_owned()));
    }
    assert_eq!(api.ask("waku_uninstallFilter", json!([filter])).await, Value::Null);
}

#[tokio::test]
async fn ops_2_4_signed_to_a_public_key() {
    let api = api();
    let (sender, recipient) =
        (api.ask("waku_newKeyPair", json!([])).await, api.ask("waku_newKeyPair", json!([])).await);
    let public = async |id: &Value| {
        let text = api.ask("waku_getPublicKey", json!([id])).await;
        STANDARD.encode(hex::decode(&text.as_str().unwrap()[2..]).unwrap())
    };
    let (from, to) = (public(&sender).await, public(&recipient).await);
    let criteria = json!({"privateKeyID": recipient, "sig": from});
    let filter = api.ask("waku_newMessageFilter", json!([criteria])).await;
    let message = json!({"pubKey": to, "sig": sender, "topic": TOPIC, "payload": "aGVsbG8=", "padding": "qrs=",
        "powTarget": 0.000_002, "powTime": 5});
    api.ask("waku_post", json!([message])).await;
    let found = api.ask("waku_getFilterMessages", json!([filter])).await;
    assert_eq!((&found[0]["sig"], &found[0]["recipientPublicKey"]), (&json!(from), &json!(to)));
    assert_eq!((&found[0]["padding"], &found[0]["ttl"]), (&json!("qrs="), &json!(50)));
}

#[tokio::test]
async fn ops_2_4_what_cannot_be_posted() {
    let api = api();
    let key = api.key().await;
    let with = |field: &str, value: Value| {
        let mut message = message(&key);
        message[field] = value;
        json!([message])
    };
    for (params, expected) in [
        (with("symKeyID", json!("")), "specify either a symmetric or an asymmetric key"),
        (with("pubKey", json!("BAE=")), "specify either a symmetric or an asymmetric key"),
        (with("symKeyID", json!("nothing")), "non-existent key ID"),
        (with("sig", json!("nothing")), "invalid id"),
        (with("topic", json!("0x00000000")), "missing topic(s)"),
        (with("powTarget", json!(0.000_001)), "message rejected, PoW too low"),
        (json!([{"pubKey": "BAE=", "powTarget": 1}]), "invalid public key"),
        (
            with("targetPeer", json!("nonsense")),
            "failed to parse target peer: missing 'enr:' prefix for base64-encoded record",
        ),
        (with("powTime", json!(61)), "powTime is 61; at most 60 seconds are allowed"),
    ] {
        assert_eq!(api.refused("waku_post", params).await, (-32000, expected.to_owned()));
    }
    let mut hard = message(&key);
    hard["powTarget"] = json!(1e9);
    hard["powTime"] = json!(0);
    assert_eq!(
        api.refused("waku_post", json!([hard])).await.1,
        "failed to reach the PoW target, specified pow time (0 seconds) was insufficient"
    );
    assert_eq!(api.refused("waku_post", json!(["text"])).await.0, -32602);
    assert_eq!(api.refused("waku_post", with("payload", json!("0x1"))).await.0, -32602);
}

#[tokio::test]
async fn ops_2_4_what_cannot_be_filtered_for() {
    let api = api();
    let key = api.key().await;
    for (criteria, expected) in [
        (json!({}), "specify either a symmetric or an asymmetric key"),
        (json!({"symKeyID": key, "privateKeyID": "x"}), "specify either a symmetric or an asymmetric key"),
        (json!({"symKeyID": "x"}), "non-existent key ID"),
        (json!({"privateKeyID": "x"}), "invalid id"),
        (json!({"symKeyID": key, "sig": "BAE="}), "invalid signing public key"),
    ] {
        assert_eq!(
            api.refused("waku_newMessageFilter", json!([criteria])).await,
            (-32000, expected.to_owned())
        );
    }
    assert_eq!(api.refused("waku_getFilterMessages", json!(["x"])).await.1, "filter not found");
}

#[tokio::test]
async fn a_subscription_gives_messages_and_takes_its_filter_with_it() {
    let api = api();
    let key = api.key().await;
    let criteria = json!({"symKeyID": key, "topics": [TOPIC]});
    let mut items = api.api.subscribe(&serde_json::from_value(criteria).unwrap()).unwrap();
    let hash = api.ask("waku_post", json!([message(&key)])).await;
    let item = items.next().await.unwrap();
    let found: Value = serde_json::from_str(item.get()).unwrap();
    let raw = STANDARD.decode(found["hash"].as_str().unwrap()).unwrap();
    assert_eq!(format!("0x{}", hex::encode(raw)), hash);
    let topicless = serde_json::from_value(json!({"symKeyID": key})).unwrap();
    assert_eq!(api.api.subscribe(&topicless).err().unwrap().message(), "missing topic(s)");
}

#[tokio::test]
async fn subscriptions_that_ended_leave_no_filter_behind() {
    let api = api();
    let key = api.key().await;
    let criteria = serde_json::from_value(json!({"symKeyID": key, "topics": [TOPIC]})).unwrap();
    // More than there may be filters.
    for _ in 0..=1000 {
        drop(api.api.subscribe(&criteria).unwrap());
    }
}

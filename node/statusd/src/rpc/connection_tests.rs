//! Connections without a socket: what goes in, what comes out, and when it ends.

use std::{sync::Arc, time::Duration};

use json_rpc::Received;
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    connection::{self, Incoming, Outgoing},
    dispatch::Authorized,
    testing,
};

const SOON: Duration = Duration::from_secs(10);

struct From(mpsc::UnboundedReceiver<Received>);
impl Incoming for From {
    async fn next(&mut self) -> Option<Received> {
        self.0.recv().await
    }
}

struct To(mpsc::UnboundedSender<String>);
impl Outgoing for To {
    async fn send(&mut self, text: String) -> std::io::Result<()> {
        self.0.send(text).map_err(std::io::Error::other)
    }
    async fn keep_alive(&mut self) -> std::io::Result<()> {
        Ok(())
    }
    async fn close(&mut self) {}
}

struct Client {
    requests: mpsc::UnboundedSender<Received>,
    answers: mpsc::UnboundedReceiver<String>,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<()>,
}

fn connect() -> Client {
    let services = testing::services(Arc::default());
    let (requests, incoming) = mpsc::unbounded_channel();
    let (outgoing, answers) = mpsc::unbounded_channel();
    let stop = CancellationToken::new();
    let rpc = services.full_rpc().unwrap();
    let serve = connection::serve(rpc, || Authorized(true), From(incoming), To(outgoing), stop.clone());
    Client { requests, answers, stop, served: tokio::spawn(serve) }
}

impl Client {
    fn send(&self, body: &Value) {
        self.requests.send(Received::Request(body.to_string().into_bytes())).unwrap();
    }

    async fn receive(&mut self) -> Value {
        let text = timeout(SOON, self.answers.recv()).await.unwrap().unwrap();
        serde_json::from_str(&text).unwrap()
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.send(&json!({"id": 7, "method": method, "params": params}));
        self.receive().await
    }
}

#[tokio::test]
async fn ops_2_2_peer_events_follow_the_answer_in_their_exact_shape() {
    let mut client = connect();
    let answer = client.ask("admin_subscribe", json!(["peerEvents"])).await;
    let id = answer["result"].as_str().unwrap().to_owned();
    assert!(id.starts_with("0x") && u128::from_str_radix(&id[2..], 16).is_ok(), "{id}");
    let add = timeout(SOON, client.answers.recv()).await.unwrap().unwrap();
    let peer = "0a".repeat(32);
    assert_eq!(
        add,
        format!(
            r#"{{"jsonrpc":"2.0","method":"admin_subscription","params":{{"subscription":"{id}","result":{{"type":"add","peer":"{peer}","local":"10.0.0.2:30303","remote":"203.0.113.7:49152"}}}}}}"#
        )
    );
    let drop = client.receive().await["params"]["result"].clone();
    assert_eq!((drop["type"].as_str(), drop["error"].as_str()), (Some("drop"), Some("read timeout")));
    assert_eq!(client.ask("admin_unsubscribe", json!([id])).await["result"], true);
    let again = client.ask("admin_unsubscribe", json!([id])).await;
    assert_eq!(again["error"], json!({"code": -32000, "message": "subscription not found"}));
}

#[tokio::test]
async fn ops_2_1_what_cannot_be_subscribed_to() {
    let mut client = connect();
    for (method, params, code, message) in [
        ("admin_subscribe", json!(["nothing"]), -32601, r#"no "nothing" subscription in admin namespace"#),
        (
            "other_subscribe",
            json!(["peerEvents"]),
            -32601,
            r#"no "peerEvents" subscription in other namespace"#,
        ),
        ("admin_subscribe", json!([]), -32602, "expected subscription name as first argument"),
        ("admin_subscribe", json!([5]), -32602, "expected subscription name as first argument"),
        ("admin_subscribe", json!({}), -32602, "non-array args"),
        ("admin_subscribe", json!(["peerEvents", 1]), -32602, "too many arguments, want at most 0"),
        ("admin_unsubscribe", json!([]), -32602, "missing value for required argument 0"),
    ] {
        let answer = client.ask(method, params).await;
        assert_eq!(answer["error"], json!({"code": code, "message": message}), "{method}");
    }
}

#[tokio::test]
async fn subscriptions_of_a_connection_are_bounded() {
    let mut client = connect();
    let batch: Vec<Value> =
        (0..65).map(|id| json!({"id": id, "method": "admin_subscribe", "params": ["peerEvents"]})).collect();
    client.send(&Value::Array(batch));
    let answers = client.receive().await;
    let refused: Vec<&Value> =
        answers.as_array().unwrap().iter().filter(|answer| answer.get("error").is_some()).collect();
    assert_eq!(refused.len(), 1);
    assert!(refused[0]["error"]["message"].as_str().unwrap().contains("at most 64"), "{refused:?}");
}

#[tokio::test]
async fn what_was_asked_is_answered_after_the_client_says_no_more() {
    let mut client = connect();
    for id in 0..50 {
        client.send(&json!({"id": id, "method": "net_version"}));
    }
    drop(std::mem::replace(&mut client.requests, mpsc::unbounded_channel().0));
    for id in 0..50 {
        assert_eq!(client.receive().await["id"], id);
    }
    timeout(SOON, client.served).await.unwrap().unwrap();
}

#[tokio::test]
async fn malformed_bytes_are_answered_and_end_the_connection() {
    let mut client = connect();
    client.requests.send(Received::Malformed).unwrap();
    assert_eq!(client.receive().await["error"], json!({"code": -32700, "message": "parse error"}));
    timeout(SOON, client.served).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stop_ends_a_connection_with_its_subscriptions() {
    let mut client = connect();
    client.ask("admin_subscribe", json!(["peerEvents"])).await;
    client.stop.cancel();
    timeout(SOON, client.served).await.unwrap().unwrap();
    while client.answers.recv().await.is_some() {}
}

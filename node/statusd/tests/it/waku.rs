//! `waku_*`, `wakuext_*`, `mailserver_*` and `status_*` of running nodes: posted on one, found on another, also as
//! history of a third. Facts: `spec/operations.md` §2.4, §2.5, §8.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    program::{SOON, Setup, Statusd, until},
    sockets::{open, receive, send},
};

/// Nobody.
const STRANGER: &str = "ca634cae0d49acb401d8a4c6b6fe8c55b70d115bf400769cc1400f3258cd31387574077f301b421bc84df7266c44e9e6d569fc56be00812904767bf5ccd1fc7f";
const MODULES: &str = "admin,waku,wakuext,mailserver,status";
const TOPIC: &str = "0xcd423760";

fn mailserver() -> Setup {
    let mut setup = Setup::default();
    setup.config["APIModules"] = json!(MODULES);
    setup.config["WSEnabled"] = json!(true);
    setup
}

fn relay() -> Setup {
    let mut setup = mailserver();
    setup.config["WakuConfig"] = json!({"Enabled": true});
    setup
}

fn connect(from: &Statusd, to: &Statusd) -> String {
    let enode = to.enode();
    let id = to.rpc("admin_nodeInfo", json!([]))["id"].clone();
    assert_eq!(from.rpc("admin_addPeer", json!([enode])), true);
    until("a peer", SOON, || {
        let peers = from.rpc("admin_peers", json!([]));
        peers.as_array().unwrap().iter().any(|peer| peer["id"] == id).then_some(())
    });
    enode
}

fn key(node: &Statusd, password: &str) -> Value {
    node.rpc("waku_generateSymKeyFromPassword", json!([password]))
}

fn post(node: &Statusd, text: &str) -> Value {
    let message = json!({"symKeyID": key(node, "status"), "topic": TOPIC, "payload": STANDARD.encode(text),
        "powTarget": 0.002, "powTime": 10, "ttl": 60});
    node.rpc("waku_post", json!([message]))
}

fn hash(message: &Value) -> String {
    let raw = STANDARD.decode(message["hash"].as_str().unwrap()).unwrap();
    raw.iter().fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

#[test]
fn ops_2_4_a_message_posted_on_one_node_is_found_by_a_filter_of_another() {
    let (first, second) = (relay().start(), relay().start());
    connect(&first, &second);
    let criteria = json!({"symKeyID": key(&second, "status"), "topics": [TOPIC]});
    let filter = second.rpc("waku_newMessageFilter", json!([criteria]));
    let posted = post(&first, "hello");
    let found =
        until("the message", SOON, || second.rpc("waku_getFilterMessages", json!([filter])).get(0).cloned());
    assert_eq!((hash(&found), &found["payload"]), (posted.as_str().unwrap().to_owned(), &json!("aGVsbG8=")));
    assert!(found["pow"].as_f64().unwrap() >= 0.002);
    assert!(second.rpc("waku_info", json!([]))["messages"].as_u64().unwrap() >= 1);
}

#[tokio::test]
async fn ops_2_4_messages_arrive_over_websocket() {
    let (first, second) = (relay().start(), relay().start());
    connect(&first, &second);
    let (mut sender, mut receiver) = open(&second, None).await.unwrap();
    let criteria = json!({"symKeyID": key(&second, "status"), "topics": [TOPIC]});
    send(&mut sender, &json!({"id": 1, "method": "waku_subscribe", "params": ["messages", criteria]})).await;
    let subscription = receive(&mut receiver).await["result"].clone();
    let posted = post(&first, "hello");
    let notification = receive(&mut receiver).await;
    assert_eq!(notification["method"], "waku_subscription");
    assert_eq!(notification["params"]["subscription"], subscription);
    assert_eq!(hash(&notification["params"]["result"]), posted.as_str().unwrap());
    send(&mut sender, &json!({"id": 2, "method": "waku_unsubscribe", "params": [subscription]})).await;
    assert_eq!(receive(&mut receiver).await, json!({"jsonrpc": "2.0", "id": 2, "result": true}));
}

#[test]
fn ops_2_5_history_that_was_asked_for_reaches_filters_that_allow_it() {
    let (server, client) = (mailserver().start(), relay().start());
    let posted = post(&server, "before you came");
    let criteria = json!({"symKeyID": key(&client, "status"), "topics": [TOPIC], "allowP2P": true});
    let filter = client.rpc("waku_newMessageFilter", json!([criteria]));
    let enode = connect(&client, &server);
    // What gossip brings is taken away, so that only history is left to be found.
    until("the message by gossip", SOON, || {
        client.rpc("waku_getFilterMessages", json!([filter])).get(0).cloned()
    });
    let request = json!({"mailServerPeer": enode, "topics": [TOPIC], "limit": 10,
        "symKeyID": key(&client, "status-offline-inbox")});
    let id = client.rpc("wakuext_requestMessages", json!([request]));
    assert_eq!(id.as_str().unwrap().len(), 66);
    let found = until("the message by history", SOON, || {
        client.rpc("waku_getFilterMessages", json!([filter])).get(0).cloned()
    });
    assert_eq!((hash(&found), &found["bool"]), (posted.as_str().unwrap().to_owned(), &json!(true)));
    // Without a server the first known one that is connected is asked.
    let mut request = request;
    request.as_object_mut().unwrap().remove("mailServerPeer");
    let refused = client.rpc_with(&[], "wakuext_requestMessages", json!([request]));
    assert!(refused["error"]["message"].as_str().unwrap().starts_with("no known mailserver"), "{refused}");
    assert_eq!(client.rpc("wakuext_updateMailservers", json!([[enode]])), Value::Null);
    client.rpc("wakuext_requestMessages", json!([request]));
    until("the message again", SOON, || {
        client.rpc("waku_getFilterMessages", json!([filter])).get(0).cloned()
    });
    // One that is put before it and is not connected is passed over.
    let stranger = enode.replace(&enode[8..136], STRANGER);
    assert_eq!(client.rpc("wakuext_setMailserver", json!([stranger])), Value::Null);
    client.rpc("wakuext_requestMessages", json!([request]));
    until("the message once more", SOON, || {
        client.rpc("waku_getFilterMessages", json!([filter])).get(0).cloned()
    });
    assert_eq!(client.rpc("wakuext_updateMailservers", json!([[stranger]])), Value::Null);
    assert_eq!(client.rpc("wakuext_setMailserver", json!([enode])), Value::Null);
    client.rpc("wakuext_requestMessages", json!([request]));
    let refused = client.rpc_with(&[], "wakuext_setMailserver", json!(["mail.example"]));
    assert!(refused["error"]["message"].as_str().unwrap().starts_with("invalid mailServerPeer"), "{refused}");
    assert_eq!(client.rpc("wakuext_echo", json!(["hello"])), "hello");
}

#[test]
fn ops_8_mailserver_and_status_modules_tell_what_there_is() {
    let mut setup = mailserver();
    setup.config["WakuConfig"]["MailServerRetentionSeconds"] = json!(86_400);
    let node = setup.start();
    post(&node, "kept");
    let stats = node.rpc("mailserver_stats", json!([]));
    assert_eq!(
        (&stats["envelopes"], &stats["maxAge"], &stats["maxBytes"]),
        (&json!(1), &json!(86_400), &Value::Null)
    );
    assert!(stats["oldest"].is_u64() && stats["newest"] == stats["oldest"], "{stats}");
    let pruned = node.rpc("mailserver_prune", json!([]));
    assert_eq!(pruned["envelopes"], 0, "it is not a day old");
    assert_eq!(node.rpc("mailserver_stats", json!([]))["envelopes"], 1);
    assert_eq!(node.rpc("status_health", json!([])), json!({"live": true, "ready": true, "reasons": []}));
    let document: Value = serde_json::from_str(&node.get("/status").1).unwrap();
    let told = node.rpc("status_node", json!([]));
    for field in ["version", "nodeId", "configHash", "archive", "ready"] {
        assert_eq!(told[field], document[field], "{field}");
    }
    assert_eq!(node.rpc("status_version", json!([])), document["version"]);
    assert_eq!(node.rpc("status_configHash", json!([])), document["configHash"]);
}

#[test]
fn a_node_without_an_archive_has_no_mailserver_module() {
    let node = relay().start();
    let modules = node.rpc("rpc_modules", json!([]));
    assert_eq!(
        modules,
        json!({"admin": "1.0", "rpc": "1.0", "status": "1.0", "waku": "1.0", "wakuext": "1.0"})
    );
    assert_eq!(node.rpc_with(&[], "mailserver_stats", json!([]))["error"]["code"], -32601);
}

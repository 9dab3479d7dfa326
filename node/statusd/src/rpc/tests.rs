//! Requests in, responses out: shapes, codes and messages of `spec/operations.md` §2.

use json_rpc::MAX_BATCH;
use serde_json::{Value, json};

use super::{
    dispatch::Authorized,
    testing::{PUBLIC, Sample},
    *,
};

fn rpc(write: &WriteAccess) -> (Rpc, Arc<Sample>) {
    let sample = Arc::new(Sample::default());
    let modules = ["admin", "net", "web3", "eth"].map(str::to_owned);
    let services = testing::services(Arc::clone(&sample));
    (services.rpc(&modules, write).unwrap(), sample)
}

fn answer_text(body: &str) -> Option<String> {
    futures::executor::block_on(rpc(&WriteAccess::Open).0.answer(body.as_bytes(), Authorized(true), None))
}

fn answer(body: &str) -> Value {
    serde_json::from_str(&answer_text(body).unwrap()).unwrap()
}

fn call(method: &str) -> Value {
    answer(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":[]}}"#))["result"].clone()
}

fn error(body: &str) -> (i64, String) {
    let error = answer(body)["error"].clone();
    (error["code"].as_i64().unwrap(), error["message"].as_str().unwrap().to_owned())
}

#[test]
fn ops_2_2_node_info_in_its_exact_text() {
    let expected = format!(
        concat!(
            r#"{{"jsonrpc":"2.0","id":1,"result":{{"id":"{id}","name":"Statusd/v1.2.3/linux-amd64/rust1.95","#,
            r#""enode":"enode://{public}@127.0.0.1:30303?discport=0","enr":"enr:-abc","ip":"127.0.0.1","#,
            r#""ports":{{"discovery":0,"listener":30303}},"listenAddr":"[::]:30303","#,
            r#""protocols":{{"waku":{{"maxMessageSize":1048576,"minimumPoW":0.000002,"version":"0"}}}}}}}}"#
        ),
        id = "a4".repeat(32),
        public = PUBLIC
    );
    let text = answer_text(r#"{"jsonrpc":"2.0","id":1,"method":"admin_nodeInfo","params":[]}"#).unwrap();
    assert_eq!(text, expected, "keys, order, and numbers as Go writes them");
}

#[test]
fn ops_2_2_peers_in_their_exact_shape_sorted_by_id() {
    let peers = call("admin_peers");
    assert_eq!(peers[0]["id"], "0a".repeat(32));
    let expected = json!({"enode": format!("enode://{PUBLIC}@203.0.113.7:443"), "id": "ff".repeat(32),
        "name": "StatusIM/v1.14.0/android-arm64/go1.16", "caps": ["waku/0", "waku/1"],
        "network": {"localAddress": "10.0.0.2:30303", "remoteAddress": "203.0.113.7:49152",
            "inbound": true, "trusted": false, "static": false},
        "protocols": {"waku": "unknown"}});
    assert_eq!(peers[1].to_string(), expected.to_string());
}

#[test]
fn ops_2_3_web3_net_and_rpc() {
    assert_eq!(call("web3_clientVersion"), "Statusd/v1.2.3/linux-amd64/rust1.95");
    assert_eq!(call("net_version"), "3");
    assert_eq!(call("net_peerCount"), "0x11");
    assert_eq!(call("net_listening"), true);
    let hash =
        answer(r#"{"id":1,"method":"web3_sha3","params":["0x68656c6c6f20776f726c64"]}"#)["result"].clone();
    assert_eq!(hash, "0x47173285a8d7341e5e972fc677286384f802f8ef42a5ec5f03bbfa254cb01fad");
    assert_eq!(call("rpc_modules"), json!({"admin": "1.0", "net": "1.0", "rpc": "1.0", "web3": "1.0"}));
}

#[test]
fn ops_2_1_ids_are_echoed_as_they_came() {
    for id in ["1", "-7", "1.50", "\"a b\"", "null", "true", "18446744073709551616"] {
        let text = answer_text(&format!(r#"{{"id":{id},"method":"net_version"}}"#)).unwrap();
        assert_eq!(text, format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"3"}}"#));
    }
}

#[test]
fn ops_2_1_error_codes_and_messages() {
    for (body, code, message) in [
        ("", -32700, "parse error"),
        ("{", -32700, "parse error"),
        ("[1", -32700, "parse error"),
        ("[]", -32600, "empty batch"),
        ("1", -32600, "invalid request"),
        ("{}", -32600, "invalid request"),
        (r#"{"id":1}"#, -32600, "invalid request"),
        (r#"{"id":{},"method":"net_version"}"#, -32600, "invalid request"),
        (r#"{"id":1,"method":5}"#, -32600, "invalid request"),
        (r#"{"id":1,"method":"eth_x"}"#, -32601, "the method eth_x does not exist/is not available"),
        (r#"{"id":1,"method":"x"}"#, -32601, "the method x does not exist/is not available"),
        (r#"{"id":1,"method":"admin_addPeer"}"#, -32602, "missing value for required argument 0"),
        (
            r#"{"id":1,"method":"admin_addPeer","params":[null]}"#,
            -32602,
            "missing value for required argument 0",
        ),
        (
            r#"{"id":1,"method":"admin_addPeer","params":["a","b"]}"#,
            -32602,
            "too many arguments, want at most 1",
        ),
        (r#"{"id":1,"method":"net_version","params":[1]}"#, -32602, "too many arguments, want at most 0"),
        (r#"{"id":1,"method":"net_version","params":{"a":1}}"#, -32602, "non-array args"),
        (r#"{"id":1,"method":"admin_addPeer","params":[7]}"#, -32602, "invalid argument 0: want a string"),
        (
            r#"{"id":1,"method":"admin_addPeer","params":["nonsense"]}"#,
            -32000,
            "invalid enode: missing 'enr:' prefix for base64-encoded record",
        ),
    ] {
        assert_eq!(error(body), (code, message.to_owned()), "{body}");
    }
}

#[test]
fn ops_2_1_batches_keep_their_order_and_notifications_are_unanswered() {
    let call = |id: &str| format!(r#"{{{id}"method":"net_version"}}"#);
    let batch = format!("[{},{},5,{}]", call("\"id\":2,"), call(""), call("\"id\":1,"));
    let ids: Vec<Value> =
        answer(&batch).as_array().unwrap().iter().map(|answer| answer["id"].clone()).collect();
    assert_eq!(ids, [json!(2), Value::Null, json!(1)]);
    assert_eq!(answer_text(&call("")), None);
    assert_eq!(answer_text(&format!("[{}]", call(""))), None);
    let huge = format!("[{}]", vec!["1"; MAX_BATCH + 1].join(","));
    assert_eq!(answer(&huge)["error"]["code"], -32600);
}

#[test]
fn only_the_first_json_value_of_a_body_counts() {
    assert_eq!(answer(r#"{"id":1,"method":"net_version"} trailing"#)["result"], "3");
}

#[test]
fn add_peer_takes_urls_names_and_needs_authorization() {
    let body = |enode: &str| format!(r#"{{"id":1,"method":"admin_addPeer","params":["{enode}"]}}"#);
    let (rpc, sample) = rpc(&WriteAccess::Token(Arc::default()));
    let ask = |enode: &str, authorized| -> Value {
        let text =
            futures::executor::block_on(rpc.answer(body(enode).as_bytes(), Authorized(authorized), None))
                .unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let enode = format!("enode://{PUBLIC}@mail.example:443");
    let refused = ask(&enode, false);
    assert_eq!(refused["error"]["code"], -32000);
    assert!(refused["error"]["message"].as_str().unwrap().contains("Authorization: Bearer"), "{refused}");
    assert!(sample.added.lock().is_empty());
    assert_eq!(ask(&enode, true)["result"], true);
    assert_eq!(sample.added.lock()[0].dns_name(), Some("mail.example"));
}

#[test]
fn without_write_access_the_method_does_not_exist() {
    let (rpc, sample) = rpc(&WriteAccess::Off);
    let body = format!(r#"{{"id":1,"method":"admin_addPeer","params":["enode://{PUBLIC}@1.2.3.4:5"]}}"#);
    let text = futures::executor::block_on(rpc.answer(body.as_bytes(), Authorized(true), None)).unwrap();
    assert!(text.contains("-32601"), "{text}");
    assert!(sample.added.lock().is_empty());
}

fn ask(rpc: &Rpc, method: &str, params: &Value) -> Value {
    let body = json!({"id": 1, "method": method, "params": params}).to_string();
    let text = futures::executor::block_on(rpc.answer(body.as_bytes(), Authorized(true), None)).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn ops_2_2_removing_and_trusting_peers() {
    let (rpc, sample) = rpc(&WriteAccess::Open);
    let enode = format!("enode://{PUBLIC}@203.0.113.7:443");
    let id = enode::parse_node(&enode).unwrap().public_key.node_id();
    for method in ["admin_removePeer", "admin_addTrustedPeer", "admin_removeTrustedPeer"] {
        assert_eq!(ask(&rpc, method, &json!([enode]))["result"], true, "{method}");
        let refused = ask(&rpc, method, &json!(["nonsense"]));
        assert_eq!(refused["error"]["code"], -32000);
        assert!(refused["error"]["message"].as_str().unwrap().starts_with("invalid enode: "), "{refused}");
    }
    assert_eq!(*sample.removed.lock(), [id]);
    assert_eq!(*sample.trusted.lock(), [(id, true), (id, false)]);
    assert_eq!(ask(&rpc, "admin_datadir", &json!([]))["result"], "/var/lib/statusd");
}

#[test]
fn the_methods_that_open_listeners_do_not_exist() {
    for method in ["startHTTP", "stopHTTP", "startRPC", "stopRPC", "startWS", "stopWS"] {
        let (code, _) = error(&format!(r#"{{"id":1,"method":"admin_{method}"}}"#));
        assert_eq!(code, -32601, "{method}");
    }
}

#[test]
fn every_privileged_method_needs_the_token_and_no_other_does() {
    let (rpc, sample) = rpc(&WriteAccess::Token(Arc::default()));
    let document = ask(&rpc, "rpc_discover", &json!([]))["result"].clone();
    let methods = document["methods"].as_array().unwrap();
    let mut privileged = Vec::new();
    for method in methods {
        let name = method["name"].as_str().unwrap();
        let body = json!({"id": 1, "method": name, "params": ["x"]}).to_string();
        let text = futures::executor::block_on(rpc.answer(body.as_bytes(), Authorized(false), None)).unwrap();
        assert_eq!(text.contains("unauthorized"), method["x-privileged"] == true, "{name}: {text}");
        if method["x-privileged"] == true {
            privileged.push(name);
        }
    }
    assert_eq!(
        privileged,
        ["admin_addPeer", "admin_addTrustedPeer", "admin_removePeer", "admin_removeTrustedPeer"]
    );
    assert!(sample.added.lock().is_empty() && sample.trusted.lock().is_empty());
}

#[test]
fn rpc_discover_tells_all_methods_and_their_parameters() {
    let document = call("rpc_discover");
    assert_eq!(
        (document["openrpc"].as_str(), document["info"]["title"].as_str()),
        (Some("1.2.6"), Some("statusd"))
    );
    let methods = document["methods"].as_array().unwrap();
    let names: Vec<&str> = methods.iter().map(|method| method["name"].as_str().unwrap()).collect();
    assert!(names.is_sorted() && names.contains(&"rpc_discover") && names.contains(&"rpc_modules"));
    for name in &names {
        let (code, message) = error_or_none(name);
        assert_ne!(code, -32601, "{name}: {message}");
    }
    let add = methods.iter().find(|method| method["name"] == "admin_addPeer").unwrap();
    assert_eq!(add["params"], json!([{"name": "enode", "required": true, "schema": {"type": "string"}}]));
    assert_eq!(add["result"], json!({"name": "result", "schema": {"type": "boolean"}}));
    assert_eq!(
        document["x-subscriptions"],
        json!([{"method": "admin_subscribe", "name": "peerEvents", "params": [], "x-privileged": false}])
    );
}

fn error_or_none(method: &str) -> (i64, String) {
    let answer = answer(&format!(r#"{{"id":1,"method":"{method}"}}"#));
    (answer["error"]["code"].as_i64().unwrap_or(0), answer["error"]["message"].to_string())
}

#[test]
fn ops_2_1_subscribing_where_nobody_can_be_notified() {
    for body in [
        r#"{"id":1,"method":"admin_subscribe","params":["peerEvents"]}"#,
        r#"{"id":1,"method":"admin_unsubscribe","params":["0x1"]}"#,
    ] {
        assert_eq!(error(body), (-32000, "notifications not supported".to_owned()));
    }
}

#[test]
fn the_ipc_socket_has_every_module() {
    let services = testing::services(Arc::default());
    let rpc = services.full_rpc().unwrap();
    let modules = ask(&rpc, "rpc_modules", &json!([]))["result"].clone();
    for module in services.modules() {
        assert_eq!(modules[module], "1.0");
    }
}

#[test]
fn ops_3_4_calls_of_methods_that_exist_are_counted() {
    let services = testing::services(Arc::new(Sample::default()));
    let rpc = services.full_rpc().unwrap();
    for call in
        [r#""net_version","params":[]"#, r#""net_version","params":[1]"#, r#""net_nosuch","params":[]"#]
    {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":{call}}}"#);
        futures::executor::block_on(rpc.answer(body.as_bytes(), Authorized(true), None)).unwrap();
    }
    let registry = prometheus::Registry::new();
    registry.register(Box::new(services.calls.collector().unwrap())).unwrap();
    let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    for line in [
        "rpc_requests 2",
        "rpc_success 1",
        "rpc_failure 1",
        "rpc_duration_all_count 2",
        "rpc_duration_net_version_success_count 1",
        "rpc_duration_net_version_failure_count 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    assert!(!text.contains("nosuch"), "{text}");
}

//! JSON-RPC over HTTP as a client sees it: `spec/operations.md` §2.1–2.3.

use std::{
    io::Read as _,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::program::{Setup, http};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const CALL: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"rpc_modules"}"#;

#[test]
fn ops_2_1_transport_rules() {
    let node = Setup::default().start();
    let ask = |method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]| {
        http(node.rpc, method, path, headers, body)
    };
    let good = ask("POST", "/", &[JSON], CALL);
    assert_eq!(good.status, 200);
    assert!(good.head.contains("content-type: application/json"), "{}", good.head);
    assert!(!good.head.contains("access-control-"), "no CORS unless configured: {}", good.head);
    let empty = ask("GET", "/", &[], b"");
    assert_eq!((empty.status, empty.body.as_str()), (200, ""));
    assert_eq!(ask("POST", "/other", &[JSON], CALL).status, 404);
    assert_eq!(ask("POST", "/", &[("Content-Type", "text/plain")], CALL).status, 415);
    assert_eq!(ask("POST", "/", &[], CALL).status, 415);
    for method in ["PUT", "DELETE", "PATCH"] {
        assert_eq!(ask(method, "/", &[JSON], CALL).status, 405, "{method}");
    }
    for content_type in ["application/json-rpc", "application/jsonrequest", "application/json; charset=utf-8"]
    {
        assert_eq!(ask("POST", "/", &[("Content-Type", content_type)], CALL).status, 200, "{content_type}");
    }
    let strange = ask("POST", "/", &[JSON, ("Host", "evil.example")], CALL);
    assert_eq!((strange.status, strange.body.trim_end()), (403, "invalid host specified"));
    assert_eq!(ask("POST", "/", &[JSON, ("Host", "10.1.2.3:8545")], CALL).status, 200);
}

#[test]
fn ops_2_1_bodies_over_5_mib_are_refused_with_and_without_a_length() {
    let node = Setup::default().start();
    let call = |bytes: usize| {
        let mut body = CALL.to_vec();
        body.resize(bytes, b' ');
        body
    };
    const LIMIT: usize = 5 * 1024 * 1024;
    assert_eq!(http(node.rpc, "POST", "/", &[JSON], &call(LIMIT)).status, 200);
    assert_eq!(http(node.rpc, "POST", "/", &[JSON], &call(LIMIT + 1)).status, 413);
    let mut chunked = format!("{:x}\r\n", LIMIT + 1).into_bytes();
    chunked.extend(call(LIMIT + 1));
    chunked.extend(b"\r\n0\r\n\r\n");
    assert_eq!(http(node.rpc, "POST", "/", &[JSON, ("Transfer-Encoding", "chunked")], &chunked).status, 413);
}

#[test]
fn ops_2_2_node_info_and_peers_of_a_running_node() {
    let node = Setup::default().start();
    let info = node.rpc("admin_nodeInfo", json!([]));
    let keys: Vec<&str> = info.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["id", "name", "enode", "enr", "ip", "ports", "listenAddr", "protocols"]);
    let name = info["name"].as_str().unwrap();
    assert!(name.starts_with("Statusd/v") && name.split('/').count() == 4, "{name}");
    assert_eq!(info["listenAddr"], node.p2p.to_string());
    assert_eq!(
        info["protocols"],
        json!({"waku": {"maxMessageSize": 1_048_576, "minimumPoW": 0.000_002, "version": "0"}})
    );
    assert!(info["enr"].as_str().unwrap().starts_with("enr:-"));
    let enode: enode::Enode = info["enode"].as_str().unwrap().parse().unwrap();
    assert_eq!(enode.node_id().to_string(), info["id"]);
    assert_eq!(
        (enode.endpoint, info["ip"].as_str()),
        (None, Some("")),
        "no address is known, none is guessed"
    );
    assert_eq!(node.rpc("admin_peers", json!([])), json!([]));
    assert_eq!(node.rpc("web3_clientVersion", json!([])), info["name"]);
    assert_eq!(
        node.rpc("rpc_modules", json!([])),
        json!({"admin": "1.0", "net": "1.0", "rpc": "1.0", "web3": "1.0"})
    );
}

#[test]
fn only_configured_modules_exist() {
    let mut setup = Setup::default();
    setup.config["APIModules"] = json!("web3");
    let node = setup.start();
    assert_eq!(node.rpc("rpc_modules", json!([])), json!({"rpc": "1.0", "web3": "1.0"}));
    let refused = node.rpc_with(&[], "admin_nodeInfo", json!([]));
    assert_eq!(refused["error"]["code"], -32601);
}

#[test]
fn cors_headers_appear_for_configured_origins_only() {
    let mut setup = Setup::default();
    setup.config["HTTPCors"] = json!(["https://good.example"]);
    let node = setup.start();
    let ask = |origin| http(node.rpc, "POST", "/", &[JSON, ("Origin", origin)], CALL).head;
    assert!(ask("https://good.example").contains("access-control-allow-origin: https://good.example"));
    assert!(!ask("https://evil.example").contains("access-control-allow-origin"));
}

#[test]
fn write_methods_need_the_token_and_a_new_token_file_takes_effect() {
    let mut setup = Setup::default();
    let secrets = setup.path("rpc");
    setup.write_mounted(&secrets, "token", "first-token-0123456789\n");
    setup.config["RPCTokenFile"] = json!(secrets.join("token"));
    let node = setup.start();
    let params = json!([format!(
        "enode://{}@127.0.0.1:1",
        "ca634cae0d49acb401d8a4c6b6fe8c55b70d115bf400769cc1400f3258cd31387574077f301b421bc84df7266c44e9e6d569fc56be00812904767bf5ccd1fc7f"
    )]);
    let ask = |token: &str| {
        let value = format!("Bearer {token}");
        node.rpc_with(&[("Authorization", &value)], "admin_addPeer", params.clone())
    };
    assert_eq!(node.rpc_with(&[], "admin_addPeer", params.clone())["error"]["code"], -32000);
    assert_eq!(ask("wrong-token-0123456789")["error"]["code"], -32000);
    assert_eq!(ask("first-token-0123456789")["result"], true);
    assert_eq!(node.rpc("admin_peers", json!([])), json!([]), "reading needs no token");
    setup.write_mounted(&secrets, "token", "second-token-0123456789\n");
    crate::program::until("the new token is taken", crate::program::SOON, || {
        (ask("second-token-0123456789")["result"] == true).then_some(())
    });
    assert_eq!(ask("first-token-0123456789")["error"]["code"], -32000);
}

#[test]
fn without_a_token_write_methods_exist_on_loopback_only() {
    let mut setup = Setup::default();
    assert_eq!(setup.start().rpc_with(&[], "admin_addPeer", json!([]))["error"]["code"], -32602, "exists");
    setup.config["HTTPHost"] = json!("0.0.0.0");
    assert_eq!(
        setup.start().rpc_with(&[], "admin_addPeer", json!([]))["error"]["code"],
        -32601,
        "does not exist"
    );
}

#[test]
fn ops_2_1_answers_are_compressed_for_who_takes_gzip() {
    let node = Setup::default().start();
    let plain = http(node.rpc, "POST", "/", &[JSON], CALL);
    assert!(!plain.head.contains("content-encoding"), "{}", plain.head);
    let packed = http(node.rpc, "POST", "/", &[JSON, ("Accept-Encoding", "gzip, deflate")], CALL);
    assert_eq!(packed.status, 200);
    assert!(packed.head.contains("content-encoding: gzip"), "{}", packed.head);
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed.bytes.as_slice()).read_to_string(&mut text).unwrap();
    assert_eq!(text, plain.body);
}

#[test]
fn ops_4_6_the_seeds_script_lines_work_unchanged() {
    let node = Setup::default().start();
    let ask = |method: &str, filter: &str| {
        let body = format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":[],"id":1}}"#);
        let line = format!(
            "curl -sS --fail -X POST http://{}/ -H 'Content-Type: application/json' --data '{body}' | jq -r '{filter}'",
            node.rpc
        );
        let output = Command::new("sh").args(["-c", &line]).stderr(Stdio::inherit()).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let info = node.rpc("admin_nodeInfo", json!([]));
    for field in ["name", "enode", "enr"] {
        assert_eq!(ask("admin_nodeInfo", &format!(".result.{field}")), info[field].as_str().unwrap());
    }
    assert_eq!(ask("admin_peers", ".result | length"), "0");
}

#[test]
fn ops_2_2_a_removed_peer_is_disconnected_and_stays_away() {
    let (one, two) = (Setup::default(), Setup::default());
    let (first, second) = (one.start(), two.start());
    let enode = first.enode();
    assert_eq!(second.rpc("admin_addPeer", json!([enode])), true);
    crate::program::until("a peer", crate::program::SOON, || {
        second.rpc("admin_peers", json!([])).get(0).cloned()
    });
    assert_eq!(second.rpc("admin_removePeer", json!([enode])), true);
    assert_eq!(second.rpc("admin_peers", json!([])), json!([]), "it is gone when the call returns");
    assert_eq!(second.rpc("admin_addTrustedPeer", json!([enode])), true);
    assert_eq!(second.rpc("admin_addPeer", json!([enode])), true);
    let peer = crate::program::until("a peer again", crate::program::SOON, || {
        second.rpc("admin_peers", json!([])).get(0).cloned()
    });
    assert_eq!(peer["network"]["trusted"], true);
    assert_eq!(second.rpc("admin_removeTrustedPeer", json!([enode])), true);
    let peer: Value = second.rpc("admin_peers", json!([]))[0].clone();
    assert_eq!(peer["network"]["trusted"], false, "and it is still there");
}

#[test]
fn ops_2_2_the_data_directory_is_absolute() {
    let setup = Setup::default();
    let node = setup.start();
    assert_eq!(node.rpc("admin_datadir", json!([])), json!(setup.path("data")));
}

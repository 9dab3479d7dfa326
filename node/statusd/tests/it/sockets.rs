//! JSON-RPC over the connections that last, as a client sees them: the IPC socket and WebSocket.
//! Facts: `spec/operations.md` §2.1, §2.2 (`admin_peerEvents`).

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{
        fs::PermissionsExt as _,
        net::{UnixListener, UnixStream},
    },
    path::Path,
};

use serde_json::{Value, json};
use soketto::handshake::{Client, ServerResponse, client::Header};
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};

use crate::program::{SOON, Setup, Statusd};

struct Ipc(BufReader<UnixStream>);

impl Ipc {
    fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Self(BufReader::new(stream))
    }

    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    fn receive(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

fn setup() -> Setup {
    let mut setup = Setup::default();
    setup.config["IPCEnabled"] = json!(true);
    setup.config["WSEnabled"] = json!(true);
    setup
}

fn socket(setup: &Setup) -> std::path::PathBuf {
    setup.path("data").join("geth.ipc")
}

#[test]
fn ops_2_1_the_ipc_socket_is_private_and_has_every_module() {
    let mut setup = setup();
    setup.config["APIModules"] = json!("web3");
    setup.config["RPCTokenFile"] = json!(setup.path("absent"));
    let node = setup.start();
    let path = socket(&setup);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut ipc = Ipc::connect(&path);
    ipc.send(r#"{"id":1,"method":"rpc_modules"}"#);
    let modules = ipc.receive()["result"].clone();
    assert!(modules["admin"] == "1.0" && modules["net"] == "1.0", "{modules}");
    ipc.send("{\"id\":2,\"method\":\"net_version\"}{\"id\":3,\"method\":\"net_listening\"}\n[{\"id\":4,");
    assert_eq!((ipc.receive()["id"].clone(), ipc.receive()["id"].clone()), (json!(2), json!(3)));
    ipc.send("\"method\":\"nothing\"}]");
    assert_eq!(ipc.receive()[0]["error"]["code"], -32601);
    ipc.send(r#"{"id":5,"method":"admin_addPeer","params":["nonsense"]}"#);
    let refused = ipc.receive()["error"]["message"].clone();
    assert!(refused.as_str().unwrap().starts_with("invalid enode"), "no token is asked for: {refused}");
    let (status, _) = node.stop("-TERM");
    assert!(status.success());
    assert!(!path.exists(), "removed at the stop");
}

#[test]
fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
    let setup = setup();
    fs::create_dir_all(setup.path("data")).unwrap();
    drop(UnixListener::bind(socket(&setup)).unwrap());
    let node = setup.start();
    let mut ipc = Ipc::connect(&socket(&setup));
    ipc.send(r#"{"id":1,"method":"net_version"}"#);
    assert_eq!(ipc.receive()["result"], "3");
    drop(node);
    let _foreign = {
        fs::remove_file(socket(&setup)).unwrap();
        UnixListener::bind(socket(&setup)).unwrap()
    };
    let (code, error) = setup.start_fails();
    assert!(code == 1 && error.contains("IPCFile: cannot listen on "), "{code} {error}");
}

#[test]
fn malformed_bytes_end_an_ipc_connection_and_no_other() {
    let setup = setup();
    let _node = setup.start();
    let (mut bad, mut good) = (Ipc::connect(&socket(&setup)), Ipc::connect(&socket(&setup)));
    bad.send("nonsense");
    assert_eq!(bad.receive()["error"], json!({"code": -32700, "message": "parse error"}));
    assert_eq!(bad.0.read_line(&mut String::new()).unwrap(), 0, "closed");
    good.send(r#"{"id":1,"method":"net_version"}"#);
    assert_eq!(good.receive()["result"], "3");
}

pub(crate) type Sender = soketto::Sender<Compat<TcpStream>>;
pub(crate) type Receiver = soketto::Receiver<Compat<TcpStream>>;

pub(crate) async fn open(node: &Statusd, origin: Option<&str>) -> Result<(Sender, Receiver), u16> {
    open_with(node, origin.map(|origin| ("Origin", origin))).await
}

async fn open_with(node: &Statusd, header: Option<(&str, &str)>) -> Result<(Sender, Receiver), u16> {
    let stream = TcpStream::connect(node.rpc).await.unwrap();
    let host = node.rpc.to_string();
    let headers: Vec<Header<'_>> =
        header.iter().map(|(name, value)| Header { name, value: value.as_bytes() }).collect();
    let mut client = Client::new(stream.compat(), &host, "/");
    client.set_headers(&headers);
    match client.handshake().await.unwrap() {
        ServerResponse::Accepted { .. } => Ok(client.into_builder().finish()),
        ServerResponse::Rejected { status_code } => Err(status_code),
        ServerResponse::Redirect { status_code, .. } => Err(status_code),
    }
}

pub(crate) async fn send(sender: &mut Sender, body: &Value) {
    sender.send_text(body.to_string()).await.unwrap();
    sender.flush().await.unwrap();
}

pub(crate) async fn receive(receiver: &mut Receiver) -> Value {
    let mut message = Vec::new();
    tokio::time::timeout(SOON, receiver.receive_data(&mut message)).await.unwrap().unwrap();
    serde_json::from_slice(&message).unwrap()
}

#[tokio::test]
async fn ops_2_2_peer_events_arrive_over_websocket() {
    let setup = setup();
    let node = setup.start();
    let other = Setup::default().start();
    let (mut sender, mut receiver) = open(&node, None).await.unwrap();
    send(&mut sender, &json!({"id": "s", "method": "admin_subscribe", "params": ["peerEvents"]})).await;
    let answer = receive(&mut receiver).await;
    assert_eq!(answer["id"], "s");
    let info = other.rpc("admin_nodeInfo", json!([]));
    let enode = format!("{}@{}", info["enode"].as_str().unwrap(), other.p2p);
    send(&mut sender, &json!({"id": 2, "method": "admin_addPeer", "params": [enode]})).await;
    assert_eq!(receive(&mut receiver).await["result"], true);
    let event = receive(&mut receiver).await;
    assert_eq!(
        (&event["method"], &event["params"]["subscription"]),
        (&json!("admin_subscription"), &answer["result"])
    );
    let result = &event["params"]["result"];
    assert_eq!(
        (&result["type"], &result["peer"], &result["remote"]),
        (&json!("add"), &info["id"], &json!(other.p2p))
    );
    send(&mut sender, &json!({"id": 3, "method": "admin_removePeer", "params": [enode]})).await;
    let (first, second) = (receive(&mut receiver).await, receive(&mut receiver).await);
    let dropped = if first.get("id").is_some() { second } else { first };
    assert_eq!(dropped["params"]["result"]["type"], "drop");
    assert!(dropped["params"]["result"]["error"].is_string(), "{dropped}");
}

#[tokio::test]
async fn pages_of_strange_origins_open_no_websocket() {
    let mut setup = setup();
    setup.config["WSOrigins"] = json!(["https://good.example"]);
    let node = setup.start();
    assert_eq!(open(&node, Some("https://evil.example")).await.err(), Some(403));
    assert!(open(&node, Some("https://good.example")).await.is_ok());
    assert!(open(&node, None).await.is_ok());
}

#[tokio::test]
async fn a_stop_closes_websockets() {
    let setup = setup();
    let node = setup.start();
    let (mut sender, mut receiver) = open(&node, None).await.unwrap();
    send(&mut sender, &json!({"id": 1, "method": "net_version"})).await;
    assert_eq!(receive(&mut receiver).await["result"], "3");
    let (status, log) = tokio::task::spawn_blocking(move || node.stop("-TERM")).await.unwrap();
    assert!(status.success(), "{log}");
    assert!(receiver.receive_data(&mut Vec::new()).await.is_err(), "it was told goodbye");
}

#[tokio::test]
async fn a_websocket_loses_its_privileges_with_its_token() {
    let mut setup = setup();
    let secrets = setup.path("rpc");
    setup.write_mounted(&secrets, "token", "first-token-0123456789\n");
    setup.config["RPCTokenFile"] = json!(secrets.join("token"));
    let node = setup.start();
    let call = json!({"id": 1, "method": "admin_addPeer", "params": ["nonsense"]});
    let (mut sender, mut receiver) = open(&node, None).await.unwrap();
    send(&mut sender, &call).await;
    assert!(receive(&mut receiver).await.to_string().contains("unauthorized"));
    let header = ("Authorization", "Bearer first-token-0123456789");
    let (mut sender, mut receiver) = open_with(&node, Some(header)).await.unwrap();
    send(&mut sender, &call).await;
    assert!(receive(&mut receiver).await.to_string().contains("invalid enode"));
    setup.write_mounted(&secrets, "token", "second-token-0123456789\n");
    let begin = std::time::Instant::now();
    loop {
        send(&mut sender, &call).await;
        if receive(&mut receiver).await.to_string().contains("unauthorized") {
            break;
        }
        assert!(begin.elapsed() < SOON, "the old token is still taken");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

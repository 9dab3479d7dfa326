//! The programs as a user runs them against the independent peer (`e2e/peers`), each in both roles where it has both.
//! Needs that peer's binary: the scripts set STATUS_PEER_BIN. Facts: `spec/waku-mailserver.md` §9.4, §9.5.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::{
    io::{BufRead as _, BufReader},
    os::unix::fs::symlink,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

fn peer_program() -> String {
    std::env::var("STATUS_PEER_BIN")
        .expect("STATUS_PEER_BIN is not set: build the peer by `scripts/build.sh peers` and name its binary")
}

fn output(program: &str, args: &[&str]) -> Output {
    Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"))
}

fn tools(args: &[&str]) -> Output {
    output(env!("CARGO_BIN_EXE_node-tools"), args)
}

fn peer(args: &[&str]) -> Vec<Value> {
    lines(output(&peer_program(), args), 0)
}

fn statusctl(code: i32, args: &[&str]) -> Vec<Value> {
    lines(tools(&[&["statusctl"], args].concat()), code)
}

/// JSON lines of a program that ended with this code.
fn lines(output: Output, code: i32) -> Vec<Value> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    if code != 0 {
        assert_eq!(stderr.lines().count(), 1, "one plain line: {stderr}");
    }
    let stdout = String::from_utf8(output.stdout).unwrap();
    stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// Ends what it started.
struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Running {
    fn start(program: &str, args: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> Value {
        serde_json::from_str(&self.lines.next().expect("a line").unwrap()).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The peer as a server, and its enode.
fn serve(args: &[&str]) -> (Running, String) {
    let mut running = Running::start(&peer_program(), &[&["serve"], args].concat());
    let enode = running.line()["enode"].as_str().unwrap().to_owned();
    (running, enode)
}

#[test]
fn connect_agrees_with_the_peer_on_who_is_there() {
    let (_server, enode) = serve(&[]);
    for (offer, version) in [("0", 0), ("1", 1), ("0,1", 1)] {
        let seen = statusctl(0, &["connect", &enode, "--waku", offer]).remove(0);
        assert_eq!(seen["version"], version);
        assert_eq!(seen["caps"], serde_json::json!(["waku/0", "waku/1"]));
        assert_eq!((&seen["confirmations"], &seen["powRequirement"]), (&true.into(), &0.000_002.into()));
        assert!(seen["name"].as_str().unwrap().starts_with("status-peer/"));
        assert_eq!(seen["nodeId"], peer(&["connect", &enode])[0]["nodeId"]);
    }
}

#[test]
fn a_client_says_which_address_and_identity_it_has() {
    let (_server, enode) = serve(&[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nodekey");
    let file = file.to_str().unwrap();
    let own = statusctl(0, &["keygen", "--out", file]).remove(0);
    let seen = statusctl(0, &["connect", &enode, "--nodekey-file", file]).remove(0);
    let args = ["statusctl", "watch", &enode, "--nodekey-file", file];
    let watching = Running::start(env!("CARGO_BIN_EXE_node-tools"), &args).line();
    for said in [&seen, &watching] {
        assert_eq!(said["self"], own["nodeId"], "{said}");
        assert!(said["localAddress"].as_str().unwrap().starts_with("127.0.0.1:"), "{said}");
    }
    assert_ne!(peer(&["connect", &enode])[0]["self"], own["nodeId"]);
}

#[test]
fn what_either_posts_both_read_back_byte_for_byte() {
    let (_server, enode) = serve(&[]);
    for version in ["0", "1"] {
        let ours =
            statusctl(0, &["post", &enode, "--channel", "status", "--confirm", "--waku", version]).remove(0);
        let theirs = peer(&["post", &enode, "-channel", "status", "-confirm", "-waku", version]).remove(0);
        assert_eq!((&ours["confirmed"], &theirs["confirmed"]), (&true.into(), &true.into()));
        for form in ["plain", "encrypted"] {
            let here =
                statusctl(0, &["history", &enode, "--channel", "status", "--form", form, "--waku", version]);
            let there = peer(&["history", &enode, "-channel", "status", "-form", form, "-waku", version]);
            for (who, answer) in [("statusctl", here), ("status-peer", there)] {
                for posted in [&ours, &theirs] {
                    let count = answer.iter().filter(|line| line["raw"] == posted["raw"]).count();
                    assert_eq!(count, 1, "{who}, {form}, waku/{version}");
                }
                assert_eq!(answer.last().unwrap()["type"], "completion");
                assert_eq!(answer.last().unwrap()["lastReceived"], true);
            }
        }
    }
}

#[test]
fn an_unconfirmed_post_arrives_too() {
    let (_server, enode) = serve(&[]);
    let posted = statusctl(0, &["post", &enode, "--topic", "0a0b0c0d", "--count", "50"]);
    assert_eq!(posted.len(), 50);
    assert!(posted.iter().all(|posted| posted["confirmed"] == false));
    // The peer takes them when it does: nobody waited for a confirmation.
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let found = statusctl(0, &["history", &enode, "--topic", "0x0a0b0c0d"]);
        let kept = posted.iter().filter(|posted| found.iter().any(|f| f["raw"] == posted["raw"])).count();
        if kept == posted.len() {
            break;
        }
        assert!(Instant::now() < deadline, "{kept} of {} kept", posted.len());
    }
}

#[test]
fn pages_follow_the_peers_cursors() {
    let (_server, enode) = serve(&["-fill", "25"]);
    let all = statusctl(0, &["history", &enode, "--limit", "10", "--all", "--form", "encrypted"]);
    let mut hashes: Vec<_> = all.iter().filter_map(|line| line["hash"].as_str()).collect();
    assert_eq!(hashes.len(), 25);
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 25, "each once");
    assert_eq!(all.iter().filter(|line| line["type"] == "completion").count(), 3);
}

#[test]
fn watch_sees_what_the_peer_passes_on() {
    let (_server, enode) = serve(&[]);
    let args = ["statusctl", "watch", &enode, "--topic", "01020304", "--count", "1", "--timeout", "20"];
    let mut watch = Running::start(env!("CARGO_BIN_EXE_node-tools"), &args);
    let watching = watch.line();
    assert_eq!(watching["type"], "watching");
    assert!(enode.contains(watching["remoteAddress"].as_str().unwrap()), "{watching}");
    let posted = peer(&["post", &enode, "-topic", "01020304", "-confirm"]).remove(0);
    assert_eq!(watch.line()["raw"], posted["raw"]);
    assert!(watch.child.wait().unwrap().success());
}

/// `spec/devp2p.md` §2.5: with a peer of version 4 of the base protocol nothing is compressed.
#[test]
fn without_snappy() {
    let (_server, enode) = serve(&["-snappy=false"]);
    assert_eq!(peer(&["connect", &enode, "-snappy=false"])[0]["snappy"], false);
    for version in ["0", "1"] {
        let posted =
            statusctl(0, &["post", &enode, "--channel", "status", "--confirm", "--waku", version]).remove(0);
        for form in ["plain", "encrypted"] {
            let found =
                statusctl(0, &["history", &enode, "--channel", "status", "--form", form, "--waku", version]);
            assert!(found.iter().any(|line| line["raw"] == posted["raw"]), "{form}, waku/{version}");
        }
    }
}

/// `spec/waku-mailserver.md` §4.4, §7.3 step 6: the canary's status update is read by the peer.
#[test]
fn a_status_update_is_understood() {
    for snappy in ["-snappy=true", "-snappy=false"] {
        let (mut server, enode) = serve(&["-fill", "1", snappy]);
        assert_eq!(tools(&["node-canary", "-mailserver", &enode]).status.code(), Some(0));
        let update = server.line();
        assert_eq!(
            (&update["type"], &update["status"]),
            (&"update".into(), &serde_json::json!({"topics": 1}))
        );
    }
}

#[test]
fn statusctl_exit_codes() {
    let (mut server, enode) = serve(&["-mode", "refuse"]);
    statusctl(4, &["history", &enode, "--channel", "status"]);
    statusctl(3, &["watch", &enode, "--count", "1", "--timeout", "0.2"]);
    statusctl(2, &["history", &enode, "--cursor", "xyz"]);
    statusctl(2, &["post", &enode, "--topic", "01020304", "--pow", "1e60"]);
    let bare = enode.split('@').next().unwrap();
    statusctl(2, &["connect", bare]);
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    statusctl(1, &["connect", &enode]);
    assert_eq!(tools(&["statusctl", "connect", "nonsense"]).status.code(), Some(2));
    assert_eq!(tools(&["nonsense"]).status.code(), Some(2));
}

/// S99 to S106, and what `-post` adds.
#[test]
fn canary_exit_codes_by_misbehaviour() {
    for (mode, plain, post) in [
        ("normal", 0, 0),
        ("empty-history", 0, 14),
        ("drop-127", 4, 4),
        ("refuse", 10, 10),
        ("silent", 3, 3),
        ("wrong-id", 3, 3),
    ] {
        let (_server, enode) = serve(&["-mode", mode, "-fill", "2"]);
        let common = ["node-canary", "-mailserver", &enode, "-timeout", "2"];
        for (flags, code) in [(&[][..], plain), (&["-post"][..], post)] {
            let out = tools(&[&common, flags].concat());
            let text = [out.stdout, out.stderr].concat();
            let text = String::from_utf8(text).unwrap();
            assert_eq!(out.status.code(), Some(code), "{mode} {flags:?}: {text}");
            assert_eq!(text.lines().count(), 1, "one plain line: {text}");
        }
    }
}

#[test]
fn canary_with_the_wrong_and_the_right_password() {
    let (_server, enode) = serve(&["-password", "another"]);
    let canary =
        |flags: &[&str]| tools(&[&["node-canary", "-mailserver", &enode], flags].concat()).status.code();
    assert_eq!(canary(&[]), Some(10));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "another\n").unwrap();
    assert_eq!(canary(&["-password-file", file.to_str().unwrap(), "-post"]), Some(0));
}

#[test]
fn canary_static_unreachable_and_without_address() {
    let (mut server, enode) = serve(&[]);
    assert_eq!(tools(&["node-canary", "-staticnode", &enode]).status.code(), Some(0));
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    assert_eq!(tools(&["node-canary", "--mailserver", &enode]).status.code(), Some(1));
    assert_eq!(tools(&["node-canary"]).status.code(), Some(1));
    assert_eq!(tools(&["node-canary", "-nonsense"]).status.code(), Some(2));
}

#[test]
fn a_link_is_the_program_of_its_name() {
    let folder = tempfile::tempdir().unwrap();
    for (name, words) in [("node-canary", "-mailserver"), ("statusctl", "keygen")] {
        let link = folder.path().join(name);
        symlink(env!("CARGO_BIN_EXE_node-tools"), &link).unwrap();
        let help = output(link.to_str().unwrap(), &["--help"]);
        assert!(String::from_utf8(help.stdout).unwrap().contains(words));
    }
}

#[test]
fn keys_and_enodes_fit_together() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nodekey");
    let file = file.to_str().unwrap();
    let made = statusctl(0, &["keygen", "--out", file]).remove(0);
    assert_eq!(made.get("nodeKey"), None, "a key that is written is not printed");
    let out = tools(&[
        "statusctl",
        "enode",
        "--nodekey-file",
        file,
        "--address",
        "198.51.100.7",
        "--udp-port",
        "0",
    ]);
    let enode = format!("{}@198.51.100.7:30303?discport=0\n", made["enode"].as_str().unwrap());
    assert_eq!(String::from_utf8(out.stdout).unwrap(), enode);
    statusctl(1, &["keygen", "--out", file]);
    let completion = tools(&["statusctl", "completion", "bash"]);
    assert!(String::from_utf8(completion.stdout).unwrap().contains("statusctl"));
    assert!(String::from_utf8(tools(&["statusctl", "qr", &enode]).stdout).unwrap().lines().count() > 15);
}

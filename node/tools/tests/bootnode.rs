//! The bootnode as it is run: identity, start line, signals, exit codes; and that nodes find each other through it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use discovery::{Config, Event, Manager};
use enode::{Enode, NodeKey};

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_node-tools"));
    command.arg("bootnode").args(args);
    command
}

fn run(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

fn fails(args: &[&str], code: i32) -> String {
    let output = run(args);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

/// A running bootnode; ended when dropped.
struct Bootnode {
    child: Child,
    enode: Enode,
}

impl Bootnode {
    fn start(args: &[&str]) -> Self {
        let args = [&["-addr", "127.0.0.1:0"], args].concat();
        let mut child = command(&args).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = lines.find(|line| line.as_ref().unwrap().contains("UDP listener up")).unwrap().unwrap();
        let enode =
            line.split("net=").nth(1).unwrap().trim().parse().unwrap_or_else(|e| panic!("{e}: {line}"));
        // Somebody has to read what it says.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, enode }
    }

    fn end(mut self, signal: &str) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Bootnode {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `spec/operations.md` §5.2, and §0, S23: one identity for good.
#[test]
fn the_identity_is_stable() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nodekey");
    let file = file.to_str().unwrap();
    let made = run(&["-genkey", file]);
    assert!(made.status.success() && made.stdout.is_empty());
    let text = std::fs::read_to_string(file).unwrap();
    let key = NodeKey::from_hex(&text).unwrap();
    assert!(
        run(&["--genkey", file, "-nodekey", "/nowhere"]).status.success(),
        "checked before all key flags"
    );
    assert_eq!(std::fs::read_to_string(file).unwrap(), text);

    let shown = run(&["-nodekey", file, "-writeaddress"]);
    assert_eq!(String::from_utf8(shown.stdout).unwrap(), format!("{}\n", key.public_key()));
    assert!(shown.stderr.is_empty());
    let shown = run(&["-keydata", &text, "-writeaddress"]);
    assert_eq!(String::from_utf8(shown.stdout).unwrap(), format!("{}\n", key.public_key()));
    assert!(String::from_utf8(shown.stderr).unwrap().contains("WARN"));

    for signal in ["-TERM", "-INT"] {
        let bootnode = Bootnode::start(&["-nodekey", file]);
        assert_eq!(bootnode.enode.public_key, key.public_key());
        assert_eq!(bootnode.end(signal), Some(0), "{signal}");
    }
}

/// `spec/devp2p.md` §9: usage errors are 2, all other fatal ones 1, each with a remedy.
#[test]
fn what_is_wrong_is_said_in_one_line() {
    let key = NodeKey::generate();
    let data = ["-keydata", &key.to_hex()].map(str::to_owned);
    let with_key = |args: &[&str], code| {
        let args: Vec<&str> = data.iter().map(String::as_str).chain(args.iter().copied()).collect();
        let text = fails(&args, code);
        text.lines().last().unwrap().to_owned()
    };
    let text = fails(&[], 1);
    assert!(
        text.contains("either `nodekey` or `keydata` must be provided") && text.lines().count() == 1,
        "{text}"
    );
    assert!(fails(&["-nodekey", "/nowhere/nodekey"], 1).contains("/nowhere/nodekey"));
    assert!(with_key(&["-addr", "30301"], 1).contains("-addr"));
    assert!(with_key(&["-vmodule", "discovery"], 1).contains("-vmodule"));
    let bare = format!("enode://{}", key.public_key());
    assert!(with_key(&["-n", &bare], 1).contains("not complete"));
    let mistyped = fails(&["-n", "enode://12@127.0.0.1:5"], 2);
    assert!(mistyped.contains("-n"), "{mistyped}");
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = socket.local_addr().unwrap().to_string();
    let text = with_key(&["-addr", &taken], 1);
    assert!(text.contains(&taken) && text.contains("-addr"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_find_each_other_through_bootnodes() {
    let keys = [(); 2].map(|()| NodeKey::generate());
    let first = Bootnode::start(&["-keydata", &keys[0].to_hex()]);
    let second = Bootnode::start(&["-keydata", &keys[1].to_hex(), "-n", &first.enode.to_string()]);
    let topic: discovery::Topic = "whisper".parse().unwrap();
    let start = |boot: Enode| {
        let config = Config::new(NodeKey::generate(), "127.0.0.1:0".parse().unwrap());
        Manager::start(Config { boot_nodes: vec![boot], ..config }).unwrap()
    };
    let provider = start(first.enode);
    provider.register(topic.clone()).unwrap();
    let searcher = start(second.enode);
    let mut events = searcher.events();
    searcher.search(topic, Duration::from_secs(3)).unwrap();
    let found = async {
        loop {
            if let Event::Found { node, .. } = events.recv().await.unwrap() {
                return node;
            }
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(120), found).await.expect("found in time");
    assert_eq!(found.enode(), provider.enode());
    assert_eq!((first.end("-TERM"), second.end("-TERM")), (Some(0), Some(0)));
    provider.shutdown().await;
    searcher.shutdown().await;
}

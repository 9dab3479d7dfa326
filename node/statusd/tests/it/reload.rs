//! The configuration read again while the node runs: at SIGHUP and when a file changes.

use std::fs;

use serde_json::json;

use crate::program::{SOON, Setup, Statusd, until};

/// Replaces the config file as a person does, by another file.
fn write(setup: &Setup, text: &str) {
    fs::write(setup.path("config.new"), text).unwrap();
    fs::rename(setup.path("config.new"), setup.path("config.json")).unwrap();
}

fn logged(node: &Statusd, words: &[&str]) {
    until(&format!("{words:?} in the log"), SOON, || {
        let log = node.log();
        log.lines().any(|line| words.iter().all(|word| line.contains(word))).then_some(())
    });
}

fn metric(node: &Statusd, name: &str) -> Option<String> {
    let (_, text) = node.get("/metrics");
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned))
}

#[test]
fn a_changed_file_changes_level_limits_and_peers_and_each_is_logged() {
    let (one, mut two) = (Setup::default(), Setup::default());
    let first = one.start();
    let public = first.rpc("admin_nodeInfo", json!([]))["enode"].as_str().unwrap().to_owned();
    let second = two.start();
    assert_eq!(metric(&second, "p2p_peers_max").unwrap(), "500");
    two.config["MaxPeers"] = json!(7);
    two.config["LogLevel"] = json!("DEBUG");
    two.config["ClusterConfig"] = json!({"Enabled": true, "StaticNodes": [format!("{public}@{}", first.p2p)], "TrustedNodes": [public]});
    two.config["WakuConfig"]["EnableRateLimiter"] = json!(true);
    two.config["WakuConfig"]["PacketRateLimitPeerID"] = json!(1000);
    write(&two, &two.config.to_string());
    let peer = until("a peer", SOON, || second.rpc("admin_peers", json!([])).get(0).cloned());
    assert_eq!((&peer["network"]["static"], &peer["network"]["trusted"]), (&json!(true), &json!(true)));
    assert_eq!(metric(&second, "p2p_peers_max").unwrap(), "7");
    logged(&second, &["configuration changed", "key=MaxPeers", "from=500", "to=7"]);
    logged(&second, &["configuration changed", "key=LogLevel"]);
    logged(&second, &["configuration changed", "key=WakuConfig.PacketRateLimitPeerID", "to=1000"]);
    logged(&second, &["DEBUG"]);
    two.config.as_object_mut().unwrap().remove("ClusterConfig");
    write(&two, &two.config.to_string());
    until("no peer", SOON, || {
        second.rpc("admin_peers", json!([])).as_array().unwrap().is_empty().then_some(())
    });
}

#[test]
fn what_needs_a_restart_is_said_plainly() {
    let mut setup = Setup::default();
    let node = setup.start();
    setup.config["WakuConfig"]["FullNode"] = json!(false);
    setup.config["WakuConfig"]["MailServerPassword"] = json!("hush-hush");
    write(&setup, &setup.config.to_string());
    logged(
        &node,
        &["WARN", "takes effect at the next start", "key=WakuConfig.FullNode", "from=true", "to=false"],
    );
    logged(&node, &["takes effect at the next start", "key=WakuConfig.MailServerPassword", "to=(secret)"]);
    assert!(!node.log().contains("hush-hush"));
}

#[test]
fn a_broken_file_changes_nothing_and_says_why() {
    let mut setup = Setup::default();
    let node = setup.start();
    write(&setup, "{\"MaxPeers\": 3");
    logged(&node, &["WARN", "config.json", "not JSON", "nothing changed"]);
    setup.config["MaxPeers"] = json!(3);
    setup.config["WakuConfig"]["MinimumPoW"] = json!(-1);
    write(&setup, &setup.config.to_string());
    logged(&node, &["WARN", "WakuConfig.MinimumPoW", "nothing changed"]);
    assert_eq!(metric(&node, "p2p_peers_max").unwrap(), "500", "not half of it either");
    setup.config["WakuConfig"]["MinimumPoW"] = json!(0.000_002);
    write(&setup, &setup.config.to_string());
    until("the next good file", SOON, || metric(&node, "p2p_peers_max").filter(|max| max == "3"));
}

#[test]
fn sighup_reads_again_and_does_not_stop_the_node() {
    let mut setup = Setup::default();
    let node = setup.start();
    node.signal("-HUP");
    logged(&node, &["SIGHUP: reading the configuration again"]);
    // Where no watch sees it: the directory behind a link.
    let elsewhere = tempfile::tempdir().unwrap();
    setup.config["MaxPeers"] = json!(9);
    fs::write(elsewhere.path().join("real.json"), setup.config.to_string()).unwrap();
    fs::remove_file(setup.path("config.json")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path().join("real.json"), setup.path("config.json")).unwrap();
    until("the file behind the link", SOON, || metric(&node, "p2p_peers_max").filter(|max| max == "9"));
    setup.config["MaxPeers"] = json!(10);
    fs::write(elsewhere.path().join("real.json"), setup.config.to_string()).unwrap();
    node.signal("-HUP");
    until("the changed file", SOON, || metric(&node, "p2p_peers_max").filter(|max| max == "10"));
    assert_eq!(node.stop("-TERM").0.code(), Some(0));
}

#[test]
fn a_changed_advertised_address_takes_effect() {
    let mut setup = Setup::default();
    setup.config.as_object_mut().unwrap().remove("LiveDir");
    setup.config["AdvertiseAddr"] = json!("198.51.100.7");
    let node = setup.start();
    let ip = || node.rpc("admin_nodeInfo", json!([]))["ip"].as_str().unwrap().to_owned();
    assert_eq!(ip(), "198.51.100.7");
    setup.config["AdvertiseAddr"] = json!("198.51.100.8");
    write(&setup, &setup.config.to_string());
    until("the new address", SOON, || (ip() == "198.51.100.8").then_some(()));
}

#[test]
fn devp2p_3_6_static_and_trusted_nodes_of_the_data_directory_are_read_and_read_again() {
    let (one, two) = (Setup::default(), Setup::default());
    let first = one.start();
    let list = json!([first.enode()]).to_string();
    let directory = two.path("data/Statusd");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("static-nodes.json"), &list).unwrap();
    let second = two.start();
    let peer = |second: &Statusd| second.rpc("admin_peers", json!([])).get(0).cloned();
    let there = until("a peer", SOON, || peer(&second));
    assert_eq!((&there["network"]["static"], &there["network"]["trusted"]), (&json!(true), &json!(false)));
    fs::write(directory.join("trusted-nodes.json"), &list).unwrap();
    until("trust", SOON, || peer(&second).filter(|it| it["network"]["trusted"] == true));
    fs::write(directory.join("static-nodes.json"), "[]").unwrap();
    until("no peer", SOON, || peer(&second).is_none().then_some(()));
}

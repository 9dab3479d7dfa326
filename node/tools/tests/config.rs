//! `statusctl config` as a user runs it. Facts: `spec/operations.md` §4.6, §8.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};

/// `statusctl config` in `home`, with no other variable that counts.
fn config(home: &Path, args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_node-tools"));
    command.env_clear().env("HOME", home).envs(variables.iter().copied());
    command.args(["statusctl", "config"]).args(args).current_dir(home).output().unwrap()
}

fn text(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn ops_8_explain_prints_each_value_with_its_origin() {
    let home = tempfile::tempdir().unwrap();
    let key = "b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291";
    fs::write(home.path().join("a.json"), r#"{"MaxPeers": 5, "HTTPPort": 1, "HTTPEnabled": true}"#).unwrap();
    let b = json!({"maxpeers": 6, "WakuConfig": {"RateLimitIP": 1, "EnableMailServer": true, "MailServerPassword": "hush"}});
    fs::write(home.path().join("b.json"), b.to_string()).unwrap();
    let args = ["explain", "-c", "a.json", "-fleet=eth.staging", "--log", "WARN", "b.json"];
    let shown = text(config(home.path(), &args, &[("STATUSD_NODEKEY", key)]));
    let line = |key: &str| {
        let found = shown.lines().find(|line| line.contains(&format!(" {key} = ")));
        found.unwrap_or_else(|| panic!("{key} in {shown}")).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("MaxPeers"), "config file b.json MaxPeers = 6");
    assert_eq!(line("HTTPPort"), "config file a.json HTTPPort = 1");
    assert_eq!(line("LogLevel"), r#"flag -log LogLevel = "WARN""#);
    assert_eq!(line("NoDiscovery"), "fleet eth.staging NoDiscovery = false");
    assert_eq!(line("NodeKey"), "environment STATUSD_NODEKEY NodeKey = (secret)");
    assert_eq!(
        line("WakuConfig.MailServerPassword"),
        "config file b.json WakuConfig.MailServerPassword = (secret)"
    );
    assert_eq!(line("MaxPendingPeers"), "default MaxPendingPeers = 100");
    assert!(shown.contains("warning: config file b.json: unknown key WakuConfig.RateLimitIP"), "{shown}");
    assert!(!shown.contains("hush") && !shown.contains(key), "{shown}");
}

#[test]
fn ops_8_explain_as_json() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("a.json"), r#"{"MaxPeers": 5, "Bogus": 1}"#).unwrap();
    let shown: Value =
        serde_json::from_str(&text(config(home.path(), &["explain", "--json", "a.json"], &[]))).unwrap();
    let all = shown["settings"].as_array().unwrap();
    let peers = all.iter().find(|it| it["key"] == "MaxPeers").unwrap();
    assert_eq!(*peers, json!({"key": "MaxPeers", "value": 5, "origin": {"from": "file", "name": "a.json"}}));
    let dir = all.iter().find(|it| it["key"] == "DataDir").unwrap();
    assert_eq!(dir["origin"], json!({"from": "environment", "name": "HOME"}));
    assert!(shown["warnings"][0].as_str().unwrap().contains("unknown key Bogus"), "{shown}");
}

#[test]
fn explain_refuses_as_statusd_does() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("a.json"), r#"{"Bogus": 1}"#).unwrap();
    for (args, code, word) in [
        (["explain", "-nonsense", "x"], 2, "nonsense"),
        (["explain", "-strict", "a.json"], 1, "unknown key Bogus"),
        (["explain", "-c", "missing.json"], 1, "missing.json"),
        (["explain", "-fleet", "nowhere"], 1, "-fleet"),
    ] {
        let output = config(home.path(), &args, &[]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{error}");
        assert!(
            error.starts_with("statusctl: ") && error.contains(word) && error.lines().count() == 1,
            "{error}"
        );
    }
    let help = text(config(home.path(), &["explain", "-help"], &[]));
    assert!(help.contains("--fleet") && help.contains("--json"), "{help}");
}

#[test]
fn ops_4_6_generate_writes_once_what_explain_takes() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let variables = [("DATA_PATH", data.to_str().unwrap()), ("LSTEN_PORT", "443"), ("MAIL_PASSWORD", "hush")];
    let path = data.join("config.json");
    assert_eq!(text(config(home.path(), &["generate"], &variables)).trim(), path.to_str().unwrap());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let first = fs::read_to_string(&path).unwrap();
    let shown = text(config(home.path(), &["explain", "-strict", path.to_str().unwrap()], &[]));
    assert!(shown.contains(r#"ListenAddr = "0.0.0.0:443""#) && !shown.contains("warning"), "{shown}");
    // Again: it stays, and says so.
    let output = config(home.path(), &["generate"], &[("DATA_PATH", data.to_str().unwrap())]);
    assert!(output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("stays as it is"));
    assert_eq!(fs::read_to_string(&path).unwrap(), first);
    let printed = text(config(home.path(), &["generate", "--stdout"], &variables));
    assert_eq!(printed, first);
}

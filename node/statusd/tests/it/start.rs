//! Starts that fail: a code of its own and one plain line. `spec/operations.md` §1.2 (S7), §8.

use std::{fs, net::TcpListener};

use serde_json::json;

use crate::program::{Setup, fails};

/// The code, and one line that begins with the program's name and holds `words`.
fn refused(outcome: (i32, String), code: i32, words: &[&str]) {
    let (found, text) = outcome;
    assert_eq!(text.lines().count(), 1, "one line: {text}");
    assert!(text.starts_with("statusd: "), "{text}");
    for word in words {
        assert!(text.contains(word), "{word} in {text}");
    }
    assert_eq!(found, code, "{text}");
}

#[test]
fn ops_s7_a_taken_port() {
    for key in ["ListenAddr", "HTTPPort", "MetricsPort"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut setup = Setup::default();
        setup.config[key] =
            if key == "ListenAddr" { json!(format!("127.0.0.1:{port}")) } else { json!(port) };
        refused(setup.start_fails(), 11, &[key, &port.to_string(), "choose another"]);
    }
}

#[test]
fn a_bad_node_key_is_not_overwritten() {
    let setup = Setup::default();
    let path = setup.path("data/Statusd/nodekey");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "not a key").unwrap();
    refused(setup.start_fails(), 13, &["nodekey", "64 hex digits"]);
    assert_eq!(fs::read(&path).unwrap(), b"not a key");
}

#[test]
fn a_missing_key_file_is_not_generated() {
    let mut setup = Setup::default();
    setup.config["NodeKeyFile"] = json!(setup.path("missing"));
    refused(setup.start_fails(), 13, &["missing", "does not exist"]);
    assert!(!setup.path("missing").exists());
}

#[test]
fn a_locked_data_directory() {
    let setup = Setup::default();
    let node = setup.start();
    refused(setup.start_fails(), 12, &["DataDir", "in use"]);
    drop(node);
    setup.start();
}

#[test]
fn bad_json_and_wrong_types() {
    let setup = Setup::default();
    let path = setup.path("bad.json");
    for (text, words) in [
        ("{\"DataDir\": ", ["bad.json", "JSON"]),
        (r#"{"MaxPeers": "many"}"#, ["MaxPeers", "whole number"]),
        (r#"{"LogLevel": "LOUD"}"#, ["LogLevel", "INFO"]),
    ] {
        fs::write(&path, text).unwrap();
        let mut command = setup.command();
        command.arg("-c").arg(&path);
        refused(fails(command), 1, &words);
    }
}

#[test]
fn a_missing_password() {
    let mut setup = Setup::default();
    setup.config["WakuConfig"] = json!({"EnableMailServer": true});
    refused(setup.start_fails(), 1, &["MailServerPassword", "is not set"]);
    setup.config["WakuConfig"] =
        json!({"EnableMailServer": true, "MailServerPasswordFile": setup.path("missing")});
    refused(setup.start_fails(), 1, &["MailServerPasswordFile", "missing"]);
}

#[test]
fn usage_errors() {
    let setup = Setup::default();
    for (args, word) in [
        (["-nonsense"].as_slice(), "nonsense"),
        (&["extra"], "extra"),
        (&["-c", "/nonexistent.json"], "/nonexistent.json"),
    ] {
        let mut command = setup.command();
        command.args(args);
        refused(fails(command), 2, &[word]);
    }
}

#[test]
fn an_archive_directory_that_holds_something_else() {
    let setup = Setup::default();
    let dir = setup.path("data/waku");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("CURRENT"), "MANIFEST-000005\n").unwrap();
    fs::write(dir.join("000003.ldb"), "leveldb").unwrap();
    refused(setup.start_fails(), 10, &["waku", "Nothing was changed"]);
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 2);
}

#[test]
fn help_and_version_exit_0_and_show_no_secret() {
    let mut setup = Setup::default();
    setup.config["WakuConfig"]["MailServerPassword"] = json!("hush-hush");
    for flag in ["-help", "-version"] {
        let output = setup.command().arg(flag).output().unwrap();
        assert!(output.status.success(), "{flag}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.to_lowercase().contains("statusd") && !text.contains("hush-hush"), "{text}");
    }
}

#[test]
fn ops_s2_unknown_keys_are_warned_of() {
    let mut setup = Setup::default();
    setup.config["WakuConfig"]["RateLimitIP"] = json!(5);
    let node = setup.start();
    assert!(node.log().contains("did you mean WakuConfig.PacketRateLimitIP?"), "{}", node.log());
}

//! Starts that fail: a code of its own and one plain line. `spec/operations.md` §1.2 (S7), §8.

use std::{
    fs::{self, OpenOptions},
    io::{BufRead as _, BufReader},
    net::TcpListener,
    os::unix::fs::{OpenOptionsExt as _, symlink},
    process::{Child, Command, Stdio},
};

use serde_json::json;

use crate::program::{SOON, Setup, fails, until};

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

/// Two data directories, one archive.
#[test]
fn a_locked_archive() {
    let (one, two) = (Setup::default(), Setup::default());
    let _node = one.start();
    fs::create_dir_all(two.path("data")).unwrap();
    symlink(one.path("data/waku"), two.path("data/waku")).unwrap();
    refused(two.start_fails(), 12, &["waku", "in use"]);
}

/// A start that hangs, here on a pipe that nobody fills, can be stopped like a running node: once, and at once the
/// second time.
#[test]
fn ops_s8_signals_during_the_start() {
    let mut setup = Setup::default();
    let pipe = setup.path("key");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    setup.config["NodeKeyFile"] = json!(pipe);
    let kill = |child: &Child, signal: &str| {
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    };
    for (again, code, last) in [(None, 0, ""), (Some("-INT"), 15, "SIGINT came again")] {
        let mut child = setup.command().stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        // It can be opened for writing once the node has opened it to read.
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let open = || OpenOptions::new().write(true).custom_flags(flags).open(&pipe).ok();
        let _never_filled = until("the node reads the pipe", SOON, open);
        kill(&child, "-TERM");
        assert!(log.any(|line| line.contains("stopping before the start is over")));
        if let Some(signal) = again {
            kill(&child, signal);
        }
        let status = until("the end", SOON, || child.try_wait().unwrap());
        let rest: String = log.collect();
        assert_eq!(status.code(), Some(code), "{rest}");
        assert!(rest.contains(last), "{rest}");
    }
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
fn ops_1_2_an_unknown_fleet_and_strict_keys() {
    let mut setup = Setup::default();
    setup.config["WakuConfig"]["RateLimitIP"] = json!(5);
    for (args, words) in [
        (["-fleet", "nowhere"].as_slice(), ["-fleet", "eth.prod"]),
        (&["-fleet", "/nonexistent.json"], ["-fleet", "/nonexistent.json"]),
        (&["-strict"], ["RateLimitIP", "PacketRateLimitIP"]),
        (&["-log", "LOUD"], ["-log", "INFO"]),
        (&["-discovery"], ["-discovery", "BootNodes"]),
    ] {
        let mut command = setup.command();
        command.args(args);
        refused(fails(command), 1, &words);
    }
}

#[test]
fn ops_1_1_flags_without_effect_are_taken_and_warned_of() {
    let setup = Setup::default();
    let mut command = setup.command();
    command.args(["-pprof", "--pprof-port=52525", "-metrics.expensive"]);
    let node = setup.start_as(command);
    for flag in ["-pprof", "-pprof-port", "-metrics.expensive"] {
        assert!(node.log().contains(&format!("flag {flag} has no effect")), "{}", node.log());
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

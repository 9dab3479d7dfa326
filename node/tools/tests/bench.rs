//! `statusctl bench` against the real node: each row of the table runs and gives figures. What the figures are is no
//! test's business; machines differ. Needs `statusd` beside `node-tools`, as every build of the workspace puts it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::{path::Path, process::Command};

use serde_json::Value;

fn table(rows: &[&str]) -> Vec<Value> {
    let tools = Path::new(env!("CARGO_BIN_EXE_node-tools"));
    let statusd = tools.with_file_name("statusd");
    assert!(statusd.exists(), "{} is not there: build the whole workspace", statusd.display());
    let mut command = Command::new(tools);
    command
        .args(["statusctl", "bench", "table", "--json", "--runs", "1", "--archive", "2000", "--statusd"])
        .arg(statusd);
    for row in rows {
        command.args(["--row", row]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn figures(lines: &[Value]) -> Vec<&str> {
    for line in lines {
        assert!(line["measured"].as_f64().unwrap() > 0.0, "{line}");
        assert!(line["within"].is_boolean() && line["budget"].is_number(), "{line}");
    }
    lines.iter().map(|line| line["figure"].as_str().unwrap()).collect()
}

#[test]
fn the_relay_is_measured_beside_its_floor() {
    let lines = table(&["relay 50 × 100/s in 20 packets/s"]);
    assert_eq!(figures(&lines), ["CPU a delivery", "the same, of the floor"]);
    assert!(lines[0]["floor"].as_f64().unwrap() > 0.0);
}

#[test]
fn an_archive_is_filled_and_asked() {
    let lines = table(&["fill and history"]);
    let expected = [
        "fill, archived",
        "fill, CPU an envelope",
        "one topic, p50",
        "one topic, CPU",
        "one topic, 8 clients, p50",
        "bloom of one topic, p50",
        "walk, a page of 1000",
    ];
    assert_eq!(figures(&lines), expected);
}

#[test]
fn latency_is_measured_before_and_under_attack() {
    assert_eq!(figures(&table(&["under attack: half-open"])), ["p99"]);
}

#[test]
fn a_row_that_is_not_there_is_named_with_those_that_are() {
    let tools = env!("CARGO_BIN_EXE_node-tools");
    let output =
        Command::new(tools).args(["statusctl", "bench", "table", "--row", "nonsense"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("nonsense") && error.contains("burst of 20k × 10 peers"), "{error}");
}

#[test]
fn load_on_a_node_that_is_not_there_is_a_plain_error() {
    let key = "6a4e9ebd0e4a3ff5e05ac8f4c41d9a8a2ae9c0fd9fb5e9b5cb0a3f0b6d0f3f50".repeat(2);
    let enode = format!("enode://{key}@127.0.0.1:1");
    let output = Command::new(env!("CARGO_BIN_EXE_node-tools"))
        .args(["statusctl", "bench", "relay", &enode])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "no point of the curve");
    let key = "1b84c5567b126440995d3ed5aaba0565d71e1834604819ff9c17f5e9d5dd078f70beaf8f588b541507fed6a642c5ab42dfdf8120a7f639de5122d47a69a8e8d1";
    let output = Command::new(env!("CARGO_BIN_EXE_node-tools"))
        .args(["statusctl", "bench", "relay", &format!("enode://{key}@127.0.0.1:1")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("statusctl: "));
}

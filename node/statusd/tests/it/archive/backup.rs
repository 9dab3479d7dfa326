//! `statusd archive backup`.

use std::fs;

use super::{archive_of, done, filled, hourly, node_with, refused, rows, run, sorted};
use crate::history::{connect, post};
use crate::program::Setup;

#[test]
fn a_backup_of_a_stopped_node_holds_everything() {
    let setup = Setup::default();
    let envelopes = hourly(30);
    filled(&archive_of(&setup), &envelopes);
    let to = setup.path("backup");
    let said = done(&run(&setup, &["backup", to.to_str().unwrap()]));
    assert!(said.contains("30 envelopes"), "{said}");
    assert_eq!(rows(&to), sorted(&envelopes));
    let said = done(&run(&setup, &["verify", "-archive", to.to_str().unwrap()]));
    assert!(said.contains("sound: 30"), "{said}");
    // The node goes on with its own.
    setup.start();
}

#[test]
fn a_running_node_makes_its_backup_itself_and_goes_on() {
    let (setup, node) = node_with(&hourly(10));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = runtime.block_on(connect(&node));
    runtime.block_on(post(&client, "confirmed before the backup"));
    let to = setup.path("backup");
    let said = done(&run(&setup, &["backup", to.to_str().unwrap()]));
    assert!(said.contains("11 envelopes"), "{said}");
    runtime.block_on(post(&client, "after it"));
    assert_eq!(rows(&to).len(), 11);
    assert_eq!(rows(&archive_of(&setup)).len(), 12);
    // The path is a privilege of this machine: over HTTP there is no such method.
    let answer = node.rpc_with(&[], "mailserver_backup", serde_json::json!([setup.path("more")]));
    assert!(answer["error"]["message"].as_str().unwrap().contains("does not exist"), "{answer}");
}

#[test]
fn a_running_node_without_a_socket_cannot_be_asked() {
    let setup = Setup::default();
    let _node = setup.start();
    let to = setup.path("backup");
    refused(&run(&setup, &["backup", to.to_str().unwrap()]), 12, &["in use", "-ipc"]);
    assert!(!to.exists());
}

#[test]
fn a_node_with_another_archive_is_not_taken_for_the_right_one() {
    let (other, _node) = node_with(&hourly(3));
    let setup = Setup::default();
    let _mine = setup.start();
    let (to, socket) = (setup.path("backup"), other.path("data/geth.ipc"));
    let args = ["backup", to.to_str().unwrap(), "-ipcfile", socket.to_str().unwrap()];
    refused(&run(&setup, &args), 12, &["has the archive", "-ipcfile"]);
    assert!(!to.exists());
}

#[test]
fn nothing_is_overwritten() {
    let setup = Setup::default();
    filled(&archive_of(&setup), &hourly(3));
    let to = setup.path("there");
    fs::create_dir(&to).unwrap();
    refused(&run(&setup, &["backup", to.to_str().unwrap()]), 1, &["there", "exists already"]);
    let inside = archive_of(&setup).join("backup");
    refused(&run(&setup, &["backup", inside.to_str().unwrap()]), 1, &["inside the archive"]);
    let nowhere = setup.path("no/backup");
    refused(&run(&setup, &["backup", nowhere.to_str().unwrap()]), 1, &["does not exist", "make that"]);
}

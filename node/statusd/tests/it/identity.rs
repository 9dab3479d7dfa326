//! Where the node key comes from: `spec/devp2p.md` §1.2.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::json;

use crate::program::Setup;

const KEY: &str = "b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291";
const ID: &str = "a448f24c6d18e575453db13171562b71999873db5b286df957af199ec94617f7";

#[test]
fn devp2p_1_2_generated_once_and_kept() {
    let setup = Setup::default();
    let node = setup.start();
    let id = node.rpc("admin_nodeInfo", json!([]))["id"].clone();
    node.stop("-TERM");
    let path = setup.path("data/Statusd/nodekey");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(&path).unwrap().len(), 64);
    assert_eq!(setup.start().rpc("admin_nodeInfo", json!([]))["id"], id);
}

#[test]
fn devp2p_11_7_a_given_key_gives_its_node_id_from_file_environment_and_config() {
    let mut setup = Setup::default();
    fs::write(setup.path("key"), format!("{KEY}\n")).unwrap();
    let id = |node: &crate::program::Statusd| node.rpc("admin_nodeInfo", json!([]))["id"].clone();
    let mut command = setup.command();
    command.arg("-nodekey-file").arg(setup.path("key"));
    assert_eq!(id(&setup.start_as(command)), ID);
    let mut command = setup.command();
    command.env("STATUSD_NODEKEY", KEY);
    assert_eq!(id(&setup.start_as(command)), ID);
    setup.config["NodeKeyFile"] = json!(setup.path("key"));
    assert_eq!(id(&setup.start()), ID);
    assert!(!setup.path("data/Statusd/nodekey").exists(), "a given key is not copied");
}

//! Who syncs with whom: `syncPeers` of the live files. Design §2 "Replica sync", §3 (`mailserver.sync`).

use serde_json::{Value, json};
use statusnode_plan::ObjectKind;

use crate::cluster::{Cluster, key};

fn list(file: &Value, field: &str) -> Vec<String> {
    let entries = file[field].as_array().into_iter().flatten();
    entries.map(|entry| entry.as_str().unwrap().to_owned()).collect()
}

fn internal(cluster: &Cluster, but: usize) -> Vec<String> {
    let nodes = cluster.status().nodes;
    let others = nodes.iter().enumerate().filter(|(index, _)| *index != but);
    others.map(|(_, node)| node.internal_enode.clone().unwrap()).collect()
}

#[test]
fn each_replica_syncs_with_all_others_and_is_connected_to_them() {
    let mut cluster = Cluster::mailservers();
    cluster.settle();
    for index in 0..3 {
        let file = cluster.live_file(i64::try_from(index).unwrap());
        let others = internal(&cluster, index);
        assert_eq!(others.len(), 2);
        assert_eq!(list(&file, "syncPeers"), others);
        assert_eq!(list(&file, "staticPeers"), others);
        assert_eq!(file["syncIntervalSeconds"], 300);
    }
}

#[test]
fn a_relay_and_a_lone_mailserver_sync_with_nobody() {
    let mut relay = Cluster::new(include_str!("../../../../manifests/samples/relay.yaml"));
    relay.edit(|node| node.metadata.name = Some("mail".to_owned()));
    relay.edit(|node| node.spec.replicas = 2);
    relay.settle();
    let mut lone = Cluster::with(1, "");
    lone.settle();
    for cluster in [relay, lone] {
        let file = cluster.live_file(0);
        assert_eq!((&file["syncPeers"], &file["syncIntervalSeconds"]), (&Value::Null, &Value::Null));
    }
}

/// The lists are in the live files: no template changes, and so no pod that is there restarts.
#[test]
fn scaling_changes_the_lists_and_no_pod() {
    let mut cluster = Cluster::with(2, "");
    cluster.bring_up();
    let template = |cluster: &Cluster, index: u8| {
        cluster.applied(ObjectKind::StatefulSet, &format!("mail-{index}"))["spec"]["template"].clone()
    };
    let before = [template(&cluster, 0), template(&cluster, 1)];
    cluster.edit(|node| node.spec.replicas = 3);
    cluster.bring_up();
    assert_eq!(list(&cluster.live_file(0), "syncPeers"), internal(&cluster, 0));
    assert_eq!(list(&cluster.live_file(2), "syncPeers").len(), 2);
    cluster.edit(|node| node.spec.replicas = 2);
    cluster.settle();
    assert_eq!(list(&cluster.live_file(0), "syncPeers"), internal(&cluster, 0));
    assert_eq!([template(&cluster, 0), template(&cluster, 1)], before);
}

#[test]
fn mailservers_elsewhere_are_synced_with_and_dialled_and_the_interval_is_hot() {
    let far = format!("enode://{}@192.0.2.7:30303", key(70).public_key());
    let itself = format!("enode://{}@192.0.2.1:30303", key(1).public_key());
    let mut cluster = Cluster::with(2, "");
    cluster.bring_up();
    cluster.tick(60);
    let from = cluster.log.len();
    cluster.edit(|node| {
        let sync = &mut node.spec.mailserver.get_or_insert_default().sync;
        sync.peers = vec![far.clone(), itself.clone()];
        sync.interval = "1h".to_owned();
    });
    cluster.settle();
    let sibling = |but| internal(&cluster, but).remove(0);
    let expected = [vec![sibling(0), far.clone()], vec![sibling(1), far, itself]];
    for (index, expected) in expected.iter().enumerate() {
        let file = cluster.live_file(i64::try_from(index).unwrap());
        assert_eq!(&list(&file, "syncPeers"), expected, "oneself is left out");
        assert_eq!(&list(&file, "staticPeers"), expected, "sync does not dial");
        assert_eq!(file["syncIntervalSeconds"], json!(3600));
    }
    let live = ["mail-0-live", "mail-1-live"].map(|name| format!("apply ConfigMap {name}"));
    let touch = ["mail-0-0", "mail-1-0"].map(|name| format!("touch Pod {name}"));
    assert_eq!(cluster.since(from), [&live[..], &["status".to_owned()], &touch].concat());
}

#[test]
fn what_the_schema_refuses_is_refused_of_stored_objects_too() {
    for (text, words) in [
        ("interval: 9s", "spec.mailserver.sync.interval: must be 10s to 24h"),
        ("interval: 25h", "spec.mailserver.sync.interval: must be 10s to 24h"),
        ("interval: soon", "spec.mailserver.sync.interval: \"soon\" is not a duration"),
        ("peers: ['http://example.org']", "spec.mailserver.sync.peers[0]: "),
    ] {
        let mut cluster = Cluster::with(1, &format!(", mailserver: {{sync: {{{text}}}}}"));
        cluster.settle();
        assert_eq!(cluster.condition("Stalled"), "True InvalidSpec", "{text}");
        let message = cluster.message("Stalled");
        assert!(message.starts_with(words) && !message.contains("; spec"), "{message}");
    }
    for fine in ["10s", "24h", "90m"] {
        let mut cluster = Cluster::with(1, &format!(", mailserver: {{sync: {{interval: {fine}}}}}"));
        cluster.settle();
        assert_eq!(cluster.condition("Stalled"), "", "{fine}");
    }
}

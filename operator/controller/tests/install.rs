//! The rendered install (`manifests/install/operator.yaml`) fits the program: its rights are those that the controller
//! uses, no more and no less, and its environment is that of the command line.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

mod support;

use std::{collections::BTreeSet, time::Duration};

use clap::CommandFactory;
use serde::Deserialize;
use serde_json::{Value, json};
use status_operator::{
    cli::Args,
    lease::{Config, Elector},
};
use support::{
    FakeApi, Right,
    world::{Running, mail, node, settle, text},
};
use tokio::time::sleep;

fn manifests() -> Vec<Value> {
    let text = include_str!("../../../manifests/install/operator.yaml");
    serde_yaml::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).unwrap())
        .filter(|value| !value.is_null())
        .collect()
}

fn rights_given() -> BTreeSet<Right> {
    const VERBS: [&str; 7] = ["get", "list", "watch", "create", "update", "patch", "delete"];
    let mut rights = BTreeSet::new();
    let strings = |rule: &Value, key: &str| -> Vec<String> {
        rule[key].as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
    };
    for role in manifests().iter().filter(|m| m["kind"] == "ClusterRole" || m["kind"] == "Role") {
        for rule in role["rules"].as_array().unwrap() {
            for (group, resource) in strings(rule, "apiGroups")
                .iter()
                .flat_map(|g| strings(rule, "resources").into_iter().map(move |r| (g.clone(), r)))
            {
                for verb in strings(rule, "verbs") {
                    let verb = VERBS.iter().find(|v| **v == verb).unwrap_or_else(|| panic!("verb {verb}"));
                    rights.insert((*verb, group.clone(), resource.clone()));
                }
            }
        }
    }
    rights
}

/// Changes the spec and lets everything come to rest.
async fn change(api: &FakeApi, change: impl FnOnce(&mut Value)) {
    api.change(&node("a", "mail"), |n| change(&mut n["spec"]));
    sleep(Duration::from_secs(70)).await;
    settle(api).await;
}

#[tokio::test(start_paused = true)]
async fn every_right_is_used_and_every_use_has_a_right() {
    let api = FakeApi::default();
    api.serve_group("monitoring.coreos.com/v1");
    let election = Config {
        namespace: "ops".into(),
        name: "status-operator".into(),
        identity: "a".into(),
        duration: Duration::from_secs(15),
    };
    let standby = Config { identity: "b".into(), ..election.clone() };
    let mut leadership = Elector::new(api.client(), election).acquire().await;
    let waits = tokio::time::timeout(Duration::from_secs(1), Elector::new(api.client(), standby).acquire());
    assert!(waits.await.is_err(), "there is a leader");
    assert!(tokio::time::timeout(Duration::from_secs(6), leadership.keep()).await.is_err());
    leadership.release().await;

    api.put(mail("a", "mail"));
    let operator = Running::start(&api, &[]);
    settle(&api).await;
    let delete = json!({"whenDeleted": "Delete", "whenScaled": "Delete"});
    change(&api, |spec| {
        spec["retention"] = json!({"volumes": delete, "identities": delete, "addresses": delete});
    })
    .await;
    change(&api, |spec| spec["network"] = json!({"maxPeers": 7})).await;
    change(&api, |spec| spec["replicas"] = json!(1)).await;
    change(&api, |spec| {
        spec["networkPolicy"] = json!({"policy": "Never"});
        spec["podDisruptionBudget"] = json!({"policy": "Never"});
        spec["metrics"] = json!({"serviceMonitor": {"policy": "Never"}});
    })
    .await;
    support::world::set_address(
        &api,
        &support::objects::Path::new("services", "a", "mail-0-p2p"),
        "203.0.113.9",
    );
    settle(&api).await;
    // The same event twice within minutes is a series.
    for replicas in [2, 1, 2, 1] {
        change(&api, |spec| spec["replicas"] = json!(replicas)).await;
    }
    operator.stop().await;

    let (given, used) = (rights_given(), api.rights_used());
    let missing: Vec<_> = used.difference(&given).collect();
    assert!(missing.is_empty(), "used without a rule: {missing:?}");
    // Only where the admission plugin OwnerReferencesPermissionEnforcement asks for it.
    let enforcement = ("update", "status.im".to_owned(), "statusnodes/finalizers".to_owned());
    // The lease is replaced, not patched or read, unless somebody else wrote it; see the tests of the lease.
    let lease = ("get", "coordination.k8s.io".to_owned(), "leases".to_owned());
    let needless: Vec<_> = given.difference(&used).filter(|r| **r != enforcement && **r != lease).collect();
    assert!(needless.is_empty(), "given and not used: {needless:?}");
}

#[test]
fn the_environment_is_that_of_the_command_line() {
    let manifests = manifests();
    let deployment = manifests.iter().find(|m| m["kind"] == "Deployment").unwrap();
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let command = Args::command();
    let known: Vec<_> = command.get_arguments().filter_map(|a| a.get_env()?.to_str()).collect();
    let set: Vec<String> = container["env"].as_array().unwrap().iter().map(|e| text(e, "/name")).collect();
    for name in set.iter().filter(|name| !name.starts_with('_')) {
        assert!(known.contains(&name.as_str()), "{name} is no variable of the program: {known:?}");
    }
    for required in command.get_arguments().filter(|a| a.is_required_set()) {
        let name = required.get_env().unwrap().to_str().unwrap();
        assert!(set.iter().any(|s| s == name), "{name} is required and not set");
    }
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    for (key, value) in status_operator::run::OWN_LABELS {
        assert_eq!(labels[key], value, "the nodes' NetworkPolicies let in pods with {key}");
    }
    let port = container["ports"][0]["containerPort"].as_u64().unwrap();
    let address = command.get_arguments().find(|a| a.get_id() == "listen_address").unwrap();
    let default = address.get_default_values()[0].to_str().unwrap();
    assert!(default.ends_with(&format!(":{port}")), "{default}");
}

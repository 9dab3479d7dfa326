//! Changes go one node at a time. Design §3 (Rollout).

use statusnode_api::UpdateStrategy;
use statusnode_plan::{HistoryFacts, names::ANNOTATION_TEMPLATE_HASH};

use crate::cluster::Cluster;

const NEW: &str = "example.org/status-node:2";

fn images(cluster: &Cluster) -> Vec<String> {
    let sets = cluster.observed.objects.stateful_sets.values();
    sets.map(|set| {
        let template = set.spec.clone().unwrap().template;
        template.spec.unwrap().containers.remove(0).image.unwrap().rsplit(':').next().unwrap().to_owned()
    })
    .collect()
}

fn changed(strategy: UpdateStrategy) -> Cluster {
    let mut cluster = Cluster::mailservers();
    cluster.edit(|node| node.spec.update.strategy = strategy);
    cluster.bring_up();
    cluster.tick(600);
    cluster.edit(|node| node.spec.image = Some(NEW.to_owned()));
    cluster.settle();
    cluster
}

#[test]
fn one_node_at_a_time_and_the_next_when_the_last_is_ready() {
    let mut cluster = changed(UpdateStrategy::Ready);
    assert_eq!(images(&cluster), ["2", "1", "1"]);
    assert_eq!(cluster.condition("Ready"), "False UpdateInProgress");
    cluster.settle();
    assert_eq!(images(&cluster), ["2", "1", "1"], "not before it runs");
    let message = cluster.message("Ready");
    assert!(message.ends_with("waiting until ordinal 0 is ready"), "{message}");
    cluster.tick(20);
    cluster.run_pod("mail-0", false);
    cluster.settle();
    assert_eq!(images(&cluster), ["2", "1", "1"], "not before it is ready");
    cluster.tick(20);
    cluster.run_pod("mail-0", true);
    cluster.settle();
    assert_eq!(images(&cluster), ["2", "2", "1"]);
    cluster.run_pod("mail-1", true);
    cluster.settle();
    assert_eq!(images(&cluster), ["2", "2", "2"]);
    assert_eq!(cluster.condition("Ready"), "False UpdateInProgress");
    cluster.run_pod("mail-2", true);
    cluster.settle();
    assert_eq!(cluster.condition("Ready"), "True AllReady");
}

#[test]
fn canary_gated_waits_for_a_canary_that_is_younger_than_the_pod() {
    let mut cluster = changed(UpdateStrategy::CanaryGated);
    cluster.tick(20);
    cluster.run_pod("mail-0", true);
    cluster.settle();
    assert_eq!(images(&cluster), ["2", "1", "1"], "the canary of before says nothing");
    cluster.tick(20);
    cluster.canary(0, false);
    cluster.settle();
    assert_eq!(images(&cluster), ["2", "1", "1"]);
    let message = cluster.message("Ready");
    let waiting = "waiting until ordinal 0 is ready, proved by the canary, and complete in its history";
    assert!(message.ends_with(waiting), "{message}");
    cluster.tick(20);
    cluster.canary(0, true);
    cluster.settle();
    assert_eq!(images(&cluster), ["2", "2", "1"]);
}

#[test]
fn canary_gated_waits_until_the_history_of_the_last_is_complete() {
    let waiting = HistoryFacts { complete: false, agreed: false };
    let assumed = HistoryFacts { complete: true, agreed: false };
    for strategy in [UpdateStrategy::CanaryGated, UpdateStrategy::Ready] {
        let mut cluster = changed(strategy);
        cluster.tick(20);
        // A new process has said nothing, then that it compares.
        for history in [None, Some(waiting)] {
            cluster.history(0, history);
            cluster.run_pod("mail-0", true);
            cluster.canary(0, true);
            cluster.settle();
            let second = if strategy == UpdateStrategy::Ready { "2" } else { "1" };
            assert_eq!(images(&cluster), ["2", second, "1"], "{strategy:?}, {history:?}");
        }
        cluster.history(0, Some(assumed));
        cluster.settle();
        assert_eq!(images(&cluster), ["2", "2", "1"], "{strategy:?}");
    }
}

/// A relay has none to wait for.
#[test]
fn canary_gated_does_not_wait_for_history_where_none_is_kept() {
    let mut relay = Cluster::new(include_str!("../../../../manifests/samples/relay.yaml"));
    relay.edit(|node| node.metadata.name = Some("mail".to_owned()));
    relay.edit(|node| node.spec.replicas = 2);
    relay.bring_up();
    relay.edit(|node| node.spec.image = Some(NEW.to_owned()));
    relay.settle();
    relay.tick(20);
    relay.run_pod("mail-0", true);
    relay.canary(0, true);
    relay.settle();
    assert_eq!(images(&relay), ["2", "2"]);
    let message = relay.message("Ready");
    assert!(message.ends_with("waiting until ordinal 1 is ready and proved by the canary"), "{message}");
}

#[test]
fn a_bad_change_stops_at_the_first_node_and_a_better_one_mends_it() {
    let mut cluster = changed(UpdateStrategy::Ready);
    cluster.tick(20);
    cluster.run_pod("mail-0", false);
    cluster.settle();
    cluster.tick(3600);
    cluster.settle();
    assert_eq!(images(&cluster), ["2", "1", "1"]);
    cluster.edit(|node| node.spec.image = Some("example.org/status-node:3".to_owned()));
    cluster.settle();
    assert_eq!(images(&cluster), ["3", "1", "1"], "the broken one first");
    cluster.run_pod("mail-0", true);
    cluster.settle();
    assert_eq!(images(&cluster), ["3", "3", "1"]);
}

#[test]
fn a_node_that_is_down_goes_first() {
    let mut cluster = Cluster::mailservers();
    cluster.edit(|node| node.spec.update.strategy = UpdateStrategy::Ready);
    cluster.bring_up();
    cluster.run_pod("mail-2", false);
    cluster.edit(|node| node.spec.image = Some(NEW.to_owned()));
    cluster.settle();
    assert_eq!(images(&cluster), ["1", "1", "2"]);
}

#[test]
fn a_way_back_is_a_change_too() {
    let mut cluster = changed(UpdateStrategy::Ready);
    cluster.run_pod("mail-0", false);
    cluster.edit(|node| node.spec.image = None);
    cluster.settle();
    assert_eq!(images(&cluster), ["1", "1", "1"]);
}

/// Restart-relevant configuration comes in an immutable ConfigMap; the former stays while something mounts it.
#[test]
fn the_former_configuration_stays_until_nothing_mounts_it() {
    let mut cluster = Cluster::with(2, ", update: {strategy: Ready}");
    cluster.bring_up();
    let before = cluster.config_names();
    assert_eq!(before.len(), 1);
    cluster.edit(|node| node.spec.network.max_peers = 7);
    cluster.settle();
    assert_eq!(cluster.config_names().len(), 2);
    cluster.run_pods();
    cluster.settle();
    assert_eq!(cluster.config_names().len(), 2, "pod 1 has the former");
    cluster.run_pods();
    cluster.settle();
    let after = cluster.config_names();
    assert_eq!(after.len(), 1);
    assert_ne!(before, after);
}

#[test]
fn suspend_stops_all_at_once_and_keeps_the_rest() {
    let mut cluster = Cluster::mailservers();
    cluster.bring_up();
    let services = cluster.observed.objects.services.len();
    cluster.edit(|node| node.spec.suspend = true);
    cluster.settle();
    assert_eq!(cluster.condition("Ready"), "False Suspended", "while pods are stopping");
    cluster.run_pods();
    cluster.settle();
    assert_eq!(cluster.condition("Ready"), "True Suspended");
    assert_eq!(cluster.status().ready_summary.unwrap(), "0/0");
    assert_eq!(cluster.observed.objects.services.len(), services);
    assert_eq!(cluster.observed.objects.volume_claims.len(), 3);
    assert!(cluster.status().nodes.iter().all(|node| node.enode.is_some()), "the addresses stay");
    cluster.edit(|node| {
        node.spec.suspend = false;
        node.spec.image = Some(NEW.to_owned());
    });
    cluster.settle();
    assert_eq!(images(&cluster), ["2", "2", "2"], "there is nothing to roll through");
}

#[test]
fn paused_changes_nothing_and_keeps_the_last_verdict() {
    let mut cluster = Cluster::mailservers();
    cluster.bring_up();
    let generation = cluster.status().observed_generation;
    cluster.edit(|node| {
        node.spec.paused = true;
        node.spec.replicas = 1;
    });
    let from = cluster.log.len();
    cluster.settle();
    assert_eq!(cluster.since(from), ["status"]);
    assert_eq!(cluster.condition("Paused"), "True Paused");
    assert_eq!(cluster.condition("Ready"), "True AllReady");
    assert_eq!(cluster.status().observed_generation, generation, "this spec has not been carried out");
    cluster.edit(|node| node.spec.paused = false);
    cluster.settle();
    assert_eq!(cluster.condition("Paused"), "");
    assert_eq!(cluster.observed.objects.stateful_sets.len(), 1);
}

#[test]
fn a_resource_that_was_never_seen_and_is_paused_is_not_ready() {
    let mut cluster = Cluster::with(1, ", paused: true");
    cluster.settle();
    assert_eq!(cluster.condition("Ready"), "Unknown Paused");
    assert_eq!(cluster.status().observed_generation, -1);
    assert!(cluster.observed.objects.services.is_empty());
}

#[test]
fn the_template_hash_changes_with_the_template_alone() {
    let mut cluster = Cluster::with(1, "");
    cluster.bring_up();
    let hash = |cluster: &Cluster| {
        let set = &cluster.observed.objects.stateful_sets["mail-0"];
        set.metadata.annotations.clone().unwrap()[ANNOTATION_TEMPLATE_HASH].clone()
    };
    let before = hash(&cluster);
    cluster.edit(|node| node.spec.canary.interval = "2m".to_owned());
    cluster.assign(0, "203.0.113.1");
    cluster.settle();
    assert_eq!(hash(&cluster), before);
    cluster.edit(|node| node.spec.rpc.modules.push("net".to_owned()));
    cluster.settle();
    assert_ne!(hash(&cluster), before);
}

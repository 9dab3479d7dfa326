//! Malformed objects never stop the operator; names and hashes never change.

use proptest::prelude::*;
use serde_json::{Value, json};
use statusnode_api::StatusNode;
use statusnode_plan::{Ordinal, names, validate::validate};

use crate::cluster::Cluster;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,24}",
        "[0-9]{1,24}(Mi|Gi|Ti|h|m|s|d)?",
        "[0-9]{1,20}h[0-9]{1,20}m",
        "enode://[0-9a-f]{0,130}@.{0,12}",
        "[a-z0-9.-]{0,64}",
        "[0-9.:/]{0,20}",
    ]
}

fn number() -> impl Strategy<Value = i32> {
    prop_oneof![any::<i32>(), 0..40_i32, Just(8545), Just(9090), Just(30303)]
}

prop_compose! {
    /// What a server that checks nothing could hand out.
    fn malformed()(
        name in text(), image in text(), size in text(), age in text(), max_size in text(), interval in text(),
        enode in text(), range in text(), cidr in text(), class in text(),
        replicas in number(), p2p in number(), rpc in number(), metrics in number(), peers in number(),
        first in number(), second in number(), budget in number(),
        outside in number(), address in text(),
        relay in any::<bool>(), mailserver in any::<bool>(), storage in any::<bool>(), uid in any::<bool>(),
        exposure in prop_oneof![Just("None"), Just("ClusterIP"), Just("LoadBalancer")],
    ) -> Value {
        json!({
            "apiVersion": "status.im/v1alpha1",
            "kind": "StatusNode",
            "metadata": {"name": name, "namespace": "status", "uid": if uid { "u" } else { "" }},
            "spec": {
                "mode": if relay { "Relay" } else { "Mailserver" },
                "replicas": replicas,
                "image": image,
                "network": {"staticPeers": [{"enode": enode}], "trustedPeers": [enode], "maxPeers": peers},
                "identity": {"keys": [
                    {"ordinal": first, "secretKeyRef": {"name": "a", "key": "k"}},
                    {"ordinal": second, "secretKeyRef": {"name": "b", "key": "k"}},
                ]},
                "p2p": {"port": p2p, "advertise": {"port": outside, "addresses": [
                    {"ordinal": first, "address": address, "port": outside}, {"ordinal": second, "address": range},
                ]}, "exposure": {"type": exposure, "loadBalancer": {
                    "loadBalancerSourceRanges": [range], "loadBalancerClass": class,
                }}},
                "rpc": {"port": rpc, "allowedFrom": [{"ipBlock": {"cidr": cidr, "except": [range]}}, {}]},
                "metrics": {"port": metrics, "serviceMonitor": {"interval": interval}},
                "mailserver": if mailserver { json!({"retention": {"maxAge": age, "maxSize": max_size}}) } else { json!(null) },
                "storage": if storage { json!({"size": size}) } else { json!(null) },
                "canary": {"interval": interval, "timeout": age},
                "podDisruptionBudget": {"maxUnavailable": budget},
            },
        })
    }
}

proptest! {
    #[test]
    fn malformed_objects_are_refused_and_never_panic(object in malformed()) {
        let node: StatusNode = serde_json::from_value(object).unwrap();
        prop_assert!(validate(&node, "image").is_err(), "an empty client alone is wrong");
        let mut cluster = Cluster::with(1, "");
        cluster.observed.node = node.into();
        let plan = cluster.plan();
        prop_assert!(plan.steps.is_empty());
        let status = plan.status.unwrap();
        prop_assert!(status.conditions.iter().any(|c| c.type_ == "Stalled" && c.reason == "InvalidSpec"));
        prop_assert!(status.conditions.iter().all(|c| c.message.chars().count() <= 1024));
    }

    /// Whatever passes validation can be planned to the end.
    #[test]
    fn valid_settings_can_always_be_planned(
        replicas in 0..=32_i32, age in "[1-9][0-9]{0,4}h", size in 1..1000_u32, exposure in 0..3_usize,
    ) {
        let exposure = ["None", "ClusterIP", "LoadBalancer"][exposure];
        let spec = format!(
            ", p2p: {{exposure: {{type: {exposure}}}}}, storage: {{size: {size}Gi}}, mailserver: {{retention: {{maxAge: {age}}}}}"
        );
        let mut cluster = Cluster::with(replicas, &spec);
        cluster.bring_up();
        let expected = if replicas == 0 { "True ScaledToZero" } else { "True AllReady" };
        prop_assert_eq!(cluster.condition("Ready"), expected);
        prop_assert_eq!(cluster.observed.objects.stateful_sets.len(), usize::try_from(replicas).unwrap());
    }
}

#[test]
fn names_are_what_they_always_were() {
    let first = Ordinal::new(0).unwrap();
    let all = [
        names::stateful_set("mail", first),
        names::pod("mail", first),
        names::identity("mail", first),
        names::volume_claim("mail", first),
        names::p2p("mail", first),
        names::live("mail", first),
        names::headless("mail"),
        names::rpc("mail"),
        names::rpc_token("mail"),
        names::metrics("mail"),
        names::config("mail", "0123456789"),
        names::policy("mail"),
    ];
    assert_eq!(
        all,
        [
            "mail-0",
            "mail-0-0",
            "mail-0-identity",
            "data-mail-0",
            "mail-0-p2p",
            "mail-0-live",
            "mail-headless",
            "mail-rpc",
            "mail-rpc-token",
            "mail-metrics",
            "mail-config-0123456789",
            "mail",
        ]
    );
}

/// Pod names are host names and label values: 63 characters; a StatefulSet's revision adds 11.
#[test]
fn the_longest_name_fits_everywhere() {
    let name = "a".repeat(40);
    let last = Ordinal::new(31).unwrap();
    for made in [
        names::pod(&name, last),
        names::identity(&name, last),
        names::volume_claim(&name, last),
        names::p2p(&name, last),
        names::config(&name, "0123456789"),
        format!("{}-0123456789", names::stateful_set(&name, last)),
    ] {
        assert!(made.len() <= 63, "{made}");
    }
    assert_eq!(Ordinal::new(32), None);
    assert_eq!(Ordinal::new(-1), None);
}

/// A change of these would restart every node of every user: on purpose only.
#[test]
fn hashes_of_the_sample_are_what_they_always_were() {
    let mut cluster = Cluster::mailservers();
    cluster.settle();
    let sets = cluster.observed.objects.stateful_sets.values();
    let hashes: Vec<String> = sets
        .map(|set| set.metadata.annotations.clone().unwrap()[names::ANNOTATION_TEMPLATE_HASH].clone())
        .collect();
    insta::assert_yaml_snapshot!("hashes", (cluster.config_names(), hashes));
}

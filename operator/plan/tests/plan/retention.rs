//! What stays and what goes. Design §3 (Claims).

use std::sync::Arc;

use statusnode_api::{RetentionPolicy, WhenGone};

use crate::cluster::Cluster;

const BOTH: [WhenGone; 2] = [WhenGone::Retain, WhenGone::Delete];

#[test]
fn scaling_down_deletes_by_policy() {
    for volumes in BOTH {
        for identities in BOTH {
            for addresses in BOTH {
                let mut cluster = Cluster::with(2, "");
                let policy = |when_scaled| RetentionPolicy { when_deleted: WhenGone::Retain, when_scaled };
                cluster.edit(|node| {
                    node.spec.retention.volumes = policy(volumes);
                    node.spec.retention.identities = policy(identities);
                    node.spec.retention.addresses = policy(addresses);
                });
                cluster.bring_up();
                let from = cluster.log.len();
                cluster.edit(|node| node.spec.replicas = 1);
                cluster.settle();
                let log = cluster.since(from);
                let gone = |what: &str| log.contains(&format!("delete {what}"));
                assert!(gone("StatefulSet mail-1"), "{log:?}");
                assert!(gone("ConfigMap mail-1-live"));
                assert!(gone("PodDisruptionBudget mail"), "one replica has no budget");
                assert_eq!(gone("PersistentVolumeClaim data-mail-1"), volumes == WhenGone::Delete);
                assert_eq!(gone("Secret mail-1-identity"), identities == WhenGone::Delete);
                assert_eq!(gone("Service mail-1-p2p"), addresses == WhenGone::Delete);
                assert!(
                    !log.iter().any(|write| write.starts_with("delete") && write.contains("mail-0")),
                    "{log:?}"
                );
                assert_eq!(cluster.status().nodes.len(), 1);
            }
        }
    }
}

/// Deletion of the resource is left to garbage collection: what has its owner reference goes, the rest stays.
#[test]
fn owner_references_say_what_goes_with_the_resource() {
    for kept in BOTH {
        let mut cluster = Cluster::with(1, "");
        cluster.edit(|node| {
            for policy in [
                &mut node.spec.retention.volumes,
                &mut node.spec.retention.identities,
                &mut node.spec.retention.addresses,
            ] {
                policy.when_deleted = kept;
            }
        });
        cluster.bring_up();
        let owned = |owners: &Option<Vec<_>>| owners.as_ref().is_some_and(|owners| !owners.is_empty());
        let objects = &cluster.observed.objects;
        let goes = kept == WhenGone::Delete;
        assert_eq!(owned(&objects.volume_claims["data-mail-0"].metadata.owner_references), goes);
        assert_eq!(owned(&objects.services["mail-0-p2p"].metadata.owner_references), goes);
        assert_eq!(owned(&cluster.secrets["mail-0-identity"].metadata.owner_references), goes);
        for service in ["mail-headless", "mail-rpc", "mail-metrics"] {
            assert!(owned(&objects.services[service].metadata.owner_references), "{service}");
        }
        assert!(objects.stateful_sets.values().all(|o| owned(&o.metadata.owner_references)));
        assert!(objects.config_maps.values().all(|o| owned(&o.metadata.owner_references)));
        assert!(objects.network_policies.values().all(|o| owned(&o.metadata.owner_references)));
        assert!(owned(&cluster.secrets["mail-rpc-token"].metadata.owner_references));
    }
}

#[test]
fn scaling_up_again_adopts_what_stayed() {
    let mut cluster = Cluster::with(2, "");
    cluster.bring_up();
    let id = cluster.status().nodes[1].node_id.clone();
    let claim = cluster.observed.objects.volume_claims["data-mail-1"].metadata.uid.clone();
    cluster.edit(|node| node.spec.replicas = 0);
    cluster.settle();
    assert_eq!(cluster.condition("Ready"), "True ScaledToZero");
    cluster.edit(|node| node.spec.replicas = 2);
    cluster.bring_up();
    assert_eq!(cluster.status().nodes[1].node_id, id);
    assert_eq!(cluster.observed.objects.volume_claims["data-mail-1"].metadata.uid, claim);
    assert_eq!(cluster.keys.made, 2);
}

/// A retained claim is adopted with the class it has, whatever the next resource asks for.
#[test]
fn a_retained_claim_keeps_its_class_and_its_size() {
    for (first, second) in [
        ("", ", storage: {size: 5Gi, storageClassName: gold}"),
        (", storage: {size: 30Gi, storageClassName: gold}", ""),
        (
            ", storage: {size: 30Gi, storageClassName: gold}",
            ", storage: {size: 30Gi, storageClassName: silver}",
        ),
    ] {
        let mut cluster = Cluster::with(1, first);
        cluster.bring_up();
        let spec = cluster.observed.objects.volume_claims["data-mail-0"].spec.clone();
        let next = Cluster::with(1, second);
        cluster.recreate();
        cluster.edit(|node| node.spec = next.observed.node.spec.clone());
        cluster.bring_up();
        assert_eq!(cluster.observed.objects.volume_claims["data-mail-0"].spec, spec, "{first} then {second}");
    }
}

#[test]
fn a_claim_grows_with_the_spec() {
    let mut cluster =
        Cluster::with(1, ", storage: {size: 1024Mi}, mailserver: {retention: {maxSize: 512Mi}}");
    cluster.bring_up();
    let size = |cluster: &Cluster| {
        let claim = cluster.observed.objects.volume_claims["data-mail-0"].spec.clone().unwrap();
        claim.resources.unwrap().requests.unwrap()["storage"].0.clone()
    };
    assert_eq!(size(&cluster), "1Gi", "in the form that the API server stores");
    cluster.edit(|node| node.spec.storage.as_mut().unwrap().size = "1536Mi".to_owned());
    cluster.settle();
    assert_eq!(size(&cluster), "1536Mi");
}

/// A volume that has not grown, or never will, must not be filled to the size that it should have.
#[test]
fn history_is_bounded_by_the_volume_that_is_there() {
    let bound = |cluster: &Cluster| -> u64 {
        let names = cluster.config_names();
        let mounted = cluster.applied(statusnode_plan::ObjectKind::StatefulSet, "mail-0");
        let volumes = mounted["spec"]["template"]["spec"]["volumes"].as_array().unwrap().clone();
        let name = volumes[0]["configMap"]["name"].as_str().unwrap().to_owned();
        assert!(names.contains(&name));
        let text = &cluster.observed.objects.config_maps[&name].data.as_ref().unwrap()["config.json"];
        let file: serde_json::Value = serde_json::from_str(text).unwrap();
        file["WakuConfig"]["MailServerMaxBytes"].as_u64().unwrap()
    };
    let mut cluster = Cluster::with(2, ", update: {strategy: Ready}, storage: {size: 10Gi}");
    cluster.bring_up();
    assert_eq!(bound(&cluster), 8 << 30);
    let capacity = |cluster: &mut Cluster, sizes: [&str; 2]| {
        for (index, size) in sizes.into_iter().enumerate() {
            let claims = &mut cluster.observed.objects.volume_claims;
            let claim = Arc::make_mut(claims.get_mut(&format!("data-mail-{index}")).unwrap());
            let quantity = k8s_openapi::apimachinery::pkg::api::resource::Quantity(size.to_owned());
            claim.status.as_mut().unwrap().capacity = Some([("storage".to_owned(), quantity)].into());
        }
        cluster.settle();
        for _ in 0..2 {
            cluster.run_pods();
            cluster.settle();
        }
    };
    capacity(&mut cluster, ["10Gi", "10737418240"]);
    assert_eq!(bound(&cluster), 8 << 30);
    cluster.edit(|node| node.spec.storage.as_mut().unwrap().size = "20Gi".to_owned());
    cluster.settle();
    assert_eq!(bound(&cluster), 8 << 30, "not grown yet");
    assert_eq!(cluster.condition("Ready"), "True AllReady", "nothing restarts before");
    capacity(&mut cluster, ["20Gi", "10Gi"]);
    assert_eq!(bound(&cluster), 8 << 30, "one has not grown yet");
    capacity(&mut cluster, ["20Gi", "20Gi"]);
    assert_eq!(bound(&cluster), 16 << 30);
    // What the user says counts, within a volume that has its size.
    let most =
        statusnode_api::MailserverRetention { max_age: "720h".to_owned(), max_size: Some("19Gi".to_owned()) };
    cluster.edit(|node| {
        node.spec.mailserver = Some(statusnode_api::Mailserver { retention: most, ..Default::default() })
    });
    capacity(&mut cluster, ["20Gi", "20Gi"]);
    assert_eq!(bound(&cluster), 19 << 30);
}

#[test]
fn what_is_switched_off_is_deleted() {
    let mut cluster = Cluster::mailservers();
    cluster.bring_up();
    let from = cluster.log.len();
    cluster.edit(|node| {
        node.spec.network_policy.policy = statusnode_api::Switch::Never;
        node.spec.pod_disruption_budget.policy = statusnode_api::Switch::Never;
        node.spec.metrics.service_monitor.policy = statusnode_api::ServiceMonitorPolicy::Never;
    });
    cluster.settle();
    let mut log = cluster.since(from);
    log.retain(|write| write.starts_with("delete"));
    assert_eq!(
        log,
        [
            "delete ServiceMonitor mail-metrics",
            "delete PodDisruptionBudget mail",
            "delete NetworkPolicy mail"
        ]
    );
}

//! The advertised address: late, changed, lost; without restart. Design §3 (Addresses).

use std::sync::Arc;

use k8s_openapi::{
    api::core::v1::{LoadBalancerIngress, ServiceStatus},
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};
use serde_json::json;
use statusnode_api::{AddressSource, Advertise, AdvertisedAddress};
use statusnode_plan::{ObjectKind, names};

use crate::cluster::{Cluster, key};

fn hostname(name: &str) -> LoadBalancerIngress {
    LoadBalancerIngress { hostname: Some(name.to_owned()), ..LoadBalancerIngress::default() }
}

fn ip(ip: &str) -> LoadBalancerIngress {
    LoadBalancerIngress { ip: Some(ip.to_owned()), ..LoadBalancerIngress::default() }
}

/// Up, but for the addresses.
fn without_addresses(replicas: i32) -> Cluster {
    let mut cluster = Cluster::with(replicas, "");
    cluster.settle();
    cluster.bind_volumes();
    cluster.run_pods();
    cluster.pass_canaries();
    cluster.settle();
    cluster
}

#[test]
fn pods_start_before_their_address_and_are_not_restarted_by_it() {
    let mut cluster = without_addresses(2);
    assert_eq!(cluster.live_file(0)["advertise"], json!(null));
    assert_eq!(cluster.condition("Ready"), "False WaitingForAddress");
    assert_eq!(cluster.condition("ExternalAddressesReady"), "False WaitingForLoadBalancer");
    assert_eq!(cluster.status().external_summary.unwrap(), "<pending>,<pending>");
    cluster.tick(30);
    let from = cluster.log.len();
    cluster.assign(0, "198.51.100.7");
    cluster.settle();
    assert_eq!(cluster.since(from), ["apply ConfigMap mail-0-live", "status", "touch Pod mail-0-0"]);
    assert_eq!(
        cluster.live_file(0)["advertise"],
        json!({"address": "198.51.100.7", "tcpPort": 30303, "udpPort": 30303})
    );
    assert_eq!(cluster.condition("ExternalAddressesReady"), "False PartiallyAssigned");
    assert_eq!(cluster.status().external_summary.unwrap(), "198.51.100.7,<pending>");
    cluster.assign(1, "198.51.100.8");
    cluster.settle();
    assert_eq!(cluster.condition("ExternalAddressesReady"), "True AllAssigned");
    assert_eq!(cluster.condition("Ready"), "True AllReady");
}

#[test]
fn a_changed_address_goes_to_the_live_file_and_nowhere_else() {
    let mut cluster = Cluster::with(1, "");
    cluster.bring_up();
    cluster.tick(60);
    let from = cluster.log.len();
    cluster.assign(0, "203.0.113.9");
    let plan = cluster.reconcile();
    let notes: Vec<_> =
        plan.events.iter().map(|event| (event.reason.as_str(), event.note.as_str())).collect();
    assert_eq!(notes, [("AddressChanged", "ordinal 0: 198.51.100.1 became 203.0.113.9")]);
    cluster.settle();
    assert_eq!(cluster.since(from), ["apply ConfigMap mail-0-live", "status", "touch Pod mail-0-0"]);
    let enode = cluster.status().nodes[0].enode.clone().unwrap();
    assert_eq!(enode, format!("enode://{}@203.0.113.9:30303", key(1).public_key()));
}

/// The touch follows the file: the kubelet must not read the old one once more.
#[test]
fn a_pod_is_touched_once_and_only_after_the_file_is_there() {
    let mut cluster = Cluster::with(1, "");
    cluster.bring_up();
    cluster.tick(60);
    cluster.assign(0, "203.0.113.9");
    let first = cluster.reconcile();
    assert!(!format!("{:?}", first.steps).contains("TouchPod"));
    let second = cluster.reconcile();
    assert!(format!("{:?}", second.steps).contains("TouchPod"));
    let third = cluster.reconcile();
    assert!(!format!("{:?}", third.steps).contains("TouchPod"));
    // A pod that starts later has the file from the start.
    cluster.tick(60);
    let pods = &mut cluster.observed.objects.pods;
    pods.clear();
    cluster.run_pods();
    assert!(!format!("{:?}", cluster.plan().steps).contains("TouchPod"));
}

/// The API server says when a pod was made, the operator when a file changed: their clocks differ.
#[test]
fn a_pod_that_seems_a_little_younger_than_its_file_is_touched_too() {
    for (seconds, touched) in [(20, true), (120, false)] {
        let mut cluster = Cluster::with(1, "");
        cluster.bring_up();
        cluster.tick(600);
        cluster.assign(0, "203.0.113.9");
        cluster.reconcile();
        let made = cluster.observed.now.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap();
        let pod = Arc::make_mut(cluster.observed.objects.pods.get_mut("mail-0-0").unwrap());
        pod.metadata.creation_timestamp = Some(Time(made));
        assert_eq!(format!("{:?}", cluster.plan().steps).contains("TouchPod"), touched, "{seconds} s");
    }
}

/// A lost address is a fault of a resource that was ready: Ready stays, the rest says it.
#[test]
fn a_lost_address_degrades_and_is_advertised_no_longer() {
    let mut cluster = Cluster::with(1, "");
    cluster.bring_up();
    cluster.balancer(0, Vec::new());
    cluster.settle();
    assert_eq!(cluster.live_file(0)["advertise"], json!(null));
    assert_eq!(cluster.condition("Ready"), "True AllReady");
    assert_eq!(cluster.condition("ExternalAddressesReady"), "False WaitingForLoadBalancer");
    assert_eq!(cluster.condition("Degraded"), "True WaitingForLoadBalancer");
    assert_eq!(cluster.status().nodes[0].enode, None);
    cluster.assign(0, "203.0.113.9");
    cluster.settle();
    assert_eq!(cluster.condition("Degraded"), "");
}

#[test]
fn a_new_ordinal_waits_for_its_first_address() {
    let mut cluster = Cluster::with(1, "");
    cluster.bring_up();
    cluster.edit(|node| node.spec.replicas = 2);
    cluster.settle();
    cluster.bind_volumes();
    cluster.run_pods();
    cluster.settle();
    assert_eq!(cluster.condition("Ready"), "False WaitingForAddress");
}

#[test]
fn of_several_addresses_the_published_one_stays_then_the_first_ipv4() {
    let mut cluster = without_addresses(1);
    cluster.balancer(0, vec![ip("2001:db8::1"), ip("198.51.100.7"), ip("198.51.100.8")]);
    cluster.settle();
    let address = |cluster: &Cluster| cluster.status().nodes[0].external.clone().unwrap().address;
    assert_eq!(address(&cluster), "198.51.100.7");
    cluster.balancer(0, vec![ip("198.51.100.8"), ip("198.51.100.7")]);
    cluster.settle();
    assert_eq!(address(&cluster), "198.51.100.7");
    cluster.balancer(0, vec![ip("2001:db8::1")]);
    cluster.settle();
    assert_eq!(address(&cluster), "2001:db8::1");
    assert!(cluster.status().nodes[0].enode.clone().unwrap().contains("@[2001:db8::1]:30303"));
}

#[test]
fn a_hostname_alone_is_said_and_never_guessed() {
    let mut cluster = without_addresses(1);
    cluster.balancer(0, vec![hostname("lb.example.org")]);
    cluster.settle();
    assert_eq!(cluster.condition("ExternalAddressesReady"), "False HostnameOnly");
    assert!(cluster.message("ExternalAddressesReady").contains("lb.example.org"));
    assert_eq!(cluster.live_file(0)["advertise"], json!(null));
    assert_eq!(cluster.status().nodes[0].enode, None);
}

/// Some clouds refuse TCP and UDP in one Service, and say so in a condition of it.
#[test]
fn what_the_load_balancer_refuses_is_said_with_its_words() {
    let mut cluster = without_addresses(2);
    let refused = |reason: &str, status: &str| Condition {
        type_: "LoadBalancerPortsError".to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: "mixed protocol is not supported for LoadBalancer".to_owned(),
        observed_generation: None,
        last_transition_time: Time("2026-11-23T10:00:00Z".parse().unwrap()),
    };
    let set = |cluster: &mut Cluster, condition: Condition| {
        let service = Arc::make_mut(cluster.observed.objects.services.get_mut("mail-1-p2p").unwrap());
        service.status =
            Some(ServiceStatus { conditions: Some(vec![condition]), ..ServiceStatus::default() });
    };
    cluster.assign(0, "198.51.100.7");
    set(&mut cluster, refused("LoadBalancerMixedProtocolNotSupported", "True"));
    cluster.settle();
    assert_eq!(cluster.condition("ExternalAddressesReady"), "False LoadBalancerRefused");
    let message = cluster.message("ExternalAddressesReady");
    for part in ["ordinal 1", "LoadBalancerMixedProtocolNotSupported", "mixed protocol is not supported"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(cluster.condition("Ready"), "False WaitingForAddress");
    set(&mut cluster, refused("", "False"));
    cluster.settle();
    assert_eq!(cluster.condition("ExternalAddressesReady"), "False PartiallyAssigned");
}

/// The replicas dial each other by cluster address, each all others, none itself.
#[test]
fn replicas_are_peers_of_each_other() {
    let mut cluster = Cluster::mailservers();
    cluster.settle();
    for index in 0..3_u8 {
        let file = cluster.live_file(i64::from(index));
        let peers: Vec<&str> =
            file["staticPeers"].as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect();
        assert_eq!(peers.len(), 2);
        for other in (0..3_u8).filter(|other| *other != index) {
            let internal = cluster.status().nodes[usize::from(other)].internal_enode.clone().unwrap();
            assert!(peers.contains(&internal.as_str()));
        }
    }
}

#[test]
fn peers_of_the_spec_are_hot_and_oneself_is_left_out() {
    let itself = format!("enode://{}@192.0.2.1:30303", key(1).public_key());
    let other = format!("enode://{}@192.0.2.2:30303", key(70).public_key());
    let mut cluster = Cluster::with(1, "");
    cluster.bring_up();
    cluster.tick(5);
    let from = cluster.log.len();
    let peers = [&itself, &other].map(|enode| statusnode_api::StaticPeer { enode: enode.clone() });
    cluster.edit(|node| {
        node.spec.network.static_peers = peers.to_vec();
        node.spec.network.trusted_peers = vec![other.clone()];
    });
    cluster.settle();
    assert_eq!(cluster.live_file(0)["staticPeers"], json!([other]));
    assert_eq!(cluster.live_file(0)["trustedPeers"], json!([other]));
    assert_eq!(cluster.since(from), ["apply ConfigMap mail-0-live", "status", "touch Pod mail-0-0"]);
}

#[test]
fn the_operator_applies_what_the_load_balancer_needs_and_leaves_others_annotations() {
    let mut cluster = Cluster::with(
        1,
        ", p2p: {port: 30999, exposure: {type: LoadBalancer, loadBalancer: {loadBalancerClass: a/b, \
         loadBalancerSourceRanges: [10.0.0.0/8], allocateLoadBalancerNodePorts: false, annotations: {x: y}}}}",
    );
    cluster.settle();
    let service = cluster.applied(ObjectKind::Service, "mail-0-p2p");
    let spec = &service["spec"];
    assert_eq!(spec["loadBalancerClass"], "a/b");
    assert_eq!(spec["loadBalancerSourceRanges"], json!(["10.0.0.0/8"]));
    assert_eq!(spec["allocateLoadBalancerNodePorts"], false);
    assert_eq!(spec["externalTrafficPolicy"], "Local");
    assert_eq!(spec["publishNotReadyAddresses"], true);
    assert_eq!(spec["ports"][0]["port"], 30999);
    assert_eq!(spec["ports"][1]["protocol"], "UDP");
    assert_eq!(service["metadata"]["annotations"]["x"], "y");
    assert_eq!(spec["selector"][names::LABEL_ORDINAL], "0");
}

#[test]
fn an_address_that_the_user_gives_stands_before_the_one_of_the_exposure() {
    let given = "p2p: {advertise: {addresses: [{ordinal: 1, address: 192.0.2.9, port: 443}]}}";
    let mut cluster = Cluster::with(2, &format!(", {given}"));
    cluster.bring_up();
    assert_eq!(cluster.status().external_summary.unwrap(), "198.51.100.1,192.0.2.9");
    assert_eq!(
        cluster.live_file(1)["advertise"],
        json!({"address": "192.0.2.9", "tcpPort": 443, "udpPort": 443})
    );
    let nodes = cluster.status().nodes;
    assert_eq!(nodes[1].enode.clone().unwrap(), format!("enode://{}@192.0.2.9:443", key(2).public_key()));
    assert_eq!(nodes[1].external.as_ref().unwrap().source, AddressSource::Spec);
    assert_eq!(nodes[0].external.as_ref().unwrap().source, AddressSource::LoadBalancer);
}

/// It is all that is needed where the cluster has no load balancers.
#[test]
fn an_address_that_the_user_gives_is_waited_for_no_longer() {
    let mut cluster = without_addresses(1);
    assert_eq!(cluster.condition("Ready"), "False WaitingForAddress");
    cluster.tick(60);
    let from = cluster.log.len();
    cluster.edit(|node| {
        let address = AdvertisedAddress { ordinal: 0, address: "2001:db8::7".to_owned(), port: None };
        node.spec.p2p.advertise = Some(Advertise { port: None, addresses: vec![address] });
    });
    cluster.settle();
    assert_eq!(cluster.condition("Ready"), "True AllReady");
    assert_eq!(cluster.since(from), ["apply ConfigMap mail-0-live", "status", "touch Pod mail-0-0"]);
    let enode = cluster.status().nodes[0].enode.clone().unwrap();
    assert_eq!(enode, format!("enode://{}@[2001:db8::7]:30303", key(1).public_key()));
}

#[test]
fn the_advertised_port_is_that_of_service_and_enodes_and_the_pod_stays() {
    let mut cluster = Cluster::with(2, "");
    cluster.bring_up();
    cluster.tick(60);
    let from = cluster.log.len();
    cluster.edit(|node| {
        node.spec.p2p.advertise = Some(Advertise { port: Some(443), addresses: Vec::new() });
    });
    cluster.settle();
    assert_eq!(
        cluster.since(from),
        [
            "apply Service mail-0-p2p",
            "apply Service mail-1-p2p",
            "apply ConfigMap mail-0-live",
            "apply ConfigMap mail-1-live",
            "status",
            "touch Pod mail-0-0",
            "touch Pod mail-1-0",
        ]
    );
    let ports = &cluster.applied(ObjectKind::Service, "mail-0-p2p")["spec"]["ports"];
    assert_eq!((&ports[0]["port"], &ports[0]["targetPort"]), (&json!(443), &json!("p2p")));
    assert_eq!((&ports[1]["port"], &ports[1]["protocol"]), (&json!(443), &json!("UDP")));
    let node = &cluster.status().nodes[0];
    assert!(node.enode.as_ref().unwrap().ends_with("@198.51.100.1:443"));
    assert!(node.internal_enode.as_ref().unwrap().ends_with(":443"));
    let peers = cluster.live_file(1)["staticPeers"].to_string();
    assert!(peers.contains(":443") && !peers.contains(":30303"), "{peers}");
}

#[test]
fn advertised_addresses_that_cannot_be_meant_are_named() {
    for (advertise, problem) in [
        ("addresses: [{ordinal: 0, address: 1.2.3}]", "addresses[0].address: \"1.2.3\" is not an IP address"),
        ("addresses: [{ordinal: 0, address: 0.0.0.0}]", "0.0.0.0 is no address that a peer can dial"),
        (
            "port: 443, addresses: [{ordinal: 0, address: 192.0.2.1}, {ordinal: 1, address: 192.0.2.1, port: 443}]",
            "192.0.2.1:443 is given to two ordinals",
        ),
    ] {
        let mut cluster = Cluster::with(2, &format!(", p2p: {{advertise: {{{advertise}}}}}"));
        cluster.settle();
        assert_eq!(cluster.condition("Stalled"), "True InvalidSpec");
        assert!(cluster.message("Stalled").contains(problem), "{}", cluster.message("Stalled"));
    }
}

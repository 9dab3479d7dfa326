//! The public address: late, changed, a name instead of an address; the node and its readers have it without a restart.

use std::time::Duration;

use e2e_tests::{Access, Env, Node, lb, relay, statusctl, test, within};
use serde_json::json;

const BOUND: Duration = Duration::from_secs(10);

fn address_of(enode: &str) -> String {
    let at = enode.rsplit_once('@').expect("an address").1;
    at.rsplit_once(':').expect("a port").0.to_owned()
}

/// What the load balancer shows for a replica's P2P Service.
async fn service_address(env: &Env, node: &Node<'_>) -> Option<String> {
    let service = format!("{}-0-p2p", node.name);
    let out = e2e_tests::kubectl(&["get", "service", &service, "-n", &env.namespace, "-o", "json"]).await;
    let service: serde_json::Value = serde_json::from_str(&out.stdout).ok()?;
    service["status"]["loadBalancer"]["ingress"][0]["ip"].as_str().map(str::to_owned)
}

/// Everyone who tells the address tells this one: node, status, and a client that uses it. Returns how long the last took.
async fn everyone_has(node: &Node<'_>, address: &str) -> Duration {
    let (_, took) = within("the node, the status and the next client have the address", BOUND, || async {
        let info = node.rpc(0, "admin_nodeInfo", json!([])).await?;
        if info["ip"] != address {
            return Err(format!("admin_nodeInfo has {}", info["ip"]));
        }
        let enodes = node.replicas().await;
        let enode = enodes[0]["enode"].as_str().ok_or("no enode in status")?.to_owned();
        if address_of(&enode) != address {
            return Err(format!("status has {enode}"));
        }
        // Two seconds: one that begins a moment too early must not use up the bound.
        let out = statusctl(&["connect", "--timeout", "2", &enode]).await;
        if out.code == Some(0) { Ok(()) } else { Err(out.stderr) }
    })
    .await;
    took
}

#[test]
fn an_address_that_comes_late_reaches_the_running_node() {
    test("late-address", Access::Shared, |env| async move {
        let service = format!("{}/late-0-p2p", env.namespace);
        lb(&["delay", &service, "30s"]).await.ok();
        let node = env.apply("late", relay(1)).await;
        // The pod runs long before; what it says about itself has no address, above all not the pod's.
        let (info, _) = within("the node answers without an address", Duration::from_secs(25), || {
            node.rpc(0, "admin_nodeInfo", json!([]))
        })
        .await;
        assert_eq!(service_address(&env, &node).await, None, "the delay is in force");
        assert!(!info["enode"].as_str().unwrap().contains('@'), "no address is guessed: {info}");
        let incarnation = node.incarnation(0).await;
        let (reason, _) = node.wait_condition("Ready", "False", Duration::from_secs(20)).await;
        assert!(!reason.is_empty());

        let (address, _) = within("the load balancer gives an address", Duration::from_secs(60), || async {
            service_address(&env, &node).await.ok_or("none yet")
        })
        .await;
        let took = everyone_has(&node, &address).await;
        eprintln!("late address: known to all {took:?} after the Service had it");
        node.wait_ready().await;
        assert_eq!(node.incarnation(0).await, incarnation, "no restart");
    });
}

#[test]
fn the_port_and_the_address_that_the_user_names_are_advertised_without_a_restart() {
    test("advertised", Access::Shared, |env| async move {
        let node = env.ready("named", relay(1)).await;
        let incarnation = node.incarnation(0).await;
        let before = node.enodes().await[0].clone();
        let address = address_of(&before);

        node.patch(json!({"spec": {"p2p": {"advertise": {"port": 443}}}})).await;
        let told = || async {
            let info = node.rpc(0, "admin_nodeInfo", json!([])).await?;
            let enode = node.enodes().await[0].clone();
            if info["enode"] == enode.as_str() {
                Ok(enode)
            } else {
                Err(format!("{} and {enode}", info["enode"]))
            }
        };
        let at = |wanted: String| async move {
            let enode = told().await?;
            if enode.ends_with(&wanted) {
                Ok(enode)
            } else {
                Err(format!("{enode} does not end with {wanted}"))
            }
        };
        let (enode, _) =
            within("node and status have the port", BOUND, || at(format!("@{address}:443"))).await;
        within("a client gets in at that port", BOUND, || async {
            let out = statusctl(&["connect", "--timeout", "2", &enode]).await;
            if out.code == Some(0) { Ok(()) } else { Err(out.stderr) }
        })
        .await;
        within("nobody gets in at the former port", BOUND, || async {
            let out = statusctl(&["connect", "--timeout", "2", &before]).await;
            if out.code == Some(0) { Err("still open") } else { Ok(()) }
        })
        .await;

        let given = json!([{"ordinal": 0, "address": "192.0.2.77", "port": 30304}]);
        node.patch(json!({"spec": {"p2p": {"advertise": {"addresses": given}}}})).await;
        within("node and status have the address", BOUND, || at("@192.0.2.77:30304".to_owned())).await;
        assert_eq!(node.incarnation(0).await, incarnation, "no restart");
    });
}

#[test]
fn an_address_that_changes_reaches_the_running_node() {
    test("changed-address", Access::Shared, |env| async move {
        let node = env.ready("moving", relay(1)).await;
        let incarnation = node.incarnation(0).await;
        let old = service_address(&env, &node).await.expect("an address");
        let record = node.rpc(0, "admin_nodeInfo", json!([])).await.unwrap()["enr"].clone();

        lb(&["change", &format!("{}/moving-0-p2p", env.namespace)]).await.ok();
        let (new, _) = within("the Service shows another address", Duration::from_secs(30), || async {
            service_address(&env, &node).await.filter(|a| *a != old).ok_or("the old one")
        })
        .await;
        let took = everyone_has(&node, &new).await;
        eprintln!("changed address: known to all {took:?} after the Service had it");
        assert_ne!(
            node.rpc(0, "admin_nodeInfo", json!([])).await.unwrap()["enr"],
            record,
            "a new record was signed"
        );
        assert_eq!(node.incarnation(0).await, incarnation, "no restart");
        node.wait_ready().await;
    });
}

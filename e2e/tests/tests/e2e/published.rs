//! The published enodes: with nothing but what `kubectl` shows, a client outside reaches each replica as itself, and what
//! it posts at one of them comes to the clients and into the history of the others.

use e2e_tests::{
    Access, Client, Env, Envelopes, Node, Running, eventually, kubectl, mailserver, node_canary,
    reached_enodes, test,
};
use serde_json::{Value, json};

/// Three mailservers that are Ready, and their enodes as `kubectl` shows them.
async fn published(env: &Env) -> (Node<'_>, Vec<String>) {
    let node = env.ready("mail", mailserver(3)).await;
    let enodes = reached_enodes(&env.namespace, "mail").await;
    let hosts: std::collections::BTreeSet<_> = enodes.iter().map(|enode| host(enode)).collect();
    assert_eq!((enodes.len(), hosts.len()), (3, 3), "a public address each: {enodes:?}");
    (node, enodes)
}

/// `address:port` of an enode.
fn endpoint(enode: &str) -> &str {
    let at = enode.rsplit_once('@').expect("an address").1;
    at.split('?').next().expect("at least one part")
}

fn host(enode: &str) -> &str {
    endpoint(enode).rsplit_once(':').expect("a port").0
}

#[test]
fn each_enode_takes_a_session_from_both_clients_and_sees_their_own_address() {
    test("sessions", Access::Shared, |env| async move {
        let (node, enodes) = published(&env).await;
        let replicas = node.replicas().await;
        for (ordinal, enode) in (0..).zip(&enodes) {
            for client in Client::ALL {
                let said = client.run(&["connect", enode]).await.json();
                assert_eq!(said["nodeId"], replicas[ordinal as usize]["nodeId"], "{said}");
                assert_eq!(said["remoteAddress"], endpoint(enode), "{said}");
                assert_eq!(said["caps"], json!(["waku/0", "waku/1"]), "{said}");
                assert!(said["name"].as_str().is_some_and(|name| name.starts_with("Statusd/v")), "{said}");

                // While a session stands: whom the node sees at its other end.
                let mut session = client.start(&["watch", enode, "--timeout", "60s"]);
                let own = session.line().await;
                let peers = node.rpc(ordinal, "admin_peers", json!([])).await.expect("admin_peers");
                let seen = peers.as_array().into_iter().flatten().find(|peer| peer["id"] == own["self"]);
                let seen = seen.unwrap_or_else(|| panic!("{client:?} {own} is not among {peers}"));
                let address = own["localAddress"].as_str().expect("an address");
                assert_eq!(seen["network"]["remoteAddress"], address, "no NAT between: {seen}");
                assert_eq!(endpoint(seen["enode"].as_str().expect("an enode")), address, "{seen}");
                assert_eq!(seen["network"]["inbound"], true, "{seen}");
            }
        }
    });
}

/// Waits until each replica has a session with each other one.
async fn linked(node: &Node<'_>) {
    let ids: Vec<Value> = node.replicas().await.iter().map(|replica| replica["nodeId"].clone()).collect();
    for (ordinal, own) in (0..).zip(&ids) {
        eventually("the replica knows the others", || async {
            let peers = node.rpc(ordinal, "admin_peers", json!([])).await?;
            let has = |id: &Value| peers.as_array().is_some_and(|all| all.iter().any(|p| p["id"] == *id));
            if ids.iter().all(|id| id == own || has(id)) { Ok(()) } else { Err(peers.to_string()) }
        })
        .await;
    }
}

/// Posts one envelope with a confirmation; hash and bytes.
async fn post(client: Client, enode: &str, topic: &str, version: &str) -> (String, String) {
    let args = ["post", enode, "--topic", topic, "--waku", version, "--confirm"];
    let posted = client.run(&args).await.json();
    assert_eq!(posted["confirmed"], true, "{client:?} {posted}");
    let text = |key: &str| posted[key].as_str().unwrap_or_else(|| panic!("no {key} in {posted}")).to_owned();
    (text("hash"), text("raw"))
}

/// What a watcher gets until it has got all of `last`, in order.
async fn watched_until(watcher: &mut Running, last: &Envelopes) -> Vec<(String, String)> {
    let mut got: Vec<(String, String)> = Vec::new();
    while !last.keys().all(|hash| got.iter().any(|(other, _)| other == hash)) {
        let line = watcher.line().await;
        let text = |key: &str| line[key].as_str().unwrap_or_else(|| panic!("no {key} in {line}")).to_owned();
        got.push((text("hash"), text("raw")));
    }
    got
}

#[test]
fn an_envelope_posted_to_one_replica_comes_live_from_another_and_in_history_from_the_third() {
    test("posted", Access::Shared, |env| async move {
        let (node, enodes) = published(&env).await;
        linked(&node).await;
        let topic = "e2e09057";
        let mut watchers = Client::ALL
            .map(|client| client.start(&["watch", &enodes[1], "--topic", topic, "--timeout", "100s"]));
        for watcher in &mut watchers {
            assert_eq!(watcher.line().await["type"], "watching");
        }

        let mut posted = Envelopes::new();
        for client in Client::ALL {
            for version in ["0", "1"] {
                posted.extend([post(client, &enodes[0], topic, version).await]);
            }
        }
        eventually("replica 2 keeps what was posted to replica 0", || async {
            let kept = Client::Ours.history(&enodes[2], topic, "plain").await?;
            if kept.len() >= posted.len() {
                Ok(())
            } else {
                Err(format!("{} of {}", kept.len(), posted.len()))
            }
        })
        .await;
        for client in Client::ALL {
            for form in ["plain", "encrypted"] {
                let kept = client.history(&enodes[2], topic, form).await;
                assert_eq!(kept.as_ref(), Ok(&posted), "{client:?}, {form}: byte for byte, each once");
            }
        }

        // The last envelopes come by every way that a second copy of the others could have come by, behind it.
        let mut last = Envelopes::new();
        for enode in &enodes {
            last.extend([post(Client::Ours, enode, topic, "1").await]);
        }
        for (client, watcher) in Client::ALL.iter().zip(&mut watchers) {
            let got = watched_until(watcher, &last).await;
            let each: Envelopes = got.iter().cloned().collect();
            assert_eq!(each.len(), got.len(), "{client:?}: each once: {got:?}");
            let all: Envelopes =
                posted.iter().chain(&last).map(|(hash, raw)| (hash.clone(), raw.clone())).collect();
            assert_eq!(each, all, "{client:?}: byte for byte");
        }
    });
}

#[test]
fn the_canary_passes_at_each_enode() {
    test("canary-green", Access::Shared, |env| async move {
        let (_node, enodes) = published(&env).await;
        for enode in &enodes {
            let said = node_canary(&["-mailserver", enode]).await.ok();
            assert!(said.contains("there are no messages"), "{said}");
            let said = node_canary(&["-mailserver", enode, "-post"]).await.ok();
            assert!(said.contains("came back"), "{said}");
            node_canary(&["-staticnode", enode]).await.ok();
        }
        // With something to deliver, it has to be delivered.
        let mut posted = Vec::new();
        for enode in &enodes {
            let args = ["post", enode, "--channel", "status", "--confirm"];
            let hash = Client::Ours.run(&args).await.json()["hash"].clone();
            posted.push(hash.as_str().expect("a hash").to_owned());
        }
        for enode in &enodes {
            let said = node_canary(&["-mailserver", enode]).await.ok();
            assert!(
                posted.iter().any(|hash| said.contains(&format!("history delivers envelope {hash}"))),
                "{said}"
            );
        }
    });
}

#[test]
fn a_namespace_that_enforces_restricted_takes_the_pods() {
    test("restricted-pods", Access::Shared, |env| async move {
        // It really enforces: a pod that promises nothing is refused.
        let plain = ["run", "plain", "--image=localhost/none", "--dry-run=server", "-n", &env.namespace];
        let refused = kubectl(&plain).await;
        assert_eq!(refused.code, Some(1), "{}", refused.stdout);
        assert!(refused.stderr.contains("violates PodSecurity \"restricted:"), "{}", refused.stderr);
        let node = env.ready("mail", mailserver(1)).await;
        node_canary(&["-mailserver", &reached_enodes(&env.namespace, &node.name).await[0], "-post"])
            .await
            .ok();
    });
}

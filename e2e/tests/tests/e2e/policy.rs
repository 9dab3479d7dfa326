//! Who reaches what: peers the peer-to-peer port, the named the RPC and the metrics port, nobody else these two; and which
//! RPC methods need the token.
//!
//! Clients outside have routes to pods and cluster addresses, so what keeps them away is the policy; each denial is held
//! against the same call with the policy taken away.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use e2e_tests::{
    Access, Caller, Env, Node, OPERATOR_NAMESPACE, eventually, kubectl, object, only_process, operator_pod,
    relay, test, within,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const P2P: u16 = 30303;
const RPC: u16 = 8545;
const METRICS: u16 = 9090;

/// Every address that leads to the one replica of a node, or might.
struct Addresses {
    pod: IpAddr,
    p2p_cluster: IpAddr,
    rpc_cluster: IpAddr,
    metrics_cluster: IpAddr,
    /// The load balancer's.
    public: IpAddr,
    /// The cluster's node that the pod runs on.
    machine: IpAddr,
}

fn ip(value: &Value) -> IpAddr {
    value.as_str().unwrap_or_default().parse().unwrap_or_else(|e| panic!("{e}: {value}"))
}

impl Addresses {
    async fn of(env: &Env, node: &Node<'_>) -> Self {
        let service = |suffix: &str| {
            let name = format!("{}-{suffix}", node.name);
            async move { object("service", &name, &env.namespace).await }
        };
        let pod = object("pod", &node.pod(0), &env.namespace).await;
        let p2p = service("0-p2p").await;
        Self {
            pod: ip(&pod["status"]["podIP"]),
            p2p_cluster: ip(&p2p["spec"]["clusterIP"]),
            rpc_cluster: ip(&service("rpc").await["spec"]["clusterIP"]),
            metrics_cluster: ip(&service("metrics").await["spec"]["clusterIP"]),
            public: ip(&p2p["status"]["loadBalancer"]["ingress"][0]["ip"]),
            machine: ip(&pod["status"]["hostIP"]),
        }
    }

    fn p2p(&self) -> BTreeSet<SocketAddr> {
        [self.pod, self.p2p_cluster, self.public].into_iter().map(|ip| (ip, P2P).into()).collect()
    }

    fn rpc(&self) -> BTreeSet<SocketAddr> {
        [self.pod, self.rpc_cluster].into_iter().map(|ip| (ip, RPC).into()).collect()
    }

    fn metrics(&self) -> BTreeSet<SocketAddr> {
        [self.pod, self.metrics_cluster].into_iter().map(|ip| (ip, METRICS).into()).collect()
    }

    /// Where nobody has any business: these two ports at the addresses that are for peers.
    fn never(&self) -> BTreeSet<SocketAddr> {
        let ports = [RPC, METRICS];
        [self.p2p_cluster, self.public, self.machine]
            .into_iter()
            .flat_map(|ip| ports.map(|port| (ip, port).into()))
            .collect()
    }

    fn all(&self) -> Vec<SocketAddr> {
        [self.p2p(), self.rpc(), self.metrics(), self.never()].into_iter().flatten().collect()
    }
}

/// What a caller may reach beside the peer-to-peer port.
#[derive(Clone, Copy)]
struct May {
    rpc: bool,
    metrics: bool,
}

const NOTHING: May = May { rpc: false, metrics: false };
const BOTH: May = May { rpc: true, metrics: true };
const THE_RPC: May = May { rpc: true, metrics: false };
const THE_METRICS: May = May { rpc: false, metrics: true };

/// A caller, and what it may under the policy as it is written first.
struct Guest {
    who: &'static str,
    caller: Caller,
    may: May,
}

impl Guest {
    async fn reaches_just(&self, may: May, addresses: &Addresses) -> Result<(), String> {
        let mut expected = addresses.p2p();
        expected.extend(addresses.rpc().into_iter().filter(|_| may.rpc));
        expected.extend(addresses.metrics().into_iter().filter(|_| may.metrics));
        let reached = self.caller.reached(&addresses.all()).await;
        if reached == expected {
            return Ok(());
        }
        let more: Vec<_> = reached.difference(&expected).collect();
        let less: Vec<_> = expected.difference(&reached).collect();
        Err(format!("{}: reaches {more:?} against the policy, does not reach {less:?}", self.who))
    }
}

/// Callers of every kind that a policy tells apart.
async fn guests(env: &Env) -> Vec<Guest> {
    let [friends, strangers] = [env.other_namespace("friends").await, env.other_namespace("strangers").await];
    let own = env.namespace.as_str();
    let role = |role: &str| json!({"role": role});
    let as_operator = json!({"app.kubernetes.io/name": "status-operator"});
    let operator = only_process(OPERATOR_NAMESPACE, &operator_pod().await).await;
    let mut guests = vec![
        Guest { who: "a client outside", caller: Caller::Outside, may: NOTHING },
        Guest { who: "the operator", caller: Caller::NetworkOf(operator), may: THE_METRICS },
    ];
    // The labels of friends, and of the operator, count in their own namespaces only.
    let pods = [
        ("a wallet in the named namespace", friends.as_str(), "wallet", role("wallet"), THE_RPC),
        ("a scraper in the named namespace", &friends, "scraper", role("scraper"), THE_METRICS),
        ("another pod of the named namespace", &friends, "other", role("other"), NOTHING),
        ("a named pod beside the node", own, "tool", role("tool"), BOTH),
        ("another pod beside the node", own, "other", role("other"), NOTHING),
        ("a stranger dressed as a wallet", &strangers, "wallet", role("wallet"), NOTHING),
        ("a stranger dressed as the operator", &strangers, "operator", as_operator, NOTHING),
        ("another pod beside the operator", OPERATOR_NAMESPACE, NEIGHBOUR, role("other"), NOTHING),
    ];
    for (who, namespace, name, labels, may) in pods {
        guests.push(Guest { who, caller: Caller::start(namespace, name, &labels).await, may });
    }
    guests
}

/// The one pod that this test has in a namespace that is not its own.
const NEIGHBOUR: &str = "e2e-policy-neighbour";

/// The policy that gives the guests what they may.
fn guarded(env: &Env) -> Value {
    let friend = |role: &str| {
        let namespace = json!({"kubernetes.io/metadata.name": format!("{}-friends", env.namespace)});
        json!({"namespaceSelector": {"matchLabels": namespace}, "podSelector": {"matchLabels": {"role": role}}})
    };
    let tool = json!({"podSelector": {"matchLabels": {"role": "tool"}}});
    let mut spec = relay(1);
    spec["rpc"] = json!({"allowedFrom": [friend("wallet"), tool]});
    spec["metrics"] = json!({"allowedFrom": [friend("scraper"), tool]});
    spec
}

/// Waits until each guest reaches what it may, and nothing else.
async fn all_reach(what: &str, guests: &[Guest], addresses: &Addresses, may: impl Fn(&Guest) -> May) {
    within(what, Duration::from_secs(60), || async {
        let calls = guests.iter().map(|guest| guest.reaches_just(may(guest), addresses));
        let results = futures::future::join_all(calls).await;
        let wrong: Vec<String> = results.into_iter().filter_map(Result::err).collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    })
    .await;
}

/// What is said at an address to a request for metrics and to an RPC call; empty when it is not HTTP.
async fn says(address: SocketAddr) -> String {
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"web3_clientVersion"}"#;
    let requests = [
        format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"),
        format!(
            "POST / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{call}",
            call.len()
        ),
    ];
    let mut said = Vec::new();
    for request in requests {
        let exchange = async {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(request.as_bytes()).await?;
            stream.read_to_end(&mut said).await
        };
        // What is not HTTP may close, or wait for more.
        let _ = tokio::time::timeout(Duration::from_secs(2), exchange).await;
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// Whether that is a Status node's RPC or metrics.
fn is_node(said: &str) -> bool {
    said.contains("statusd_build_info") || said.contains("Statusd/")
}

#[test]
fn rpc_and_metrics_answer_the_named_and_nobody_else() {
    test("policy", Access::Shared, |env| async move {
        let node = env.ready("guarded", guarded(&env)).await;
        let (guests, addresses) = (guests(&env).await, Addresses::of(&env, &node).await);
        let incarnation = node.incarnation(0).await;
        all_reach("the policy as written", &guests, &addresses, |guest| guest.may).await;

        // Without the policy the same calls get through: nothing else kept them away.
        node.patch(json!({"spec": {"networkPolicy": {"policy": "Never"}}})).await;
        all_reach("no policy", &guests, &addresses, |_| BOTH).await;
        node.patch(json!({"spec": {"networkPolicy": {"policy": "Always"}}})).await;
        all_reach("the policy again", &guests, &addresses, |guest| guest.may).await;

        // A range of addresses is let in to what it is named for.
        let outside = TcpStream::connect((addresses.pod, P2P)).await.expect("the peer-to-peer port is open");
        let range = json!({"ipBlock": {"cidr": format!("{}/32", outside.local_addr().unwrap().ip())}});
        node.patch(json!({"spec": {"rpc": {"allowedFrom": null}, "metrics": {"allowedFrom": [range]}}}))
            .await;
        all_reach("metrics for one address", &guests, &addresses, |guest| match guest.caller {
            Caller::Outside | Caller::NetworkOf(_) => THE_METRICS,
            Caller::Pod { .. } => NOTHING,
        })
        .await;
        assert_eq!(node.incarnation(0).await, incarnation, "no restart");
        kubectl(&["delete", "pod", NEIGHBOUR, "-n", OPERATOR_NAMESPACE, "--wait=false"]).await.ok();
    });
}

#[test]
fn no_port_at_any_address_leads_from_outside_to_rpc_or_metrics() {
    test("all-ports", Access::Shared, |env| async move {
        let node = env.ready("hidden", relay(1)).await;
        let addresses = Addresses::of(&env, &node).await;
        let every_port = |ip: IpAddr| (1..=u16::MAX).map(move |port| SocketAddr::from((ip, port)));
        let candidates: Vec<SocketAddr> =
            [addresses.public, addresses.machine].into_iter().flat_map(every_port).collect();
        let open = Caller::Outside.reached(&candidates).await;
        assert!(open.contains(&(addresses.public, P2P).into()), "the scan sees an open port: {open:?}");
        assert!(open.contains(&(addresses.machine, 6443).into()), "and those of the machine: {open:?}");
        assert_eq!(
            open.iter().filter(|a| a.ip() == addresses.public).count(),
            1,
            "one port is public: {open:?}"
        );
        for address in &open {
            let said = says(*address).await;
            assert!(!is_node(&said), "{address} answers {said}");
        }

        // At the pod's own address only what it listens on can answer.
        let process = only_process(&env.namespace, &node.pod(0)).await;
        let listening = process.listening();
        assert!([P2P, RPC, METRICS].iter().all(|port| listening.contains(port)), "{listening:?}");
        let own: Vec<SocketAddr> = listening.iter().map(|port| (addresses.pod, *port).into()).collect();
        assert_eq!(Caller::Outside.reached(&own).await, BTreeSet::from([(addresses.pod, P2P).into()]));

        // With the policy taken away the same questions find both, so they would have been found.
        node.patch(json!({"spec": {"networkPolicy": {"policy": "Never"}}})).await;
        for port in [RPC, METRICS] {
            eventually("found without the policy", || async {
                let said = says((addresses.pod, port).into()).await;
                if is_node(&said) { Ok(()) } else { Err(format!("port {port} says {said:?}")) }
            })
            .await;
        }
    });
}

#[test]
fn rpc_methods_that_change_something_need_the_token() {
    test("token", Access::Shared, |env| async move {
        let wallet = Caller::start(&env.namespace, "wallet", &json!({"role": "wallet"})).await;
        let mut spec = relay(1);
        spec["rpc"] = json!({"allowedFrom": [{"podSelector": {"matchLabels": {"role": "wallet"}}}]});
        let node = env.ready("asked", spec).await;
        let peer = env.ready("peer", relay(1)).await;
        let service = object("service", "asked-rpc", &env.namespace).await;
        let rpc = SocketAddr::from((ip(&service["spec"]["clusterIP"]), RPC));
        eventually("the wallet is let in", || async {
            if wallet.reached(&[rpc]).await.contains(&rpc) { Ok(()) } else { Err("closed") }
        })
        .await;

        let info = wallet.rpc(rpc, None, "admin_nodeInfo", json!([])).await.unwrap();
        assert_eq!(info["enode"], node.enodes().await[0].as_str());
        let version = wallet.rpc(rpc, None, "web3_clientVersion", json!([])).await.unwrap();
        assert!(version.as_str().unwrap().starts_with("Statusd/"), "{version}");
        let modules = wallet.rpc(rpc, None, "rpc_modules", json!([])).await.unwrap();
        assert_eq!(modules, json!({"admin": "1.0", "rpc": "1.0", "web3": "1.0"}));

        let peer_id = peer.replicas().await[0]["nodeId"].clone();
        let is_peer = async || {
            let peers = wallet.rpc(rpc, None, "admin_peers", json!([])).await.unwrap();
            peers.as_array().unwrap().iter().any(|p| p["id"] == peer_id)
        };
        let add = json!([peer.enodes().await[0]]);
        let text = "go-template={{.data.token | base64decode}}";
        let token =
            kubectl(&["get", "secret", "asked-rpc-token", "-n", &env.namespace, "-o", text]).await.ok();
        let wrong = format!("{}x", &token[1..]);
        for shown in [None, Some(wrong.as_str())] {
            let error = wallet.rpc(rpc, shown, "admin_addPeer", add.clone()).await.unwrap_err();
            assert!(error["message"].as_str().unwrap().starts_with("unauthorized"), "{error}");
        }
        assert!(!is_peer().await, "a refused call has no effect");
        assert_eq!(wallet.rpc(rpc, Some(&token), "admin_addPeer", add).await, Ok(json!(true)));
        eventually("the added peer is connected", || async {
            if is_peer().await { Ok(()) } else { Err("not among the peers") }
        })
        .await;
    });
}

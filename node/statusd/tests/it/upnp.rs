//! UPnP with the real program: in network namespaces that the test makes, a router on one side and the node on the other.

use std::{net::Ipv4Addr, process::Command, time::Duration};

use serde_json::{Value, json};

use crate::program::{SOON, Setup, Statusd, until};

#[allow(dead_code, reason = "the unit tests use the other half")]
#[path = "../../src/upnp/testing.rs"]
mod router;

const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const NODE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
/// Nobody: discovery is there to have its port forwarded.
const BOOT: &str = "ca634cae0d49acb401d8a4c6b6fe8c55b70d115bf400769cc1400f3258cd31387574077f301b421bc84df7266c44e9e6d569fc56be00812904767bf5ccd1fc7f";
/// Says to the inner test that it may talk to whoever is in its network.
const INSIDE: &str = "NETWORK_OF_ITS_OWN";

/// `unshare`, which anybody may call with a user namespace.
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg("--net");
    command
}

#[test]
fn the_router_forwards_to_the_node_while_it_runs_and_gives_its_address() {
    let inner = ["--exact", "upnp::in_a_network_of_its_own", "--ignored", "--nocapture"];
    let mut command = unshare();
    let status = command.arg(std::env::current_exe().unwrap()).args(inner).env(INSIDE, "1").status().unwrap();
    assert!(status.success(), "{status}; it needs the right to make a network namespace, and iproute2");
}

#[test]
#[ignore = "the test above runs it, in a network namespace"]
fn in_a_network_of_its_own() {
    assert!(std::env::var_os(INSIDE).is_some(), "not in the network of the machine");
    let setup = setup();

    link();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let router = runtime.block_on(router::TestRouter::start_in_network(ROUTER));
    let node = start(&setup);
    let inside = |port| (NODE, port).into();
    until("both ports are forwarded", SOON, || {
        router.with_behaviour(|behaviour| {
            let forwarded = behaviour
                .forwarded
                .iter()
                .map(|((protocol, port), (inside, _))| (protocol.clone(), *port, *inside));
            let all: Vec<_> = forwarded.collect();
            (all == [("TCP".to_owned(), 30303, inside(30303)), ("UDP".to_owned(), 30303, inside(30303))])
                .then_some(())
        })
    });
    advertises(&node, "198.51.100.7");
    let advertised = serde_json::from_str::<Value>(&node.get("/status").1).unwrap()["advertised"].clone();
    assert_eq!(advertised, json!({"address": "198.51.100.7", "tcpPort": 30303, "udpPort": 30303}));

    // A configured address is not overridden, and the router's comes back when it goes.
    let mut configured = setup.config.clone();
    configured["AdvertiseAddr"] = json!("203.0.113.5");
    std::fs::write(setup.path("config.json"), configured.to_string()).unwrap();
    node.signal("-HUP");
    advertises(&node, "203.0.113.5");
    std::fs::write(setup.path("config.json"), setup.config.to_string()).unwrap();
    node.signal("-HUP");
    advertises(&node, "198.51.100.7");

    let (status, log) = node.stop("-TERM");
    assert!(status.success(), "{log}");
    router.with_behaviour(|behaviour| assert!(behaviour.forwarded.is_empty(), "taken back: {log}"));
    runtime.shutdown_timeout(Duration::from_secs(5));

    // The link went with the node's namespace.
    link();
    let node = start(&setup);
    until("it says that no router answers", SOON, || {
        node.log().contains("no router with UPnP answers in the local network").then_some(())
    });
    let (status, log) = node.stop("-TERM");
    assert!(status.success(), "{log}");
    assert!(!log.contains("the advertised address changed"), "{log}");
}

/// A node that is reached from the router's side.
fn setup() -> Setup {
    let mut setup = Setup::default();
    let boot = format!("enode://{}@{ROUTER}:9", BOOT);
    setup.config.as_object_mut().unwrap().remove("LiveDir");
    for (key, value) in [
        ("ListenAddr", json!(":30303")),
        ("UPnPEnabled", json!(true)),
        ("HTTPHost", json!(NODE)),
        ("MetricsHost", json!(NODE)),
        ("NoDiscovery", json!(false)),
        ("ClusterConfig", json!({"Enabled": true, "BootNodes": [boot]})),
    ] {
        setup.config[key] = value;
    }
    setup
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split_whitespace()).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}

/// Both ends of the local network, the router's in use.
fn link() {
    ip("link set lo up");
    ip("link add router type veth peer name node");
    ip(&format!("address add {ROUTER}/24 dev router"));
    ip("link set router up");
}

/// Starts the node in a namespace of its own, to which its end of the network is moved.
fn start(setup: &Setup) -> Statusd {
    let program = setup.command();
    let script = format!(
        "set -e; nsenter --net=/proc/{}/ns/net ip link set node netns $$; ip link set lo up; \
         ip address add {NODE}/24 dev node; ip link set node up; ip route add default via {ROUTER}; exec \"$@\"",
        std::process::id()
    );
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", &script, "sh"]).arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    setup.start_as(command)
}

fn advertises(node: &Statusd, address: &str) {
    until(&format!("{address} is advertised"), SOON, || {
        let info = node.rpc("admin_nodeInfo", json!([]));
        let said = info["enode"].as_str().unwrap().ends_with(&format!("@{address}:30303"));
        (said && info["ip"] == address).then_some(())
    });
}

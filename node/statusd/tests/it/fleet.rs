//! A fleet that knows a bootnode and nothing else: finds itself by topic, relays, takes late nodes in and forgets those that
//! are gone. Facts: `spec/devp2p.md` §4, §6. The bootnode is the program `bootnode`, beside `statusd` in every build.

use std::{
    collections::{BTreeSet, HashMap},
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use enode::{EnodeUrl, NodeKey};
use node_client::{Client, Options};
use serde_json::json;
use waku_wire::{Envelope, Topic};

use crate::program::{Setup, Statusd, until};

const NODES: usize = 20;
/// For a node to be found by topic.
const FOUND: Duration = Duration::from_secs(120);

/// The running bootnode. Killed when dropped.
struct Bootnode {
    child: Child,
    enode: String,
}

impl Bootnode {
    fn start() -> Self {
        let tools = Path::new(env!("CARGO_BIN_EXE_statusd")).with_file_name("node-tools");
        assert!(tools.exists(), "{} is not there: build the whole workspace", tools.display());
        let mut child = Command::new(tools)
            .args(["bootnode", "-addr", "127.0.0.1:0", "-keydata", &NodeKey::generate().to_hex()])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let enode = lines.find_map(|line| Some(format!("enode://{}", line.split_once("enode://")?.1)));
        let enode = enode.expect("bootnode says its enode").split_whitespace().next().unwrap().to_owned();
        // It must never wait for somebody to read its log.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, enode }
    }
}

impl Drop for Bootnode {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(bootnode: &Bootnode) -> Statusd {
    let mut setup = Setup::default();
    setup.config["NoDiscovery"] = json!(false);
    setup.config["MaxPeers"] = json!(50);
    setup.config["ClusterConfig"] = json!({"Enabled": true, "BootNodes": [bootnode.enode]});
    setup.config["RegisterTopics"] = json!(["whisper"]);
    setup.config["RequireTopics"] = json!({"whisper": {"Min": 3, "Max": 5}});
    setup.config["WakuConfig"] = json!({"Enabled": true, "MinimumPoW": 0});
    setup.start()
}

fn id(node: &Statusd) -> String {
    node.rpc("admin_nodeInfo", json!([]))["id"].as_str().unwrap().to_owned()
}

fn peers(node: &Statusd) -> BTreeSet<String> {
    let peers = node.rpc("admin_peers", json!([]));
    peers.as_array().unwrap().iter().map(|peer| peer["id"].as_str().unwrap().to_owned()).collect()
}

/// Whether every node can be reached from the first over the sessions that there are.
fn is_one_mesh(nodes: &HashMap<String, Statusd>) -> bool {
    let sessions: HashMap<&String, BTreeSet<String>> =
        nodes.iter().map(|(id, node)| (id, peers(node))).collect();
    let Some(first) = nodes.keys().next() else { return true };
    let (mut seen, mut next) = (BTreeSet::from([first.clone()]), vec![first.clone()]);
    while let Some(id) = next.pop() {
        for peer in sessions.get(&id).into_iter().flatten() {
            if seen.insert(peer.clone()) {
                next.push(peer.clone());
            }
        }
    }
    nodes.keys().all(|id| seen.contains(id))
}

async fn client(node: &Statusd, options: Options) -> Client {
    let enode: EnodeUrl = node.enode().parse().unwrap();
    Client::connect(&enode, &NodeKey::generate(), &options).await.unwrap()
}

/// Posts at one node, and waits until it comes out of another.
async fn relays(from: &Statusd, to: &Statusd) {
    let topic = Topic(rand::random());
    let receiver = client(to, Options::watching(vec![topic])).await;
    let mut watch = receiver.watch();
    let sender = client(from, Options::quiet()).await;
    let now = u32::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let envelope =
        Envelope { expiry: now + 30, ttl: 30, topic, data: vec![7; 64].into(), nonce: 0 }.encode().unwrap();
    sender.post(std::slice::from_ref(&envelope)).await.unwrap();
    let received = tokio::time::timeout(Duration::from_secs(30), watch.next()).await;
    assert_eq!(
        received.unwrap_or_else(|_| panic!("not relayed within 30 s")).unwrap().hash(),
        envelope.hash()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_finds_itself_relays_takes_late_nodes_in_and_forgets_the_gone() {
    let bootnode = Bootnode::start();
    let mut nodes: HashMap<String, Statusd> =
        (0..NODES).map(|_| start(&bootnode)).map(|node| (id(&node), node)).collect();
    until("every node has a peer, and all hang together", FOUND, || {
        std::thread::sleep(Duration::from_millis(500));
        is_one_mesh(&nodes).then_some(())
    });
    let ids: Vec<String> = nodes.keys().cloned().collect();
    relays(&nodes[&ids[0]], &nodes[&ids[NODES - 1]]).await;

    let late = start(&bootnode);
    until("a late node has peers", FOUND, || (!peers(&late).is_empty()).then_some(()));
    relays(&late, &nodes[&ids[0]]).await;

    let gone: Vec<String> = ids[..NODES / 2].to_vec();
    for id in &gone {
        let (status, log) = nodes.remove(id).unwrap().stop("-TERM");
        assert!(status.success(), "{log}");
    }
    nodes.insert(id(&late), late);
    until("the gone are nobody's peers, and the rest hangs together again", FOUND, || {
        std::thread::sleep(Duration::from_millis(500));
        let forgotten = nodes.values().all(|node| peers(node).iter().all(|peer| !gone.contains(peer)));
        (forgotten && is_one_mesh(&nodes)).then_some(())
    });
    let left: Vec<&Statusd> = nodes.values().collect();
    relays(left[0], left[left.len() - 1]).await;
}

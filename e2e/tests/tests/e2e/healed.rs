//! Replicas heal each other: one that lost its volume, or was cut off, gets what it missed, and then all have the same.
//!
//! What is compared is what a client outside gets from each replica by its public enode.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use e2e_tests::{
    Access, Env, Envelopes, Node, eventually, history, kubectl, mailserver, object, only_process, post,
    reached_enodes, statusctl, test, within,
};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle, time::sleep};

const TOPIC: &str = "e2e4ea1d";
/// A minute is not compared, and rounds that are not complete come every half minute.
const HEALED: Duration = Duration::from_secs(240);

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Envelopes that go to some of the replicas until they are told to stop.
struct Traffic {
    stop: watch::Sender<bool>,
    posted: JoinHandle<Envelopes>,
}

impl Traffic {
    fn start(enodes: Vec<String>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let posted = tokio::spawn(async move {
            let mut all = Envelopes::new();
            for enode in enodes.iter().cycle() {
                if *stopped.borrow() {
                    break;
                }
                all.extend(post(enode, TOPIC, 10).await);
                // A trickle: the machine has a cluster to run.
                sleep(Duration::from_millis(300)).await;
            }
            all
        });
        Self { stop, posted }
    }

    /// All that was confirmed.
    async fn stop(self) -> Envelopes {
        self.stop.send_replace(true);
        self.posted.await.expect("each post was confirmed")
    }
}

/// What a replica says of itself.
async fn status(node: &Node<'_>, ordinal: u32) -> Result<Value, String> {
    serde_json::from_str(&node.get(ordinal, "/status").await?).map_err(|e| e.to_string())
}

/// Envelopes that a replica got by sync.
const SYNCED: &str = "statusd_sync_envelopes_total{kind=\"stored\"} ";
/// Envelopes that a replica relays until they expire.
const LIVE: &str = "statusd_relay_pool_envelopes ";

/// A metric of a replica; 0 when it is not there.
async fn count(node: &Node<'_>, ordinal: u32, metric: &str) -> Result<usize, String> {
    let metrics = node.get(ordinal, "/metrics").await?;
    let line = metrics.lines().find_map(|line| line.strip_prefix(metric));
    Ok(line.map_or(0, |count| count.parse().expect("a count")))
}

/// Asks all replicas for all they have since then; what all have.
async fn cross_check(enodes: &[String], from: u64) -> Result<Value, String> {
    let (from, to) = (from.to_string(), unix_now().to_string());
    let enodes: Vec<&str> = enodes.iter().map(String::as_str).collect();
    let flags = ["--whole", "--from", &from, "--to", &to, "--json"];
    let out = statusctl(&[&["cross-check"], &enodes[..], &flags].concat()).await;
    match out.code {
        Some(0) => Ok(serde_json::from_str(out.stdout.lines().last().expect("a result")).expect("JSON")),
        _ => Err(out.stderr),
    }
}

/// All replicas say that their history is complete, a client finds no difference between them, and they have just what
/// was posted.
async fn healed(node: &Node<'_>, enodes: &[String], from: u64, posted: &Envelopes) {
    let (reason, _) = node.wait_condition("HistoryComplete", "True", HEALED).await;
    assert_eq!(reason, "HistoryCompared");
    assert!(node.replicas().await.iter().all(|replica| replica["historyComplete"] == true));
    let what = "no difference between the replicas";
    let result = within(what, HEALED, || cross_check(enodes, from)).await.0;
    assert_eq!((&result["envelopes"], &result["holes"]), (&posted.len().into(), &0.into()), "{result}");
    for enode in enodes {
        assert_eq!(history(enode, TOPIC).await.as_ref(), Ok(posted), "byte for byte, each once");
    }
}

#[test]
fn a_replica_that_lost_pod_and_volume_refills_and_all_agree() {
    test("refill", Access::Shared, |env| async move {
        let from = unix_now();
        let node = env.ready("heal", mailserver(3)).await;
        let enodes = reached_enodes(&env.namespace, &node.name).await;
        let before = post(&enodes[0], TOPIC, 300).await;
        eventually("replica 1 had it all", || async {
            let kept = history(&enodes[1], TOPIC).await?.len();
            if kept == before.len() { Ok(()) } else { Err(format!("{kept} of {}", before.len())) }
        })
        .await;
        // Nobody can relay it once more.
        for ordinal in 0..3 {
            eventually("none of it lives", || async {
                match count(&node, ordinal, LIVE).await? {
                    0 => Ok(()),
                    left => Err(format!("{left} live on replica {ordinal}")),
                }
            })
            .await;
        }
        let others = [node.incarnation(0).await, node.incarnation(2).await];
        let ids = async || {
            let claim = object("pvc", "data-heal-1", &env.namespace).await;
            (claim["metadata"]["uid"].clone(), node.incarnation(1).await.0)
        };
        let (claim, pod) = ids().await;
        let traffic = Traffic::start(vec![enodes[0].clone(), enodes[2].clone()]);
        for gone in ["pvc/data-heal-1", "pod/heal-1-0"] {
            kubectl(&["delete", gone, "-n", &env.namespace, "--wait=false"]).await.ok();
        }
        // By what it says of itself: what the operator heard of the pod that is gone counts for nothing.
        let since = unix_now();
        within("replica 1 is back and agrees with another", HEALED, || async {
            let said = status(&node, 1).await?;
            let agreed = said["history"]["agreedTo"].as_u64().is_some_and(|to| to >= since);
            if agreed && said["history"]["complete"] == true { Ok(()) } else { Err(said.to_string()) }
        })
        .await;
        let now = ids().await;
        assert!(now.0 != claim && now.1 != pod, "both are others: {now:?}");
        let mut posted = traffic.stop().await;
        assert!(!posted.is_empty());
        posted.extend(before.clone());
        healed(&node, &enodes, from, &posted).await;
        assert!(count(&node, 1, SYNCED).await.unwrap() >= before.len(), "what was lost came by sync");
        assert_eq!([node.incarnation(0).await, node.incarnation(2).await], others);
        assert_eq!(reached_enodes(&env.namespace, &node.name).await, enodes);
    });
}

/// Drops every packet of a replica's peer-to-peer port, in and out; its probes go on.
async fn cut(env: &Env, node: &Node<'_>, ordinal: u32, off: bool) {
    let pid = only_process(&env.namespace, &node.pod(ordinal)).await.pid.to_string();
    let drop =
        "meta l4proto { tcp, udp } th dport 30303 drop; meta l4proto { tcp, udp } th sport 30303 drop;";
    let chain = |hook: &str| format!("chain {hook} {{ type filter hook {hook} priority 0; {drop} }}");
    let table = format!("table inet cut {{ {}; {}; }}", chain("input"), chain("output"));
    let rules = if off { table.as_str() } else { "delete table inet cut" };
    e2e_tests::run("nsenter", ["--target", &pid, "--net", "--", "nft", rules]).await.ok();
}

/// Cuts one of three replicas off for so long, under traffic, and lets it heal.
pub(crate) async fn survives_a_cut(env: &Env, length: Duration) {
    let from = unix_now();
    let mut spec = mailserver(3);
    spec["mailserver"] = json!({"sync": {"interval": "10s"}});
    let node = env.ready("cut", spec).await;
    let enodes = reached_enodes(&env.namespace, &node.name).await;
    let before = post(&enodes[1], TOPIC, 50).await;
    for enode in &enodes {
        eventually("each has what was posted", || async {
            let kept = history(enode, TOPIC).await?.len();
            if kept == before.len() { Ok(()) } else { Err(format!("{kept} of {}", before.len())) }
        })
        .await;
    }
    let all = [0, 1, 2].map(|ordinal| node.incarnation(ordinal));
    let all = futures::future::join_all(all).await;
    cut(env, &node, 1, true).await;
    let begun = tokio::time::Instant::now();
    let traffic = Traffic::start(vec![enodes[0].clone(), enodes[2].clone()]);
    // What is being tested is the time: longer than what is posted at first lives.
    sleep(length).await;
    let kept = status(&node, 1).await.expect("it runs")["archive"]["envelopes"].as_u64();
    assert_eq!(kept, Some(before.len() as u64), "nothing came through in {:?}", begun.elapsed());
    cut(env, &node, 1, false).await;
    let mut posted = traffic.stop().await;
    println!("{} were posted while it was cut off", posted.len());
    posted.extend(before);
    healed(&node, &enodes, from, &posted).await;
    assert!(count(&node, 1, SYNCED).await.unwrap() > 0, "gossip alone cannot bring what no longer lives");
    let now = futures::future::join_all([0, 1, 2].map(|ordinal| node.incarnation(ordinal))).await;
    assert_eq!(now, all, "no pod was restarted");
}

#[test]
fn a_replica_that_was_cut_off_gets_what_it_missed() {
    test("cut-off", Access::Shared, |env| async move {
        survives_a_cut(&env, Duration::from_secs(60)).await;
    });
}

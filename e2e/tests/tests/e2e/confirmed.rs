//! What a node has confirmed, it has: its process is killed while envelopes stream in.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use e2e_tests::{Access, Client, Envelopes, Process, eventually, history, mailserver, only_process, test};
use serde_json::Value;

const TOPIC: &str = "e2ec0f1d";
/// How close to the kill there have to be confirmations, in milliseconds.
const CLOSE: u64 = 50;

/// The clock of the machine, which the client's lines are stamped by too.
fn unix_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

/// A shell that waits for the word to kill one process: no time goes by for starting a program.
struct Killer(Child);

impl Killer {
    fn of(process: &Process) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", "read go && kill -KILL \"$1\" && echo killed", "sh", &process.pid.to_string()]);
        Self(shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sh is there"))
    }

    /// Sends SIGKILL. It was sent between the two times.
    fn kill(mut self) -> (u64, u64) {
        let before = unix_millis();
        self.0.stdin.take().unwrap().write_all(b"go\n").unwrap();
        let mut answer = String::new();
        BufReader::new(self.0.stdout.take().unwrap()).read_line(&mut answer).unwrap();
        let after = unix_millis();
        assert_eq!((answer.as_str(), self.0.wait().unwrap().success()), ("killed\n", true));
        (before, after)
    }
}

fn confirmed_at(line: &Value) -> u64 {
    assert_eq!(line["confirmed"], true, "{line}");
    line["confirmedAt"].as_u64().unwrap()
}

/// Streams envelopes to the node, 20 unconfirmed at a time, and kills it right after a confirmation, when at least so many
/// have come. All that were confirmed.
async fn kill_while_streaming(enode: &str, process: &Process, least: usize) -> Envelopes {
    let killer = Killer::of(process);
    let post = ["post", enode, "--topic", TOPIC, "--confirm", "--count", "0", "--in-flight", "20"];
    let mut client = Client::Ours.start(&post);
    let mut lines = Vec::new();
    loop {
        let line = client.line().await;
        let age = unix_millis().saturating_sub(confirmed_at(&line));
        lines.push(line);
        // Lines that had to wait for this test to read them are no confirmations of just now.
        if lines.len() >= least && age < CLOSE / 5 {
            break;
        }
    }
    let (before, after) = killer.kill();
    lines.extend(client.rest().await);
    let close = lines.iter().map(confirmed_at).filter(|at| (after - CLOSE..=before).contains(at)).count();
    assert!(close > 0, "of {} none was confirmed in the last {CLOSE} ms before {before}", lines.len());
    println!("{} confirmed, {close} of them in the last {CLOSE} ms", lines.len());
    let text = |line: &Value, key: &str| line[key].as_str().unwrap().to_owned();
    lines.iter().map(|line| (text(line, "hash"), text(line, "raw"))).collect()
}

#[test]
fn every_confirmed_envelope_is_in_history_after_sigkill() {
    test("confirmed", Access::Shared, |env| async move {
        // One replica: nobody else could have kept its history for it.
        let node = env.ready("kept", mailserver(1)).await;
        let enode = node.enodes().await.remove(0);
        let (pod, restarts) = node.incarnation(0).await;
        assert_eq!(restarts, 0);
        let mut confirmed = Envelopes::new();
        // Soon after the start, and when much has been written.
        for (round, least) in [(1, 20), (2, 5000)] {
            let process = only_process(&env.namespace, &node.pod(0)).await;
            assert_eq!(process.name, "statusd");
            confirmed.extend(kill_while_streaming(&enode, &process, least).await);
            let served = eventually("the node serves history again", || history(&enode, TOPIC)).await;
            let lost: Vec<_> =
                confirmed.iter().filter(|(hash, raw)| served.get(*hash) != Some(*raw)).collect();
            assert!(lost.is_empty(), "{} of {} are lost: {:?}", lost.len(), confirmed.len(), lost[0]);
            eventually("the container was started again, in the same pod", || async {
                let now = node.incarnation(0).await;
                if now == (pod.clone(), round) { Ok(()) } else { Err(format!("{now:?}")) }
            })
            .await;
        }
    });
}

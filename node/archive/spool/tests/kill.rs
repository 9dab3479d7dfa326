//! What was acknowledged outlives the process. Apart from the other tests: a child that is just being made holds for a moment
//! whatever files this process has locked.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use archive::conformance::{DAY_START, append, block_on, envelope};
use archive::memory::MemoryHistory;
use archive::{History as _, TimeRange};
use archive_spool::Spooled;
use waku_wire::WireEnvelope;

use support::{Flaky, MUCH, positions, replay};
const CHILD: &str = "SPOOL_KILL_CHILD";

/// The process that is killed: the archive is away all the time.
fn child(path: &Path, round: u32) {
    block_on(async {
        let archive = Arc::new(Flaky::default());
        archive.away.store(true, Ordering::SeqCst);
        let (spooled, _task) = Spooled::open(archive as _, path, MUCH).unwrap();
        for n in 0.. {
            let batch: Vec<WireEnvelope> = (0..10)
                .map(|k| {
                    envelope(DAY_START + n % 3000, [1; 4], (round << 24) + n * 10 + k, 200 + 50 * k as usize)
                })
                .collect();
            append(&*spooled, &batch).await;
            let acks: String =
                positions(&batch).iter().map(|at| format!("\nack {} {:?}", at.sent, at.id)).collect();
            std::io::stdout().lock().write_all(format!("{acks}\n").as_bytes()).unwrap();
        }
    });
}

#[test]
fn every_acknowledged_envelope_survives_sigkill() {
    if let Some(path) = std::env::var_os(CHILD) {
        child(Path::new(&path), std::env::var("SPOOL_KILL_ROUND").unwrap().parse().unwrap());
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = std::collections::BTreeSet::new();
    let parse = |line: &str| {
        let (sent, id) = line.strip_prefix("ack ")?.split_once(' ')?;
        (id.len() == 32).then(|| (sent.parse::<u32>().unwrap(), id.to_owned()))
    };
    for (round, acks) in [10, 300, 2000, 5000, 777].into_iter().enumerate() {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "every_acknowledged_envelope_survives_sigkill", "--nocapture"])
            .env(CHILD, directory.path())
            .env("SPOOL_KILL_ROUND", round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut seen = 0;
        while seen < acks {
            let line = lines.next().expect("the child runs until it is killed").unwrap();
            seen += usize::from(parse(&line).is_some_and(|ack| acknowledged.insert(ack)));
        }
        process.kill().unwrap();
        // What was printed before the kill but not read yet counts too; the last line may be torn.
        acknowledged.extend(lines.map_while(Result::ok).filter_map(|line| parse(&line)));
        assert!(!process.wait().unwrap().success());
    }
    block_on(async {
        let memory = Arc::new(MemoryHistory::new());
        let (spooled, task) = Spooled::open(Arc::clone(&memory) as _, directory.path(), MUCH).unwrap();
        replay(&spooled, task).await;
        let stored: std::collections::BTreeSet<(u32, String)> = memory
            .ids(TimeRange::ALL, None, usize::MAX)
            .await
            .unwrap()
            .iter()
            .map(|at| (at.sent, format!("{:?}", at.id)))
            .collect();
        assert_eq!(acknowledged.difference(&stored).count(), 0, "of {}", acknowledged.len());
    });
    assert!(acknowledged.len() > 8000);
}

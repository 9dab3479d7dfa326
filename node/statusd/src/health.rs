//! Whether the node lives and whether it can serve. Facts: design §2 "Metrics", §3 "Workload".
//!
//! A part that ends takes the process down with it, and listeners are bound before anything is served; so what is
//! left to ask is: does the event loop run tasks, does the archive take a durable write, is the clock sane.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use archive::{History, Writer};
use tokio::{sync::Mutex, time::timeout};

use crate::clock::{Clock, build_time, unix_now};

/// A task that has not run by then: the event loop is stuck.
const LIVE_TIMEOUT: Duration = Duration::from_secs(2);
/// A write that is not durable by then: the archive cannot keep up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a verdict stands, so that many askers cost one write.
const VERDICT_AGE: Duration = Duration::from_secs(1);

/// What `/livez`, `/readyz` and `/status` ask.
pub(crate) struct Health {
    clock: Clock,
    archive: Option<(Arc<dyn History>, Writer)>,
    stopping: AtomicBool,
    verdict: Mutex<Option<(Instant, Arc<Verdict>)>>,
}

/// Whether the node can serve.
#[derive(Default)]
pub(crate) struct Verdict {
    /// Why not, one plain line each; empty: it can.
    pub(crate) reasons: Vec<String>,
    /// The archive took a durable write; `false` without an archive.
    pub(crate) archive_writable: bool,
}

impl Health {
    /// Health of a node with this archive.
    pub(crate) fn new(archive: Option<(Arc<dyn History>, Writer)>) -> Self {
        Self { clock: Clock::default(), archive, stopping: AtomicBool::new(false), verdict: Mutex::new(None) }
    }

    /// Whether the event loop runs a new task in time.
    pub(crate) async fn is_live(&self) -> bool {
        timeout(LIVE_TIMEOUT, tokio::spawn(async {})).await.is_ok_and(|task| task.is_ok())
    }

    /// Not ready from now on.
    pub(crate) fn stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// The verdict, at most a second old.
    pub(crate) async fn verdict(&self) -> Arc<Verdict> {
        if self.stopping.load(Ordering::Relaxed) {
            return Arc::new(Verdict {
                reasons: vec!["node: it is stopping".to_owned()],
                ..Verdict::default()
            });
        }
        let mut last = self.verdict.lock().await;
        if let Some((at, verdict)) = last.as_ref()
            && at.elapsed() < VERDICT_AGE
        {
            return Arc::clone(verdict);
        }
        let verdict = Arc::new(self.look().await);
        *last = Some((Instant::now(), Arc::clone(&verdict)));
        verdict
    }

    async fn look(&self) -> Verdict {
        let mut verdict = Verdict::default();
        verdict.reasons.extend(self.clock.check(unix_now(), build_time()).err());
        if let Some((history, writer)) = &self.archive {
            match timeout(WRITE_TIMEOUT, history.probe()).await {
                Ok(Ok(())) => verdict.archive_writable = true,
                Ok(Err(error)) => verdict.reasons.push(format!("archive: {error}")),
                Err(_) => verdict.reasons.push(format!(
                    "archive: a write was not durable after {} s; look at the disk",
                    WRITE_TIMEOUT.as_secs()
                )),
            }
            if let Some(reason) = writer.failing() {
                verdict.archive_writable = false;
                verdict.reasons.push(format!("archive: the last envelopes were not stored: {reason}"));
            }
        }
        verdict
    }
}

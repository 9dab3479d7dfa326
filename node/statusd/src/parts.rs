//! The parts that run for as long as the node does: started by name, missed when one ends, ended together.

use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The running parts.
#[derive(Default)]
pub(crate) struct Parts {
    stop: CancellationToken,
    running: JoinSet<&'static str>,
}

impl Parts {
    /// Cancelled when the parts shall end.
    pub(crate) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs `part`, which ends only when the node stops.
    pub(crate) fn run(&mut self, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
        self.running.spawn(async move {
            // A panic is printed by its hook; here it is a part that ended like any other.
            let _ = AssertUnwindSafe(part).catch_unwind().await;
            name
        });
    }

    /// Runs `part`, which never ends by itself, until the node stops.
    pub(crate) fn run_until_stop(
        &mut self,
        name: &'static str,
        part: impl Future<Output = ()> + Send + 'static,
    ) {
        let stop = self.stop();
        self.run(name, async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = part => {}
            }
        });
    }

    /// Resolves with the name of a part that ended although the node does not stop.
    pub(crate) async fn missing(&mut self) -> &'static str {
        match self.running.join_next().await {
            Some(Ok(name)) => name,
            Some(Err(_)) => "a part",
            None => std::future::pending().await,
        }
    }

    /// Tells all parts to end.
    pub(crate) fn end(&self) {
        self.stop.cancel();
    }

    /// Waits until all have ended.
    pub(crate) async fn ended(&mut self) {
        while self.running.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_ends_or_panics_is_missed_by_name() {
        let mut parts = Parts::default();
        parts.run("patient", parts.stop().cancelled_owned());
        parts.run("short", async {});
        assert_eq!(parts.missing().await, "short");
        parts.run("broken", async { panic!("on purpose") });
        assert_eq!(parts.missing().await, "broken");
        parts.end();
        parts.ended().await;
    }
}

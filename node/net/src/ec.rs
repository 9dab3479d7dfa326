//! Curve arithmetic away from the threads that relay: a handshake costs about 0.3 ms, and anyone may ask for one.

use std::sync::LazyLock;

use tokio::sync::Semaphore;

use crate::Error;

/// At most half of the cores, at least one, compute for handshakes at a time; the others wait in turn.
static SLOTS: LazyLock<Semaphore> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Semaphore::new((cores / 2).max(1))
});

/// Runs `work` on a blocking thread when a slot is free.
pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let unavailable = || Error::Timeout("waiting for a handshake thread");
    let slot = SLOTS.acquire().await.map_err(|_| unavailable())?;
    // The slot goes with the work: it is taken also when nobody waits for the result any more.
    let computed = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(slot);
        done
    });
    computed.await.map_err(|_| unavailable())
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;

    #[tokio::test]
    async fn a_slot_is_taken_until_the_work_is_done_whoever_waits() {
        let slots = SLOTS.available_permits();
        let (go, wait) = mpsc::channel::<()>();
        let (begun, begins) = tokio::sync::oneshot::channel();
        let given_up = tokio::spawn(run(move || {
            begun.send(()).unwrap();
            wait.recv()
        }));
        begins.await.unwrap();
        given_up.abort();
        assert!(given_up.await.unwrap_err().is_cancelled());
        assert_eq!(SLOTS.available_permits(), slots - 1, "it still computes");
        go.send(()).unwrap();
        while SLOTS.available_permits() < slots {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

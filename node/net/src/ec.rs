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
    let _slot = SLOTS.acquire().await.map_err(|_| unavailable())?;
    tokio::task::spawn_blocking(work).await.map_err(|_| unavailable())
}

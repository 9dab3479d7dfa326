//! Waiting for a condition, with a bound and with the last thing seen in the message when it does not come.

use std::future::Future;
use std::time::{Duration, Instant};

/// Asks `probe` until it answers `Ok`, for at most `bound`; fails with its last `Err`. Returns the value and how long it took.
pub async fn within<T, E: std::fmt::Display, F: Future<Output = Result<T, E>>>(
    what: &str,
    bound: Duration,
    mut probe: impl FnMut() -> F,
) -> (T, Duration) {
    let start = Instant::now();
    loop {
        let error = match tokio::time::timeout(bound, probe()).await {
            Ok(Ok(value)) => return (value, start.elapsed()),
            Ok(Err(e)) => e.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        assert!(start.elapsed() < bound, "{what}: not within {bound:?}; last: {error}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// [`within`] two minutes, without the time it took.
pub async fn eventually<T, E: std::fmt::Display, F: Future<Output = Result<T, E>>>(
    what: &str,
    probe: impl FnMut() -> F,
) -> T {
    within(what, Duration::from_secs(120), probe).await.0
}

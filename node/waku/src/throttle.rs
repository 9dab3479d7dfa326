//! A brake on what is cheap to ask for and dear to do: changes of a peer's interest.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Changes that are free when there was none for long.
const BURST: u32 = 20;
/// Then one in so long.
const INTERVAL: Duration = Duration::from_millis(100);

/// Lets [`BURST`] pass at once and then one every [`INTERVAL`].
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    /// When all that passed so far is paid for.
    paid_until: Option<Instant>,
}

impl Throttle {
    /// Waits for the next turn. The peer's packets wait with it; nobody else does.
    pub(crate) async fn wait(&mut self) {
        let now = Instant::now();
        let paid_until = self.paid_until.map_or(now, |until| until.max(now)) + INTERVAL;
        self.paid_until = Some(paid_until);
        if let Some(turn) = paid_until.checked_sub(INTERVAL * BURST)
            && turn > now
        {
            sleep_until(turn).await;
        }
    }
}

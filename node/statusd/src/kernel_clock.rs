//! Whether the kernel says that something keeps its clock in step with others. Only ever a warning: on many machines the
//! hypervisor keeps the clock, and nobody tells the kernel. Facts: design §3 "Workload".

use std::time::Duration;

use rtime_clock::adjtime::{Timex, adjtimex};
use tokio::time::interval;

use crate::metrics::live::Gauges;

/// Between two looks.
const TICK: Duration = Duration::from_secs(60);

/// What the kernel says; `None` where the call is not allowed. It asks only, and needs no right.
pub(crate) fn is_synchronized() -> Option<bool> {
    let mut answer = Timex::new();
    adjtimex(&mut answer).ok()?;
    Some(answer.0.status & libc::STA_UNSYNC == 0)
}

type Figure = (&'static str, &'static str, fn(&bool) -> usize);

/// The family, asked for at each scrape; absent where the kernel does not say.
///
/// # Errors
/// None that could be met.
pub(crate) fn collector() -> prometheus::Result<Gauges<bool>> {
    let figures: [Figure; 1] = [(
        "statusd_clock_synchronized",
        "1 when the kernel says that its clock is kept in step, 0 when it says that it is not.",
        |kept| usize::from(*kept),
    )];
    Gauges::new(is_synchronized, figures)
}

/// Says it when the clock is no longer kept in step, or is again; for ever.
pub(crate) async fn follow() {
    let mut tick = interval(TICK);
    let mut last = None;
    loop {
        tick.tick().await;
        let now = is_synchronized();
        match change(last, now) {
            Some(true) => tracing::info!("the kernel's clock is kept in step"),
            Some(false) => tracing::warn!(
                "nothing keeps the kernel's clock in step: run an NTP client on this machine, or set EnableNTPSync to true"
            ),
            None => {}
        }
        last = now.or(last);
    }
}

/// What is to be said: at first only that it is not in step, later each change.
fn change(last: Option<bool>, now: Option<bool>) -> Option<bool> {
    now.filter(|now| *now != last.unwrap_or(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_said_once() {
        let seen = [None, Some(false), None, Some(false), Some(true), Some(true), Some(false)];
        let mut last = None;
        let said = seen.map(|now| {
            let said = change(last, now);
            last = now.or(last);
            said
        });
        assert_eq!(said, [None, Some(false), None, None, Some(true), None, Some(false)]);
        assert_eq!(change(None, Some(true)), None, "in step from the start is not worth a word");
    }

    /// The state that the call returns beside the flags says the same.
    #[test]
    fn the_kernel_says_it_without_any_right() {
        let mut answer = Timex::new();
        let state = adjtimex(&mut answer).unwrap();
        assert_eq!(is_synchronized(), Some(state != libc::TIME_ERROR));
    }
}

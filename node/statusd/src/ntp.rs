//! How far the system clock is off, measured by SNTP; off by default (`spec/waku-mailserver.md` §2.10).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use prometheus::{
    Gauge,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use rsntp::{AsyncSntpClient, ToServerAddrs};
use tokio::time::{sleep, timeout};

use crate::clock::unix_now;

/// The reference's servers.
pub(crate) const SERVERS: [&str; 4] =
    ["0.pool.ntp.org", "1.pool.ntp.org", "2.pool.ntp.org", "3.pool.ntp.org"];
/// For each server's answer, its name looked up.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Servers that may fail.
const MAX_FAILED: usize = 1;
/// Between two tries until one succeeds.
const RETRY: Duration = Duration::from_secs(120);
/// Between two measurements after that.
const REFRESH: Duration = Duration::from_secs(3600);
/// Milliseconds by which clocks may differ before peers refuse each other's envelopes.
const ALLOWANCE: u64 = 10_000;

/// The system clock and what it is off by.
#[derive(Default)]
pub(crate) struct AdjustedClock {
    /// Milliseconds to add; 0 until they are known.
    offset: AtomicI64,
    known: AtomicBool,
}

impl AdjustedClock {
    /// Whole UNIX seconds.
    pub(crate) fn now(&self) -> u32 {
        adjusted(unix_now(), self.offset.load(Ordering::Relaxed))
    }

    fn measured(&self, offset: i64) {
        self.offset.store(offset, Ordering::Relaxed);
        self.known.store(true, Ordering::Release);
    }
}

fn adjusted(system: Duration, offset: i64) -> u32 {
    let system = i64::try_from(system.as_millis()).unwrap_or(i64::MAX);
    u32::try_from(system.saturating_add(offset).max(0) / 1000).unwrap_or(u32::MAX)
}

/// The family of what the clock is off by, absent until that is known.
///
/// # Errors
/// None that could be met.
pub(crate) fn offset(clock: &Arc<AdjustedClock>) -> prometheus::Result<impl Collector + use<>> {
    let help = "Seconds that the system clock is behind, by NTP servers.";
    Ok(Offset { clock: Arc::clone(clock), gauge: Gauge::new("statusd_ntp_offset_seconds", help)? })
}

struct Offset {
    clock: Arc<AdjustedClock>,
    gauge: Gauge,
}

impl Collector for Offset {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    #[expect(clippy::cast_precision_loss, reason = "clocks are not off by 2^53 ms")]
    fn collect(&self) -> Vec<MetricFamily> {
        if !self.clock.known.load(Ordering::Acquire) {
            return Vec::new();
        }
        self.gauge.set(self.clock.offset.load(Ordering::Relaxed) as f64 / 1000.0);
        self.gauge.collect()
    }
}

/// Measures again and again, for ever: the node runs it as one of its parts.
pub(crate) async fn follow(clock: Arc<AdjustedClock>) {
    let mut wait = RETRY;
    loop {
        match measure(&SERVERS).await {
            Ok(offset) => {
                clock.measured(offset);
                if offset.unsigned_abs() > ALLOWANCE {
                    tracing::warn!(
                        offset_ms = offset,
                        "the system clock is off; set the clock of the machine"
                    );
                } else {
                    tracing::debug!(offset_ms = offset, "system clock compared with NTP servers");
                }
                wait = REFRESH;
            }
            Err(error) => tracing::warn!(
                %error,
                "no time from NTP servers: allow UDP to port 123, or set EnableNTPSync to false"
            ),
        }
        sleep(wait).await;
    }
}

/// Milliseconds that the system clock is behind: the median of what the servers say.
async fn measure<S: ToServerAddrs + Copy>(servers: &[S]) -> Result<i64, String> {
    let client = AsyncSntpClient::with_config(rsntp::Config::default().timeout(TIMEOUT));
    let answers = join_all(servers.iter().map(|server| async {
        match timeout(TIMEOUT, client.synchronize(*server)).await {
            Ok(Ok(answer)) => {
                let offset = answer.clock_offset();
                let size = offset.abs_as_std_duration().map_err(|error| error.to_string())?;
                let size = i64::try_from(size.as_millis()).map_err(|error| error.to_string())?;
                Ok(size * i64::from(offset.signum()))
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} s", TIMEOUT.as_secs())),
        }
    }));
    let (offsets, failures): (Vec<_>, Vec<_>) = answers.await.into_iter().partition(Result::is_ok);
    let mut failures = failures.into_iter().filter_map(Result::err);
    if let Some(failure) = failures.nth(MAX_FAILED) {
        return Err(failure);
    }
    median(offsets.into_iter().flatten().collect()).ok_or_else(|| "no servers".to_owned())
}

/// The middle one, or the mean of the middle two.
fn median(mut values: Vec<i64>) -> Option<i64> {
    values.sort_unstable();
    let upper = values.len() / 2;
    let lower = values.len().checked_sub(1)? / 2;
    Some(i64::midpoint(*values.get(lower)?, *values.get(upper)?))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::net::UdpSocket;

    use super::*;

    /// Seconds from 1900, where NTP begins, to 1970.
    const NTP_EPOCH: u64 = 2_208_988_800;

    /// An NTP server whose clock is `ahead` seconds ahead.
    async fn server(ahead: i64) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut packet = [0; 48];
            while let Ok((48, client)) = socket.recv_from(&mut packet).await {
                let now = unix_now();
                let seconds = (now.as_secs() + NTP_EPOCH).saturating_add_signed(ahead);
                let fraction = (u64::from(now.subsec_nanos()) << 32) / 1_000_000_000;
                let stamp = (seconds << 32 | fraction).to_be_bytes();
                let mut answer = [0; 48];
                // Version 4, server; stratum 1.
                answer[..2].copy_from_slice(&[0x24, 1]);
                answer[24..32].copy_from_slice(&packet[40..]);
                answer[32..40].copy_from_slice(&stamp);
                answer[40..].copy_from_slice(&stamp);
                socket.send_to(&answer, client).await.unwrap();
            }
        });
        address
    }

    #[track_caller]
    fn assert_near(measured: i64, expected: i64) {
        assert!((measured - expected).abs() < 500, "{measured} is not near {expected}");
    }

    /// `spec/waku-mailserver.md` §2.10: the median of four, of three when one does not answer.
    #[tokio::test]
    async fn section_2_10_the_median_of_what_servers_say() {
        let all = [server(7200).await, server(-3600).await, server(60).await, server(20).await];
        assert_near(measure(&all).await.unwrap(), 40_000);
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let one_fails = [all[0], all[1], all[2], silent.local_addr().unwrap()];
        assert_near(measure(&one_fails).await.unwrap(), 60_000);
    }

    /// `spec/waku-mailserver.md` §2.10: at most one may fail.
    #[tokio::test]
    async fn section_2_10_two_failures_are_too_many() {
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let error = measure(&[server(0).await, server(0).await, silent, silent]).await.unwrap_err();
        assert!(!error.is_empty());
    }

    #[test]
    fn ops_3_5_the_offset_is_there_once_it_is_known() {
        let clock = Arc::<AdjustedClock>::default();
        let registry = prometheus::Registry::new();
        registry.register(Box::new(offset(&clock).unwrap())).unwrap();
        let text = || prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        assert_eq!(text(), "");
        clock.measured(-1_500);
        assert!(
            text().contains("\n# TYPE statusd_ntp_offset_seconds gauge\nstatusd_ntp_offset_seconds -1.5\n")
        );
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![5]), Some(5));
        assert_eq!(median(vec![9, 1, 5]), Some(5));
        assert_eq!(median(vec![9, 1, 6, 4]), Some(5));
        assert_eq!(median(vec![-9, -1]), Some(-5));
    }

    #[test]
    fn adjusting_never_leaves_the_wires_range() {
        assert_eq!(adjusted(Duration::from_millis(1_999), 0), 1);
        assert_eq!(adjusted(Duration::from_millis(1_999), 1), 2);
        assert_eq!(adjusted(Duration::from_secs(5), -6_000), 0);
        assert_eq!(adjusted(Duration::from_secs(u64::from(u32::MAX)), i64::MAX), u32::MAX);
        let clock = AdjustedClock::default();
        clock.measured(3_600_000);
        let ahead = clock.now() - crate::clock::unix_seconds();
        assert!((3599..=3600).contains(&ahead), "{ahead}");
    }
}

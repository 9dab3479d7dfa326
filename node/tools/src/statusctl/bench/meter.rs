//! What a process and a thread used, and percentiles. Source: `/proc`.

use std::{fs, time::Duration};

use serde::Serialize;

use super::Failure;

/// The process of the node under test, on this machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process(pub(super) u32);

impl Process {
    /// CPU time of all threads that are alive, from the scheduler's own account (nanoseconds, not ticks).
    pub(super) fn cpu(self) -> Result<Duration, Failure> {
        let tasks = format!("/proc/{}/task", self.0);
        let threads = fs::read_dir(&tasks).map_err(|error| self.gone(&error))?;
        let mut nanoseconds = 0;
        for thread in threads.flatten() {
            // A thread may end between the two looks.
            let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) else { continue };
            nanoseconds += text.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Resident memory, bytes.
    pub(super) fn resident(self) -> Result<u64, Failure> {
        let path = format!("/proc/{}/status", self.0);
        let text = fs::read_to_string(path).map_err(|error| self.gone(&error))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse::<u64>().ok());
        kilobytes
            .map(|kilobytes| kilobytes * 1024)
            .ok_or_else(|| Failure::Local(format!("process {} has no resident memory: it has ended", self.0)))
    }

    fn gone(self, error: &std::io::Error) -> Failure {
        Failure::Local(format!(
            "cannot read what process {} uses: {error}; is --pid the node on this machine?",
            self.0
        ))
    }
}

/// Milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Percentiles {
    /// The median.
    pub(super) p50: f64,
    /// 90 of 100 are at most this.
    pub(super) p90: f64,
    /// 99 of 100 are at most this.
    pub(super) p99: f64,
    /// The largest.
    pub(super) max: f64,
}

impl std::fmt::Display for Percentiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { p50, p90, p99, max } = self;
        write!(f, "latency      p50 {p50:.3}, p90 {p90:.3}, p99 {p99:.3}, max {max:.3} ms")
    }
}

/// Percentiles by nearest rank of times in microseconds.
pub(super) fn percentiles(mut microseconds: Vec<u32>) -> Percentiles {
    microseconds.sort_unstable();
    let at = |hundredths: usize| {
        let rank = (microseconds.len() * hundredths).div_ceil(100).max(1) - 1;
        microseconds.get(rank).map_or(0.0, |us| f64::from(*us) / 1000.0)
    };
    Percentiles { p50: at(50), p90: at(90), p99: at(99), max: at(100) }
}

/// Microseconds, at most an hour.
pub(super) fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

/// `total` in microseconds for each of `count`; 0 of none.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub(super) fn per(total: Duration, count: u64) -> f64 {
    if count == 0 { 0.0 } else { total.as_secs_f64() * 1e6 / count as f64 }
}

/// `count` for each second of `time`.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub(super) fn rate(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let p = percentiles((1..=200).map(|n| n * 1000).rev().collect());
        assert_eq!((p.p50, p.p90, p.p99, p.max), (100.0, 180.0, 198.0, 200.0));
        let one = percentiles(vec![2500]);
        assert_eq!((one.p50, one.p99, one.max), (2.5, 2.5, 2.5));
        assert_eq!(percentiles(Vec::new()).max, 0.0);
    }

    #[test]
    fn the_cpu_of_a_process_is_that_of_its_threads() {
        let own = Process(std::process::id());
        let before = own.cpu().unwrap();
        let busy = std::thread::scope(|scope| {
            let worker = scope.spawn(|| {
                let start = Instant::now();
                let mut n = 0_u64;
                while start.elapsed() < Duration::from_millis(50) {
                    n = std::hint::black_box(n.wrapping_add(1));
                }
                own.cpu().unwrap()
            });
            worker.join().unwrap()
        });
        // On a loaded machine the thread has not had all of the time.
        assert!(busy - before >= Duration::from_millis(5), "{before:?} {busy:?}");
        assert!(own.resident().unwrap() > 1 << 20);
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error_that_names_it() {
        let error = Process(u32::MAX).cpu().unwrap_err().to_string();
        assert!(error.contains("4294967295") && error.contains("--pid"), "{error}");
        assert!(Process(u32::MAX).resident().is_err());
    }
}

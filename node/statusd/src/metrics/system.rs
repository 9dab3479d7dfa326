//! `system_*` of the reference's go-ethereum registry: what the machine and this process do with processors, memory and
//! disk. Asked for at each scrape. Facts: `spec/operations.md` §3.4.
//!
//! `system_memory_allocs` and `_frees` are not here: nobody counts what the allocator is asked for.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use procfs::{CurrentSI as _, KernelStats, process::Process};
use prometheus::{
    IntGauge,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use tokio::runtime::Handle;

/// Shortest time that a load is taken over; the reference takes it over as much.
const WINDOW: Duration = Duration::from_secs(3);

/// Ticks of processor time up to a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ticks {
    at: Instant,
    /// Of all processes.
    busy: u64,
    /// Waiting for disks.
    wait: u64,
    /// Of this process.
    own: u64,
}

/// Ticks a second: hundredths of one processor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Load {
    busy: u64,
    wait: u64,
    own: u64,
}

impl Load {
    /// Between two moments; `None` when they are too near.
    fn between(from: Ticks, to: Ticks) -> Option<Self> {
        let elapsed = to.at.saturating_duration_since(from.at);
        // A tick is 10 ms: less than a millisecond of error.
        let rate = |from: u64, to: u64| {
            let ticks = u128::from(to.saturating_sub(from)) * 1000 / elapsed.as_millis().max(1);
            u64::try_from(ticks).unwrap_or(u64::MAX)
        };
        (elapsed >= WINDOW).then(|| Self {
            busy: rate(from.busy, to.busy),
            wait: rate(from.wait, to.wait),
            own: rate(from.own, to.own),
        })
    }
}

/// All that is shown; `None` is what the kernel does not tell.
#[derive(Debug, Clone, Copy)]
struct Figures {
    load: Load,
    threads: u64,
    tasks: usize,
    /// Bytes of memory that no file backs: in RAM, and swapped out beside it.
    used: Option<u64>,
    held: Option<u64>,
    disk: Option<Disk>,
}

/// Reads and writes of this process, of sockets too where they are read as files.
#[derive(Debug, Clone, Copy)]
struct Disk {
    reads: u64,
    read_bytes: u64,
    writes: u64,
    written_bytes: u64,
}

type Figure = (&'static str, &'static str, fn(&Figures) -> Option<u64>);

const FIGURES: [Figure; 14] = [
    ("system_cpu_sysload", "Load of all processors, hundredths of one.", |f| Some(f.load.busy)),
    ("system_cpu_syswait", "Time of processors that waited for disks, hundredths of one.", |f| {
        Some(f.load.wait)
    }),
    ("system_cpu_procload", "Load by this process, hundredths of a processor.", |f| Some(f.load.own)),
    ("system_cpu_threads", "Threads of this process.", |f| Some(f.threads)),
    ("system_cpu_goroutines", "Tasks of this process: sessions, listeners and parts.", |f| {
        u64::try_from(f.tasks).ok()
    }),
    ("system_memory_pauses", "Always 0: no garbage collector stops this process.", |_| Some(0)),
    ("system_memory_held", "Bytes of memory that no file backs, in RAM and swapped out.", |f| f.held),
    ("system_memory_used", "Bytes of memory that no file backs, in RAM.", |f| f.used),
    ("system_disk_readcount", "Calls that read.", |f| Some(f.disk?.reads)),
    ("system_disk_readdata", "Bytes read.", |f| Some(f.disk?.read_bytes)),
    ("system_disk_readbytes", "Bytes read.", |f| Some(f.disk?.read_bytes)),
    ("system_disk_writecount", "Calls that write.", |f| Some(f.disk?.writes)),
    ("system_disk_writedata", "Bytes written.", |f| Some(f.disk?.written_bytes)),
    ("system_disk_writebytes", "Bytes written.", |f| Some(f.disk?.written_bytes)),
];

/// The families.
pub(crate) struct System {
    runtime: Handle,
    gauges: Vec<(IntGauge, Figure)>,
    /// Where the next load begins, and the last one.
    load: Mutex<(Option<Ticks>, Load)>,
}

impl System {
    /// Of the process and the runtime that this is called in.
    pub(crate) fn new() -> prometheus::Result<Self> {
        let gauge = |figure: Figure| Ok((IntGauge::new(figure.0, figure.1)?, figure));
        let gauges: prometheus::Result<_> = FIGURES.into_iter().map(gauge).collect();
        let begin = Process::myself().ok().and_then(|process| ticks(&process));
        Ok(Self { runtime: Handle::current(), gauges: gauges?, load: Mutex::new((begin, Load::default())) })
    }

    fn figures(&self) -> Option<Figures> {
        let process = Process::myself().ok()?;
        let status = process.status().ok()?;
        // In KiB.
        let used = status.rssanon.map(|kib| kib * 1024);
        let swapped = status.vmswap.map_or(0, |kib| kib * 1024);
        Some(Figures {
            load: self.load(&process),
            threads: status.threads,
            tasks: self.runtime.metrics().num_alive_tasks(),
            used,
            held: used.map(|used| used + swapped),
            disk: process.io().ok().map(|io| Disk {
                reads: io.syscr,
                read_bytes: io.rchar,
                writes: io.syscw,
                written_bytes: io.wchar,
            }),
        })
    }

    /// Since the last scrape that was at least the window ago.
    fn load(&self, process: &Process) -> Load {
        let mut last = self.load.lock();
        let Some(now) = ticks(process) else { return last.1 };
        match last.0.map(|begin| Load::between(begin, now)) {
            Some(Some(load)) => *last = (Some(now), load),
            Some(None) => {}
            None => last.0 = Some(now),
        }
        last.1
    }
}

fn ticks(process: &Process) -> Option<Ticks> {
    let machine = KernelStats::current().ok()?.total;
    let own = process.stat().ok()?;
    Some(Ticks {
        at: Instant::now(),
        busy: machine.user + machine.nice + machine.system,
        wait: machine.iowait.unwrap_or(0),
        own: own.utime + own.stime,
    })
}

impl Collector for System {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges.iter().flat_map(|(gauge, _)| gauge.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(figures) = self.figures() else { return Vec::new() };
        let show = |(gauge, (_, _, of)): &(IntGauge, Figure)| {
            let value = of(&figures)?;
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
            Some(gauge.collect())
        };
        self.gauges.iter().filter_map(show).flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ops_3_4_loads_are_hundredths_of_a_processor_over_three_seconds() {
        let begin = Instant::now();
        let at = |ms: u64, busy, wait, own| Ticks { at: begin + Duration::from_millis(ms), busy, wait, own };
        let from = at(0, 1000, 10, 100);
        assert_eq!(Load::between(from, at(2999, 9999, 99, 999)), None);
        assert_eq!(Load::between(from, at(4000, 1800, 14, 500)), Some(Load { busy: 200, wait: 1, own: 100 }));
        // The kernel's count of waiting may fall.
        assert_eq!(Load::between(from, at(3000, 1000, 0, 100)), Some(Load::default()));
    }

    #[tokio::test]
    async fn ops_3_4_what_the_kernel_tells_of_this_process() {
        let system = System::new().unwrap();
        let figures = system.figures().unwrap();
        assert!(figures.threads >= 1 && figures.used.unwrap() > 0 && figures.held >= figures.used);
        let before = figures.disk.unwrap();
        let text = std::fs::read("/proc/self/cmdline").unwrap();
        let after = system.figures().unwrap().disk.unwrap();
        assert!(after.read_bytes >= before.read_bytes + text.len() as u64);
        assert!(after.reads > before.reads);
        let sleeper = tokio::spawn(std::future::pending::<()>());
        assert_eq!(system.figures().unwrap().tasks, figures.tasks + 1);
        sleeper.abort();
        assert_eq!(system.collect().len(), FIGURES.len());
    }
}

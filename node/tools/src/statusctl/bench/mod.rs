//! `statusctl bench`: bounded load on a node, and what came of it. Each run ends by itself.
//!
//! Owns what is sent and how it is measured; the sessions are `node_client`'s. What the node used is read from the
//! system's account of its process, so `--pid` needs a node on this machine. Budgets: design §2.

mod fill;
mod floor;
mod history;
mod hostile;
mod load;
mod meter;
mod peers;
mod relay;
mod table;

use std::time::Duration;

use clap::{Args, Subcommand};
use enode::NodeKey;
use node_client::{Client, Options};
use serde::Serialize;

use super::{Failure, print, run_on_all_cores, session::Common};
use meter::Process;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What the work costs without a node: Keccak and AES per byte, and a bare TCP fan-out of the same packets.
    Floor(floor::Arguments),
    /// One sender, many interested peers: latency, deliveries, packets, and the node's CPU for each.
    Relay(Against<relay::Load>),
    /// The same load while the node is attacked, and just before: what the attack adds to the latency.
    Hostile(Against<hostile::Load>),
    /// Idle peers: how fast they connect and what each costs.
    Peers(peers::Arguments),
    /// Envelopes into the archive of a mailserver: how many a second, and the node's CPU for each.
    Fill(Against<fill::Load>),
    /// Queries by topic against what `fill` wrote: latency, and the node's CPU for each.
    History(Against<history::Load>),
    /// All of it, each against a fresh node that it starts itself, beside its budget.
    Table(table::Arguments),
}

/// A load on one node.
#[derive(Debug, Args)]
struct Against<L: Args> {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    load: L,
    #[command(flatten)]
    output: Output,
}

/// How results are printed, and whose CPU is read.
#[derive(Debug, Clone, Args)]
pub(super) struct Output {
    /// Print one JSON line instead of text.
    #[arg(long)]
    json: bool,
    /// Process of the node on this machine: also print its CPU time and memory.
    #[arg(long)]
    pid: Option<u32>,
}

impl Output {
    fn process(&self) -> Option<Process> {
        self.pid.map(Process)
    }

    fn print(&self, report: &(impl Serialize + std::fmt::Display)) -> Result<(), Failure> {
        if self.json {
            print(report)
        } else {
            println!("{report}");
            Ok(())
        }
    }
}

pub(super) fn bench(arguments: Arguments) -> Result<(), Failure> {
    devp2p::raise_descriptor_limit();
    match arguments.command {
        Command::Floor(arguments) => floor::command(&arguments),
        Command::Relay(arguments) => run_on_all_cores(relay::command(arguments)),
        Command::Hostile(arguments) => run_on_all_cores(hostile::command(arguments)),
        Command::Peers(arguments) => run_on_all_cores(peers::command(arguments)),
        Command::Fill(arguments) => run_on_all_cores(fill::command(arguments)),
        Command::History(arguments) => run_on_all_cores(history::command(arguments)),
        Command::Table(arguments) => run_on_all_cores(table::command(arguments)),
    }
}

/// Connects `count` clients, each with a key of its own, 32 at a time.
async fn connect(common: &Common, options: &Options, count: u32) -> Result<Vec<Client>, Failure> {
    use futures::{StreamExt as _, TryStreamExt as _, stream};
    let one = |_| async {
        let options = Options { timeout: common.patience(), ..options.clone() };
        Client::connect(common.enode(), &NodeKey::generate(), &options).await.map_err(Failure::from)
    };
    Box::pin(stream::iter(0..count).map(one).buffer_unordered(32).try_collect()).await
}

/// CPU and memory of the node during a run.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
struct Used {
    /// Seconds of CPU.
    cpu_seconds: f64,
    /// Resident memory at the end, bytes.
    resident_bytes: u64,
    #[serde(skip)]
    cpu: Duration,
}

/// A measurement under way; `None` without a process.
struct Measuring(Option<(Process, Duration)>);

impl Measuring {
    fn start(process: Option<Process>) -> Result<Self, Failure> {
        Ok(Self(process.map(|process| process.cpu().map(|cpu| (process, cpu))).transpose()?))
    }

    fn stop(&self) -> Result<Option<Used>, Failure> {
        let Some((process, before)) = self.0 else { return Ok(None) };
        let cpu = process.cpu()?.saturating_sub(before);
        Ok(Some(Used { cpu_seconds: cpu.as_secs_f64(), resident_bytes: process.resident()?, cpu }))
    }
}

/// Whole megabytes for people.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

//! The relay's latency under attack, beside that of a moment before.
//!
//! The attackers have a thread of their own, so that their work does not hold up the peers whose latency is measured; on
//! a machine that is busy with all three it counts all the same.

use std::{fmt, net::SocketAddr};

use ::hostile::{Attack, Kind, Tally, Target};
use clap::Args;
use serde::Serialize;
use tokio::runtime::{Builder, Runtime};

use super::{
    super::session::Common,
    Against, Failure, Output, megabytes,
    meter::Percentiles,
    relay::{self, Report as Relayed},
};

/// Most that an attack may add to a latency, milliseconds, where twice the latency is less.
const ADDED: f64 = 5.0;

/// What is sent while who attacks.
#[derive(Debug, Clone, Args)]
pub(super) struct Load {
    /// The attack: half-open, trickle, unfinished, frames, interest, spam, slow-readers or datagrams.
    #[arg(long)]
    pub(super) kind: Kind,
    /// Attackers, each with one socket at a time.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=5000))]
    pub(super) sockets: u32,
    #[command(flatten)]
    pub(super) relay: relay::Load,
}

/// What came of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    kind: &'static str,
    sockets: u32,
    pub(super) quiet: Percentiles,
    pub(super) attacked: Percentiles,
    /// What the 99th percentile under attack may be: twice the quiet one, or 5 ms more.
    allowed_milliseconds: f64,
    pub(super) deliveries: u64,
    /// What did not arrive under attack though it should have.
    pub(super) missing: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    resident_bytes: Option<u64>,
    /// How the attackers' sockets ended.
    ends: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "attack       {} with {} sockets", self.kind, self.sockets)?;
        writeln!(f, "quiet        {}", self.quiet)?;
        writeln!(f, "attacked     {}", self.attacked)?;
        let verdict = if self.attacked.p99 <= self.allowed_milliseconds { "met" } else { "MISSED" };
        writeln!(f, "allowed      p99 {:.3} ms: {verdict}", self.allowed_milliseconds)?;
        writeln!(f, "deliveries   {}, {} missing", self.deliveries, self.missing)?;
        if let Some(resident) = self.resident_bytes {
            writeln!(f, "node's RSS   {:.1} MB", megabytes(resident))?;
        }
        write!(f, "attackers    {}", self.ends)
    }
}

pub(super) async fn command(Against { common, load, output }: Against<Load>) -> Result<(), Failure> {
    let report = run(&common, &load, &output).await?;
    output.print(&report)?;
    if report.missing > 0 {
        Err(Failure::TooFew(report.deliveries, report.deliveries + report.missing))
    } else {
        Ok(())
    }
}

pub(super) async fn run(common: &Common, load: &Load, output: &Output) -> Result<Report, Failure> {
    let target = target(common)?;
    let quiet = relay::run(common, &load.relay, output).await?;
    let attackers = Attackers::start(load.kind, target, load.sockets)?;
    let attacked = relay::run(common, &load.relay, output).await;
    let tally = attackers.stop().await;
    let Relayed { latency_milliseconds: attacked, deliveries, missing, used, .. } = attacked?;
    let quiet = quiet.latency_milliseconds;
    Ok(Report {
        kind: load.kind.name(),
        sockets: load.sockets,
        quiet,
        attacked,
        allowed_milliseconds: allowed(quiet.p99),
        deliveries,
        missing,
        resident_bytes: used.map(|used| used.resident_bytes),
        ends: tally.to_string(),
    })
}

/// What a latency may become under attack, both in milliseconds.
pub(super) fn allowed(quiet: f64) -> f64 {
    (2.0 * quiet).max(quiet + ADDED)
}

/// The node, by address: attackers look nothing up.
fn target(common: &Common) -> Result<Target, Failure> {
    let url = common.enode();
    let node = url.dns_name().is_none().then(|| url.with_ip([0, 0, 0, 0].into()));
    let endpoint = node.and_then(|node| node.endpoint);
    let wanted = || {
        Failure::Usage(
            "attacks need an enode with an IP address, want enode://<128 hex>@<ip>:<port>".to_owned(),
        )
    };
    let endpoint = endpoint.ok_or_else(wanted)?;
    Ok(Target { key: url.public_key, address: SocketAddr::new(endpoint.ip, endpoint.tcp) })
}

/// An attack on a thread of its own.
struct Attackers {
    attack: Attack,
    runtime: Runtime,
}

impl Attackers {
    fn start(kind: Kind, target: Target, sockets: u32) -> Result<Self, Failure> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime =
            runtime.map_err(|error| Failure::Local(format!("no thread for the attackers: {error}")))?;
        let attack = {
            let _inside = runtime.enter();
            Attack::start(kind, target, sockets)
        };
        Ok(Self { attack, runtime })
    }

    async fn stop(self) -> Tally {
        let tally = self.attack.stop().await;
        self.runtime.shutdown_background();
        tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attack_may_double_a_latency_or_add_5_ms() {
        assert_eq!((allowed(1.0), allowed(5.0), allowed(8.0)), (6.0, 10.0, 16.0));
    }
}

//! Idle peers: what each costs.

use std::{
    fmt,
    time::{Duration, Instant},
};

use clap::Args;
use node_client::Options;
use serde::Serialize;

use super::{
    super::session::Common,
    Failure, Output, connect, megabytes,
    meter::{per, rate},
};

/// Peers that are there before the counted ones: the first few bring the code of a session into memory.
const FIRST: u32 = 50;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Peers to connect and to count; 50 more come first, with whom comes what all share.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    count: u32,
    /// Seconds to stay connected.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    stay: u32,
    #[command(flatten)]
    output: Output,
}

/// What came of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    peers: u32,
    connects_per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    resident_bytes_before: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resident_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bytes_per_peer: Option<u64>,
    /// Microseconds of CPU an idle peer costs in a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_microseconds_per_peer_second: Option<f64>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} idle peers, connected at {:.0} a second", self.peers, self.connects_per_second)?;
        if let (Some(before), Some(after), Some(each), Some(cpu)) = (
            self.resident_bytes_before,
            self.resident_bytes,
            self.bytes_per_peer,
            self.cpu_microseconds_per_peer_second,
        ) {
            write!(
                f,
                "\nnode's RSS   {:.1} MB before, {:.1} MB with them: {:.1} KB a peer",
                megabytes(before),
                megabytes(after),
                megabytes(each) * 1024.0
            )?;
            write!(f, "\nnode's CPU   {cpu:.2} µs a peer and second")?;
        }
        Ok(())
    }
}

pub(super) async fn command(arguments: Arguments) -> Result<(), Failure> {
    let stay = Duration::from_secs(arguments.stay.into());
    let report = run(&arguments.common, arguments.count, stay, &arguments.output).await?;
    arguments.output.print(&report)
}

pub(super) async fn run(
    common: &Common,
    count: u32,
    stay: Duration,
    output: &Output,
) -> Result<Report, Failure> {
    let process = output.process();
    let first = connect(common, &Options::quiet(), FIRST).await?;
    let before = process.map(|process| process.resident()).transpose()?;
    let begun = Instant::now();
    let clients = connect(common, &Options::quiet(), count).await?;
    let connecting = begun.elapsed();
    let cpu_before = process.map(|process| process.cpu()).transpose()?;
    // The measurement: what idle peers cost in this time.
    tokio::time::sleep(stay).await;
    let cpu = process.map(|process| process.cpu()).transpose()?;
    let after = process.map(|process| process.resident()).transpose()?;
    if let Some(client) = clients.iter().chain(&first).find(|client| client.is_over()) {
        return Err(client.ended().await.into());
    }
    for client in clients.into_iter().chain(first) {
        client.close().await;
    }
    let seconds = stay.as_secs().max(1);
    Ok(Report {
        peers: count,
        connects_per_second: rate(count.into(), connecting),
        resident_bytes_before: before,
        resident_bytes: after,
        bytes_per_peer: before
            .zip(after)
            .map(|(before, after)| after.saturating_sub(before) / u64::from(count)),
        cpu_microseconds_per_peer_second: cpu
            .zip(cpu_before)
            .map(|(after, before)| per(after.saturating_sub(before), u64::from(count) * seconds)),
    })
}

//! Envelopes into the archive of a mailserver, spread over topics and hours.

use std::{
    fmt,
    time::{Duration, Instant},
};

use clap::Args;
use futures::{StreamExt as _, stream::FuturesUnordered};
use node_client::{Client, Options};
use serde::Serialize;

use super::{
    super::session::Common,
    Against, Failure, Measuring, Output, Used,
    load::{Maker, topic},
    megabytes,
    meter::{per, rate},
};

/// Seconds that an envelope still lives when it is sent: the least that survives the way.
const LEFT: u32 = 20;

/// What is archived.
#[derive(Debug, Clone, Args)]
pub(super) struct Load {
    /// Envelopes.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub(super) count: u32,
    /// Topics that they are spread over.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) topics: u32,
    /// Hours before now that they are spread over.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=48))]
    pub(super) hours: u32,
    /// Bytes of data of an envelope.
    #[arg(long, default_value_t = 320, value_parser = clap::value_parser!(u32).range(16..=1_000_000))]
    pub(super) size: u32,
    /// Envelopes in a packet.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) per_packet: u32,
    /// Packets that wait for their confirmation at a time.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) in_flight: u32,
}

/// What came of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// Confirmed by the node, so in its archive.
    archived: u64,
    seconds: f64,
    pub(super) archived_per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<Used>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu_microseconds_per_envelope: Option<f64>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} envelopes archived in {:.2} s: {:.0} a second",
            self.archived, self.seconds, self.archived_per_second
        )?;
        if let (Some(used), Some(cpu)) = (self.used, self.cpu_microseconds_per_envelope) {
            write!(
                f,
                "\nnode's CPU   {cpu:.2} µs an envelope\nnode's RSS   {:.1} MB",
                megabytes(used.resident_bytes)
            )?;
        }
        Ok(())
    }
}

pub(super) async fn command(Against { common, load, output }: Against<Load>) -> Result<(), Failure> {
    let report = run(&common, &load, &output).await?;
    output.print(&report)
}

/// # Errors
/// When the node refuses an envelope, or confirms none.
pub(super) async fn run(common: &Common, load: &Load, output: &Output) -> Result<Report, Failure> {
    let client = common.connect(Options::quiet()).await?;
    if !client.settings().confirmations {
        return Err(node_client::Error::NoConfirmations.into());
    }
    let mut maker = Maker::new(load.size, client.settings().pow_requirement);
    let measuring = Measuring::start(output.process())?;
    let begun = Instant::now();
    Box::pin(post_all(&client, load, &mut maker, common.patience())).await?;
    let time = begun.elapsed();
    let used = measuring.stop()?;
    client.close().await;
    let archived = u64::from(load.count);
    Ok(Report {
        archived,
        seconds: time.as_secs_f64(),
        archived_per_second: rate(archived, time),
        cpu_microseconds_per_envelope: used.map(|used| per(used.cpu, archived)),
        used,
    })
}

async fn post_all(
    client: &Client,
    load: &Load,
    maker: &mut Maker,
    patience: Duration,
) -> Result<(), Failure> {
    let most = usize::try_from(load.in_flight).unwrap_or(usize::MAX);
    let span = u64::from(load.hours) * 3600;
    let mut waiting = FuturesUnordered::new();
    let mut sent = 0;
    loop {
        while waiting.len() < most && sent < load.count {
            let upto = load.count.min(sent.saturating_add(load.per_packet));
            let packet: Result<Vec<_>, _> = (sent..upto)
                .map(|n| {
                    // Oldest first, evenly, as envelopes come in life; 10 s inside so that the clock may go on.
                    let behind = span - u64::from(n) * span.saturating_sub(10) / u64::from(load.count);
                    let age = u32::try_from(behind).unwrap_or(u32::MAX).saturating_sub(60);
                    maker.make(topic(n % load.topics), age, LEFT)
                })
                .collect();
            waiting.push(client.post(&packet?).await?.wait(patience));
            sent = upto;
        }
        let Some(confirmed) = waiting.next().await else { return Ok(()) };
        confirmed?;
    }
}

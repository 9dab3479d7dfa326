//! Envelopes into the archive of a mailserver, spread over topics and hours.

use std::{
    collections::VecDeque,
    fmt,
    ops::Range,
    time::{Duration, Instant},
};

use clap::Args;
use futures::{StreamExt as _, stream::FuturesUnordered};
use node_client::{Client, Options};
use serde::Serialize;
use waku_wire::EnvelopeError;

use super::{
    super::session::Common,
    Against, Failure, Measuring, Output, Used,
    load::{Maker, topic},
    megabytes,
    meter::{per, rate},
};

/// Seconds that an envelope still lives when it is sent. The relay's pool holds all that live, and no more than 131,072:
/// with a second, 50,000 a second are as many as fit.
const LEFT: u32 = 1;
/// A packet that is confirmed later than this after it was made may have expired on the way, of which the node says nothing.
const SURE: Duration = Duration::from_millis(900);
/// Between a refusal because the pool is full and the next try; something expires every second.
const PAUSE: Duration = Duration::from_millis(100);

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

impl Load {
    /// Seconds before now of the `n`-th envelope: oldest first, evenly, as envelopes come in life; 10 s inside so that
    /// the clock may go on.
    fn age(&self, n: u32) -> u32 {
        let span = u64::from(self.hours) * 3600;
        let behind = span - u64::from(n) * span.saturating_sub(10) / u64::from(self.count);
        u32::try_from(behind).unwrap_or(u32::MAX).saturating_sub(60)
    }
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
    let mut waiting = FuturesUnordered::new();
    // Numbers of envelopes that are to be made, the next first.
    let mut left: VecDeque<Range<u32>> = VecDeque::new();
    left.push_back(0..load.count);
    loop {
        while waiting.len() < most
            && let Some(range) = left.pop_front()
        {
            let upto = range.end.min(range.start.saturating_add(load.per_packet));
            if upto < range.end {
                left.push_front(upto..range.end);
            }
            let made = Instant::now();
            let packet: Result<Vec<_>, _> =
                (range.start..upto).map(|n| maker.make(topic(n % load.topics), load.age(n), LEFT)).collect();
            let confirmed = client.post(&packet?).await?.wait(patience);
            waiting.push(async move { (range.start..upto, confirmed.await, made.elapsed()) });
        }
        let Some((range, confirmed, took)) = waiting.next().await else { return Ok(()) };
        match confirmed {
            Ok(()) if took < SURE => {}
            Ok(()) => left.push_front(range),
            Err(node_client::Error::Rejected(errors)) if errors.iter().all(is_full) => {
                // As many again, of the same time.
                let refused = u32::try_from(errors.len()).unwrap_or(u32::MAX);
                left.push_front(range.end.saturating_sub(refused).max(range.start)..range.end);
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_full(error: &EnvelopeError) -> bool {
    error.description == "relay pool full"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_go_evenly_from_the_oldest_to_now() {
        let load = Load { count: 3600, topics: 1, hours: 1, size: 16, per_packet: 1, in_flight: 1 };
        assert_eq!((load.age(0), load.age(1800)), (3540, 1745));
        assert_eq!(load.age(3599), 0, "never from the future");
    }
}

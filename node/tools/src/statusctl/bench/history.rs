//! Queries by one topic against what `fill` wrote.

use std::{
    fmt,
    time::{Duration, Instant},
};

use clap::Args;
use node_client::{Client, Options, history::Form};
use rand::Rng as _;
use serde::Serialize;
use tokio::task::JoinSet;
use waku_wire::{Bloom, MessagesRequest};

use super::{
    super::session::{Common, unix_now},
    Against, Failure, Measuring, Output, Used, connect,
    load::topic,
    meter::{Percentiles, micros, per, percentiles},
};

/// How a topic is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum By {
    /// A list of one topic.
    Topic,
    /// The bloom filter of one topic, as the canary asks.
    Bloom,
    /// The full bloom filter: everything, in pages.
    Everything,
}

/// What is asked.
#[derive(Debug, Clone, Args)]
pub(super) struct Load {
    /// Clients that ask at the same time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) clients: u32,
    /// Queries of each client, one after the other.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) queries: u32,
    /// Topics that `fill` used.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) topics: u32,
    /// Hours before now that are asked for.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=8760))]
    pub(super) hours: u32,
    /// What a query names.
    #[arg(long, value_enum, default_value = "topic")]
    pub(super) by: By,
}

/// What came of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    clients: u32,
    queries: u64,
    /// Envelopes that came in all answers.
    pub(super) envelopes: u64,
    pub(super) latency_milliseconds: Percentiles,
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<Used>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu_microseconds_per_query: Option<f64>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} queries of {} clients, {} envelopes", self.queries, self.clients, self.envelopes)?;
        write!(f, "{}", self.latency_milliseconds)?;
        if let Some(cpu) = self.cpu_microseconds_per_query {
            write!(f, "\nnode's CPU   {cpu:.1} µs a query")?;
        }
        Ok(())
    }
}

pub(super) async fn command(Against { common, load, output }: Against<Load>) -> Result<(), Failure> {
    let report = run(&common, &load, &output).await?;
    output.print(&report)
}

pub(super) async fn run(common: &Common, load: &Load, output: &Output) -> Result<Report, Failure> {
    let clients = connect(common, &Options::quiet(), load.clients).await?;
    let measuring = Measuring::start(output.process())?;
    let mut asking = JoinSet::new();
    for client in clients {
        asking.spawn(ask(client, load.clone(), common.patience()));
    }
    let (mut latencies, mut envelopes) = (Vec::new(), 0);
    while let Some(asked) = asking.join_next().await {
        let (times, received) = asked.map_err(|error| Failure::Local(error.to_string()))??;
        latencies.extend(times);
        envelopes += received;
    }
    let used = measuring.stop()?;
    let queries = u64::try_from(latencies.len()).unwrap_or(u64::MAX);
    Ok(Report {
        clients: load.clients,
        queries,
        envelopes,
        latency_milliseconds: percentiles(latencies),
        cpu_microseconds_per_query: used.map(|used| per(used.cpu, queries)),
        used,
    })
}

async fn ask(client: Client, load: Load, patience: Duration) -> Result<(Vec<u32>, u64), Failure> {
    let (mut times, mut received) = (Vec::new(), 0);
    let mut cursor = Vec::new();
    for _ in 0..load.queries {
        let now = unix_now();
        let wanted = topic(rand::rng().random_range(0..load.topics));
        let mut request = MessagesRequest {
            from: now.saturating_sub(load.hours.saturating_mul(3600)),
            to: now,
            limit: 1000,
            batch: true,
            ..MessagesRequest::default()
        };
        match load.by {
            By::Topic => request.topics = vec![wanted],
            By::Bloom => request.bloom = Bloom::of_topic(wanted).0.to_vec(),
            By::Everything => {
                request.bloom = Bloom::FULL.0.to_vec();
                request.cursor = std::mem::take(&mut cursor);
            }
        }
        let begun = Instant::now();
        let page = Box::pin(client.request_history(&request, &Form::Plain, now, patience)).await?;
        times.push(micros(begun.elapsed()));
        received += u64::try_from(page.envelopes.len()).unwrap_or(u64::MAX);
        // After the last page the walk begins again.
        cursor = page.cursor.map(|cursor| cursor.0.to_vec()).unwrap_or_default();
    }
    client.close().await;
    Ok((times, received))
}

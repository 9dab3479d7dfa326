//! One sender and many interested peers: what the relay delivers, how late, at what cost.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Args;
use node_client::{Client, Options};
use serde::Serialize;
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    super::session::Common,
    Against, Failure, Measuring, Output, Used, connect,
    load::{Clock, Maker, Shape, topic},
    megabytes,
    meter::{Percentiles, micros, per, percentiles, rate},
};

/// What is sent to whom.
#[derive(Debug, Clone, Args)]
pub(super) struct Load {
    /// Peers that want every envelope.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) peers: u32,
    /// Peers that are connected as well and want none of them.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub(super) bystanders: u32,
    /// Envelopes a second; 0: as fast as the node takes them.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(super) rate: u32,
    /// Envelopes in all.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(super) count: u32,
    #[command(flatten)]
    pub(super) shape: Shape,
}

/// What came of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    peers: u32,
    bystanders: u32,
    sent: u64,
    seconds: f64,
    /// From the making of an envelope to its arrival at a peer.
    pub(super) latency_milliseconds: Percentiles,
    pub(super) deliveries: u64,
    /// What did not arrive though it should have.
    pub(super) missing: u64,
    pub(super) deliveries_per_second: f64,
    /// Packets that the node wrote for these deliveries.
    pub(super) packets: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) used: Option<Used>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu_microseconds_per_delivery: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu_microseconds_per_packet: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu_microseconds_per_envelope: Option<f64>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} envelopes to {} peers ({} more connected) in {:.2} s",
            self.sent, self.peers, self.bystanders, self.seconds
        )?;
        writeln!(f, "{}", self.latency_milliseconds)?;
        write!(
            f,
            "deliveries   {}, {} missing, {:.0} a second, in {} packets",
            self.deliveries, self.missing, self.deliveries_per_second, self.packets
        )?;
        if let (Some(used), Some(delivery), Some(packet), Some(envelope)) = (
            self.used,
            self.cpu_microseconds_per_delivery,
            self.cpu_microseconds_per_packet,
            self.cpu_microseconds_per_envelope,
        ) {
            write!(
                f,
                "\nnode's CPU   {delivery:.2} µs a delivery, {packet:.2} µs a packet written, {envelope:.1} µs an envelope sent"
            )?;
            write!(f, "\nnode's RSS   {:.1} MB", megabytes(used.resident_bytes))?;
        }
        Ok(())
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

/// What all receivers have, and who waits for the last.
#[derive(Default)]
struct Arrived {
    count: AtomicU64,
    wanted: AtomicU64,
    all: Notify,
}

pub(super) async fn run(common: &Common, load: &Load, output: &Output) -> Result<Report, Failure> {
    let wanted_topic = topic(rand::random());
    let sender = common.connect(Options::quiet()).await?;
    let receivers = connect(common, &Options::watching(vec![wanted_topic]), load.peers).await?;
    let others = connect(common, &Options::watching(vec![topic(rand::random())]), load.bystanders).await?;
    let mut maker = Maker::new(load.shape.size, sender.settings().pow_requirement);
    let arrived = Arc::new(Arrived::default());
    let wanted = u64::from(load.count) * u64::from(load.peers);
    arrived.wanted.store(wanted, Ordering::Relaxed);
    let packets_before: u64 = receivers.iter().map(Client::gossip_packets).sum();
    let mut watching = JoinSet::new();
    for client in &receivers {
        watching.spawn(receive(client.watch(), maker.clock(), Arc::clone(&arrived)));
    }
    let measuring = Measuring::start(output.process())?;
    let begun = Instant::now();
    Box::pin(send(&sender, load, &mut maker, wanted_topic)).await?;
    // Not all may come; then what is missing is the result.
    let last = timeout(common.patience(), async {
        while arrived.count.load(Ordering::Relaxed) < wanted {
            arrived.all.notified().await;
        }
    });
    let _ = last.await;
    let time = begun.elapsed();
    let used = measuring.stop()?;
    let packets = receivers.iter().map(Client::gossip_packets).sum::<u64>() - packets_before;
    for client in receivers.into_iter().chain(others).chain([sender]) {
        client.close().await;
    }
    let mut latencies = Vec::new();
    while let Some(received) = watching.join_next().await {
        latencies.extend(received.map_err(|error| Failure::Local(error.to_string()))?);
    }
    let deliveries = u64::try_from(latencies.len()).unwrap_or(u64::MAX);
    Ok(Report {
        peers: load.peers,
        bystanders: load.bystanders,
        sent: load.count.into(),
        seconds: time.as_secs_f64(),
        latency_milliseconds: percentiles(latencies),
        deliveries,
        missing: wanted.saturating_sub(deliveries),
        deliveries_per_second: rate(deliveries, time),
        packets,
        cpu_microseconds_per_delivery: used.map(|used| per(used.cpu, deliveries)),
        cpu_microseconds_per_packet: used.map(|used| per(used.cpu, packets)),
        cpu_microseconds_per_envelope: used.map(|used| per(used.cpu, load.count.into())),
        used,
    })
}

/// Latencies in microseconds of one peer, until its session ends.
async fn receive(mut watch: node_client::Watch, clock: Clock, arrived: Arc<Arrived>) -> Vec<u32> {
    let mut latencies = Vec::new();
    while let Ok(envelope) = watch.next().await {
        if let Some(age) = clock.age(&envelope) {
            latencies.push(micros(age));
            if arrived.count.fetch_add(1, Ordering::Relaxed) + 1 == arrived.wanted.load(Ordering::Relaxed) {
                arrived.all.notify_one();
            }
        }
    }
    latencies
}

async fn send(
    sender: &Client,
    load: &Load,
    maker: &mut Maker,
    topic: waku_wire::Topic,
) -> Result<(), Failure> {
    let a_packet = load.shape.per_packet;
    let mut ticks = (load.rate > 0).then(|| {
        let period = Duration::from_secs_f64(f64::from(a_packet) / f64::from(load.rate));
        let mut ticks = interval(period.max(Duration::from_micros(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        ticks
    });
    let mut left = load.count;
    while left > 0 {
        if let Some(ticks) = &mut ticks {
            ticks.tick().await;
        }
        let envelopes: Result<Vec<_>, _> =
            (0..left.min(a_packet)).map(|_| maker.make(topic, 0, load.shape.ttl)).collect();
        sender.post(&envelopes?).await?;
        left -= left.min(a_packet);
    }
    Ok(())
}

//! The rows of the table: what each runs and what it may cost. Budgets and the reference's figures: design §2.

use std::time::Duration;

use ::hostile::Kind;
use enode::{Endpoint, Enode, NodeKey};
use serde_json::{Map, Value, json};

use super::{
    super::{
        Failure, Output, Process,
        fill::{self, Load as Fill},
        floor::{self, Load as Floor},
        history::{self, By, Load as Queries},
        hostile,
        load::Shape,
        megabytes, peers,
        relay::{self, Load, Report},
    },
    Arguments, Line, Node, median,
};
use crate::statusctl::session::Common;

/// For everything that is waited for in a run.
const PATIENCE: f64 = 60.0;

/// What a row runs.
enum Work {
    Idle,
    Latency(Load),
    /// Many envelopes a packet.
    Batched(Load),
    /// One envelope a packet.
    Single(Load),
    Burst(Load),
    /// Alone, and among so many that want something else.
    Among(Load, u32),
    Many(Load),
    /// Before and under attack.
    Attacked(Kind, Load),
    Archive,
}

/// One row.
pub(super) struct Row {
    name: &'static str,
    work: Work,
}

impl Row {
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) async fn run(&self, arguments: &Arguments) -> Result<Vec<Line>, Failure> {
        match &self.work {
            Work::Idle => idle(self, arguments).await,
            Work::Latency(load) => latency(self, load, arguments).await,
            Work::Batched(load) => batched(self, load, arguments).await,
            Work::Single(load) => single(self, load, arguments).await,
            Work::Burst(load) => burst(self, load, arguments).await,
            Work::Among(load, bystanders) => among(self, load, *bystanders, arguments).await,
            Work::Many(load) => many(self, load, arguments).await,
            Work::Attacked(kind, load) => attacked(self, *kind, load, arguments).await,
            Work::Archive => archive(self, arguments).await,
        }
    }

    fn at_most(&self, figure: &'static str, unit: &'static str, measured: f64, budget: f64) -> Line {
        let within = measured <= budget;
        Line {
            row: self.name,
            figure,
            unit,
            measured,
            budget,
            at_least: false,
            floor: None,
            reference: None,
            within,
        }
    }

    fn at_least(&self, figure: &'static str, unit: &'static str, measured: f64, budget: f64) -> Line {
        Line { at_least: true, within: measured >= budget, ..self.at_most(figure, unit, measured, budget) }
    }
}

fn load(peers: u32, rate: u32, count: u32, per_packet: u32) -> Load {
    let shape = Shape { size: 320, per_packet, ttl: 50 };
    Load { peers, bystanders: 0, rate, count, shape }
}

pub(super) fn all() -> Vec<Row> {
    let row = |name, work| Row { name, work };
    let attacked = |name, kind| row(name, Work::Attacked(kind, load(10, 200, 1000, 1)));
    vec![
        row("idle", Work::Idle),
        row("relay 10 peers × 200/s: latency", Work::Latency(load(10, 200, 2000, 1))),
        row("relay 10 × 200/s in 20 packets/s", Work::Batched(load(10, 200, 2000, 10))),
        row("relay 50 × 100/s in 20 packets/s", Work::Batched(load(50, 100, 1000, 5))),
        row("relay 10 × 200/s, one a packet", Work::Single(load(10, 200, 2000, 1))),
        row("relay 50 × 100/s, one a packet", Work::Single(load(50, 100, 1000, 1))),
        row("burst of 20k × 10 peers", Work::Burst(load(10, 0, 20_000, 100))),
        row("10 interested among 500", Work::Among(load(10, 200, 2000, 1), 490)),
        row("10 interested among 1000", Work::Among(load(10, 200, 2000, 1), 990)),
        row("20/s to 2000 peers", Work::Many(load(2000, 20, 200, 1))),
        attacked("under attack: half-open", Kind::HalfOpen),
        attacked("under attack: trickle", Kind::Trickle),
        attacked("under attack: unfinished", Kind::Unfinished),
        attacked("under attack: frames", Kind::Frames),
        attacked("under attack: interest", Kind::Interest),
        attacked("under attack: spam", Kind::Spam),
        attacked("under attack: slow readers", Kind::SlowReaders),
        attacked("under attack: datagrams", Kind::Datagrams),
        row("fill and history", Work::Archive),
    ]
}

fn common(node: &Node) -> Common {
    Common::of(node.enode().clone(), PATIENCE)
}

fn output(node: &Node) -> Output {
    Output { json: false, pid: Some(node.pid()) }
}

/// One run on a fresh node.
async fn one(load: &Load, arguments: &Arguments) -> Result<Report, Failure> {
    let node = Node::start(&arguments.statusd, load.peers + load.bystanders, false)?;
    let report = Box::pin(relay::run(&common(&node), load, &output(&node))).await?;
    if report.missing > 0 {
        return Err(Failure::TooFew(report.deliveries, report.deliveries + report.missing));
    }
    Ok(report)
}

async fn runs(load: &Load, arguments: &Arguments) -> Result<Vec<Report>, Failure> {
    let mut reports = Vec::new();
    for _ in 0..arguments.runs {
        reports.push(one(load, arguments).await?);
    }
    Ok(reports)
}

/// CPU a delivery of the floor and the node in turns.
struct Paired {
    reports: Vec<Report>,
    /// Medians, microseconds.
    floor: f64,
    measured: f64,
    /// Median of the node's over the floor's just before it: what the machine was doing in the two is the same.
    ratio: f64,
}

async fn paired(load: &Load, arguments: &Arguments) -> Result<Paired, Failure> {
    let (mut reports, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..arguments.runs {
        let floor =
            Floor { peers: load.peers, rate: load.rate, count: load.count, shape: load.shape.clone() };
        let floor = tokio::task::spawn_blocking(move || floor::run(&floor));
        floors.push(floor.await.map_err(|e| Failure::Local(e.to_string()))??.microseconds_per_delivery);
        reports.push(one(load, arguments).await?);
    }
    let cpu = |report: &Report| report.cpu_microseconds_per_delivery.unwrap_or(f64::NAN);
    let ratio = median(reports.iter().zip(&floors).map(|(report, floor)| cpu(report) / floor).collect());
    Ok(Paired { measured: figure(&reports, cpu), floor: median(floors), ratio, reports })
}

fn figure(reports: &[Report], of: impl Fn(&Report) -> f64) -> f64 {
    median(reports.iter().map(of).collect())
}

async fn latency(row: &Row, load: &Load, arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let reports = runs(load, arguments).await?;
    let p50 = figure(&reports, |r| r.latency_milliseconds.p50);
    let p99 = figure(&reports, |r| r.latency_milliseconds.p99);
    Ok(vec![
        Line { reference: Some("151"), ..row.at_most("p50", "ms", p50, 1.0) },
        Line { reference: Some("299"), ..row.at_most("p99", "ms", p99, 5.0) },
    ])
}

/// 12 µs a packet written and 1.3 µs a delivery.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
async fn batched(row: &Row, load: &Load, arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let paired = paired(load, arguments).await?;
    let budget = figure(&paired.reports, |r| 12.0 * r.packets as f64 / r.deliveries as f64 + 1.3);
    Ok(cpu_lines(row, &paired, budget, "16–29"))
}

async fn single(row: &Row, load: &Load, arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    Ok(cpu_lines(row, &paired(load, arguments).await?, 14.0, "34–62"))
}

/// The budget in microseconds supposes a machine; the one in floors holds on any.
fn cpu_lines(row: &Row, paired: &Paired, budget: f64, reference: &'static str) -> Vec<Line> {
    let line = row.at_most("CPU a delivery", "µs", paired.measured, budget);
    vec![
        Line { floor: Some(paired.floor), reference: Some(reference), ..line },
        row.at_most("the same, of the floor", "×", paired.ratio, 1.5),
    ]
}

async fn burst(row: &Row, load: &Load, arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let paired = paired(load, arguments).await?;
    let resident =
        figure(&paired.reports, |r| r.used.map_or(f64::NAN, |used| megabytes(used.resident_bytes)));
    let line = row.at_most("CPU a delivery", "µs", paired.measured, 1.8);
    Ok(vec![
        Line { floor: Some(paired.floor), reference: Some("8.1"), ..line },
        Line { reference: Some("340"), ..row.at_most("RSS after", "MB", resident, 60.0) },
    ])
}

async fn among(row: &Row, load: &Load, bystanders: u32, arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let alone = runs(load, arguments).await?;
    let among = runs(&Load { bystanders, ..load.clone() }, arguments).await?;
    let cpu = |reports: &[Report]| figure(reports, |r| r.cpu_microseconds_per_envelope.unwrap_or(f64::NAN));
    let line = row.at_most("CPU, of 10 alone", "×", cpu(&among) / cpu(&alone), 1.2);
    Ok(vec![Line { reference: Some("11.5"), ..line }])
}

async fn many(row: &Row, load: &Load, arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let reports = runs(load, arguments).await?;
    let delivered = figure(&reports, |r| r.deliveries_per_second);
    // The last envelope is sent half a period before the time is over.
    Ok(vec![row.at_least("deliveries", "1/s", delivered, 38_000.0)])
}

/// The quiet and the attacked run of a pair are on the same node, one after the other.
async fn attacked(row: &Row, kind: Kind, load: &Load, arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    const SOCKETS: u32 = 300;
    let (mut quiet, mut under) = (Vec::new(), Vec::new());
    for _ in 0..arguments.runs {
        let node = Node::start_with(&arguments.statusd, load.peers + SOCKETS, false, searching())?;
        let load = hostile::Load { kind, sockets: SOCKETS, relay: load.clone() };
        let report = Box::pin(hostile::run(&common(&node), &load, &output(&node))).await?;
        if report.missing > 0 {
            return Err(Failure::TooFew(report.deliveries, report.deliveries + report.missing));
        }
        quiet.push(report.quiet.p99);
        under.push(report.attacked.p99);
    }
    Ok(vec![row.at_most("p99", "ms", median(under), hostile::allowed(median(quiet)))])
}

/// Keys of a node that has discovery and never finds enough, so that it goes on.
fn searching() -> Map<String, Value> {
    let nobody = Endpoint::new([127, 0, 0, 1].into(), 9, 9);
    let nobody = Enode { public_key: NodeKey::generate().public_key(), endpoint: Some(nobody) };
    let keys = json!({"NoDiscovery": false, "RegisterTopics": ["whisper"],
        "RequireTopics": {"whisper": {"Min": 3, "Max": 5}},
        "ClusterConfig": {"Enabled": true, "BootNodes": [nobody.to_string()]}});
    keys.as_object().cloned().unwrap_or_default()
}

async fn idle(row: &Row, arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    const PEERS: u32 = 500;
    let (mut relays, mut mailservers, mut each) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..arguments.runs {
        let mailserver = Node::start(&arguments.statusd, PEERS, true)?;
        mailservers.push(megabytes(Process(mailserver.pid()).resident()?));
        drop(mailserver);
        let relay = Node::start(&arguments.statusd, PEERS, false)?;
        relays.push(megabytes(Process(relay.pid()).resident()?));
        let report =
            Box::pin(peers::run(&common(&relay), PEERS, Duration::from_secs(2), &output(&relay))).await?;
        each.push(report.bytes_per_peer.map_or(f64::NAN, |bytes| megabytes(bytes) * 1024.0));
    }
    Ok(vec![
        Line { reference: Some("44–48"), ..row.at_most("RSS of a relay", "MB", median(relays), 12.0) },
        Line {
            reference: Some("44–48"),
            ..row.at_most("RSS of a mailserver", "MB", median(mailservers), 20.0)
        },
        row.at_most("RSS of an idle peer", "KB", median(each), 16.0),
    ])
}

async fn archive(row: &Row, arguments: &Arguments) -> Result<Vec<Line>, Failure> {
    let node = Node::start(&arguments.statusd, 100, true)?;
    let (common, output) = (common(&node), output(&node));
    let load = Fill {
        count: arguments.archive,
        topics: 10_000,
        hours: 24,
        size: 320,
        per_packet: 100,
        in_flight: 8,
    };
    let filled = Box::pin(fill::run(&common, &load, &output)).await?;
    let mut lines = vec![
        Line {
            reference: Some("13–23k"),
            ..row.at_least("fill, archived", "1/s", filled.archived_per_second, 50_000.0)
        },
        Line {
            reference: Some("30–56"),
            ..row.at_most(
                "fill, CPU an envelope",
                "µs",
                filled.cpu_microseconds_per_envelope.unwrap_or(f64::NAN),
                12.0,
            )
        },
    ];
    let asked = async |by, clients, queries| {
        let load = Queries { clients, queries, topics: 10_000, hours: 25, by };
        let mut reports = Vec::new();
        for _ in 0..arguments.runs {
            reports.push(Box::pin(history::run(&common, &load, &output)).await?);
        }
        let p50 = median(reports.iter().map(|r| r.latency_milliseconds.p50).collect());
        let cpu = median(reports.iter().map(|r| r.cpu_microseconds_per_query.unwrap_or(f64::NAN)).collect());
        Ok::<_, Failure>((p50, cpu))
    };
    let (one, cpu) = asked(By::Topic, 1, 200).await?;
    let (eight, _) = asked(By::Topic, 8, 100).await?;
    let (bloom, _) = asked(By::Bloom, 1, 100).await?;
    let (walk, _) = asked(By::Everything, 1, 100).await?;
    lines.extend([
        Line { reference: Some("570"), ..row.at_most("one topic, p50", "ms", one, 1.0) },
        Line { reference: Some("500 000"), ..row.at_most("one topic, CPU", "µs", cpu, 1000.0) },
        Line { reference: Some("3800"), ..row.at_most("one topic, 8 clients, p50", "ms", eight, 4.0) },
        Line { reference: Some("644"), ..row.at_most("bloom of one topic, p50", "ms", bloom, 3.0) },
        Line { reference: Some("3.7"), ..row.at_most("walk, a page of 1000", "ms", walk, 2.0) },
    ]);
    Ok(lines)
}

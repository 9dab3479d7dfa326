//! `statusd archive prune`.

use archive::{ArchiveError, Evicted, HOUR, History, Retention, TimeRange, floor_after};
use archive_rocksdb::{RocksHistory, Settings};
use serde_json::{Value, json};

use super::{
    ask::ask,
    place::{Found, Place},
    text::{parse_age, parse_bytes, time},
    wait,
};
use crate::{clock::unix_seconds, exit::ExitError};

/// Evict history by age and size, for ever
#[derive(Debug, clap::Args)]
#[command(
    after_help = "History goes by whole hours, the oldest first; the present hour stays. Without -max-age and -max-bytes it goes by\n\
    what the configuration keeps. If the node runs it evicts itself, asked over its socket (-ipc).\n\nExamples:\n  \
    statusd archive prune -c /etc/statusd/config.json -max-age 7d -dry-run\n  \
    statusd archive prune -archive /data/waku -max-bytes 10Gi"
)]
pub(super) struct Options {
    #[command(flatten)]
    place: Place,
    /// Keep what was sent within this time: 30d, 12h
    #[arg(long, value_name = "TIME", value_parser = parse_age)]
    max_age: Option<u32>,
    /// Keep at most so many bytes: 10Gi, 500M
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    max_bytes: Option<u64>,
    /// Say what would go, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(options: &Options) -> Result<String, ExitError> {
    let found = options.place.find()?;
    let own = options.max_age.is_some() || options.max_bytes.is_some();
    let policy = if own {
        Retention { max_age: options.max_age, max_bytes: options.max_bytes }
    } else {
        found.retention
    };
    if options.dry_run {
        let view = found.view()?;
        let evicted = foreseen(&*view, policy)?;
        return Ok(format!("would evict {}\n", words(&evicted)));
    }
    if let Some(database) = found.database()? {
        let evicted = wait(database.evict(policy, unix_seconds()))?;
        return Ok(format!("evicted {}\n", words(&evicted)));
    }
    let evicted = match RocksHistory::open_existing(&found.archive, &Settings::default()) {
        Ok(history) => {
            let evicted = wait(history.evict(policy, unix_seconds()))?;
            wait(history.close())?;
            evicted
        }
        Err(ArchiveError::Locked { .. }) => by_the_node(&found, options)?,
        Err(error) => return Err(error.into()),
    };
    Ok(format!("evicted {}\n", words(&evicted)))
}

fn foreseen(view: &dyn History, policy: Retention) -> Result<Evicted, ExitError> {
    let hours = wait(view.windows(TimeRange::ALL))?;
    let newest_first = hours.iter().rev().map(|window| (window.hour, window.bytes));
    let floor = floor_after(policy, unix_seconds(), view.floor(), newest_first);
    let gone = hours.iter().filter(|window| window.hour < floor / HOUR);
    let (rows, bytes) = gone.fold((0, 0), |(rows, bytes), it| (rows + it.count, bytes + it.bytes));
    Ok(Evicted { floor, rows, bytes })
}

fn by_the_node(found: &Found, options: &Options) -> Result<Evicted, ExitError> {
    let answer = ask(found, "mailserver_prune", json!([options.max_age, options.max_bytes]))?;
    let number = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or_default();
    let floor = u32::try_from(number("floor")).unwrap_or(u32::MAX);
    Ok(Evicted { floor, rows: number("envelopes"), bytes: number("bytes") })
}

fn words(evicted: &Evicted) -> String {
    let Evicted { floor, rows, bytes } = *evicted;
    format!("{rows} envelopes, {bytes} bytes; history begins at {}", time(floor))
}

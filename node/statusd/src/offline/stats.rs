//! `statusd archive stats`.

use std::{collections::BTreeMap, fmt::Write as _};

use archive::{HOUR, Stats, TimeRange, Window};
use serde_json::json;

use super::{
    place::Place,
    text::{day, time},
    wait,
};
use crate::exit::ExitError;

/// Seconds in a day.
const DAY: u32 = 86_400;

/// How much history there is, from when to when, day by day
#[derive(Debug, clap::Args)]
#[command(after_help = "The node may run meanwhile.\n\nExamples:\n  \
    statusd archive stats -c /etc/statusd/config.json\n  \
    statusd archive stats -archive /data/waku -json")]
pub(super) struct Options {
    #[command(flatten)]
    place: Place,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &Options) -> Result<String, ExitError> {
    let found = options.place.find()?;
    let view = found.view()?;
    let stats = wait(view.stats())?;
    let days = days(&wait(view.windows(TimeRange::ALL))?);
    Ok(if options.json { json_page(view.label(), &stats, &days) } else { page(view.label(), &stats, &days) })
}

/// Rows and bytes by the first second of their day.
type Days = BTreeMap<u32, (u64, u64)>;

fn days(hours: &[Window]) -> Days {
    let mut days = Days::new();
    for window in hours {
        let (rows, bytes) = days.entry(window.hour * HOUR / DAY * DAY).or_default();
        *rows += window.count;
        *bytes += window.bytes;
    }
    days
}

fn page(label: &str, stats: &Stats, days: &Days) -> String {
    let when = |time_of: Option<u32>| time_of.map_or_else(|| "none".to_owned(), time);
    let mut page = format!(
        "archive    {label}\nenvelopes  {}\nbytes      {}\noldest     {}\nnewest     {}\nfloor      {}\n",
        stats.envelopes,
        stats.bytes,
        when(stats.oldest),
        when(stats.newest),
        when(Some(stats.floor).filter(|floor| *floor > 0)),
    );
    if !days.is_empty() {
        page.push_str("\nday           envelopes           bytes\n");
    }
    for (start, (rows, bytes)) in days {
        // A String takes everything.
        let _ = writeln!(page, "{}  {rows:>11}  {bytes:>14}", day(*start));
    }
    page
}

fn json_page(label: &str, stats: &Stats, days: &Days) -> String {
    let days: Vec<_> = days
        .iter()
        .map(|(start, (rows, bytes))| json!({"day": day(*start), "envelopes": rows, "bytes": bytes}))
        .collect();
    let page = json!({"archive": label, "envelopes": stats.envelopes, "bytes": stats.bytes, "oldest": stats.oldest,
        "newest": stats.newest, "floor": stats.floor, "days": days});
    format!("{page}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_summed_by_their_day_and_the_end_of_time_has_one() {
        let hour = |hour, count| Window { hour, count, bytes: 10 * count, ..Window::default() };
        let days = days(&[hour(24, 1), hour(47, 2), hour(48, 4), hour(u32::MAX / HOUR, 8)]);
        let last = u32::MAX / DAY * DAY;
        assert_eq!(days, Days::from([(DAY, (3, 30)), (2 * DAY, (4, 40)), (last, (8, 80))]));
    }

    #[test]
    fn an_empty_archive_has_no_times() {
        let page = page("x", &Stats::default(), &Days::new());
        assert!(page.contains("oldest     none") && page.contains("floor      none"), "{page}");
    }
}

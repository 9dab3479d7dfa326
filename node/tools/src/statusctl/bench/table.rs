//! The budget table: each row against a fresh node that is started for it, beside what it may cost.
//!
//! Paired runs: the floor and the node in turns on the same machine, the median of each. The reference's figures are
//! those of design §2, measured elsewhere; they are not measured here.

mod node;
mod rows;

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::{Failure, print};
pub(super) use node::Node;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The node's program.
    #[arg(long, value_name = "PATH", default_value = "statusd")]
    statusd: PathBuf,
    /// Rows whose name contains this; all when not given. May be repeated.
    #[arg(long, value_name = "TEXT")]
    row: Vec<String>,
    /// Runs of each row, of which the median is printed.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    runs: u32,
    /// Envelopes in the archive that history is asked of.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1000..=30_000_000))]
    archive: u32,
    /// Print JSON lines instead of text.
    #[arg(long)]
    json: bool,
}

/// One figure of one row.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    row: &'static str,
    figure: &'static str,
    unit: &'static str,
    measured: f64,
    budget: f64,
    /// Whether more is better.
    at_least: bool,
    /// The least that any relay needs, of the same runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    floor: Option<f64>,
    /// Of the reference, from the design.
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'static str>,
    within: bool,
}

impl Line {
    fn text(&self) -> String {
        let floor = self.floor.map(|floor| format!("{floor:.2}")).unwrap_or_default();
        let sign = if self.at_least { "≥" } else { "≤" };
        format!(
            "{:<44} {:<24} {:>10.2} {sign} {:>8.2} {:<6} {:>8}  {:<14} {}",
            self.row,
            self.figure,
            self.measured,
            self.budget,
            self.unit,
            floor,
            self.reference.unwrap_or("–"),
            if self.within { "met" } else { "MISSED" }
        )
    }
}

/// # Errors
/// When a run fails. A budget that is missed is said, and is no error: machines differ.
pub(super) async fn command(arguments: Arguments) -> Result<(), Failure> {
    if !arguments.json {
        println!(
            "{:<44} {:<24} {:>10}   {:>8} {:<6} {:>8}  {:<14} verdict",
            "row", "figure", "measured", "budget", "unit", "floor", "reference"
        );
    }
    let mut any = false;
    for row in rows::all() {
        if !arguments.row.is_empty() && !arguments.row.iter().any(|text| row.name().contains(text.as_str())) {
            continue;
        }
        any = true;
        for line in Box::pin(row.run(&arguments)).await? {
            if arguments.json {
                print(&line)?;
            } else {
                println!("{}", line.text());
            }
        }
    }
    if any {
        return Ok(());
    }
    let names: Vec<_> = rows::all().iter().map(rows::Row::name).collect();
    Err(Failure::Usage(format!(
        "no row is called {:?}; rows are: {}",
        arguments.row.join(", "),
        names.join("; ")
    )))
}

/// The middle one; the greater of two.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![1.0, 2.0]), 2.0);
        assert_eq!(median(Vec::new()), 0.0);
    }
}

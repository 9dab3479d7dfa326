//! `statusd archive verify`, and the same check for what other commands made.

use std::path::Path;

use archive::History as _;
use archive_rocksdb::{RocksHistory, Settings, Step, Verified};

use super::{error::CommandError, place::Place, progress::Progress, wait};
use crate::exit::ExitError;

/// Differences that are printed; the rest is counted.
const SHOWN: u64 = 100;

/// Compare every row with its key, both orders with each other, counts and sums with what is there
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Reads everything and writes nothing. The node may run meanwhile: what is checked is the archive as it was at the\n\
    start. What differs is printed, and the exit code is 10.\n\nExamples:\n  \
    statusd archive verify -c /etc/statusd/config.json\n  \
    statusd archive verify -archive /backup/monday"
)]
pub(super) struct Options {
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(options: &Options) -> Result<String, ExitError> {
    let found = options.place.find()?;
    found.in_directory()?;
    let verified = check(&found.archive)?;
    Ok(format!("{}: {}\n", found.archive.display(), sound(&verified)))
}

/// What is said of an archive without differences.
pub(super) fn sound(verified: &Verified) -> String {
    let Verified { rows, bytes, hours, .. } = verified;
    format!("sound: {rows} envelopes, {bytes} bytes, {hours} hours")
}

/// Checks the archive in `path` and prints on standard error what differs.
///
/// # Errors
/// It cannot be read, or [`CommandError::Differs`].
pub(super) fn check(path: &Path) -> Result<Verified, ExitError> {
    let view = RocksHistory::view(path, &Settings::default())?;
    let rows = wait(view.stats())?.envelopes;
    let mut progress = Progress::new("keys compared", 2 * rows);
    let mut shown = 0;
    let verified = view.verify(&mut |step| match step {
        Step::Keys(keys) => progress.add(keys),
        Step::Differs(difference) => {
            shown += 1;
            if shown <= SHOWN {
                eprintln!("{difference}");
            } else if shown == SHOWN + 1 {
                eprintln!("more than {SHOWN} differences; the rest is only counted");
            }
        }
    })?;
    match verified.differences {
        0 => Ok(verified),
        differences => Err(CommandError::Differs { path: path.to_owned(), differences }.into()),
    }
}

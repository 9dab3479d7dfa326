//! `statusd archive import`: envelopes of a file of `export`, or of an archive of the reference.

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use archive::{Appended, History, NewRow, Position, Retention, floor_after};
use archive_postgres::OldTable;
use waku_wire::WireEnvelope;

use super::{
    admit::{Offered, Refused, Rules},
    error::CommandError,
    place::{Found, Place, full},
    progress::Progress,
    stream::{Reader, StreamError},
    wait,
};
use crate::{clock::unix_seconds, exit::ExitError, files::read_password};

/// Envelopes stored at a time, and their bytes (but for one).
const BATCH_ROWS: usize = 512;
const BATCH_BYTES: usize = 1 << 20;

/// Take in the envelopes of an exported file, or of the archive of a status-go node
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Stop the node first (a dry run may go beside it). FROM is a file that export wrote, or the archive of a status-go\n\
    node (a goleveldb directory, keys of 36 or 40 bytes), which is only read. Where the archive is in a database the node may run.\n\
    -from-table takes what a status-go node keeps in PostgreSQL. Taken is what this node would have kept: envelopes\n\
    of the right key, size and proof of work that were sent within its retention. What is there already is passed over, so a\n\
    second run goes on where the first was stopped. MailServerMaxBytes is applied when the node runs again.\n\nExamples:\n  \
    statusd archive import -c /etc/statusd/config.json /old/data/waku -dry-run\n  \
    statusd archive import -c /etc/statusd/config.json /backup/history.envelopes -dry-run\n  \
    statusd archive import -c /etc/statusd/config.json -from-table /etc/statusd/old-uri\n  \
    zstd -dc history.envelopes.zst | statusd archive import -archive /data/waku -"
)]
pub(super) struct Options {
    #[command(flatten)]
    place: Place,
    /// File or directory; -: standard input
    #[arg(value_name = "FROM", required_unless_present = "from_table", conflicts_with = "from_table")]
    from: Option<PathBuf>,
    /// File with the URI of a status-go node's PostgreSQL database, whose table is only read
    #[arg(long, value_name = "FILE")]
    from_table: Option<PathBuf>,
    /// Say what would be taken, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(options: &Options) -> Result<String, ExitError> {
    let found = options.place.find()?;
    if let Some(path) = &options.from_table {
        return table(&found, options, path);
    }
    let from = options.from.as_deref().unwrap_or(Path::new("-"));
    if from == Path::new("-") {
        return import(&found, options, 0, |take| stream(io::stdin().lock(), Path::new("-"), take));
    }
    let from = full(from)?;
    if archive_import::is_leveldb(&from) {
        return import(&found, options, 0, |take| old(&from, take));
    }
    // Read to its end before anything is stored: a file that was cut or changed stores nothing.
    let mut total = 0;
    stream(open(&from)?, &from, &mut |_| {
        total += 1;
        Ok(())
    })?;
    import(&found, options, total, |take| stream(open(&from)?, &from, take))
}

/// Takes one envelope of a source.
type Take<'a> = &'a mut dyn FnMut(Offered) -> Result<(), ExitError>;

fn open(from: &Path) -> Result<File, ExitError> {
    File::open(from).map_err(|source| ExitError::File {
        setting: "archive import",
        action: "read",
        path: from.to_owned(),
        source,
        remedy: "name a file of statusd archive export, or the archive of an old node",
    })
}

fn stream(from: impl Read, path: &Path, take: Take<'_>) -> Result<(), ExitError> {
    let failed = |error: StreamError| CommandError::Path {
        path: path.to_owned(),
        problem: format!("cannot be imported: {error}"),
        remedy: "export it again, or name another file",
    };
    let mut reader = Reader::new(BufReader::new(from)).map_err(failed)?;
    while let Some(raw) = reader.next().map_err(failed)? {
        take(Offered { raw, key: None })?;
    }
    Ok(())
}

fn old(from: &Path, take: Take<'_>) -> Result<(), ExitError> {
    for entry in archive_import::open(from).map_err(CommandError::from)? {
        let (key, raw) = entry.map_err(CommandError::from)?;
        take(Offered { raw, key: Some(key) })?;
    }
    Ok(())
}

/// The envelopes of the reference's table, in the order of its keys.
fn table(found: &Found, options: &Options, path: &Path) -> Result<String, ExitError> {
    let uri = read_password(path).map_err(|source| ExitError::File {
        setting: "-from-table",
        action: "read",
        path: path.to_owned(),
        source,
        remedy: "put the URI of the old node's database there, postgres://user:password@host:5432/database",
    })?;
    let old = |error| CommandError::OldTable { path: path.to_owned(), error };
    let table = OldTable::new(uri.expose()).map_err(old)?;
    let total = wait(async { table.count().await.map_err(old) })?;
    import(found, options, total, |take| {
        let mut after = Vec::new();
        loop {
            let rows = wait(async { table.next(&after).await.map_err(old) })?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            after.clone_from(last);
            for (key, raw) in rows {
                take(Offered { raw, key: Some(key) })?;
            }
        }
    })
}

/// What became of the envelopes of a source.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    read: u64,
    stored: u64,
    present: u64,
    refused: BTreeMap<Refused, u64>,
}

impl Tally {
    fn words(&self, dry_run: bool) -> String {
        let stored = if dry_run { "would be stored" } else { "stored" };
        let mut words =
            format!("{} envelopes read, {} {stored}, {} there already", self.read, self.stored, self.present);
        for (why, count) in &self.refused {
            words.push_str(&format!(", {count} {why}"));
        }
        words
    }
}

fn import(
    found: &Found,
    options: &Options,
    total: u64,
    source: impl FnOnce(Take<'_>) -> Result<(), ExitError>,
) -> Result<String, ExitError> {
    let archive = if options.dry_run { found.view_if_any()? } else { Some(found.open()?) };
    let count = || match &archive {
        Some(archive) => wait(archive.stats()).map(|stats| stats.envelopes),
        None => Ok(0),
    };
    let (now, before) = (unix_seconds(), count()?);
    let by_age = Retention { max_bytes: None, ..found.retention };
    let floor = floor_after(by_age, now, archive.as_ref().map_or(0, |archive| archive.floor()), []);
    let rules = Rules { now, floor, max_size: found.max_size, min_pow: found.min_pow };
    let mut batch =
        Batch { archive: archive.as_deref(), dry_run: options.dry_run, rows: Vec::new(), bytes: 0 };
    let mut tally = Tally::default();
    let mut progress = Progress::new("envelopes", total);
    source(&mut |offered| {
        tally.read += 1;
        progress.add(1);
        match rules.judge(&offered) {
            Ok(envelope) => batch.add(envelope, &mut tally),
            Err(why) => {
                *tally.refused.entry(why).or_default() += 1;
                Ok(())
            }
        }
    })?;
    batch.store(&mut tally)?;
    drop(progress);
    let after = count()?;
    if let Some(archive) = archive.as_ref().filter(|_| !options.dry_run) {
        wait(archive.close())?;
        // Of a database that others write to, what the database said of each envelope is what there is.
        if !found.is_shared() && after != before + tally.stored {
            let (path, stored) = (found.archive.clone(), tally.stored);
            return Err(CommandError::Miscounted { path, before, stored, after }.into());
        }
    }
    Ok(format!("{}; {} holds {after}\n", tally.words(options.dry_run), found.name()))
}

/// Envelopes that go in together.
struct Batch<'a> {
    archive: Option<&'a dyn History>,
    dry_run: bool,
    rows: Vec<WireEnvelope>,
    bytes: usize,
}

impl Batch<'_> {
    fn add(&mut self, envelope: WireEnvelope, tally: &mut Tally) -> Result<(), ExitError> {
        self.bytes += envelope.raw().len();
        self.rows.push(envelope);
        if self.rows.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES { self.store(tally) } else { Ok(()) }
    }

    fn store(&mut self, tally: &mut Tally) -> Result<(), ExitError> {
        self.bytes = 0;
        let rows = std::mem::take(&mut self.rows);
        let there = match self.archive {
            Some(archive) if !self.dry_run => {
                let rows = rows.into_iter().map(|envelope| NewRow { envelope, known_new: false }).collect();
                let verdicts = wait(archive.append(rows))?;
                // Nothing below the floor came this far.
                verdicts.into_iter().map(|verdict| verdict != Appended::Stored).collect::<Vec<bool>>()
            }
            archive => foreseen(archive, &rows)?,
        };
        let present = there.iter().filter(|there| **there).count();
        tally.present += present as u64;
        tally.stored += (there.len() - present) as u64;
        Ok(())
    }
}

/// Which of the rows are there, or earlier among themselves.
fn foreseen(archive: Option<&dyn History>, rows: &[WireEnvelope]) -> Result<Vec<bool>, ExitError> {
    let positions: Vec<Position> = rows.iter().map(|row| Position::of(row.sent(), &row.hash())).collect();
    let stored = match archive {
        Some(archive) => wait(archive.get(positions.clone()))?.iter().map(Option::is_some).collect(),
        None => vec![false; rows.len()],
    };
    let mut seen = HashSet::new();
    Ok(positions.into_iter().zip(stored).map(|(position, stored)| stored | !seen.insert(position)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_names_what_there_was_and_nothing_else() {
        let tally = Tally {
            read: 9,
            stored: 4,
            present: 2,
            refused: BTreeMap::from([(Refused::TooOld, 2), (Refused::NoEnvelope, 1)]),
        };
        let words = tally.words(false);
        assert_eq!(words, "9 envelopes read, 4 stored, 2 there already, 1 no envelopes, 2 too old");
        assert!(tally.words(true).contains("4 would be stored"));
    }
}

//! `statusd archive export`.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use archive::{Budget, Filter, History, Query, TimeRange};

use super::{
    error::CommandError,
    place::{Place, full},
    progress::Progress,
    stream::{Contents, Writer},
    wait,
};
use crate::exit::ExitError;

/// Rows asked for at a time.
const ROWS: usize = 1000;

/// Write all envelopes to a file that import reads
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The node may run meanwhile: what is written is the archive as it was at the start; of a database, with what came\n\
    meanwhile. The file holds the envelopes as they\n\
    came, oldest first, with a count and a sum by which import finds out whether it is whole.\n\nExamples:\n  \
    statusd archive export -c /etc/statusd/config.json /backup/history.envelopes\n  \
    statusd archive export -archive /data/waku - | zstd >history.envelopes.zst"
)]
pub(super) struct Options {
    #[command(flatten)]
    place: Place,
    /// File to make, which must not exist; -: standard output
    #[arg(value_name = "TO")]
    to: PathBuf,
}

pub(super) fn run(options: &Options) -> Result<String, ExitError> {
    let found = options.place.find()?;
    let view = found.view()?;
    if options.to == Path::new("-") {
        let (_, contents) = write(&*view, io::stdout().lock(), failed(Path::new("-")))?;
        eprintln!("{}", words(&contents));
        return Ok(String::new());
    }
    let to = full(&options.to)?;
    if to.symlink_metadata().is_ok() {
        let problem = "exists already".to_owned();
        let remedy = "name a file that does not, or remove it";
        return Err(CommandError::Path { path: to, problem, remedy }.into());
    }
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let written = File::create(&part).map_err(failed(&part)).and_then(|file| {
        let (file, contents) = write(&*view, file, failed(&part))?;
        file.sync_all().and_then(|()| fs::rename(&part, &to)).map_err(failed(&to))?;
        Ok(contents)
    });
    if written.is_err() {
        // A file that was cut is of no use.
        let _ = fs::remove_file(&part);
    }
    Ok(format!("{}: {}\n", to.display(), words(&written?)))
}

fn words(contents: &Contents) -> String {
    format!("{} envelopes exported", contents.count)
}

fn failed(path: &Path) -> impl Fn(io::Error) -> ExitError + '_ {
    let remedy = "free space, or give a path that this user may write to";
    move |source| ExitError::File {
        setting: "archive export",
        action: "write",
        path: path.to_owned(),
        source,
        remedy,
    }
}

fn write<W: Write>(
    view: &dyn History,
    to: W,
    failed: impl Fn(io::Error) -> ExitError,
) -> Result<(W, Contents), ExitError> {
    let mut progress = Progress::new("envelopes", wait(view.stats())?.envelopes);
    let mut writer = Writer::new(BufWriter::new(to)).map_err(&failed)?;
    let mut after = None;
    loop {
        let query = Query { range: TimeRange::ALL, filter: Filter::All };
        let page = wait(view.page(query, after, Budget::turn(ROWS)))?;
        for row in &page.rows {
            writer.add(&row.rlp).map_err(&failed)?;
        }
        progress.add(page.rows.len() as u64);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let (buffer, contents) = writer.end().map_err(&failed)?;
    let to = buffer.into_inner().map_err(|error| failed(error.into_error()))?;
    Ok((to, contents))
}

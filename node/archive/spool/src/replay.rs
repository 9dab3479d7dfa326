//! The task that gives the archive what waits, oldest first.

use std::sync::Arc;
use std::time::Duration;

use archive::{ArchiveError, NewRow};
use bytes::Bytes;
use waku_wire::WireEnvelope;

use crate::Spooled;

/// Between two tries at an archive that is away.
const RETRY: Duration = Duration::from_secs(1);
/// Envelopes given at a time, and their bytes, about.
const BATCH_ROWS: usize = 4096;
const BATCH_BYTES: usize = 1 << 20;

/// Replays for ever.
pub(crate) async fn run(spooled: Arc<Spooled>) {
    loop {
        match file(&spooled).await {
            Ok(true) => {}
            Ok(false) => {
                if spooled.failing.lock().take().is_some() {
                    tracing::info!("the archive has all that was in the spool");
                }
                spooled.filled.notified().await;
            }
            Err(error) => {
                *spooled.failing.lock() = Some(error);
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// Replays one file; `false`: nothing waits.
async fn file(spooled: &Spooled) -> Result<bool, ArchiveError> {
    if spooled.waiting_bytes() == 0 {
        return Ok(false);
    }
    // Before a file is taken up: nothing is added to it from then on.
    spooled.archive.probe().await?;
    let Some(oldest) = spooled.with_log(|log| log.oldest()).await? else { return Ok(false) };
    let mut rest = &oldest.envelopes[..];
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |rlp: &&Bytes| {
            bytes += rlp.len();
            bytes <= BATCH_BYTES
        };
        let count = rest.iter().take(BATCH_ROWS).take_while(fits).count().max(1);
        let (batch, behind) = rest.split_at(count);
        let rows: Vec<NewRow> = batch.iter().filter_map(row).collect();
        spooled.archive.append(rows).await?;
        rest = behind;
    }
    spooled.with_log(move |log| log.replayed(&oldest)).await?;
    Ok(true)
}

/// An envelope of the log. It was one when it was acknowledged, and its checksum fits.
fn row(rlp: &Bytes) -> Option<NewRow> {
    match WireEnvelope::decode(rlp) {
        Ok(envelope) => Some(NewRow { envelope, known_new: false }),
        Err(error) => {
            tracing::error!(%error, "the spool holds something that is no envelope");
            None
        }
    }
}

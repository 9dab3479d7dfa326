//! The side that is asked. It answers, gives what is wanted, and fetches what it is offered.
//!
//! What a peer can make it do in a round is bounded: it compares the hours of days that differ, and lists some multiple
//! of the ids that it has.

use archive::{EnvelopeId, HOUR, TimeRange};

use crate::{
    Quota, Report, Site, Span, SyncError,
    compare::{Scope, Windows, differing},
    fetch::Party,
    initiate::SETTLED,
    link::{Link, Wire},
    message::Message,
    reconcile::{MAX_CELLS, MAX_IDS, most_cells},
    serve::Ids,
    sketch::Sketch,
};

/// Messages that were on their way when this side gave up.
const MAX_LATE: usize = 64;
/// Offers in a round of which nothing came, although it was wanted.
const MAX_BARREN: u32 = 16;
/// How often each row may be listed in a round: halving a full span lists it twice.
const LISTINGS: u64 = 8;
/// Ids that may be listed in a round however few there are.
const FREE_IDS: u64 = 1 << 20;

/// Waits for the other side to begin, however long, and serves one round. Dropping the future before a round begins loses
/// nothing; afterwards the session must end.
///
/// # Errors
/// As of [`crate::initiate()`].
pub async fn respond<W: Wire>(
    wire: &mut W,
    site: &Site,
    quota: &Quota,
    report: &mut Report,
) -> Result<(), SyncError> {
    let mut link = Link::new(wire, site.config.patience);
    let Message::Begin { floor, oldest, to, salt } = link.recv_idle().await? else {
        return Err(SyncError::Breach("a message outside a round"));
    };
    let (_entered, _) = site.enter();
    let mut party = Party { link, site, quota, report };
    let ended = match party.begun(floor, oldest, to, salt).await {
        Ok((all, theirs)) => {
            party.report.complete = all && theirs;
            party.link.send(&Message::End { complete: all }).await?;
            return Ok(());
        }
        Err(error) if error.ends_session() => return Err(error),
        Err(error) => error,
    };
    if !matches!(ended, SyncError::PeerEnded) {
        party.link.send(&Message::Failed).await?;
        party.late().await?;
    }
    party.link.send(&Message::End { complete: false }).await?;
    Err(ended)
}

/// A span that is open.
struct Opened {
    span: Span,
    sketch: Sketch,
    ids: Ids,
}

/// How much the peer may still ask for.
struct Allowance {
    comparisons: usize,
    ids: u64,
    barren: u32,
}

impl<W: Wire> Party<'_, W> {
    /// Serves until the end; whether this side, and the other, has all now.
    async fn begun(
        &mut self,
        floor: u32,
        oldest: u32,
        to: u32,
        salt: [u8; 16],
    ) -> Result<(bool, bool), SyncError> {
        let stats = self.site.history.stats().await?;
        let to = to.min(self.site.now().saturating_sub(SETTLED));
        let oldest = stats.oldest.unwrap_or(u32::MAX).min(oldest) / HOUR * HOUR;
        let from = floor.max(stats.floor).checked_next_multiple_of(HOUR).unwrap_or(u32::MAX).max(oldest);
        self.report.to = to;
        self.link.send(&Message::Range { from, to }).await?;
        let scope = Scope { range: TimeRange { from, to }, salt };
        let mut left = Allowance {
            comparisons: 1 + Scope::windows(scope.range, 24).count(),
            ids: FREE_IDS + LISTINGS * stats.envelopes,
            barren: MAX_BARREN,
        };
        let mut all = true;
        let mut opened: Option<Opened> = None;
        loop {
            match self.link.recv("the next step of the round").await? {
                Message::Compare { unit, first, windows, prints } => {
                    left.comparisons = left.comparisons.checked_sub(1).ok_or(TOO_MUCH)?;
                    let windows = Windows { unit, first, count: windows };
                    let ours = scope.prints(&*self.site.history, &windows).await?;
                    let indices = differing(&ours, &prints);
                    match unit {
                        1 => self.report.hours += u32::try_from(indices.len()).unwrap_or(u32::MAX),
                        // Inside each of them hours may be compared.
                        24 => left.comparisons += indices.len(),
                        _ => {}
                    }
                    self.link.send(&Message::Differs(indices)).await?;
                }
                Message::Open { span, cells } => {
                    if from > to || !Span::seconds(from, to).covers(&span) {
                        return Err(SyncError::Breach("a span outside the range"));
                    }
                    // The old one is freed before the new one is made.
                    drop(opened.take());
                    opened = self.open(&scope, span, &mut left).await?;
                    match &mut opened {
                        Some(opened) => self.cells(opened, cells).await?,
                        None => self.link.send(&Message::Split).await?,
                    }
                }
                Message::More(cells) => self.cells(opened.as_mut().ok_or(NOT_OPEN)?, cells).await?,
                Message::Want(ids) => {
                    self.give(&mut opened.as_mut().ok_or(NOT_OPEN)?.ids, &ids).await?;
                }
                Message::Offer(ids) => {
                    let Opened { span, ids: held, .. } = opened.as_ref().ok_or(NOT_OPEN)?;
                    let lacking = ids.into_iter().filter(|id| !held.contains_key(id)).collect();
                    all &= self.fetch_offered(span, lacking, &mut left).await?;
                    self.link.send(&Message::Stored).await?;
                }
                Message::End { complete } => return Ok((all, complete)),
                _ => return Err(SyncError::Breach("an answer that nothing was asked for")),
            }
        }
    }

    /// Opens a span; `None` when it has to be split.
    async fn open(
        &mut self,
        scope: &Scope,
        span: Span,
        left: &mut Allowance,
    ) -> Result<Option<Opened>, SyncError> {
        let positions = span.list(&*self.site.history, MAX_IDS + 1).await?;
        left.ids = left.ids.checked_sub(positions.len() as u64).ok_or(TOO_MUCH)?;
        if positions.len() > MAX_IDS {
            return Ok(None);
        }
        let sketch = Sketch::new(positions.iter().map(|position| position.id), &scope.salt);
        let ids = positions.into_iter().map(|position| (position.id, position.sent)).collect();
        Ok(Some(Opened { span, sketch, ids }))
    }

    /// The next cells of a span.
    async fn cells(&mut self, opened: &mut Opened, count: u16) -> Result<(), SyncError> {
        let sketch = &mut opened.sketch;
        let count = usize::from(count);
        if count > MAX_CELLS
            || sketch.made() + count as u64 > most_cells(sketch.len(), MAX_IDS) + MAX_CELLS as u64
        {
            return Err(TOO_MUCH);
        }
        let cells = Message::cells(&sketch.next(count));
        self.link.send(&cells).await
    }

    async fn fetch_offered(
        &mut self,
        span: &Span,
        ids: Vec<EnvelopeId>,
        left: &mut Allowance,
    ) -> Result<bool, SyncError> {
        let (wanted, missing) = (ids.len() as u64, self.report.missing);
        let all = self.fetch(span, ids).await?;
        if wanted > 0 && self.report.missing - missing == wanted {
            left.barren = left.barren.checked_sub(1).ok_or(TOO_MUCH)?;
        }
        Ok(all)
    }

    /// Passes over what the peer said before it knew that this side gave up.
    async fn late(&mut self) -> Result<(), SyncError> {
        for _ in 0..MAX_LATE {
            if let Message::End { .. } = self.link.recv("the end of the round").await? {
                return Ok(());
            }
        }
        Err(SyncError::Breach("more after the end of the round"))
    }
}

const TOO_MUCH: SyncError = SyncError::Breach("more questions than a round can need");
const NOT_OPEN: SyncError = SyncError::Breach("a message for a span that is not open");

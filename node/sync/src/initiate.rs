//! The side that asks: compares, finds out what each side misses, fetches the one and offers the other.

use archive::{HOUR, TimeRange};
use rand::random;

use crate::{
    Quota, Report, Site, Span, SyncError,
    compare::{Scope, Windows},
    fetch::Party,
    link::{Link, Wire},
    message::{MAX_OFFER, Message, read_cells},
    reconcile::{Decoder, MAX_IDS},
    serve::Ids,
    sketch::Sketch,
};

/// What is younger is still on its way by gossip, seconds.
pub(crate) const SETTLED: u32 = 60;
/// Hours in a window that holds all of time.
const ALL: u32 = 1 << 21;
/// Hours in a day.
const DAY: u32 = 24;
/// Answers to questions that this side no longer cares for.
const MAX_LATE: usize = 16;

/// Runs one round as the side that asks. Dropping the future breaks the session's order: the session must end then.
///
/// # Errors
/// Why it ended early; `report` tells what was done until then. The session can go on unless
/// [`SyncError::ends_session`].
pub async fn initiate<W: Wire>(
    wire: &mut W,
    site: &Site,
    quota: &Quota,
    report: &mut Report,
) -> Result<(), SyncError> {
    let (_entered, others) = site.enter();
    let link = Link::new(wire, site.config.patience);
    let mut party = Party { link, site, quota, report };
    match party.ask(others > 0).await {
        Ok(all) => {
            let theirs = party.end(all).await?;
            party.report.complete = all && theirs;
            Ok(())
        }
        Err(error) if error.ends_session() => Err(error),
        Err(error) => {
            party.end(false).await?;
            Err(error)
        }
    }
}

impl<W: Wire> Party<'_, W> {
    /// Everything up to the end; whether this side has all of the other one now.
    async fn ask(&mut self, aside: bool) -> Result<bool, SyncError> {
        let Some(scope) = self.agree().await? else { return Ok(true) };
        let mut days = Vec::new();
        let whole = Windows { unit: ALL, first: 0, count: 1 };
        if !self.compare(&scope, whole).await?.is_empty() {
            for run in Scope::windows(scope.range, DAY) {
                days.extend(self.compare(&scope, run).await?);
            }
        }
        let mut hours = Vec::new();
        for day in days {
            hours.extend(self.compare(&scope, Windows { unit: 1, first: day * DAY, count: DAY }).await?);
        }
        self.report.hours = u32::try_from(hours.len()).unwrap_or(u32::MAX);
        // What is asked for most is the newest.
        hours.reverse();
        if aside && !hours.is_empty() {
            // Another session is at it: start elsewhere, so that two sources are not asked for the same.
            let start = random::<u32>() as usize % hours.len();
            hours.rotate_left(start);
        }
        let mut all = true;
        for hour in hours {
            let TimeRange { from, to } = scope.seconds(&Windows { unit: 1, first: hour, count: 1 }, 0);
            let mut spans = vec![Span::seconds(from, to)];
            while let Some(span) = spans.pop() {
                match self.reconcile(&scope, &span).await? {
                    Some(done) => all &= done,
                    None => {
                        spans.extend(span.halves().ok_or(SyncError::Breach("a single place with many ids"))?)
                    }
                }
            }
        }
        Ok(all)
    }

    /// What both sides keep; `None`: nothing.
    async fn agree(&mut self) -> Result<Option<Scope>, SyncError> {
        let history = &self.site.history;
        let stats = history.stats().await?;
        let to = self.site.now().saturating_sub(SETTLED);
        self.report.to = to;
        let mut scope = Scope::new(TimeRange { from: stats.floor, to });
        let oldest = stats.oldest.unwrap_or(u32::MAX);
        self.link.send(&Message::Begin { floor: stats.floor, oldest, to, salt: scope.salt }).await?;
        match self.link.recv("a range").await? {
            Message::Range { from, to } if from > to => Ok(None),
            Message::Range { from, to } => {
                if from < stats.floor || from % HOUR != 0 || to > scope.range.to {
                    return Err(SyncError::Breach("a range of more than was asked for"));
                }
                self.report.to = to;
                scope.range = TimeRange { from, to };
                Ok(Some(scope))
            }
            other => Err(instead(&other)),
        }
    }

    /// Numbers of the windows that differ, ascending.
    async fn compare(&mut self, scope: &Scope, windows: Windows) -> Result<Vec<u32>, SyncError> {
        let prints = scope.prints(&*self.site.history, &windows).await?;
        let Windows { unit, first, count } = windows;
        self.link.send(&Message::Compare { unit, first, windows: count, prints }).await?;
        match self.link.recv("a comparison").await? {
            Message::Differs(indices) => {
                let ascending = indices.windows(2).all(|pair| pair[0] < pair[1]);
                if !ascending || indices.last().is_some_and(|last| u32::from(*last) >= count) {
                    return Err(SyncError::Breach("windows that were not compared"));
                }
                Ok(indices.into_iter().map(|index| first + u32::from(index)).collect())
            }
            other => Err(instead(&other)),
        }
    }

    /// Makes both sides equal in `span`; whether this side has all now. `None`: it holds too many ids for one go.
    async fn reconcile(&mut self, scope: &Scope, span: &Span) -> Result<Option<bool>, SyncError> {
        let positions = span.list(&*self.site.history, MAX_IDS + 1).await?;
        if positions.len() > MAX_IDS {
            return Ok(None);
        }
        let own = Sketch::new(positions.iter().map(|position| position.id), &scope.salt);
        let mut decoder = Decoder::new(own, scope.salt);
        let mut asked = decoder.wanted();
        self.link.send(&Message::Open { span: *span, cells: number(asked) }).await?;
        loop {
            match self.link.recv("cells").await? {
                Message::Cells(bytes) => {
                    if decoder.take(&read_cells(&bytes, asked)?)? {
                        break;
                    }
                }
                Message::Split => return Ok(None),
                other => return Err(instead(&other)),
            }
            asked = decoder.wanted();
            self.link.send(&Message::More(number(asked))).await?;
        }
        let (have, need) = decoder.difference();
        let all = self.fetch(span, need).await?;
        let mut own: Ids = positions.into_iter().map(|position| (position.id, position.sent)).collect();
        for offer in have.chunks(MAX_OFFER) {
            let offered = offer.iter().filter_map(|id| own.remove_entry(id)).collect();
            self.offer(offered).await?;
        }
        Ok(Some(all))
    }

    /// Gives what the peer wants of an offer.
    async fn offer(&mut self, mut offered: Ids) -> Result<(), SyncError> {
        self.link.send(&Message::Offer(offered.keys().copied().collect())).await?;
        loop {
            match self.link.recv("wants or an end of them").await? {
                Message::Want(ids) => {
                    if !ids.iter().all(|id| offered.contains_key(id)) {
                        return Err(SyncError::Breach("a want of what was not offered, or was given"));
                    }
                    self.give(&mut offered, &ids).await?;
                }
                Message::Stored => return Ok(()),
                other => return Err(instead(&other)),
            }
        }
    }

    /// Ends the round; whether the peer has all of this side now.
    async fn end(&mut self, complete: bool) -> Result<bool, SyncError> {
        self.link.send(&Message::End { complete }).await?;
        for _ in 0..MAX_LATE {
            match self.link.recv("the end of the round").await? {
                Message::End { complete: theirs } => return Ok(theirs),
                _ if complete => break,
                // Answers to what was asked before this side gave up.
                _ => {}
            }
        }
        Err(SyncError::Breach("more after the end of the round"))
    }
}

/// Why something else than the answer came.
fn instead(message: &Message) -> SyncError {
    match message {
        Message::Failed => SyncError::PeerFailed,
        _ => SyncError::Breach("another message than the answer that is owed"),
    }
}

/// Cells asked for fit a message, so their number fits.
fn number(cells: usize) -> u16 {
    u16::try_from(cells).unwrap_or(u16::MAX)
}

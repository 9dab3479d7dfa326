//! What writes a session's messages: it takes from the lanes by priority, pulls gossip when the socket has room, batches
//! small messages into one write. Usually the session's own task holds the pen; while that one rests, whoever has just
//! relayed a packet may take it, write the gossip at once and put it back: no task has to be woken for it.
//! Facts: `spec/devp2p.md` §2.7, §2.8.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rlpx::{Compression, DisconnectReason, base};
use tokio::time::{sleep_until, timeout};

use crate::{
    Error, Lane,
    outbox::{Outbox, Source},
    writer::Writer,
};

/// Unwritten bytes from which on nothing more is encoded: with the kernel's share
/// ([`crate::writer::UNSENT_IN_SOCKET`]) at most 128 KB, beside one big message, are in front of an urgent one.
const BATCH: usize = 64 * 1024;
/// Largest packet asked of a live source, bytes.
const LIVE_PACKET: usize = 128 * 1024;
/// Nothing may have been written for so long when somebody else than the session's task is to write: a busy session
/// collects in the meantime what then costs one write.
const REST: Duration = Duration::from_millis(2);

/// The writer and what it pulls gossip from.
pub(crate) struct Pen {
    writer: Writer,
    live: Live,
    /// When something was last written.
    written: Option<Instant>,
}

impl Pen {
    /// Encodes until the batch is full or nothing waits.
    fn fill(&mut self, outbox: &Outbox) -> Result<(), Error> {
        let writer = &mut self.writer;
        let (pong, ping) = outbox.take_base();
        if pong {
            writer.queue(base::PONG, base::EMPTY_LIST, Compression::Snappy)?;
        }
        if ping {
            writer.queue(base::PING, base::EMPTY_LIST, Compression::Snappy)?;
        }
        while writer.unwritten() < BATCH {
            if let Some(item) = outbox.pop(Lane::Live) {
                writer.queue(item.code, &item.payload, compression(item.lane))?;
            } else if let Some((code, payload)) = self.live.next(outbox) {
                writer.queue(code, &payload, Compression::Literal)?;
            } else if let Some(item) = outbox.pop(Lane::Sync) {
                writer.queue(item.code, &item.payload, compression(item.lane))?;
            } else {
                break;
            }
        }
        Ok(())
    }

    /// Encodes and writes until nothing waits or the socket has no room. Whether nothing waits.
    fn write(&mut self, outbox: &Outbox, now: Instant) -> Result<bool, Error> {
        loop {
            self.fill(outbox)?;
            if self.writer.unwritten() == 0 {
                return Ok(true);
            }
            self.written = Some(now);
            if !self.writer.write_now()? {
                return Ok(false);
            }
        }
    }

    /// One batch of a session that rests, on behalf of its task. Whether nothing is left for that one to do.
    pub(crate) fn write_for(&mut self, outbox: &Outbox, now: Instant) -> bool {
        let rests = self.writer.unwritten() == 0
            && self.written.is_none_or(|written| now.saturating_duration_since(written) >= REST);
        if !rests {
            return false;
        }
        self.written = Some(now);
        // The task meets an error again, and says it.
        let written = self.fill(outbox).is_ok() && self.writer.write_now().is_ok_and(|all| all);
        written && !self.live.ready
    }

    /// Says what is queued and Disconnect, all within the close timeout.
    async fn finish(mut self: Box<Self>, outbox: &Outbox, reason: DisconnectReason) -> DisconnectReason {
        self.live.source = None;
        let patience = self.writer.patience();
        let rest = async {
            loop {
                self.writer.flush().await?;
                self.fill(outbox)?;
                if self.writer.unwritten() == 0 {
                    return Ok::<_, Error>(());
                }
            }
        };
        if timeout(patience, rest).await.is_ok_and(|rest| rest.is_ok()) {
            self.writer.disconnect(reason).await;
        } else {
            self.writer.shut_down();
        }
        reason
    }
}

/// The writing task: runs until the session is to close, and closes it, or until writing fails.
pub(crate) async fn run(writer: Writer, outbox: Arc<Outbox>) -> Result<DisconnectReason, Error> {
    let ping_every = writer.ping_every();
    let mut pen = Box::new(Pen { writer, live: Live::default(), written: None });
    let ping = sleep_until(tokio::time::Instant::now() + ping_every);
    tokio::pin!(ping);
    loop {
        if let Some(reason) = outbox.closing() {
            return Ok(pen.finish(&outbox, reason).await);
        }
        let now = tokio::time::Instant::now();
        if now >= ping.deadline() {
            ping.as_mut().reset(now + ping_every);
            pen.writer.queue(base::PING, base::EMPTY_LIST, Compression::Snappy)?;
        }
        if pen.write(&outbox, now.into_std())? {
            outbox.desk.lend(pen);
            tokio::select! {
                () = outbox.woken() => {}
                () = &mut ping => {}
            }
            pen = outbox.desk.take_back().await;
        } else {
            tokio::select! {
                room = pen.writer.room() => room?,
                _ = outbox.close_asked() => {}
            }
        }
    }
}

/// The live source as the writer sees it.
#[derive(Default)]
struct Live {
    source: Option<Source>,
    /// It was woken and has not said `None` since.
    ready: bool,
}

impl Live {
    fn next(&mut self, outbox: &Outbox) -> Option<(u64, Bytes)> {
        if outbox.take_live() {
            self.ready = true;
            if let Some(source) = outbox.take_source() {
                self.source = Some(source);
            }
        }
        if !self.ready {
            return None;
        }
        let source = self.source.as_mut();
        let packet =
            source.and_then(|s| s.source.next_packet(LIVE_PACKET).map(|(code, p)| (code + s.offset, p)));
        self.ready = packet.is_some();
        packet
    }
}

/// Envelopes are ciphertext and do not compress; the small talk of the control lane does.
fn compression(lane: Lane) -> Compression {
    if lane == Lane::Control { Compression::Snappy } else { Compression::Literal }
}

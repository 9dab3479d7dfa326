//! The writing half of a session, and the one task that writes: it takes from the lanes by priority, pulls gossip when
//! the socket has room, batches small messages into one write, pings, and says Disconnect last.
//! Facts: `spec/devp2p.md` §2.5, §2.7, §2.8.

use std::{sync::Arc, time::Duration};

use bytes::{Buf as _, BytesMut};
use rlpx::{Compression, DisconnectReason, FrameEncoder, base};
use tokio::{
    io::AsyncWriteExt as _,
    net::tcp::OwnedWriteHalf,
    time::{Instant, sleep_until, timeout, timeout_at},
};

use crate::{
    Error, Lane, Timeouts,
    outbox::{Outbox, Source},
};

/// Unwritten bytes from which on nothing more is encoded: with the kernel's share ([`UNSENT_IN_SOCKET`]) at most
/// 128 KB, beside one big message, are in front of an urgent one.
const BATCH: usize = 64 * 1024;
/// Unsent bytes that the kernel may hold, set as `TCP_NOTSENT_LOWAT`.
pub(crate) const UNSENT_IN_SOCKET: u32 = 64 * 1024;
/// Each so many bytes have the whole write timeout.
const TIMED_PIECE: usize = 128 * 1024;
/// Largest packet asked of a live source, bytes.
const LIVE_PACKET: usize = 128 * 1024;
/// A write buffer of an idle session that is bigger is given back, bytes.
const IDLE_BUFFER: usize = 2 * 1024;

/// Sends the messages of one session, with absolute codes. Nothing leaves before [`Self::flush`].
pub struct Writer {
    half: OwnedWriteHalf,
    /// Boxed as the reader's decoder is.
    encoder: Box<FrameEncoder>,
    out: BytesMut,
    write_timeout: Duration,
    close_timeout: Duration,
    ping_every: Duration,
}

impl Writer {
    pub(crate) fn new(half: OwnedWriteHalf, encoder: FrameEncoder, timeouts: &Timeouts) -> Self {
        Self {
            half,
            encoder: Box::new(encoder),
            out: BytesMut::new(),
            write_timeout: timeouts.write,
            close_timeout: timeouts.close,
            ping_every: timeouts.ping,
        }
    }

    pub(crate) fn encoder(&mut self) -> &mut FrameEncoder {
        &mut self.encoder
    }

    /// How long closing may take.
    pub(crate) fn patience(&self) -> Duration {
        self.close_timeout
    }

    /// Encodes a message behind those that wait.
    ///
    /// # Errors
    /// [`Error::TooBig`]; the session goes on.
    pub fn queue(&mut self, code: u64, payload: &[u8], compression: Compression) -> Result<(), Error> {
        self.encoder.encode(code, payload, compression, &mut self.out).map_err(Error::TooBig)
    }

    /// Writes everything that waits. May be dropped at any time and called again.
    ///
    /// # Errors
    /// [`Error::Timeout`] when 128 KB do not get away within the write timeout; [`Error::Io`].
    pub async fn flush(&mut self) -> Result<(), Error> {
        let mut deadline = Instant::now() + self.write_timeout;
        let mut piece = 0;
        while !self.out.is_empty() {
            let written = timeout_at(deadline, self.half.write(&self.out))
                .await
                .map_err(|_| Error::Timeout("writing"))?
                .map_err(Error::io("writing"))?;
            if written == 0 {
                return Err(Error::Eof("a write"));
            }
            self.out.advance(written);
            piece += written;
            if piece >= TIMED_PIECE {
                (deadline, piece) = (Instant::now() + self.write_timeout, 0);
            }
        }
        Ok(())
    }

    /// Writes what waits, then Disconnect, then closes this direction; gives up after the close timeout.
    pub(crate) async fn disconnect(&mut self, reason: DisconnectReason) {
        if self.queue(base::DISCONNECT, &reason.encode(), Compression::Snappy).is_ok() {
            // The peer may be gone already: nothing is left to be done about that.
            let _ = timeout(self.close_timeout, self.flush()).await;
        }
        let _ = self.half.shutdown().await;
    }

    /// Encodes until the batch is full or nothing waits.
    fn fill(&mut self, outbox: &Outbox, live: &mut Live) -> Result<(), Error> {
        let (pong, ping) = outbox.take_base();
        if pong {
            self.queue(base::PONG, base::EMPTY_LIST, Compression::Snappy)?;
        }
        if ping {
            self.queue(base::PING, base::EMPTY_LIST, Compression::Snappy)?;
        }
        while self.out.len() < BATCH {
            if let Some(item) = outbox.pop(Lane::Live) {
                self.queue(item.code, &item.payload, compression(item.lane))?;
            } else if let Some((code, payload)) = live.next(outbox) {
                self.queue(code, &payload, Compression::Literal)?;
            } else if let Some(item) = outbox.pop(Lane::Sync) {
                self.queue(item.code, &item.payload, compression(item.lane))?;
            } else {
                break;
            }
        }
        Ok(())
    }

    /// The writer task: runs until the session is to close, and closes it, or until writing fails.
    pub(crate) async fn run(mut self, outbox: Arc<Outbox>) -> Result<DisconnectReason, Error> {
        let mut live = Live::default();
        let mut next_ping = Instant::now() + self.ping_every;
        let ping = sleep_until(next_ping);
        tokio::pin!(ping);
        loop {
            if let Some(reason) = outbox.closing() {
                return Ok(self.finish(&outbox, &mut live, reason).await);
            }
            if ping.is_elapsed() || Instant::now() >= next_ping {
                next_ping = Instant::now() + self.ping_every;
                ping.as_mut().reset(next_ping);
                self.queue(base::PING, base::EMPTY_LIST, Compression::Snappy)?;
            }
            self.fill(&outbox, &mut live)?;
            if self.out.is_empty() {
                if self.out.capacity() > IDLE_BUFFER {
                    self.out = BytesMut::new();
                }
                tokio::select! {
                    () = outbox.woken() => {}
                    () = &mut ping => {}
                }
            } else {
                tokio::select! {
                    flushed = self.flush() => flushed?,
                    _ = outbox.close_asked() => {}
                }
            }
        }
    }

    /// Says what is queued and Disconnect, all within the close timeout.
    async fn finish(
        &mut self,
        outbox: &Outbox,
        live: &mut Live,
        reason: DisconnectReason,
    ) -> DisconnectReason {
        live.source = None;
        let patience = self.close_timeout;
        let rest = async {
            loop {
                self.flush().await?;
                self.fill(outbox, live)?;
                if self.out.is_empty() {
                    return Ok::<_, Error>(());
                }
            }
        };
        if timeout(patience, rest).await.is_ok_and(|rest| rest.is_ok()) {
            self.disconnect(reason).await;
        } else {
            let _ = self.half.shutdown().await;
        }
        reason
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
    fn next(&mut self, outbox: &Outbox) -> Option<(u64, bytes::Bytes)> {
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

//! The reading half of a session: socket bytes to whole messages, within deadlines and the inbound budget.
//! An idle session holds no read buffer. Facts: `spec/devp2p.md` §2.6, §2.7.

use std::{future::Future as _, future::poll_fn, pin::Pin, sync::Arc, task::Poll, time::Duration};

use bytes::{BufMut as _, BytesMut};
use rlpx::FrameDecoder;
use tokio::{
    io::AsyncReadExt as _,
    net::tcp::OwnedReadHalf,
    time::{Instant, Sleep, sleep, timeout, timeout_at},
};
use tokio_util::io::poll_read_buf;

use crate::{
    Error,
    budget::{self, Budget, Share},
    peer::Message,
    traffic::Traffic,
};

/// First read of a session that was idle, bytes; doubled while reads come full.
const SMALLEST_READ: usize = 4 * 1024;
/// Largest single read, bytes.
const LARGEST_READ: usize = 64 * 1024;

/// Receives the messages of one session, with absolute codes.
pub struct Reader {
    half: OwnedReadHalf,
    /// Ciphers and hashes: some kilobytes, which a future that moves the reader would have over and over.
    decoder: Box<FrameDecoder>,
    buffer: BytesMut,
    /// Size of the next read, bytes.
    piece: usize,
    /// What `buffer` has of the budget.
    share: Option<Share>,
    budget: Budget,
    traffic: Arc<Traffic>,
    read_timeout: Duration,
    timer: Pin<Box<Sleep>>,
}

impl Reader {
    pub(crate) fn new(
        half: OwnedReadHalf,
        decoder: FrameDecoder,
        buffer: BytesMut,
        read_timeout: Duration,
        budget: Budget,
        traffic: Arc<Traffic>,
    ) -> Self {
        let timer = Box::pin(sleep(read_timeout));
        Self {
            half,
            decoder: Box::new(decoder),
            buffer,
            piece: SMALLEST_READ,
            share: None,
            budget,
            traffic,
            read_timeout,
            timer,
        }
    }

    pub(crate) fn decoder(&mut self) -> &mut FrameDecoder {
        &mut self.decoder
    }

    /// The next message, base protocol included.
    ///
    /// # Errors
    /// [`Error::Timeout`] when it is not there as a whole within the read timeout, [`Error::Eof`], [`Error::Io`], and
    /// [`Error::Frame`], after which the session cannot go on.
    pub async fn read(&mut self) -> Result<Message, Error> {
        let mut deadline = None;
        loop {
            if let Some(size) = self.decoder.payload_size(&mut self.buffer)? {
                // A big payload is paid for before it is allocated, and stays on the budget until it is dropped.
                let wire = self.decoder.wire_size();
                let charge =
                    if size > budget::FREE { Box::pin(self.budget.message(size)).await } else { None };
                if let Some(message) = self.decoder.decode(&mut self.buffer)? {
                    if size > budget::FREE || self.share.as_ref().is_some_and(Share::is_turn) {
                        // What was read behind it is moved, so that the big buffer can go.
                        self.buffer = BytesMut::from(&self.buffer[..]);
                        self.share = None;
                    }
                    return Ok(Message::new(message.code, message.payload, wire, charge));
                }
            }
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + self.read_timeout);
            let (piece, unpaid) = self.pay_for_next_piece();
            if let Some(wanted) = unpaid {
                // Boxed: only who sends much comes here, everybody would have the room for it.
                Box::pin(self.wait_for(wanted, deadline)).await?;
            }
            self.fill(piece, deadline).await?;
        }
    }

    /// Pays for the next piece and makes room for it: its size, and what the buffer must be worth before it, bytes, when
    /// that is not there now. Only the rest of a big message waits for that.
    fn pay_for_next_piece(&mut self) -> (usize, Option<usize>) {
        let (needed, length) = (self.decoder.needed(), self.buffer.len());
        let missing = needed.saturating_sub(length);
        // A big message is read to its end and not beyond: what is behind it would not be paid for when it is gone.
        let (piece, most) = if needed > budget::FREE {
            (missing.min(LARGEST_READ), needed)
        } else {
            (self.piece.max(missing), needed + LARGEST_READ)
        };
        let size = length + piece;
        let paid = self.share.as_ref().map_or(budget::FREE, Share::bytes);
        if size <= paid {
            return (piece, None);
        }
        // Twice the size, as the buffer grows: a big message asks a few times only.
        let wanted = (size * 2).min(most).max(size);
        if self.budget.try_grow(&mut self.share, wanted) {
            // At once and no more than is paid for.
            self.buffer.reserve(wanted - length);
            (piece, None)
        } else if needed > budget::FREE {
            (piece, Some(wanted))
        } else {
            // Without reading ahead it needs no more than it has.
            (paid - length, None)
        }
    }

    /// Waits until the buffer can be worth `wanted` bytes, or can be read to the end of its message.
    async fn wait_for(&mut self, wanted: usize, deadline: Instant) -> Result<(), Error> {
        timeout_at(deadline, self.budget.grow(&mut self.share, wanted))
            .await
            .map_err(|_| Error::Timeout("waiting for buffer space"))?;
        self.buffer.reserve(wanted - self.buffer.len());
        Ok(())
    }

    /// One read of at most `piece` bytes. While there is nothing to read and nothing half read, the buffer is given back.
    async fn fill(&mut self, piece: usize, deadline: Instant) -> Result<(), Error> {
        let Self { half, buffer, piece: next, share, timer, .. } = self;
        let read = poll_fn(|cx| {
            buffer.reserve(piece);
            let polled = poll_read_buf(Pin::new(&mut *half), cx, &mut (&mut *buffer).limit(piece));
            if polled.is_pending() {
                if buffer.is_empty() {
                    *buffer = BytesMut::new();
                    *share = None;
                    *next = SMALLEST_READ;
                }
                // The timer is left where an earlier message put it until it fires: most messages never touch it.
                while timer.as_mut().poll(cx).is_ready() {
                    if Instant::now() >= deadline {
                        return Poll::Ready(Err(Error::Timeout("reading a message")));
                    }
                    timer.as_mut().reset(deadline);
                }
            }
            polled.map_err(Error::io("reading"))
        })
        .await?;
        if read == 0 {
            return Err(Error::Eof("the session"));
        }
        self.traffic.received(read);
        if read == piece && piece >= *next {
            *next = (*next * 2).min(LARGEST_READ);
        }
        Ok(())
    }

    /// Reads and forgets until the peer closes, for at most `patience`, so that closing does not reset the connection
    /// before the peer has read our last words.
    pub(crate) async fn drain(mut self, patience: Duration) {
        let all = async {
            let mut sink = BytesMut::with_capacity(SMALLEST_READ);
            while self.half.read_buf(&mut sink).await.is_ok_and(|n| n > 0) {
                sink.clear();
            }
        };
        // Running out of patience is as good as the peer's close.
        let _ = timeout(patience, all).await;
    }
}

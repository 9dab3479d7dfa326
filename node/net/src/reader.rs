//! The reading half of a session: socket bytes to whole messages, within deadlines and the inbound budget.
//! An idle session holds no read buffer. Facts: `spec/devp2p.md` §2.6, §2.7.

use std::{future::Future as _, future::poll_fn, pin::Pin, task::Poll, time::Duration};

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
    budget::{self, Budget, Charge},
    peer::Message,
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
    /// What `buffer` costs of the budget, with the bytes it pays for.
    charge: Option<(usize, Charge)>,
    budget: Budget,
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
    ) -> Self {
        let timer = Box::pin(sleep(read_timeout));
        Self {
            half,
            decoder: Box::new(decoder),
            buffer,
            piece: SMALLEST_READ,
            charge: None,
            budget,
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
                let charge =
                    if size > budget::FREE { Box::pin(self.budget.message(size)).await } else { None };
                if let Some(message) = self.decoder.decode(&mut self.buffer)? {
                    if size > budget::FREE {
                        // What was read behind it is moved, so that the big buffer can go.
                        self.buffer = BytesMut::from(&self.buffer[..]);
                        self.charge = None;
                    }
                    return Ok(Message::new(message.code, message.payload, charge));
                }
            }
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + self.read_timeout);
            if let Some(size) = self.unpaid() {
                // Boxed: only who sends much comes here, everybody would have the room for it.
                Box::pin(self.charge_for(size, deadline)).await?;
            }
            self.fill(deadline).await?;
        }
    }

    /// What the buffer will have with the next piece, bytes, when that is more than is paid for.
    fn unpaid(&self) -> Option<usize> {
        let missing = self.decoder.needed().saturating_sub(self.buffer.len());
        let size = self.buffer.len() + self.piece.max(missing.min(LARGEST_READ));
        let paid = self.charge.as_ref().map_or(budget::FREE, |(paid, _)| *paid);
        (size > paid).then_some(size)
    }

    /// Pays for a buffer of `size` bytes.
    async fn charge_for(&mut self, size: usize, deadline: Instant) -> Result<(), Error> {
        // Twice the size, as the buffer grows: a big message asks a few times only.
        let size = (size * 2).min(self.decoder.needed() + LARGEST_READ).max(size);
        self.charge = None;
        let charge = timeout_at(deadline, self.budget.buffer(size))
            .await
            .map_err(|_| Error::Timeout("waiting for buffer space"))?;
        self.charge = charge.map(|charge| (size, charge));
        Ok(())
    }

    /// One read. While there is nothing to read and nothing half read, the buffer is given back.
    async fn fill(&mut self, deadline: Instant) -> Result<(), Error> {
        let Self { half, buffer, piece, charge, timer, .. } = self;
        let read = poll_fn(|cx| {
            buffer.reserve(*piece);
            let polled = poll_read_buf(Pin::new(&mut *half), cx, &mut (&mut *buffer).limit(*piece));
            if polled.is_pending() {
                if buffer.is_empty() {
                    *buffer = BytesMut::new();
                    *charge = None;
                    *piece = SMALLEST_READ;
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
        if read == *piece {
            *piece = (*piece * 2).min(LARGEST_READ);
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

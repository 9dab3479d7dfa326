//! The writing half of a session: messages into frames, frames into the socket, Disconnect last.
//! Facts: `spec/devp2p.md` §2.5, §2.8.

use std::{io, net::Shutdown, sync::Arc, time::Duration};

use bytes::{Buf as _, BytesMut};
use rlpx::{Compression, DisconnectReason, FrameEncoder, base};
use tokio::{
    net::{TcpStream, tcp::OwnedWriteHalf},
    time::{Instant, timeout, timeout_at},
};

use crate::{
    Error, Timeouts,
    traffic::{Codes, Traffic},
};

/// Unsent bytes that the kernel may hold, set as `TCP_NOTSENT_LOWAT`.
pub(crate) const UNSENT_IN_SOCKET: u32 = 64 * 1024;
/// Each so many bytes have the whole write timeout.
const TIMED_PIECE: usize = 128 * 1024;
/// A write buffer of an idle session that is bigger is given back, bytes.
const IDLE_BUFFER: usize = 2 * 1024;

/// Sends the messages of one session, with absolute codes. Nothing leaves before [`Self::flush`].
pub struct Writer {
    half: OwnedWriteHalf,
    /// Boxed as the reader's decoder is.
    encoder: Box<FrameEncoder>,
    out: BytesMut,
    /// Until when the piece has to be away at whose writing the socket had no room.
    deadline: Option<Instant>,
    /// Bytes of that piece that are away.
    piece: usize,
    traffic: Arc<Traffic>,
    /// Where the codes of a sub-protocol begin, and their counts.
    counted: Vec<(u64, Arc<Codes>)>,
    write_timeout: Duration,
    close_timeout: Duration,
    ping_every: Duration,
}

impl Writer {
    pub(crate) fn new(
        half: OwnedWriteHalf,
        encoder: FrameEncoder,
        timeouts: &Timeouts,
        traffic: Arc<Traffic>,
    ) -> Self {
        Self {
            half,
            encoder: Box::new(encoder),
            out: BytesMut::new(),
            deadline: None,
            piece: 0,
            traffic,
            counted: Vec::new(),
            write_timeout: timeouts.write,
            close_timeout: timeouts.close,
            ping_every: timeouts.ping,
        }
    }

    pub(crate) fn encoder(&mut self) -> &mut FrameEncoder {
        &mut self.encoder
    }

    /// Has the messages of a sub-protocol counted whose codes begin at `offset`. Sub-protocols come in the order of codes.
    pub(crate) fn count(&mut self, offset: u64, codes: Arc<Codes>) {
        self.counted.push((offset, codes));
    }

    /// How long closing may take.
    pub(crate) fn patience(&self) -> Duration {
        self.close_timeout
    }

    /// Between pings.
    pub(crate) fn ping_every(&self) -> Duration {
        self.ping_every
    }

    /// Encodes a message behind those that wait.
    ///
    /// # Errors
    /// [`Error::TooBig`]; the session goes on.
    pub fn queue(&mut self, code: u64, payload: &[u8], compression: Compression) -> Result<(), Error> {
        let wire = self.encoder.encode(code, payload, compression, &mut self.out).map_err(Error::TooBig)?;
        if let Some((offset, codes)) = self.counted.iter().rfind(|(offset, _)| *offset <= code) {
            codes.sent(code - offset, wire);
        }
        Ok(())
    }

    /// Bytes that wait.
    pub(crate) fn unwritten(&self) -> usize {
        self.out.len()
    }

    /// Writes what the socket takes now. Whether that was everything.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn write_now(&mut self) -> Result<bool, Error> {
        while !self.out.is_empty() {
            match self.half.try_write(&self.out) {
                Ok(0) => return Err(Error::Eof("a write")),
                Ok(written) => {
                    self.traffic.sent(written);
                    self.out.advance(written);
                    self.piece += written;
                    if self.piece >= TIMED_PIECE {
                        (self.deadline, self.piece) = (None, 0);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("writing")(error)),
            }
        }
        (self.deadline, self.piece) = (None, 0);
        if self.out.capacity() > IDLE_BUFFER {
            self.out = BytesMut::new();
        }
        Ok(true)
    }

    /// Waits until the socket has room. May be dropped at any time and called again.
    ///
    /// # Errors
    /// [`Error::Timeout`] when 128 KB do not get away within the write timeout; [`Error::Io`].
    pub(crate) async fn room(&mut self) -> Result<(), Error> {
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + self.write_timeout);
        timeout_at(deadline, self.half.writable())
            .await
            .map_err(|_| Error::Timeout("writing"))?
            .map_err(Error::io("writing"))
    }

    /// Writes everything that waits. May be dropped at any time and called again.
    ///
    /// # Errors
    /// Those of a wait for room: [`Error::Timeout`] when 128 KB do not get away within the write timeout; [`Error::Io`].
    pub async fn flush(&mut self) -> Result<(), Error> {
        while !self.write_now()? {
            self.room().await?;
        }
        Ok(())
    }

    /// Writes what waits, then Disconnect, then closes this direction; gives up after the close timeout.
    pub(crate) async fn disconnect(&mut self, reason: DisconnectReason) {
        if self.queue(base::DISCONNECT, &reason.encode(), Compression::Snappy).is_ok() {
            // The peer may be gone already: nothing is left to be done about that.
            let _ = timeout(self.close_timeout, self.flush()).await;
        }
        self.shut_down();
    }

    /// Closes this direction, whatever is unwritten.
    pub(crate) fn shut_down(&self) {
        let stream: &TcpStream = self.half.as_ref();
        // Fails where the peer has closed already.
        let _ = socket2::SockRef::from(stream).shutdown(Shutdown::Write);
    }
}

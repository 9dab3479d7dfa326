//! A peer by hand: the handshake, Hello and status of a good one, then any bytes. Only what it is told to do makes it
//! hostile.

use std::{io::ErrorKind, time::Duration};

use bytes::BytesMut;
use enode::NodeKey;
use rlpx::{
    Capability, Compression, DisconnectReason, FrameDecoder, FrameEncoder, Hello, base,
    handshake::{self, Initiator},
    snappy,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, Interest},
    net::{TcpSocket, TcpStream},
    time::{MissedTickBehavior, interval},
};
use waku_wire::{ProtocolVersion, StatusOptions, codes};

use crate::{End, Target};

/// What an attacker goes on with, or the end of its socket.
pub(crate) type Life<T> = Result<T, End>;

/// Where waku's codes begin when it is the only sub-protocol.
const OFFSET: u64 = rlpx::BASE_PROTOCOL_LENGTH;
/// Receive buffer of a peer that reads little, bytes; the system doubles it.
const SMALL_BUFFER: u32 = 4096;

/// See the module's documentation.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    /// Never told of Snappy: blocks are made here, good ones and others.
    encoder: FrameEncoder,
    decoder: FrameDecoder,
    buffer: BytesMut,
    key: NodeKey,
}

/// Opens a socket, with a small receive buffer if asked.
pub(crate) async fn open(target: &Target, small: bool) -> Life<TcpStream> {
    let socket = if target.address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(failed)?;
    if small {
        socket.set_recv_buffer_size(SMALL_BUFFER).map_err(failed)?;
    }
    socket.connect(target.address).await.map_err(failed)
}

/// Reads whatever comes until the node closes.
pub(crate) async fn until_closed(stream: &mut TcpStream) -> End {
    let mut sink = [0; 1024];
    while stream.read(&mut sink).await.is_ok_and(|read| read > 0) {}
    End::Closed
}

/// An error of this side's.
pub(crate) fn failed<E>(_: E) -> End {
    End::Failed
}

impl Peer {
    /// TCP and the encryption handshake.
    pub(crate) async fn encrypted(target: &Target, small: bool) -> Life<Self> {
        let mut stream = open(target, small).await?;
        let key = NodeKey::generate();
        let initiator = Initiator::new(&key, &target.key).map_err(failed)?;
        stream.write_all(initiator.auth()).await.map_err(|_| End::Closed)?;
        let mut buffer = BytesMut::new();
        let ack = loop {
            match handshake::packet_length(&buffer).map_err(failed)? {
                Some(length) if buffer.len() >= length => break buffer.split_to(length),
                _ if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 => return Err(End::Closed),
                _ => {}
            }
        };
        let (encoder, decoder) = initiator.finish(&ack).map_err(failed)?.into_codec();
        Ok(Self { stream, encoder, decoder, buffer, key })
    }

    /// Up to and with Hello.
    pub(crate) async fn greeted(target: &Target, small: bool) -> Life<Self> {
        let mut peer = Self::encrypted(target, small).await?;
        let waku = [0, 1].map(|version| Capability { name: "waku".to_owned(), version }).to_vec();
        let hello = Hello::new("Hostile/v1/linux-amd64/rust".to_owned(), waku, &peer.key.public_key());
        let frame = peer.plain_frame(base::HELLO, &hello.encode())?;
        peer.write(&frame).await;
        peer.await_code(base::HELLO).await?;
        peer.decoder.enable_snappy();
        Ok(peer)
    }

    /// A peer that announced `status` and has the node's.
    pub(crate) async fn joined(target: &Target, status: &StatusOptions, small: bool) -> Life<Self> {
        let mut peer = Self::greeted(target, small).await?;
        let frame = peer.frame(codes::STATUS, &status.encode_status(ProtocolVersion::V1))?;
        peer.write(&frame).await;
        peer.await_code(OFFSET + codes::STATUS).await?;
        Ok(peer)
    }

    /// The bytes of a message of waku.
    pub(crate) fn frame(&mut self, code: u64, payload: &[u8]) -> Life<BytesMut> {
        let mut block = BytesMut::new();
        snappy::put_literal(&mut block, payload);
        self.frame_of_block(code, &block)
    }

    /// The bytes of a message of waku whose Snappy block is `block`, good or not.
    pub(crate) fn frame_of_block(&mut self, code: u64, block: &[u8]) -> Life<BytesMut> {
        self.plain_frame(OFFSET + code, block)
    }

    /// The bytes of a message as it stands, with its absolute code.
    pub(crate) fn plain_frame(&mut self, code: u64, payload: &[u8]) -> Life<BytesMut> {
        let mut out = BytesMut::new();
        self.encoder.encode(code, payload, Compression::Literal, &mut out).map_err(failed)?;
        Ok(out)
    }

    /// Writes. When the node has closed meanwhile, what is read next says how.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Writes what `next` makes, once each `period`, and reads what the node says, until the node ends it.
    pub(crate) async fn flood(
        mut self,
        period: Duration,
        mut next: impl FnMut(&mut Self) -> Life<BytesMut>,
    ) -> Life<End> {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let frame = next(&mut self)?;
            let mut left = &frame[..];
            while !left.is_empty() {
                let ready = self.stream.ready(Interest::READABLE | Interest::WRITABLE).await;
                let ready = ready.map_err(|_| End::Closed)?;
                if ready.is_readable()
                    && self.stream.try_read_buf(&mut self.buffer).is_ok_and(|read| read == 0)
                {
                    return Ok(self.end().await);
                }
                if let Some(reason) = self.told() {
                    return Ok(End::Told(reason));
                }
                if ready.is_writable() {
                    match self.stream.try_write(left) {
                        Ok(written) => left = &left[written..],
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        // What the node said last may still be there to read.
                        Err(_) => return Ok(self.end().await),
                    }
                }
            }
        }
    }

    /// The reason of a Disconnect among the messages that came whole; the others are dropped.
    fn told(&mut self) -> Option<DisconnectReason> {
        while let Ok(Some(message)) = self.decoder.decode(&mut self.buffer) {
            if message.code == base::DISCONNECT {
                return Some(DisconnectReason::decode(&message.payload));
            }
        }
        None
    }

    /// Reads until a message of `code`.
    async fn await_code(&mut self, code: u64) -> Life<()> {
        loop {
            while let Some(message) = self.decoder.decode(&mut self.buffer).map_err(failed)? {
                if message.code == base::DISCONNECT {
                    return Err(End::Told(DisconnectReason::decode(&message.payload)));
                }
                if message.code == code {
                    return Ok(());
                }
            }
            if self.stream.read_buf(&mut self.buffer).await.unwrap_or(0) == 0 {
                return Err(End::Closed);
            }
        }
    }

    /// Reads until the node says Disconnect or closes.
    pub(crate) async fn end(mut self) -> End {
        loop {
            if let Some(reason) = self.told() {
                return End::Told(reason);
            }
            if self.stream.read_buf(&mut self.buffer).await.unwrap_or(0) == 0 {
                return End::Closed;
            }
        }
    }
}

//! The encryption handshake on a socket, both roles, and what may be said before Hello.
//! Facts: `spec/devp2p.md` §2.2, §2.7, §2.8.

use std::{net::SocketAddr, sync::Arc};

use bytes::BytesMut;
use enode::{NodeKey, PublicKey};
use rlpx::{
    DisconnectReason, Secrets,
    handshake::{self, Initiator},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{Error, Timeouts, budget::Budget, ec, reader::Reader, traffic::Traffic, writer::Writer};

/// Read at once of a handshake packet; the packets of all known nodes are below 512 bytes.
const PIECE: usize = 512;

/// A connection whose keys are agreed and whose Hello is still to come.
pub(crate) struct Encrypted {
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
    /// The key that the peer used in the handshake.
    pub(crate) remote: PublicKey,
    pub(crate) local_addr: SocketAddr,
    pub(crate) remote_addr: SocketAddr,
}

/// Dials the handshake to the node whose key is `remote`.
pub(crate) async fn initiate(
    stream: TcpStream,
    key: &NodeKey,
    remote: PublicKey,
    timeouts: &Timeouts,
    budget: &Budget,
    traffic: &Arc<Traffic>,
) -> Result<Encrypted, Error> {
    let own = key.clone();
    let counted = Arc::clone(traffic);
    let exchange = async move {
        let mut stream = stream;
        let initiator = ec::run(move || Initiator::new(&own, &remote)).await??;
        stream.write_all(initiator.auth()).await.map_err(Error::io("sending the handshake"))?;
        counted.sent(initiator.auth().len());
        let mut buffer = BytesMut::new();
        let ack = read_packet(&mut stream, &mut buffer, &counted).await?;
        let secrets = ec::run(move || initiator.finish(&ack)).await??;
        Ok::<_, Error>((stream, secrets, buffer))
    };
    let (stream, secrets, buffer) =
        timeout(timeouts.handshake, exchange).await.map_err(|_| Error::Timeout("encryption handshake"))??;
    assemble(stream, secrets, buffer, remote, timeouts, budget, traffic)
}

/// Answers the handshake of whoever connected.
pub(crate) async fn accept(
    stream: TcpStream,
    key: &NodeKey,
    timeouts: &Timeouts,
    budget: &Budget,
    traffic: &Arc<Traffic>,
) -> Result<Encrypted, Error> {
    let own = key.clone();
    let counted = Arc::clone(traffic);
    let exchange = async move {
        let mut stream = stream;
        let mut buffer = BytesMut::new();
        let auth = read_packet(&mut stream, &mut buffer, &counted).await?;
        let accepted = ec::run(move || handshake::accept(&own, &auth)).await??;
        stream.write_all(&accepted.ack).await.map_err(Error::io("sending the handshake"))?;
        counted.sent(accepted.ack.len());
        Ok::<_, Error>((stream, accepted.secrets, buffer, accepted.remote))
    };
    let (stream, secrets, buffer, remote) =
        timeout(timeouts.handshake, exchange).await.map_err(|_| Error::Timeout("encryption handshake"))??;
    assemble(stream, secrets, buffer, remote, timeouts, budget, traffic)
}

/// One whole packet; bytes behind it stay in `buffer`, they belong to the first frame.
async fn read_packet(
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
    traffic: &Traffic,
) -> Result<BytesMut, Error> {
    loop {
        let length = handshake::packet_length(buffer)?;
        if let Some(length) = length.filter(|length| buffer.len() >= *length) {
            return Ok(buffer.split_to(length));
        }
        buffer.reserve(PIECE);
        let read = stream.read_buf(buffer).await.map_err(Error::io("reading the handshake"))?;
        if read == 0 {
            return Err(Error::Eof("the encryption handshake"));
        }
        traffic.received(read);
    }
}

fn assemble(
    stream: TcpStream,
    secrets: Secrets,
    buffer: BytesMut,
    remote: PublicKey,
    timeouts: &Timeouts,
    budget: &Budget,
    traffic: &Arc<Traffic>,
) -> Result<Encrypted, Error> {
    let local_addr = stream.local_addr().map_err(Error::io("reading the local address"))?;
    let remote_addr = stream.peer_addr().map_err(Error::io("reading the remote address"))?;
    let canonical = |addr: SocketAddr| SocketAddr::new(addr.ip().to_canonical(), addr.port());
    let (read_half, write_half) = stream.into_split();
    let (encoder, decoder) = secrets.into_codec();
    // What was read behind the packet is moved, so that the handshake's buffer can go.
    let buffer = BytesMut::from(&buffer[..]);
    Ok(Encrypted {
        reader: Reader::new(read_half, decoder, buffer, timeouts.read, budget.clone(), Arc::clone(traffic)),
        writer: Writer::new(write_half, encoder, timeouts, Arc::clone(traffic)),
        remote,
        local_addr: canonical(local_addr),
        remote_addr: canonical(remote_addr),
    })
}

impl Encrypted {
    /// Says Disconnect in place of Hello, uncompressed, and closes.
    pub(crate) async fn refuse(mut self, reason: DisconnectReason) -> Error {
        self.writer.disconnect(reason).await;
        let patience = self.writer.patience();
        self.reader.drain(patience).await;
        Error::Closed(reason)
    }
}

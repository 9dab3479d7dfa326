//! One established session: dialing, Hello of both roles, what was agreed. Used by servers and clients alike.
//! Facts: `spec/devp2p.md` §2.5, §2.8, §2.9.

use std::{net::SocketAddr, sync::Arc};

use enode::{Endpoint, Enode, NodeKey, PublicKey};
use futures::stream::FuturesUnordered;
use rlpx::{Compression, DisconnectReason, Hello, Shared, base, base::HelloError, negotiate};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};

use tokio_util::sync::CancellationToken;

use crate::{
    Error, LocalHello, Timeouts,
    budget::Budget,
    error::TCP_CONNECT,
    handshake::{self, Encrypted},
    outbox::Outbox,
    peer::{Peer, PeerInfo, PeerSender},
    reader::Reader,
    session::{self, Route},
    traffic::Traffic,
    writer::{UNSENT_IN_SOCKET, Writer},
};

/// Bytes of buffers, and of messages, of a connection that has no server's budget: room for two of the largest.
const OWN_BUDGET: usize = 32 << 20;

/// A session after both Hellos.
pub struct Connection {
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
    remote: PublicKey,
    hello: Hello,
    shared: Vec<Shared>,
    enode: Enode,
    local_addr: SocketAddr,
    remote_addr: SocketAddr,
    inbound: bool,
}

impl Connection {
    /// Connects to `enode` and exchanges Hello.
    ///
    /// # Errors
    /// [`Error::NoAddress`], [`Error::Io`] and [`Error::Timeout`] while connecting; [`Error::Handshake`];
    /// [`Error::Disconnected`] when the node refuses; [`Error::Closed`] when this side refuses: no capability in common,
    /// another identity than the one that was dialed.
    pub async fn dial(
        enode: &Enode,
        key: &NodeKey,
        hello: &LocalHello,
        timeouts: &Timeouts,
    ) -> Result<Self, Error> {
        let budget = Budget::new(OWN_BUDGET, OWN_BUDGET, rlpx::largest_frame(hello.max_message_size));
        let encrypted = dial_encrypted(enode, key, timeouts, &budget, &Arc::default()).await?;
        Self::exchange_hello(encrypted, *enode, false, key, hello, timeouts).await
    }

    /// Both Hellos and the checks on the peer's, with the Disconnects that they ask for (`spec/devp2p.md` §2.8).
    pub(crate) async fn exchange_hello(
        encrypted: Encrypted,
        enode: Enode,
        inbound: bool,
        key: &NodeKey,
        local: &LocalHello,
        timeouts: &Timeouts,
    ) -> Result<Self, Error> {
        let Encrypted { mut reader, mut writer, remote, local_addr, remote_addr } = encrypted;
        let deadline = Instant::now() + timeouts.hello;
        let exchange = async {
            writer.queue(base::HELLO, &local.to_hello(key).encode(), Compression::Snappy)?;
            writer.flush().await?;
            reader.decoder().limit_payload(base::MAX_HELLO);
            read_hello(&mut reader).await
        };
        let hello = match timeout_at(deadline, exchange).await.unwrap_or(Err(Error::Timeout("Hello"))) {
            Ok(hello) => hello,
            // Answers before Snappy is on: both are uncompressed.
            Err(Error::Hello(HelloError::Identity)) => {
                return Err(close(reader, writer, DisconnectReason::InvalidIdentity).await);
            }
            Err(Error::Disconnected(reason)) => {
                if reason != DisconnectReason::NetworkError {
                    writer.disconnect(reason).await;
                }
                return Err(Error::Disconnected(reason));
            }
            Err(error) => return Err(error),
        };
        if hello.wants_snappy() {
            reader.decoder().enable_snappy();
            writer.encoder().enable_snappy();
        }
        reader.decoder().limit_payload(local.max_message_size);
        if &hello.public_key != remote.as_bytes() {
            return Err(close(reader, writer, DisconnectReason::UnexpectedIdentity).await);
        }
        let shared = negotiate(&local.offers, &hello.capabilities);
        if shared.is_empty() && !local.offers.is_empty() {
            return Err(close(reader, writer, DisconnectReason::UselessPeer).await);
        }
        Ok(Self { reader, writer, remote, hello, shared, enode, local_addr, remote_addr, inbound })
    }

    /// Says Disconnect and closes.
    pub async fn close(self, reason: DisconnectReason) -> Error {
        close(self.reader, self.writer, reason).await
    }

    /// The peer's Hello.
    #[must_use]
    pub fn remote_hello(&self) -> &Hello {
        &self.hello
    }

    /// The peer's key, authenticated by the handshake.
    #[must_use]
    pub fn remote_key(&self) -> PublicKey {
        self.remote
    }

    /// The capabilities in common with their code offsets, in the order of names.
    #[must_use]
    pub fn shared(&self) -> &[Shared] {
        &self.shared
    }

    /// This side's address.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The peer's address.
    #[must_use]
    pub fn remote_addr(&self) -> SocketAddr {
        self.remote_addr
    }

    /// The two halves, with absolute message codes and without any help: the caller answers pings and disconnects.
    #[must_use]
    pub fn split(self) -> (Reader, Writer) {
        (self.reader, self.writer)
    }

    /// Starts the session for the capability called `name` and gives its peer, as a server's protocol gets it. The
    /// session ends with Disconnect 8 when the [`Peer`] is dropped. `None` when that capability is not in common.
    #[must_use]
    pub fn open(self, name: &str) -> Option<Peer> {
        let shared = self.shared.iter().find(|s| s.capability.name == name)?.clone();
        let info = Arc::new(self.info(false, false));
        let outbox = Arc::new(Outbox::default());
        // Nobody asks for the counts of a client.
        let codes = Traffic::default().codes(&shared.capability, 0);
        let (route, receiver) = Route::new(&shared, codes);
        let sender = PeerSender::new(Arc::clone(&outbox), &shared);
        let dropped = CancellationToken::new();
        let ended = Arc::new(session::Ended::default());
        let peer = Peer::new(info, shared.capability, receiver, sender, Arc::clone(&ended))
            .ending_with(dropped.clone());
        tokio::spawn(Box::pin(async move {
            let dropped: session::Work = Box::pin(async move {
                dropped.cancelled().await;
                Ok(())
            });
            let mut works = FuturesUnordered::from_iter([dropped]);
            let end = session::run(self.reader, self.writer, outbox, vec![route], &mut works, &ended).await;
            tracing::debug!(%end, "session ended");
        }));
        Some(peer)
    }

    pub(crate) fn info(&self, is_static: bool, trusted: bool) -> PeerInfo {
        PeerInfo::new(
            self.remote,
            &self.hello,
            self.shared.iter().map(|s| s.capability.clone()).collect(),
            self.enode,
            (self.local_addr, self.remote_addr),
            (self.inbound, is_static, trusted),
        )
    }
}

/// TCP and the encryption handshake.
pub(crate) async fn dial_encrypted(
    enode: &Enode,
    key: &NodeKey,
    timeouts: &Timeouts,
    budget: &Budget,
    traffic: &Arc<Traffic>,
) -> Result<Encrypted, Error> {
    let endpoint = enode.endpoint.filter(|endpoint| endpoint.tcp != 0).ok_or(Error::NoAddress)?;
    let stream = timeout(timeouts.dial, TcpStream::connect((endpoint.ip, endpoint.tcp)))
        .await
        .map_err(|_| Error::Timeout(TCP_CONNECT))?
        .map_err(Error::io(TCP_CONNECT))?;
    tune(&stream);
    handshake::initiate(stream, key, enode.public_key, timeouts, budget, traffic).await
}

/// Socket options; a kernel that knows one of them not only works less well.
pub(crate) fn tune(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    let done = stream.set_nodelay(true).and_then(|()| socket.set_tcp_notsent_lowat(UNSENT_IN_SOCKET));
    if let Err(error) = done {
        tracing::debug!(%error, "socket option refused");
    }
}

/// The enode of an inbound peer: where it connects from, as the reference shows it.
pub(crate) fn inbound_enode(remote: PublicKey, addr: SocketAddr) -> Enode {
    Enode { public_key: remote, endpoint: Some(Endpoint::new(addr.ip(), addr.port(), addr.port())) }
}

/// The first message, which must be a Hello; a Disconnect in its place is understood.
async fn read_hello(reader: &mut Reader) -> Result<Hello, Error> {
    let message = reader.read().await?;
    match message.code {
        base::HELLO => Ok(Hello::decode(&message.payload)?),
        base::DISCONNECT => Err(Error::Disconnected(DisconnectReason::decode(&message.payload))),
        other => Err(Error::FirstMessage(other)),
    }
}

async fn close(reader: Reader, mut writer: Writer, reason: DisconnectReason) -> Error {
    let patience = writer.patience();
    writer.disconnect(reason).await;
    reader.drain(patience).await;
    Error::Closed(reason)
}

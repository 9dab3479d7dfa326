//! A server with a small test protocol, and a peer made of nothing but [`rlpx`] that can misbehave.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use devp2p::{
    Capability, Config, DisconnectReason, Handle, Hello, Lane, LocalHello, Manager, Offer, Peer, PeerEvent,
    Protocol, ProtocolError, Timeouts,
};
use enode::{Endpoint, Enode, NodeKey, PublicKey};
use futures::future::BoxFuture;
use rlpx::{Compression, FrameDecoder, FrameEncoder, base, handshake};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::{broadcast, mpsc},
    time::timeout,
};

/// Where waku's codes begin when it is the only sub-protocol.
pub(crate) const OFFSET: u64 = 16;
/// What no test should have to wait for.
pub(crate) const LONG: Duration = Duration::from_secs(10);

/// Hands every peer to the test.
pub(crate) struct Capture {
    capabilities: Vec<Capability>,
    peers: mpsc::UnboundedSender<Peer>,
}

impl Protocol for Capture {
    fn capabilities(&self) -> &[Capability] {
        &self.capabilities
    }

    fn run(&self, peer: Peer) -> BoxFuture<'static, Result<(), ProtocolError>> {
        let _ = self.peers.send(peer);
        Box::pin(std::future::pending())
    }
}

/// Answers: code 1 echoes, 2 fails with Disconnect 0x10, 3 with 2, 4 ends without error.
pub(crate) struct Echo(Vec<Capability>);

impl Echo {
    pub(crate) fn shared() -> Arc<dyn Protocol> {
        Arc::new(Self(waku()))
    }
}

impl Protocol for Echo {
    fn capabilities(&self) -> &[Capability] {
        &self.0
    }

    fn run(&self, mut peer: Peer) -> BoxFuture<'static, Result<(), ProtocolError>> {
        Box::pin(async move {
            let sender = peer.sender();
            while let Some(message) = peer.recv().await {
                match message.code {
                    1 => {
                        let sent = sender.send(Lane::Control, 1, message.payload).await;
                        sent.map_err(|e| ProtocolError::subprotocol(e.to_string()))?;
                    }
                    2 => return Err(ProtocolError::subprotocol("asked to fail")),
                    3 => return Err(ProtocolError::breach("asked to see a breach")),
                    4 => return Ok(()),
                    _ => {}
                }
            }
            Ok(())
        })
    }
}

pub(crate) fn waku() -> Vec<Capability> {
    vec![Capability::new("waku", 0), Capability::new("waku", 1)]
}

pub(crate) fn local_hello() -> LocalHello {
    let offers = waku().into_iter().map(|capability| Offer { capability, length: 128 }).collect();
    LocalHello { name: "Test/v1/linux-amd64/rust".into(), offers, max_message_size: 1 << 20 }
}

pub(crate) fn config() -> Config {
    let mut config = Config::new(NodeKey::generate(), "Statusd/v0.84.0/linux-amd64/rust1.95".into());
    config.listen = Some("127.0.0.1:0".parse().unwrap());
    config
}

/// A running server and who it is.
pub(crate) struct Server {
    pub(crate) handle: Handle,
    pub(crate) key: NodeKey,
    pub(crate) addr: SocketAddr,
}

impl Server {
    pub(crate) fn start(config: Config) -> Self {
        Self::with(config, vec![Echo::shared()])
    }

    /// A server whose peers the test gets.
    pub(crate) fn capturing(config: Config) -> (Self, mpsc::UnboundedReceiver<Peer>) {
        let (peers, receiver) = mpsc::unbounded_channel();
        let capture = Capture { capabilities: waku(), peers };
        (Self::with(config, vec![Arc::new(capture)]), receiver)
    }

    pub(crate) fn with(config: Config, protocols: Vec<Arc<dyn Protocol>>) -> Self {
        let key = config.key.clone();
        let handle = Manager::start(config, protocols).unwrap();
        let addr = handle.local_addr().unwrap();
        Self { handle, key, addr }
    }

    pub(crate) fn enode(&self) -> Enode {
        let endpoint = Endpoint::new(self.addr.ip(), self.addr.port(), self.addr.port());
        Enode { public_key: self.key.public_key(), endpoint: Some(endpoint) }
    }

    pub(crate) async fn dial(&self, key: &NodeKey) -> Result<devp2p::Connection, devp2p::Error> {
        devp2p::Connection::dial(&self.enode(), key, &local_hello(), &Timeouts::default()).await
    }

    /// A raw peer after its Hello was accepted.
    pub(crate) async fn raw(&self, key: &NodeKey) -> Raw {
        let mut raw = Raw::connect(self.addr, key, self.key.public_key()).await;
        raw.hello(key).await;
        raw
    }
}

/// A peer by hand: every frame as the test wants it.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    pub(crate) encoder: FrameEncoder,
    pub(crate) decoder: FrameDecoder,
    buffer: BytesMut,
}

impl Raw {
    /// TCP and the encryption handshake.
    pub(crate) async fn connect(addr: SocketAddr, key: &NodeKey, remote: PublicKey) -> Self {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        let initiator = handshake::Initiator::new(key, &remote).unwrap();
        stream.write_all(initiator.auth()).await.unwrap();
        let mut buffer = BytesMut::new();
        let ack = loop {
            match handshake::packet_length(&buffer).unwrap() {
                Some(length) if buffer.len() >= length => break buffer.split_to(length),
                _ => assert!(stream.read_buf(&mut buffer).await.unwrap() > 0, "closed in the handshake"),
            }
        };
        let (encoder, decoder) = initiator.finish(&ack).unwrap().into_codec();
        Self { stream, encoder, decoder, buffer }
    }

    /// Exchanges Hello and switches Snappy on.
    pub(crate) async fn hello(&mut self, key: &NodeKey) -> Hello {
        self.say_hello(&Hello::new("Raw/v1/linux-amd64/rust".into(), waku(), &key.public_key())).await
    }

    pub(crate) async fn say_hello(&mut self, hello: &Hello) -> Hello {
        self.send(base::HELLO, &hello.encode()).await;
        let (code, payload) = self.recv().await.expect("a Hello");
        assert_eq!(code, base::HELLO, "{payload:?}");
        let theirs = Hello::decode(&payload).unwrap();
        self.decoder.enable_snappy();
        self.encoder.enable_snappy();
        theirs
    }

    pub(crate) fn frame(&mut self, code: u64, payload: &[u8]) -> BytesMut {
        let mut out = BytesMut::new();
        self.encoder.encode(code, payload, Compression::Snappy, &mut out).unwrap();
        out
    }

    pub(crate) async fn send(&mut self, code: u64, payload: &[u8]) {
        let frame = self.frame(code, payload);
        self.stream.write_all(&frame).await.unwrap();
    }

    /// The next message; `None` when the server closed. Pings are left out.
    pub(crate) async fn recv(&mut self) -> Option<(u64, Bytes)> {
        loop {
            if let Some(message) = self.decoder.decode(&mut self.buffer).expect("a good frame") {
                if message.code != base::PING {
                    return Some((message.code, message.payload));
                }
                continue;
            }
            let read =
                timeout(LONG, self.stream.read_buf(&mut self.buffer)).await.expect("an answer in time");
            // A reset is an end like another.
            if read.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// The Disconnect that comes next, and then the end.
    pub(crate) async fn disconnect(&mut self) -> DisconnectReason {
        let (code, payload) = self.recv().await.expect("a Disconnect");
        assert_eq!(code, base::DISCONNECT, "{payload:x?}");
        // As a peer does that has nothing more to say.
        let _ = self.stream.shutdown().await;
        assert_eq!(self.recv().await, None);
        assert_eq!(payload[0], 0xc1, "a list of one element: {payload:?}");
        DisconnectReason::decode(&payload)
    }
}

/// Waits for an event that `wanted` accepts.
pub(crate) async fn event<T>(
    events: &mut broadcast::Receiver<PeerEvent>,
    wanted: impl Fn(PeerEvent) -> Option<T>,
) -> T {
    let found = async {
        loop {
            if let Some(found) = wanted(events.recv().await.expect("events go on")) {
                return found;
            }
        }
    };
    timeout(LONG, found).await.expect("the event in time")
}

pub(crate) fn added(event: PeerEvent) -> Option<Arc<devp2p::PeerInfo>> {
    match event {
        PeerEvent::Added(info) => Some(info),
        PeerEvent::Dropped(_) => None,
    }
}

pub(crate) fn dropped(event: PeerEvent) -> Option<Arc<devp2p::Dropped>> {
    match event {
        PeerEvent::Added(_) => None,
        PeerEvent::Dropped(dropped) => Some(dropped),
    }
}

/// Bytes that do not compress.
pub(crate) fn random_bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rand::RngCore::fill_bytes(&mut rand::rng(), &mut bytes);
    bytes
}

/// How long `work` took.
pub(crate) async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    let done = work.await;
    (done, start.elapsed())
}

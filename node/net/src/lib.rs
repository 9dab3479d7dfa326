//! devp2p over TCP: sessions, limits, dialing; the [`Protocol`] trait that sub-protocols implement.
//!
//! Owns the sockets and the clock around the pure [`rlpx`] crate: handshake and Hello of both roles, the base protocol
//! (ping, disconnect, deadlines), one writer a session with priorities, the peer set with its limits, inbound throttling
//! and static dialing. Must never look into a sub-protocol's payload, hold a lock across I/O, or let a peer decide how
//! much is allocated. Facts: `spec/devp2p.md` §2, §3.
//!
//! - A server is [`Manager::start`] with a [`Config`] and the protocols; the [`Handle`] is what the rest of a node holds.
//! - A client is [`Connection::dial`], then [`Connection::open`] for the same [`Peer`] that a server's protocol gets.
//! - A [`Peer`] receives; its [`PeerSender`] sends by [`Lane`]; a [`LiveSource`] is pulled by the writer when the socket
//!   can take more, so that a slow peer costs no queue.

mod budget;
mod config;
mod connection;
mod counters;
mod descriptors;
mod desk;
mod ec;
mod error;
mod handshake;
mod outbox;
mod peer;
mod pen;
mod reader;
mod resolve;
mod server;
mod session;
mod traffic;
mod writer;

pub use config::{Config, LocalHello, Timeouts};
pub use connection::Connection;
pub use counters::{Cause, Direction, Totals};
pub use descriptors::raise_descriptor_limit;
pub use error::{Error, ErrorClass};
pub use outbox::{Lane, LiveSource, LiveWaker, SendError};
pub use peer::{Message, Peer, PeerInfo, PeerSender, Protocol, ProtocolError};
pub use reader::Reader;
pub use resolve::resolve;
pub use rlpx::{Capability, DisconnectReason, Hello, Offer, Shared};
pub use server::{Dropped, Handle, Manager, PeerEvent, StartError};
pub use traffic::{CodeTotals, TrafficTotals};
pub use writer::Writer;

//! Legacy topic discovery v5: finds nodes by topic over UDP and lets them be found.
//!
//! [`Core`] is the whole protocol without a socket, a clock or a source of randomness but its seed: datagrams and the
//! time go in, datagrams and [`Event`]s come out. [`Manager`] drives it over a UDP socket; what the rest of a node holds
//! is its [`Handle`]. Must never dial a node that it found, keep anything on disk, or let a packet decide how much is
//! allocated. Facts: `spec/devp2p.md` §4 (peer pool), §6 (protocol), §11.9 (vectors).
//!
//! In the order that a datagram takes: rates (`driver`), form and signature (`packet`), endpoint proof (`core`, `proof`,
//! `nodes`), then table and lookups (`table`, `lookup`) or topics (`topics`).
//!
//! # What it holds at most
//!
//! | what | how many | memory |
//! |---|---|---|
//! | remembered nodes, proven or being proven | 2048 | 1.2 MB |
//! | ids in the table | 257 × 32, in practice some 40 buckets | 0.3 MB |
//! | pings, finds outstanding | one each a node; 8 more finds queued | in the nodes |
//! | lookups | 16, of 32 candidates, that ask 64 nodes at most | 0.8 MB |
//! | topic queries outstanding | 256 | 40 KB |
//! | datagrams to verify, to send | 256, 1024 | 0.5 MB, 1.3 MB |
//! | sources with a rate | 8192 | 0.7 MB |
//! | entries of topics, topics, senders of used tickets | 10 000 each | 1.6, 2.5, 1.8 MB |
//! | own topics registered, searched | 12 each, of 512 buckets | 0.6 MB |
//! | tickets held; nodes pinged, asked lately | 1024; 4096, 4096 | 1.5 MB; 0.9, 1.3 MB |
//! | events, in the core and in the channel | 1024 each | 0.5 MB |
//!
//! Deadlines are not taken back: there are never more than what the rates let in within five seconds.

mod address;
mod core;
mod driver;
mod lookup;
mod node;
mod nodes;
mod packet;
pub mod pool;
mod proof;
mod stats;
mod table;
mod timers;
mod topics;

pub use core::{Core, CoreConfig, Event, Transmit};

pub use driver::{Config, Handle, Manager, Rate, Rates, StartError};
pub use node::{MAX_TOPIC_LEN, Node, Topic, TopicError};
pub use packet::{Kind, MAX_PACKET, PacketError};
pub use stats::{ByKind, Stats};
pub use topics::TooManyTopics;

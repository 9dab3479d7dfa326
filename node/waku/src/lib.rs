//! The life of a Waku session, `waku/0` and `waku/1`, as a [`devp2p::Protocol`].
//!
//! Owns the status handshake, the dispatch of packets, confirmations, and the way of gossip from a packet through the
//! relay core to the writers of interested peers. Must never hold the relay's lock across an await, decide what a history
//! request gets (the `mailserver` crate does), or touch a socket (`devp2p` does).
//! Facts: `spec/waku-mailserver.md` §2.7, §4, §6.1; why this is a crate: `docs/decisions/0002-waku-session-crate.md`.
//!
//! ```text
//! Peer::recv ─► session ─► gossip: decode, hash, admission (no lock) ─► RelayCore (short lock) ─► wake-ups
//!                 │                                                        │
//!                 │                                         archive::Writer ─► ack ─► confirmation (12, 11)
//!                 └─► code 126 ─► mailserver (own task) ─► history lane
//! the session's writer ─► LiveSource ─► RelayCore::drain ─► one packet, shared by all who get the same
//! ```

mod config;
mod confirm;
mod gossip;
mod history;
mod local;
mod metrics;
mod post;
mod rate;
mod session;
mod shared;
mod skew;
mod source;
mod throttle;

use std::{
    fmt,
    hash::RandomState,
    sync::Arc,
    time::{Duration, Instant},
};

use archive::Writer;
use devp2p::{Capability, Peer, Protocol, ProtocolError};
use futures::future::BoxFuture;
use mailserver::Mailserver;
use tokio::{sync::Semaphore, time::MissedTickBehavior};
use waku_wire::{Bloom, WireEnvelope, codes, messages};

pub use config::{Clock, Config};
pub use local::SettingError;
pub use metrics::Metrics;
pub use post::PostError;
pub use rate::{Limits, Rates};
pub use relay::Stats;

use local::Local;
use rate::Limiter;
use shared::SharedRelay;
use skew::Warnings;

/// Between two looks at what has expired (`spec/waku-mailserver.md` §2.8).
const EXPIRY_TICK: Duration = Duration::from_secs(1);

/// The Waku role of a node: a protocol for [`devp2p::Manager`]; [`Waku::expire`] runs beside it.
pub struct Waku {
    node: Arc<Node>,
}

/// What all sessions share.
pub(crate) struct Node {
    pub(crate) config: Config,
    capabilities: [Capability; 2],
    pub(crate) local: Local,
    pub(crate) relay: Arc<SharedRelay>,
    pub(crate) archive: Option<Writer>,
    pub(crate) mailserver: Option<Arc<Mailserver>>,
    /// See [`confirm::MAX_WAITING_BYTES_OF_ALL`].
    pub(crate) confirmation_room: Arc<Semaphore>,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) metrics: Metrics,
    pub(crate) clock_warnings: Warnings,
    /// The per-process key of address prefixes.
    pub(crate) sources: RandomState,
}

impl Waku {
    /// A relay with an empty pool. With `archive`, every envelope that is relayed is also submitted there, and confirmed
    /// only once it is durable; with `mailserver`, history requests are served and everything is taken in.
    #[must_use]
    pub fn new(
        config: Config,
        archive: Option<Writer>,
        mailserver: Option<Arc<Mailserver>>,
        metrics: Metrics,
    ) -> Arc<Self> {
        let relay =
            relay::Config { max_packet: messages::largest_packet(config.max_message_size), ..config.relay };
        let node = Node {
            capabilities: [0, 1].map(|version| Capability { name: "waku".to_owned(), version }),
            local: Local::new(
                config.admission(mailserver.is_some()),
                config.takes_everything(mailserver.is_some()),
            ),
            relay: Arc::new(SharedRelay::new(relay, config.clock.clone())),
            archive,
            mailserver,
            confirmation_room: Arc::new(Semaphore::new(confirm::MAX_WAITING_BYTES_OF_ALL)),
            limiter: Limiter::new(config.limits.clone()),
            metrics,
            clock_warnings: Warnings::default(),
            sources: RandomState::new(),
            config,
        };
        Arc::new(Self { node: Arc::new(node) })
    }

    /// Drops expired envelopes every second, for ever: the node spawns it once.
    pub async fn expire(self: Arc<Self>) {
        let mut tick = tokio::time::interval(EXPIRY_TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.node.metrics.count_cached("clear", self.node.relay.expire());
        }
    }

    /// Counts of the pool, for health and RPC.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.node.relay.stats()
    }

    /// Least proof of work of gossip envelopes.
    #[must_use]
    pub fn min_pow(&self) -> f64 {
        self.node.local.min_pow()
    }

    /// Asks for this much proof of work from now on, and tells all peers. What was enough before still is for 10 s
    /// (`spec/waku-mailserver.md` §2.9). Lost on restart.
    ///
    /// # Errors
    /// [`SettingError::Pow`].
    pub fn set_min_pow(&self, min_pow: f64) -> Result<(), SettingError> {
        self.node.local.set_min_pow(Instant::now(), min_pow)
    }

    /// Takes in the topics of this filter from now on, and tells all peers. What was taken in before still is for 10 s
    /// (`spec/waku-mailserver.md` §2.9). Lost on restart.
    ///
    /// # Errors
    /// [`SettingError::TakesEverything`].
    pub fn set_bloom(&self, bloom: Bloom) -> Result<(), SettingError> {
        self.node.local.set_bloom(Instant::now(), bloom)
    }

    /// Limits what peers send from now on, those that are connected too; `None` is no limit. Announced to peers that
    /// connect after it (`spec/waku-mailserver.md` §4.13).
    pub fn set_limits(&self, limits: Option<Limits>) {
        self.node.limiter.set(limits);
    }

    /// Relays an envelope of this node, whatever it is interested in itself; with an archive, returns when it is durable.
    /// Posting the same one again is no error.
    ///
    /// # Errors
    /// [`PostError`].
    pub async fn post(&self, envelope: WireEnvelope) -> Result<(), PostError> {
        self.node.post(envelope).await
    }

    /// Largest packet and envelope, in bytes.
    #[must_use]
    pub fn max_message_size(&self) -> usize {
        self.node.config.max_message_size
    }
}

impl Protocol for Waku {
    fn capabilities(&self) -> &[Capability] {
        &self.node.capabilities
    }

    fn length(&self) -> u64 {
        codes::RESERVED
    }

    fn run(&self, peer: Peer) -> BoxFuture<'static, Result<(), ProtocolError>> {
        Box::pin(session::run(Arc::clone(&self.node), peer))
    }
}

impl fmt::Debug for Waku {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waku").field("config", &self.node.config).finish_non_exhaustive()
    }
}

//! The life of a Waku session, `waku/0` and `waku/1`, as a [`devp2p::Protocol`].
//!
//! Owns the status handshake, the dispatch of packets, confirmations, the settings that change while the node runs, local
//! filters, and the way of gossip from a packet through the relay core to the writers of interested peers. Must never hold
//! the relay's lock across an await, decide what a history request gets (the `mailserver` crate does), or touch a socket
//! (`devp2p` does).
//! Facts: `spec/waku-mailserver.md` §2.7, §4, §6.1; why this is a crate: `docs/decisions/0002-waku-session-crate.md`.
//!
//! ```text
//! Peer::recv ─► session ─► gossip: decode, hash, admission (no lock) ─► RelayCore (short lock) ─► wake-ups
//!                 │                                                        │
//!                 │                                         archive::Writer ─► ack ─► confirmation (12, 11)
//!                 ├─► code 126 ─► mailserver (own task) ─► history lane
//!                 └─► codes 127, 125 of trusted peers, and new gossip ─► local filters
//! the session's writer ─► LiveSource ─► RelayCore::drain ─► one packet, shared by all who get the same
//! ```

mod config;
mod confirm;
mod direct;
mod filters;
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
use bytes::Bytes;
use devp2p::{Capability, Peer, Protocol, ProtocolError};
use enode::NodeId;
use futures::future::BoxFuture;
use mailserver::Mailserver;
use tokio::{
    sync::{Semaphore, broadcast},
    time::MissedTickBehavior,
};
use waku_wire::{Bloom, PeerInterest, WireEnvelope, codes, messages};

pub use config::{Clock, Config};
pub use direct::{Completed, DirectError};
pub use filters::{Filter, FilterError, FilterId, FilterKey, FilterMessage};
pub use local::SettingError;
pub use metrics::Metrics;
pub use post::PostError;
pub use rate::{Limits, Rates};
pub use relay::Stats;

use direct::Directory;
use filters::{Filters, Wanted};
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
    pub(crate) filters: Filters,
    pub(crate) directory: Arc<Directory>,
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
                config.wants_nothing(mailserver.is_some()),
            ),
            filters: Filters::default(),
            directory: Directory::new(),
            relay: Arc::new(SharedRelay::new(relay, config.clock.clone(), metrics.fan_out.clone())),
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

    /// Takes in no packet and no envelope over `bytes` from now on. Lost on restart.
    ///
    /// # Errors
    /// [`SettingError::Size`]: below 1 KiB, or over [`Config::max_message_size`], by which the memory for what comes in is
    /// laid out.
    pub fn set_max_message_size(&self, bytes: usize) -> Result<(), SettingError> {
        self.node.local.set_max_message_size(bytes)
    }

    /// Takes in the topics of this bloom filter from now on, and tells all peers. What was taken in before still is for
    /// 10 s (`spec/waku-mailserver.md` §2.9). Lost on restart.
    ///
    /// # Errors
    /// [`SettingError::TakesEverything`].
    pub fn set_bloom(&self, bloom: Bloom) -> Result<(), SettingError> {
        self.node.local.set_interest(Instant::now(), PeerInterest::bloom(bloom))
    }

    /// Makes this node a light client, which takes in the topics of its filters only and forwards nothing, or an ordinary
    /// one again (`spec/waku-mailserver.md` §2.11, §12 Q12). Lost on restart.
    ///
    /// # Errors
    /// [`SettingError::TakesEverything`].
    pub fn set_light_client(&self, light: bool) -> Result<(), SettingError> {
        let interest = if light { self.node.filtered_interest() } else { PeerInterest::Full };
        self.node.local.set_interest(Instant::now(), interest)?;
        self.node.local.set_light(light);
        Ok(())
    }

    /// Looks for messages from now on. A light client asks its peers for the topics.
    ///
    /// # Errors
    /// [`FilterError::TooMany`], [`FilterError::TooManyTopics`].
    pub fn install_filter(&self, filter: Filter) -> Result<FilterId, FilterError> {
        let id = self.node.filters.install(filter)?;
        self.node.follow_filters();
        Ok(id)
    }

    /// Forgets a filter and what it found.
    ///
    /// # Errors
    /// [`FilterError::Unknown`].
    pub fn uninstall_filter(&self, id: FilterId) -> Result<(), FilterError> {
        self.node.filters.uninstall(id)?;
        self.node.follow_filters();
        Ok(())
    }

    /// What a filter found since the last call, in the order found.
    ///
    /// # Errors
    /// [`FilterError::Unknown`].
    pub fn filter_messages(&self, id: FilterId) -> Result<Vec<FilterMessage>, FilterError> {
        self.node.filters.take(id)
    }

    /// Takes history and direct messages of this peer for as long as it stays connected (`spec/waku-mailserver.md` §4.8).
    ///
    /// # Errors
    /// [`DirectError::NotConnected`].
    pub fn mark_trusted(&self, peer: NodeId) -> Result<(), DirectError> {
        self.node.directory.trust(peer)
    }

    /// Sends a history request, the payload of a code 126 packet, to a peer, which is trusted from then on. Envelopes of the
    /// answer go to the filters that allow it; its end to [`Waku::completions`].
    ///
    /// # Errors
    /// [`DirectError`].
    pub async fn request_history(&self, peer: NodeId, request: Bytes) -> Result<(), DirectError> {
        self.node.directory.request(peer, request).await
    }

    /// Sends an envelope to one peer only, past every check; the peer takes it if it trusts this node.
    ///
    /// # Errors
    /// [`DirectError`].
    pub async fn send_direct(&self, peer: NodeId, envelope: &WireEnvelope) -> Result<(), DirectError> {
        self.node.directory.send(peer, envelope).await
    }

    /// Every completion that trusted peers send from now on; what came before it is in the filters by then.
    #[must_use]
    pub fn completions(&self) -> broadcast::Receiver<Completed> {
        self.node.directory.completions()
    }

    /// Limits what peers send from now on, those that are connected too; `None` is no limit. Announced to peers that
    /// connect after it (`spec/waku-mailserver.md` §4.13).
    pub fn set_limits(&self, limits: Option<Limits>) {
        self.node.limiter.set(limits);
    }

    /// Peers that exceeded a limit of late: not all of it is forgiven yet.
    #[must_use]
    pub fn limited_peers(&self) -> usize {
        self.node.limiter.limited(Instant::now())
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
        self.node.local.max_message_size()
    }
}

impl Node {
    /// What a light client with these filters asks for.
    fn filtered_interest(&self) -> PeerInterest {
        match self.filters.wanted() {
            Wanted::Everything => PeerInterest::Full,
            Wanted::Topics(topics) => PeerInterest::topics(topics.into_iter().collect()),
        }
    }

    /// Has a light client ask for what its filters are about; any other node relays everything whatever they are.
    fn follow_filters(&self) {
        if self.local.is_light() {
            // Who takes in everything is no light client.
            let _ = self.local.set_interest(Instant::now(), self.filtered_interest());
        }
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

//! This side of every round: the archive, the limits, what a round brought.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use archive::{History, WriterObserver};
use waku_wire::messages;

use crate::claims::Claims;

/// Now in UNIX seconds, adjusted.
pub type Clock = Arc<dyn Fn() -> u32 + Send + Sync>;

/// Limits of this side.
#[derive(Clone, Copy, Debug)]
pub struct SiteConfig {
    /// Least proof of work of an envelope (`WakuConfig.MinimumPoW`); 0 or less: none.
    pub min_pow: f64,
    /// Largest packet, and largest envelope, in bytes (`WakuConfig.MaxMessageSize`).
    pub max_message_size: usize,
    /// How long the peer may owe a message.
    pub patience: Duration,
}

impl Default for SiteConfig {
    fn default() -> Self {
        Self { min_pow: 0.002, max_message_size: 1 << 20, patience: Duration::from_mins(1) }
    }
}

/// This side of every round. One a node; shared by its sessions.
pub struct Site {
    pub(crate) history: Arc<dyn History>,
    pub(crate) observer: Arc<dyn WriterObserver>,
    pub(crate) clock: Clock,
    pub(crate) config: SiteConfig,
    pub(crate) claims: Claims,
    rounds: AtomicUsize,
}

/// What a round did. Counts of envelopes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Report {
    /// Both sides had the same at the end, up to [`Report::to`], but for what was refused.
    pub complete: bool,
    /// The last second that was compared.
    pub to: u32,
    /// Hours that differed.
    pub hours: u32,
    /// Stored here.
    pub stored: u64,
    /// Came although they were here by then.
    pub duplicates: u64,
    /// Did not meet the archive's conditions.
    pub refused: u64,
    /// Were said to be there and did not come.
    pub missing: u64,
    /// Given to the peer.
    pub given: u64,
    /// Bytes of those that came.
    pub bytes: u64,
}

impl Site {
    /// A side with this archive; `observer` is told of what is stored.
    #[must_use]
    pub fn new(
        history: Arc<dyn History>,
        observer: Arc<dyn WriterObserver>,
        config: SiteConfig,
        clock: Clock,
    ) -> Self {
        Self { history, observer, clock, config, claims: Claims::default(), rounds: AtomicUsize::new(0) }
    }

    /// Bytes of envelopes in one packet, unless one alone has more.
    pub(crate) fn packet(&self) -> usize {
        messages::NORMAL_PACKET.min(messages::largest_packet(self.config.max_message_size))
    }

    pub(crate) fn now(&self) -> u32 {
        (self.clock)()
    }

    /// Rounds that are on.
    pub(crate) fn rounds(&self) -> usize {
        self.rounds.load(Ordering::Relaxed)
    }

    /// Counts a round while the value lives, and says how many others there are.
    pub(crate) fn enter(&self) -> (Entered<'_>, usize) {
        (Entered(self), self.rounds.fetch_add(1, Ordering::Relaxed))
    }
}

/// A round that is on.
pub(crate) struct Entered<'a>(&'a Site);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.rounds.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("config", &self.config).finish_non_exhaustive()
    }
}

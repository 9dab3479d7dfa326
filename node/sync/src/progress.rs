//! Whether history is complete: whether what was missed while this node was away is here.

use std::time::{Duration, Instant};

use enode::NodeId;

/// Whether history is complete, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum History {
    /// There is nobody to sync with.
    NoReplica,
    /// A replica agreed on everything up to a second after the start.
    Agreed {
        /// The last one that did.
        peer: NodeId,
        /// The last second up to which one agreed.
        to: u32,
    },
    /// No replica agreed in time.
    TimedOut {
        /// How long was waited.
        after: Duration,
    },
    /// Not yet.
    Waiting,
}

impl History {
    /// Whether clients may be told that nothing is missing that a replica has.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        *self != Self::Waiting
    }

    /// The last second up to which a replica agreed.
    #[must_use]
    pub fn agreed_to(&self) -> Option<u32> {
        match self {
            Self::Agreed { to, .. } => Some(*to),
            _ => None,
        }
    }
}

impl std::fmt::Display for History {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoReplica => f.write_str("no replica is configured to sync with"),
            Self::Agreed { peer, to } => write!(f, "replica {peer} agreed up to {to}"),
            Self::TimedOut { after } => write!(f, "no replica agreed within {} s", after.as_secs()),
            Self::Waiting => f.write_str("no replica has agreed yet"),
        }
    }
}

/// What is known of it.
#[derive(Debug)]
pub(crate) struct Progress {
    started: Instant,
    /// The same in UNIX seconds.
    born: u32,
    timeout: Duration,
    agreed: Option<(NodeId, u32)>,
}

impl Progress {
    pub(crate) fn new(started: Instant, born: u32, timeout: Duration) -> Self {
        Self { started, born, timeout, agreed: None }
    }

    /// A round with `peer` was complete up to `to`; whether that covers the start, after which gossip does the rest.
    pub(crate) fn agreed(&mut self, peer: NodeId, to: u32) -> bool {
        let covers = to >= self.born;
        if covers && self.agreed.is_none_or(|(_, last)| to >= last) {
            self.agreed = Some((peer, to));
        }
        covers
    }

    pub(crate) fn history(&self, now: Instant, replicas: usize) -> History {
        match self.agreed {
            _ if replicas == 0 => History::NoReplica,
            Some((peer, to)) => History::Agreed { peer, to },
            None if now.saturating_duration_since(self.started) >= self.timeout => {
                History::TimedOut { after: self.timeout }
            }
            None => History::Waiting,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complete_by_agreement_after_the_start_by_time_or_alone() {
        let (now, peer) = (Instant::now(), NodeId([7; 32]));
        let mut progress = Progress::new(now, 1000, Duration::from_secs(60));
        assert_eq!(progress.history(now, 0), History::NoReplica);
        assert!(!progress.history(now, 1).is_complete());
        assert!(!progress.agreed(peer, 999), "gossip was not there yet");
        assert_eq!(progress.history(now + Duration::from_secs(59), 2), History::Waiting);
        let late = now + Duration::from_secs(60);
        assert_eq!(progress.history(late, 2), History::TimedOut { after: Duration::from_secs(60) });
        assert!(progress.agreed(peer, 1000) && progress.agreed(peer, 1300) && progress.agreed(peer, 1200));
        assert_eq!(progress.history(late, 2), History::Agreed { peer, to: 1300 });
    }
}

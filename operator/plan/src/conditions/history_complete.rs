//! HistoryComplete: each node keeps what its replicas keep. Absent without history.
//!
//! A node says by itself when it has compared its history with a replica's; that takes a minute after each start. Coming up
//! is no fault: until all were complete once, the verdict is Unknown.

use statusnode_api::condition::{ConditionType, Reason, Verdict};

use super::{Outcome, ordinals, standing};
use crate::{
    Ordinal,
    world::{Replica, World},
};

pub(super) fn history_complete(world: &World<'_>) -> Option<Outcome> {
    let settings = world.settings.history.as_ref()?;
    if !world.runs_pods() {
        return Some(Outcome::new(Verdict::Unknown, Reason::HistoryPending, "there are no pods"));
    }
    let before = standing(world, ConditionType::HistoryComplete);
    if world.replicas.iter().any(|replica| replica.has_history_unheard())
        && let Some(before) = before
    {
        return Some(before);
    }
    let those = |which: fn(&Replica<'_>) -> bool| -> Vec<Ordinal> {
        world.replicas.iter().filter(|replica| which(replica)).map(|replica| replica.ordinal).collect()
    };
    let waiting = those(|replica| replica.history.is_some_and(|history| !history.complete));
    if !waiting.is_empty() {
        let (verdict, reason) = match before {
            Some(Outcome { verdict: Verdict::True | Verdict::False, .. }) => {
                (Verdict::False, Reason::HistorySyncing)
            }
            _ => (Verdict::Unknown, Reason::HistoryPending),
        };
        let message = format!("{}: not yet compared with a replica since the start", ordinals(waiting));
        return Some(Outcome::new(verdict, reason, message));
    }
    let unknown = those(|replica| replica.history.is_none());
    if !unknown.is_empty() {
        let message = format!("{}: the node has not said yet", ordinals(unknown));
        return Some(Outcome::new(Verdict::Unknown, Reason::HistoryPending, message));
    }
    let assumed = those(|replica| replica.history.is_some_and(|history| !history.agreed));
    Some(if (world.replicas.len() == 1 && settings.sync_peers.is_empty()) || assumed.is_empty() {
        Outcome::new(Verdict::True, Reason::HistoryCompared, "each node has what its replicas have")
    } else {
        let message = format!("{}: no replica agreed in time; what it has is served", ordinals(assumed));
        Outcome::new(Verdict::True, Reason::HistoryAssumed, message)
    })
}

//! Hostile peers: bounded attacks on a node over loopback, for the tests of `statusd` and for `statusctl bench hostile`.
//!
//! Owns what each attacker sends, and counts how the node got rid of it. Must never judge: what memory, latency and
//! reasons are allowed is said by the tests and the benchmark. Facts: `spec/devp2p.md` §2 to §3, §6;
//! `spec/waku-mailserver.md` §2.7, §4.14.
//!
//! [`Attack`] runs one [`Kind`] with so many sockets; [`Tally`] is what came of it.

mod datagrams;
mod frames;
mod half_open;
mod interest;
mod kind;
mod peer;
mod slow;
mod spam;
mod tally;
mod trickle;
mod unfinished;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use enode::PublicKey;
use parking_lot::Mutex;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

pub use kind::Kind;
pub use tally::{End, Ended, Tally};

/// Between the end of an attacker's socket and its next one: a node that closes at once is asked again at once, but not
/// so often that the attackers' own work is what is measured.
const PAUSE: Duration = Duration::from_millis(200);
/// Between the packets of one attacker that sends all the time, for the same reason.
pub(crate) const PERIOD: Duration = Duration::from_millis(200);

/// The node under attack.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its key, which handshakes need.
    pub key: PublicKey,
    /// Where it listens, TCP and UDP.
    pub address: SocketAddr,
}

/// An attack under way. It ends when this is dropped.
#[derive(Debug)]
pub struct Attack {
    stop: CancellationToken,
    attackers: JoinSet<()>,
    tally: Arc<Mutex<Tally>>,
}

impl Attack {
    /// Starts `sockets` attackers, each with one socket at a time, on the current runtime.
    #[must_use]
    pub fn start(kind: Kind, target: Target, sockets: u32) -> Self {
        let (stop, tally) = (CancellationToken::new(), Arc::new(Mutex::new(Tally::default())));
        let mut attackers = JoinSet::new();
        for number in 0..sockets {
            attackers.spawn(attacker(kind, number, target, stop.clone(), Arc::clone(&tally)));
        }
        Self { stop, attackers, tally }
    }

    /// What came of it so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally.lock().clone()
    }

    /// Ends the attack and closes its sockets. What is left open is counted as held.
    pub async fn stop(mut self) -> Tally {
        self.stop.cancel();
        while self.attackers.join_next().await.is_some() {}
        self.tally()
    }
}

async fn attacker(
    kind: Kind,
    number: u32,
    target: Target,
    stop: CancellationToken,
    tally: Arc<Mutex<Tally>>,
) {
    while !stop.is_cancelled() {
        let begun = Instant::now();
        let end = tokio::select! {
            end = kind.live(number, &target) => end,
            () = stop.cancelled() => End::Held,
        };
        tally.lock().add(kind.way(number), end, begun.elapsed());
        tokio::select! {
            () = sleep(PAUSE) => {}
            () = stop.cancelled() => {}
        }
    }
}

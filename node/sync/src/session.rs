//! The life of a session: the node of the lesser id asks, on connect and from time to time; the other one answers.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use devp2p::{Lane, Peer, PeerSender, ProtocolError};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{Gone, Report, SyncError, Wire, initiate, manager::Shared, respond};

/// Between two rounds of the same peer, at least: less than a sub-protocol gets to end.
const PAUSE: Duration = Duration::from_secs(2);

/// Runs a session to its end.
pub(crate) async fn run(sync: Arc<Shared>, peer: Peer) -> Result<(), ProtocolError> {
    let id = peer.info.id;
    let asks = sync.own < id;
    let mut wire = PeerWire { sender: peer.sender(), peer };
    let Some(quota) = sync.quota(&id) else {
        // Taken off the list meanwhile; the session is about to end.
        while wire.recv().await.is_ok() {}
        return Ok(());
    };
    loop {
        let mut report = Report::default();
        let outcome = if asks {
            initiate(&mut wire, &sync.site, &quota, &mut report).await
        } else {
            match respond(&mut wire, &sync.site, &quota, &mut report).await {
                // It ended between two rounds.
                Err(SyncError::Gone) if report == Report::default() => return Ok(()),
                outcome => outcome,
            }
        };
        let done = sync.ended(id, &report, &outcome);
        match outcome {
            Err(SyncError::Gone) => return Ok(()),
            Err(error) if error.ends_session() => return Err(ProtocolError::breach(error.to_string())),
            _ => {}
        }
        if !asks {
            sleep(PAUSE).await;
            continue;
        }
        tokio::select! {
            () = pause(&sync, done) => {}
            packet = wire.recv() => return match packet {
                Ok(_) => Err(ProtocolError::breach("replica sync: a message outside a round")),
                Err(Gone) => Ok(()),
            },
        }
    }
}

/// Waits until the next round is due, by the period of then.
async fn pause(sync: &Shared, done: bool) {
    if !done {
        return sleep(sync.config.retry).await;
    }
    let (ended, mut period) = (Instant::now(), sync.period.subscribe());
    loop {
        let next = ended + *period.borrow_and_update();
        tokio::select! {
            () = sleep_until(next) => return,
            // The sender lives as long as `sync`.
            _ = period.changed() => {}
        }
    }
}

/// A session as a wire, on the lowest lane.
struct PeerWire {
    peer: Peer,
    sender: PeerSender,
}

impl Wire for PeerWire {
    async fn send(&mut self, code: u64, payload: Bytes) -> Result<(), Gone> {
        self.sender.send(Lane::Sync, code, payload).await.map_err(|_| Gone)
    }

    async fn recv(&mut self) -> Result<(u64, Bytes), Gone> {
        self.peer.recv().await.map(|message| (message.code, message.payload)).ok_or(Gone)
    }
}

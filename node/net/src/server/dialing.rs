//! Dialing the static peers: wakes when something changed or the next one is due. Facts: `spec/devp2p.md` §3.4.

use std::{sync::Arc, time::Instant};

use enode::{EnodeUrl, NodeId};

use super::{inbound::establish, manager::Manager};
use crate::{connection::dial_encrypted, counters::Direction, resolve::resolve};

/// Starts dials until the server stops.
pub(crate) async fn dial_loop(manager: Arc<Manager>) {
    loop {
        let (due, next) = manager.state.lock().dials_due(Instant::now());
        for url in due {
            let guard = Dialing { manager: Arc::clone(&manager), id: url.public_key.node_id() };
            manager.tasks.spawn(Box::pin(dial(guard, url)));
        }
        let wait = async {
            match next {
                Some(next) => tokio::time::sleep_until(next.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = manager.dial.notified() => {}
            () = wait => {}
            () = manager.stop.cancelled() => return,
        }
    }
}

/// Frees the dial's slot when dropped.
struct Dialing {
    manager: Arc<Manager>,
    id: NodeId,
}

impl Drop for Dialing {
    fn drop(&mut self) {
        self.manager.state.lock().schedule.ended(&self.id);
        self.manager.dial.notify_one();
    }
}

async fn dial(guard: Dialing, url: EnodeUrl) {
    let manager = Arc::clone(&guard.manager);
    manager.counters.dialing();
    // Boxed, as the session is: see inbound connections.
    let connect = Box::pin(async {
        let enode = resolve(&url, manager.timeouts.dial).await?;
        let encrypted =
            dial_encrypted(&enode, &manager.key, &manager.timeouts, &manager.budget, &manager.traffic)
                .await?;
        manager.state.lock().schedule.reached(&guard.id);
        establish(&manager, encrypted, enode, None).await
    });
    let connected = tokio::select! {
        connected = connect => connected,
        () = manager.stop.cancelled() => return,
    };
    match connected {
        Ok(session) => {
            drop(guard);
            Box::pin(session.run(&manager)).await;
        }
        Err(error) => {
            manager.counters.failed(Direction::Outbound, &error);
            if error.is_unreached() {
                manager.state.lock().schedule.unreached(&guard.id, Instant::now());
            }
            tracing::debug!(peer = %guard.id, %error, "dial failed");
        }
    }
}

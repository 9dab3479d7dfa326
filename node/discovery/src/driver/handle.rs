//! The handle of a running driver: what the rest of a node asks of it and tells it.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use enode::{Endpoint, Enode};
use tokio::sync::broadcast;

use super::Manager;
use crate::{Event, Node, Topic, stats::Stats, topics::TooManyTopics};

/// Controls a running driver. Cheap to clone; dropping it does not stop the driver.
#[derive(Clone)]
pub struct Handle(Arc<Manager>);

impl Handle {
    pub(super) fn new(manager: Arc<Manager>) -> Self {
        Self(manager)
    }

    /// The UDP address that is bound, with the real port.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.0.local_addr
    }

    /// This node with the address that is advertised, else with the bound one, whose IP may be unspecified.
    #[must_use]
    pub fn enode(&self) -> Enode {
        let bound = self.0.local_addr;
        let endpoint = *self.0.advertised.lock();
        let endpoint = endpoint.unwrap_or_else(|| Endpoint::new(bound.ip(), self.0.tcp, bound.port()));
        Enode { public_key: self.0.public_key, endpoint: Some(endpoint) }
    }

    /// Registers this node under `topic` from now on.
    ///
    /// # Errors
    /// [`TooManyTopics`].
    pub fn register(&self, topic: Topic) -> Result<(), TooManyTopics> {
        self.0.core.lock().register(Instant::now(), topic)?;
        self.0.wake.notify_one();
        Ok(())
    }

    /// Ends a registration; others may name this node for another hour.
    pub fn unregister(&self, topic: &Topic) {
        self.0.core.lock().unregister(topic);
    }

    /// Searches nodes of `topic`, a lookup each `period`; again changes the period. What is found comes as
    /// [`Event::Found`].
    ///
    /// # Errors
    /// [`TooManyTopics`].
    pub fn search(&self, topic: Topic, period: Duration) -> Result<(), TooManyTopics> {
        self.0.core.lock().search(Instant::now(), topic, period)?;
        self.0.wake.notify_one();
        Ok(())
    }

    /// Ends a search.
    pub fn stop_search(&self, topic: &Topic) {
        self.0.core.lock().stop_search(topic);
    }

    /// Changes where the node says that it is reached from outside; `None` if that is not known any more.
    pub fn set_advertised(&self, advertised: Option<Endpoint>) {
        *self.0.advertised.lock() = advertised;
        self.0.core.lock().set_advertised(advertised);
    }

    /// Events from now on. A listener that falls 1024 events behind is told that it missed some; what it missed is
    /// found again.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.0.events.subscribe()
    }

    /// The nodes of the table.
    #[must_use]
    pub fn table(&self) -> Vec<Node> {
        self.0.core.lock().table()
    }

    /// Counters since the start.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let stats = self.0.core.lock().stats();
        let counters = &self.0.counters;
        Stats {
            malformed: stats.malformed + counters.malformed.load(Ordering::Relaxed),
            throttled: counters.throttled.load(Ordering::Relaxed),
            verify_overflow: counters.verify_overflow.load(Ordering::Relaxed),
            send_errors: counters.send_errors.load(Ordering::Relaxed),
            receive_errors: counters.receive_errors.load(Ordering::Relaxed),
            received_bytes: counters.received_bytes.load(Ordering::Relaxed),
            sent_bytes: counters.sent_bytes.load(Ordering::Relaxed),
            ..stats
        }
    }

    /// Ends the driver; when it is done the port is free.
    pub async fn shutdown(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("node", &self.enode().to_string()).finish_non_exhaustive()
    }
}

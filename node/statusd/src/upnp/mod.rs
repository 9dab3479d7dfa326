//! UPnP: the home router forwards the node's port for as long as the node runs, and says under which address.
//!
//! Off unless asked for, and never in a cluster. Owns the forwarding and when it is renewed; what is advertised is the
//! node's, where a configured address wins. TCP and UDP are forwarded from one outside port, because others take the two
//! for the same. Facts: `spec/devp2p.md` §1.6 (the reference forwards TCP only, for 10 minutes at a time); design §6.

mod lease;
mod router;
#[cfg(test)]
#[allow(dead_code, reason = "the program's own tests use the other half")]
mod testing;
#[cfg(test)]
mod tests;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use enode::Endpoint;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use self::{
    lease::Lease,
    router::{Error, Router, Search},
};

use crate::{node::Node, parts::Parts};

/// Outside ports that are tried, from the node's own upwards.
const PORTS: u16 = 10;
/// Longest time for taking everything back when the node stops.
const RELEASE: Duration = Duration::from_secs(5);

/// Times; the defaults are for routers as they are sold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// What the router is asked for; renewed at half of it. Whole seconds.
    lease: Duration,
    /// Until the second try, doubled for each one that fails.
    retry: Duration,
    /// Most of that.
    max_retry: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(600),
            retry: Duration::from_secs(30),
            max_retry: Duration::from_secs(3600),
        }
    }
}

/// Has the router forward to the listener of `node`, and tells the node where it is reached by that.
pub(crate) fn start(listen: SocketAddr, udp: bool, node: Arc<Node>, parts: &mut Parts) {
    let ip = listen.ip();
    if ip.is_loopback() || matches!(ip, IpAddr::V6(ip) if !ip.is_unspecified()) {
        tracing::warn!(%listen, "UPnP has no effect: it forwards to an IPv4 address of the local network; look at ListenAddr");
        return;
    }
    let (forwarding, mut learned) = Forwarding::new(listen, udp);
    parts.run("UPnP", forwarding.follow(parts.stop()));
    parts.run_until_stop("address by UPnP", async move {
        while learned.changed().await.is_ok() {
            let endpoint = *learned.borrow_and_update();
            if let Err(error) = node.advertise_learned(endpoint).await {
                tracing::error!(%error, "the address is not advertised");
            }
        }
        // The forwarding ended: the node is about to stop, or that part is missed.
        std::future::pending().await
    });
}

/// Keeps a port forwarded.
pub(crate) struct Forwarding {
    search: Search,
    times: Times,
    /// Where the node listens.
    listen: SocketAddr,
    /// Discovery has the port, too.
    udp: bool,
    lease: Lease,
    router: Option<Router>,
    /// It is to be looked for again.
    stale: bool,
    /// The outside port that was given last.
    port: Option<u16>,
    learned: watch::Sender<Option<Endpoint>>,
    complaint: String,
}

impl Forwarding {
    /// A forwarding to `listen`, and where the node is reached by it: sent anew at each renewal.
    pub(crate) fn new(listen: SocketAddr, udp: bool) -> (Self, watch::Receiver<Option<Endpoint>>) {
        Self::with(Search::of(listen), Times::default(), listen, udp)
    }

    fn with(
        search: Search,
        times: Times,
        listen: SocketAddr,
        udp: bool,
    ) -> (Self, watch::Receiver<Option<Endpoint>>) {
        let (learned, receiver) = watch::channel(None);
        let lease = Lease::new(times);
        let forwarding = Self {
            search,
            times,
            listen,
            udp,
            lease,
            router: None,
            stale: true,
            port: None,
            learned,
            complaint: String::new(),
        };
        (forwarding, receiver)
    }

    /// Forwards until `stop`, then takes everything back.
    pub(crate) async fn follow(mut self, stop: CancellationToken) {
        loop {
            let outcome = tokio::select! {
                () = stop.cancelled() => break,
                outcome = self.attempt() => outcome,
            };
            let wait = match outcome {
                Ok(endpoint) => self.succeeded(endpoint),
                Err(error) => self.failed(&error),
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep(wait) => {}
            }
        }
        let Some(router) = &mut self.router else { return };
        if timeout(RELEASE, router.release()).await.is_err() {
            tracing::warn!("UPnP: the router did not take the forwarding back in time; it ends by itself");
        }
    }

    /// Forwards, or renews; the address by which the node is then reached.
    async fn attempt(&mut self) -> Result<Endpoint, Error> {
        let router = match &mut self.router {
            Some(router) if !self.stale => router,
            old => old.insert(Router::find(&self.search, self.listen).await?),
        };
        self.stale = false;
        let ip = router.external_ip().await?;
        let own = self.listen.port();
        let candidates = self.port.into_iter().chain((0..PORTS).filter_map(|n| own.checked_add(n)));
        let mut taken = Error::Taken(own);
        for port in candidates {
            match router.forward(port, own, self.udp, self.times.lease).await {
                Err(error @ Error::Taken(_)) => taken = error,
                Err(error) => return Err(error),
                Ok(()) => {
                    self.port = Some(port);
                    return Ok(Endpoint::new(ip.into(), port, if self.udp { port } else { 0 }));
                }
            }
        }
        Err(taken)
    }

    fn succeeded(&mut self, endpoint: Endpoint) -> Duration {
        if self.learned.send_replace(Some(endpoint)) == Some(endpoint) {
            tracing::debug!("UPnP: renewed");
        } else {
            tracing::info!(address = %endpoint.ip, port = endpoint.tcp, "UPnP: the router forwards to this node");
        }
        self.complaint.clear();
        self.lease.renewed(Instant::now())
    }

    fn failed(&mut self, error: &Error) -> Duration {
        let (wait, ended) = self.lease.not_renewed(Instant::now());
        let complaint = error.to_string();
        if complaint == self.complaint {
            tracing::debug!(%error, again_in_s = wait.as_secs(), "UPnP: still no forwarding");
        } else {
            tracing::warn!(%error, again_in_s = wait.as_secs(), "UPnP: no forwarding");
            self.complaint = complaint;
        }
        if ended {
            self.learned.send_replace(None);
            tracing::warn!("UPnP: the forwarding ended; its address is no longer advertised");
        }
        // It may have begun anew with its services at another port. Until it is found, it is the one to take things back.
        self.stale = !matches!(error, Error::Taken(_) | Error::NotPublic(_));
        wait
    }
}

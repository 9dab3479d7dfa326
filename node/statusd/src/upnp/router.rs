//! One router: finding it, and what it is asked. The crate `igd-next` speaks its protocol and bounds what it answers: one
//! datagram of 1500 bytes, documents of 1 MiB and 64 levels from nobody but who answered, 10 s each.

use std::{
    collections::HashSet,
    fmt::Display,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use enode::is_lan;
use igd_next::{
    AddPortError, GatewayIpVersion, PortMappingProtocol, SearchOptions,
    aio::{Gateway, tokio::Tokio},
};

/// Shown in the router's own pages.
const DESCRIPTION: &str = "statusd p2p";
/// Most characters of an error that the router may have written.
const MAX_ERROR_CHARS: usize = 200;

/// Why there is no forwarding; what to do where something can be done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Nobody there, or nobody who speaks the protocol.
    #[error(
        "no router with UPnP answers in the local network ({0}); switch it on there, or forward the port by hand and set AdvertiseAddr"
    )]
    NotFound(String),
    /// It does not do what it was asked.
    #[error("the router does not {what} ({why}); look at its settings of UPnP")]
    Refused { what: &'static str, why: String },
    /// Another machine has the port.
    #[error("the router forwards port {0} and those behind it to others; give ListenAddr another port")]
    Taken(u16),
    /// Forwarding from there would lead nowhere.
    #[error(
        "the router is at {0}, which is no public address: there is another router before it, and the node cannot be reached from outside"
    )]
    NotPublic(IpAddr),
}

/// Where to look.
#[derive(Debug, Clone)]
pub(super) struct Search {
    /// Local address to ask from.
    pub(super) from: Ipv4Addr,
    /// Whom to ask; `None` is everybody in the local network.
    pub(super) ask: Option<SocketAddr>,
}

impl Search {
    /// In the network of the listener.
    pub(super) fn of(listen: SocketAddr) -> Self {
        let from = match listen.ip() {
            IpAddr::V4(ip) => ip,
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        };
        Self { from, ask: None }
    }
}

/// A router that was found.
pub(super) struct Router {
    gateway: Gateway<Tokio>,
    /// This machine, as the router sees it.
    local: IpAddr,
    /// What it was asked to forward, whether or not it answered.
    asked: HashSet<(PortMappingProtocol, u16)>,
    /// It knows no forwarding that ends.
    permanent: bool,
}

impl Router {
    /// The first one that answers within 10 s.
    pub(super) async fn find(search: &Search, listen: SocketAddr) -> Result<Self, Error> {
        let mut options = SearchOptions::default();
        options.bind_addr = SocketAddr::from((search.from, 0));
        options.gateway_ip_version = GatewayIpVersion::V4;
        if let Some(ask) = search.ask {
            options.broadcast_address = ask;
            options.allowed_gateway_ips = vec![ask.ip()];
        }
        let gateway = igd_next::aio::tokio::search_gateway(options)
            .await
            .map_err(|error| Error::NotFound(plain(&error)))?;
        let local = if listen.ip().is_unspecified() {
            towards(gateway.addr)
                .map_err(|error| Error::Refused { what: "have a route to it", why: plain(&error) })?
        } else {
            listen.ip()
        };
        Ok(Self { gateway, local, asked: HashSet::new(), permanent: false })
    }

    /// Its own address outside.
    pub(super) async fn external_ip(&self) -> Result<Ipv4Addr, Error> {
        let ip = self
            .gateway
            .get_external_ip()
            .await
            .map_err(|error| Error::Refused { what: "tell its address", why: plain(&error) })?;
        match ip {
            IpAddr::V4(public) if is_public(public) => Ok(public),
            other => Err(Error::NotPublic(other)),
        }
    }

    /// Forwards `outside` to `inside` of this machine, TCP and perhaps UDP, or renews that.
    pub(super) async fn forward(
        &mut self,
        outside: u16,
        inside: u16,
        udp: bool,
        lease: Duration,
    ) -> Result<(), Error> {
        let protocols = [Some(PortMappingProtocol::TCP), udp.then_some(PortMappingProtocol::UDP)];
        for protocol in protocols.into_iter().flatten() {
            let done = self.forward_one(protocol, outside, inside, lease).await;
            if let Err(error) = done {
                if matches!(error, Error::Taken(_)) {
                    // Not ours, so it must not be taken back; what was forwarded of the port before it must.
                    self.asked.remove(&(protocol, outside));
                    self.release().await;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    async fn forward_one(
        &mut self,
        protocol: PortMappingProtocol,
        outside: u16,
        inside: u16,
        lease: Duration,
    ) -> Result<(), Error> {
        // Before it is asked: the node may stop while the answer is under way.
        self.asked.insert((protocol, outside));
        let inside = SocketAddr::new(self.local, inside);
        let seconds = u32::try_from(lease.as_secs()).unwrap_or(u32::MAX);
        let seconds = if self.permanent { 0 } else { seconds };
        let mut answer = self.gateway.add_port(protocol, outside, inside, seconds, DESCRIPTION).await;
        if matches!(answer, Err(AddPortError::OnlyPermanentLeasesSupported)) {
            self.permanent = true;
            answer = self.gateway.add_port(protocol, outside, inside, 0, DESCRIPTION).await;
        }
        answer.map_err(|error| match error {
            AddPortError::PortInUse => Error::Taken(outside),
            other => Error::Refused { what: "forward the port", why: plain(&other) },
        })
    }

    /// Takes back what was asked for.
    pub(super) async fn release(&mut self) {
        for (protocol, port) in self.asked.drain() {
            match self.gateway.remove_port(protocol, port).await {
                Ok(()) => tracing::info!(%protocol, port, "UPnP: the router forwards no longer"),
                Err(error) => tracing::debug!(%protocol, port, error = plain(&error), "UPnP: not taken back"),
            }
        }
    }
}

/// The address from which this machine sends to `to`.
fn towards(to: SocketAddr) -> std::io::Result<IpAddr> {
    // A datagram socket that is connected sends nothing.
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(to)?;
    Ok(socket.local_addr()?.ip())
}

/// Not private, link-local, shared among a provider's customers (100.64/10), or of no host.
fn is_public(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    let shared = first == 100 && second & 0xc0 == 64;
    let nobody = ip.is_multicast() || ip.is_broadcast();
    !(is_lan(ip.into()) || ip.is_link_local() || shared || nobody)
}

/// What may come from the router as one short line.
fn plain(error: &impl Display) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    error.to_string().chars().map(clean).take(MAX_ERROR_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_can_be_reached_from_outside() {
        for (ip, public) in [
            ("198.51.100.7", true),
            ("100.63.255.255", true),
            ("100.64.0.0", false),
            ("100.127.255.255", false),
            ("100.128.0.0", true),
            ("10.0.0.1", false),
            ("192.168.1.1", false),
            ("169.254.1.1", false),
            ("127.0.0.1", false),
            ("0.0.0.0", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
        ] {
            assert_eq!(is_public(ip.parse().unwrap()), public, "{ip}");
        }
    }

    #[test]
    fn what_the_router_writes_is_one_short_line() {
        let text = plain(&format!("a\r\nb\x1b[31m{}", "x".repeat(1000)));
        assert_eq!(text.len(), MAX_ERROR_CHARS);
        assert!(text.starts_with("a  b [31mxxx"), "{text}");
    }
}

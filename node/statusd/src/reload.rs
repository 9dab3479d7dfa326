//! Reading the configuration again, at SIGHUP and when a file of it changes: what a running node can take is applied
//! and logged, what it cannot is said to need a restart, and a configuration that cannot be used changes nothing.

use std::{collections::HashSet, sync::Arc};

use enode::{Endpoint, EnodeUrl, Host, NodeId};
use mailserver::Mailserver;
use node_config::{Change, NodeConfig, RateLimitsConfig, Setting, changes};
use prometheus::IntGauge;
use waku::Waku;

use crate::{exit::ExitError, logging::Level, node::Node, source::Source};

/// The configuration in force, and whom its changes concern.
pub(crate) struct Reload {
    /// Read again.
    pub(crate) source: Source,
    /// In force, or waiting for a restart.
    pub(crate) settings: Vec<Setting>,
    /// The log.
    pub(crate) level: Level,
    /// Peers and address.
    pub(crate) node: Arc<Node>,
    /// Rate limits.
    pub(crate) waku: Option<Arc<Waku>>,
    /// The limit on requests.
    pub(crate) mailserver: Option<Arc<Mailserver>>,
    /// `p2p_peers_max`.
    pub(crate) max_peers: IntGauge,
}

impl Reload {
    /// Reads everything again and applies what differs; whether something did.
    ///
    /// # Errors
    /// The new configuration cannot be used; then nothing changed.
    pub(crate) async fn again(&mut self) -> Result<bool, ExitError> {
        let loaded = self.source.load_again()?;
        let changes = changes(&self.settings, &loaded.settings);
        if changes.is_empty() {
            return Ok(false);
        }
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        // Before the level changes, so that it is said by the level that was asked for until now.
        for change in &changes {
            let (key, from, to) = (&change.key, &change.from, &change.to);
            if change.live {
                tracing::info!(%key, %from, %to, "configuration changed");
            } else {
                tracing::warn!(%key, %from, %to, "configuration changed; it takes effect at the next start");
            }
        }
        self.apply(&loaded.config, &changes).await;
        self.settings = loaded.settings;
        Ok(true)
    }

    /// Only what changed: what was set by RPC meanwhile stays.
    async fn apply(&self, config: &NodeConfig, changes: &[Change]) {
        let changed = |part: &str| changes.iter().any(|change| change.live && change.key.starts_with(part));
        if changed("Log") {
            self.level.set(config.log_level);
        }
        if changed("MaxPe") {
            let (max_peers, max_pending) = peer_limits(config);
            self.node.p2p().set_limits(max_peers, max_pending);
            self.max_peers.set(i64::from(config.max_peers));
        }
        if changed("ClusterConfig.StaticNodes") {
            self.node.set_configured_peers(config.static_peers.clone());
        }
        if changed("ClusterConfig.TrustedNodes") {
            self.node.set_configured_trusted(ids(&config.trusted_peers));
        }
        // Static peers are exempt.
        if (changed("WakuConfig.") || changed("ClusterConfig.StaticNodes"))
            && let (Some(waku), Some(settings)) = (&self.waku, &config.waku)
        {
            waku.set_limits(rate_limits(config, settings.rate_limits.as_ref()));
        }
        if changed("WakuConfig.MailServerRateLimit")
            && let (Some(mailserver), Some(settings)) = (&self.mailserver, &config.mailserver)
        {
            mailserver.set_rate_limit(settings.rate_limit.unwrap_or_default());
        }
        if changed("WakuConfig.MailServerSyncPeers")
            && let Some(settings) = &config.mailserver
        {
            self.node.change_sync_peers(|peers| peers.configured = ids(&settings.sync_peers));
        }
        // Where there is a live file, it gives the address.
        if changed("AdvertiseAddr")
            && config.live_dir.is_none()
            && let Err(error) = self.node.advertise(fixed_endpoint(config)).await
        {
            tracing::error!(%error, "the address is not advertised");
        }
    }
}

/// `MaxPeers` and `MaxPendingPeers` as the server takes them.
pub(crate) fn peer_limits(config: &NodeConfig) -> (usize, usize) {
    let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    (count(config.max_peers), count(config.max_pending_peers))
}

/// The endpoint that `AdvertiseAddr` names: discovery, where it is on, has the port of the server.
pub(crate) fn fixed_endpoint(config: &NodeConfig) -> Option<Endpoint> {
    let udp = if config.discovery.is_some() { config.listen.port } else { 0 };
    config.advertise.map(|ip| Endpoint::new(ip, config.listen.port, udp))
}

/// The node ids of enode URLs.
pub(crate) fn ids(urls: &[EnodeUrl]) -> HashSet<NodeId> {
    urls.iter().map(|url| url.public_key.node_id()).collect()
}

/// The limits; static peers and trusted mailservers are never limited (`spec/waku-mailserver.md` §4.13).
pub(crate) fn rate_limits(config: &NodeConfig, limits: Option<&RateLimitsConfig>) -> Option<waku::Limits> {
    let limits = limits?;
    let rates = |packets: u32, bytes: u32| waku::Rates { packets: packets.into(), bytes: bytes.into() };
    let exempt = || config.static_peers.iter().chain(&config.trusted_mailservers);
    let address = |peer: &EnodeUrl| match peer.address {
        Some((Host::Ip(ip), _, _)) => Some(ip),
        _ => None,
    };
    Some(waku::Limits {
        source: rates(limits.ip_packets, limits.ip_bytes),
        peer: rates(limits.peer_packets, limits.peer_bytes),
        tolerance: limits.tolerance,
        exempt_ids: exempt().map(|peer| peer.public_key.node_id()).collect(),
        exempt_addresses: exempt().filter_map(address).collect(),
    })
}

//! Who the node listens to, dials, trusts and looks for. Facts: `spec/operations.md` §1.4, §1.6; `spec/devp2p.md` §1.6, §5.

use std::{collections::BTreeMap, fmt, net::IpAddr, path::Path, str::FromStr};

use enode::EnodeUrl;

use super::DEFAULT_P2P_PORT;
use crate::{
    Cidr, CidrError, ConfigError, DiscoveryConfig, ListenAddr, TopicLimits,
    file::{ClusterConfigFile, ConfigFile},
    merge::Merged,
    nodes,
};

/// Longest name of a topic, in bytes.
const MAX_TOPIC: usize = 64;

pub(super) fn listen(file: &ConfigFile, merged: &Merged) -> Result<ListenAddr, ConfigError> {
    let Some(text) = &file.listen_addr else { return Ok(ListenAddr { host: None, port: DEFAULT_P2P_PORT }) };
    text.parse().map_err(|()| {
        ConfigError::setting(
            merged.name("ListenAddr"),
            format!("{text:?} is not host:port"),
            "give an IP address and a port such as 0.0.0.0:30303, [::1]:30303 or :30303",
        )
    })
}

impl FromStr for ListenAddr {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (host, port) = text.rsplit_once(':').ok_or(())?;
        let port = port.parse().map_err(|_| ())?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(v6) => Some(IpAddr::V6(v6.parse().map_err(|_| ())?)),
            None if host.is_empty() => None,
            None if host == "localhost" => Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)),
            None => Some(IpAddr::V4(host.parse().map_err(|_| ())?)),
        };
        Ok(Self { host, port })
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            Some(IpAddr::V6(host)) => write!(f, "[{host}]:{}", self.port),
            Some(host) => write!(f, "{host}:{}", self.port),
            None => write!(f, ":{}", self.port),
        }
    }
}

pub(super) fn advertise(file: &ConfigFile, live_dir: Option<&Path>) -> Result<Option<IpAddr>, ConfigError> {
    let Some(text) = file.advertise_addr.as_deref().filter(|text| !text.is_empty()) else { return Ok(None) };
    if live_dir.is_some() {
        return Err(ConfigError::setting(
            "AdvertiseAddr",
            "is given together with LiveDir",
            "leave it out: live.json gives the address",
        ));
    }
    match text.parse::<IpAddr>() {
        Ok(ip) if !ip.is_unspecified() && !ip.is_multicast() => Ok(Some(ip)),
        _ => Err(ConfigError::setting(
            "AdvertiseAddr",
            format!("{text:?} is not the IP address of a host"),
            "give an address such as 198.51.100.7, without a port",
        )),
    }
}

/// Off unless asked for: it talks to whatever answers in the local network, which in a cluster is nobody's router.
pub(super) fn upnp(file: &ConfigFile, merged: &Merged, live_dir: Option<&Path>) -> Result<bool, ConfigError> {
    let on = file.upnp_enabled == Some(true);
    if on && live_dir.is_some() {
        return Err(ConfigError::setting(
            merged.name("UPnPEnabled"),
            "is true together with LiveDir",
            "leave it out: live.json gives the address, and whoever writes it the way to this node",
        ));
    }
    Ok(on)
}

/// A list of `ClusterConfig` that counts only when it is enabled.
pub(super) fn cluster_list(
    key: &'static str,
    texts: &Option<Vec<String>>,
    cluster: &ClusterConfigFile,
    merged: &mut Merged,
) -> Vec<EnodeUrl> {
    let texts = texts.as_deref().unwrap_or_default();
    if !texts.is_empty() && cluster.enabled != Some(true) {
        merged.warn(format!("ClusterConfig.{key} has no effect: ClusterConfig.Enabled is not true"));
        return Vec::new();
    }
    list(key, texts, merged)
}

/// Believed whether or not the cluster is enabled (`spec/operations.md` §1.6).
pub(super) fn trusted_mailservers(cluster: &ClusterConfigFile, merged: &mut Merged) -> Vec<EnodeUrl> {
    list("TrustedMailServers", cluster.trusted_mail_servers.as_deref().unwrap_or_default(), merged)
}

fn list(key: &str, texts: &[String], merged: &mut Merged) -> Vec<EnodeUrl> {
    let (urls, warnings) = nodes::urls(&format!("ClusterConfig.{key}"), texts);
    merged.warnings.extend(warnings);
    urls
}

pub(super) fn discovery(
    file: &ConfigFile,
    cluster: &ClusterConfigFile,
    merged: &mut Merged,
) -> Result<Option<DiscoveryConfig>, ConfigError> {
    let (register, require) = (register(file)?, require(file)?);
    if file.no_discovery.unwrap_or(true) {
        for (key, given) in [("RegisterTopics", !register.is_empty()), ("RequireTopics", !require.is_empty())]
        {
            if given {
                let name = merged.name(key);
                merged.warn(format!("{name} has no effect: discovery is off (NoDiscovery)"));
            }
        }
        return Ok(None);
    }
    let nodes = cluster.boot_nodes.as_deref().unwrap_or_default();
    if nodes.is_empty() {
        return Err(ConfigError::setting(
            merged.name("NoDiscovery"),
            "discovery is on, but ClusterConfig.BootNodes is empty",
            "name a boot node, or set NoDiscovery to true",
        ));
    }
    let boot_nodes = cluster_list("BootNodes", &cluster.boot_nodes, cluster, merged);
    if boot_nodes.is_empty() {
        merged.warn("discovery is off: no boot node can be used".to_owned());
        return Ok(None);
    }
    Ok(Some(DiscoveryConfig { boot_nodes, register, require }))
}

fn register(file: &ConfigFile) -> Result<Vec<String>, ConfigError> {
    let mut topics = Vec::new();
    for topic in file.register_topics.iter().flatten() {
        check_topic("RegisterTopics", topic)?;
        if !topics.contains(topic) {
            topics.push(topic.clone());
        }
    }
    Ok(topics)
}

fn require(file: &ConfigFile) -> Result<BTreeMap<String, TopicLimits>, ConfigError> {
    let mut topics = BTreeMap::new();
    for (topic, limits) in file.require_topics.iter().flatten() {
        check_topic("RequireTopics", topic)?;
        if limits.max == 0 || limits.min > limits.max {
            return Err(ConfigError::setting(
                format!("RequireTopics.{}", topic.escape_debug()),
                format!("Min {} and Max {} allow no number of peers", limits.min, limits.max),
                "give a Max of at least 1 and at least Min",
            ));
        }
        topics.insert(topic.clone(), TopicLimits { min: limits.min, max: limits.max });
    }
    Ok(topics)
}

fn check_topic(key: &'static str, topic: &str) -> Result<(), ConfigError> {
    if (1..=MAX_TOPIC).contains(&topic.len()) {
        return Ok(());
    }
    Err(ConfigError::setting(
        key,
        format!("a topic of {} bytes", topic.len()),
        "give 1 to 64 bytes; relays use whisper, mailservers whispermail",
    ))
}

pub(super) fn shared_sources(file: &ConfigFile) -> Result<Vec<Cidr>, ConfigError> {
    let texts = file.shared_sources.as_deref().unwrap_or_default();
    texts
        .iter()
        .map(|text| {
            text.parse().map_err(|error: CidrError| {
                ConfigError::setting("SharedSources", error.to_string(), "correct or remove it")
            })
        })
        .collect()
}

//! Every effective value with its origin, and what differs between two configurations. Facts: `spec/operations.md` §8.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::{
    DatabaseUri, Identity, NodeConfig, Origin, Password, PostgresConfig, Secret,
    keys::{self, Effect},
    merge::Merged,
};

/// A key that has an effect.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setting {
    /// Path of the key, `WakuConfig.MinimumPoW`.
    pub key: String,
    /// The effective value; `null` when there is none.
    pub value: Shown,
    /// Where it comes from.
    pub origin: Origin,
}

/// A value that can be shown; of a secret only that there is one.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    /// In JSON.
    Plain(Value),
    /// Compared, never shown.
    Secret(Secret),
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(value) => value.serialize(serializer),
            Self::Secret(_) => serializer.serialize_str("(secret)"),
        }
    }
}

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Plain(value) => write!(f, "{value}"),
            Self::Secret(_) => f.write_str("(secret)"),
        }
    }
}

/// A key whose effective value became another one.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Path of the key.
    pub key: String,
    /// What it was.
    pub from: Shown,
    /// What it is in the new configuration.
    pub to: Shown,
    /// Whether a running node takes it; else it counts from the next start.
    pub live: bool,
}

/// What differs between the settings of two configurations.
#[must_use]
pub fn changes(old: &[Setting], new: &[Setting]) -> Vec<Change> {
    let leaves = keys::leaves();
    let is_live = |path: &str| leaves.iter().any(|(key, it)| key == path && it.effect == Effect::Live);
    old.iter()
        .zip(new)
        .filter(|(old, new)| old.value != new.value)
        .map(|(old, new)| Change {
            key: new.key.clone(),
            from: old.value.clone(),
            to: new.value.clone(),
            live: is_live(&new.key),
        })
        .collect()
}

/// Every key that has an effect, in the order of the table.
pub(crate) fn settings(config: &NodeConfig, merged: &Merged) -> Vec<Setting> {
    keys::leaves()
        .into_iter()
        .filter(|(_, key)| key.counts())
        .map(|(path, _)| {
            let value = effective(config, merged, &path);
            let origin = match path.as_str() {
                // Each of these can come from another key.
                "LogLevel" if merged.is_off("LogEnabled") => merged.origin("LogEnabled"),
                "WakuConfig.MailServerRetentionSeconds" if merged.origin(&path) == Origin::Default => {
                    merged.origin("WakuConfig.MailServerDataRetention")
                }
                _ => merged.origin(&path),
            };
            Setting { key: path, value, origin }
        })
        .collect()
}

/// The value that a key comes to.
fn effective(config: &NodeConfig, merged: &Merged, path: &str) -> Shown {
    if let Some(secret) = secret(config, path) {
        return secret;
    }
    let value = match path.split_once('.') {
        Some(("WakuConfig", key)) => waku(config, key),
        Some(("ClusterConfig", key)) => cluster(config, key),
        _ => root(config, path),
    };
    // What is switched off has no typed value, but what is configured for it is worth knowing.
    Shown::Plain(value.unwrap_or_else(|| configured(merged, path)))
}

fn secret(config: &NodeConfig, path: &str) -> Option<Shown> {
    let secret = match path {
        "NodeKey" => match &config.identity {
            Identity::Inline(secret) => Some(secret),
            _ => None,
        },
        "WakuConfig.MailServerPassword" => match config.mailserver.as_ref().map(|it| &it.password) {
            Some(Password::Inline(secret)) => Some(secret),
            _ => None,
        },
        "WakuConfig.DatabaseConfig.PGConfig.URI" => match postgres(config).map(|it| &it.uri) {
            Some(DatabaseUri::Inline(secret)) => Some(secret),
            _ => None,
        },
        _ => return None,
    };
    Some(secret.map_or(Shown::Plain(Value::Null), |secret| Shown::Secret(secret.clone())))
}

fn postgres(config: &NodeConfig) -> Option<&PostgresConfig> {
    config.mailserver.as_ref()?.postgres.as_ref()
}

fn root(config: &NodeConfig, key: &str) -> Option<Value> {
    let http = config.http.as_ref();
    let metrics = config.metrics.as_ref();
    Some(match key {
        "NetworkId" => json!(config.network_id),
        "DataDir" => json!(config.data_dir),
        "NodeKeyFile" => match &config.identity {
            Identity::File(path) => json!(path),
            Identity::DataDir => json!(config.data_dir.join("Statusd").join("nodekey")),
            Identity::Inline(_) => Value::Null,
        },
        "ListenAddr" => json!(config.listen.to_string()),
        "AdvertiseAddr" => json!(config.advertise),
        "UPnPEnabled" => json!(config.upnp),
        "NoDiscovery" => json!(config.discovery.is_none()),
        "RegisterTopics" => json!(config.discovery.as_ref()?.register),
        "RequireTopics" => {
            let topics = config.discovery.as_ref()?.require.iter();
            topics.map(|(topic, it)| (topic.clone(), json!({"Min": it.min, "Max": it.max}))).collect()
        }
        "APIModules" => json!(http?.modules.join(",")),
        "HTTPEnabled" => json!(http.is_some()),
        "HTTPHost" => json!(http?.host),
        "HTTPPort" => json!(http?.port),
        "HTTPVirtualHosts" => json!(http?.virtual_hosts),
        "HTTPCors" => json!(http?.cors),
        "WSEnabled" => json!(http.is_some_and(|http| http.websocket.is_some())),
        "WSOrigins" => json!(http?.websocket.as_ref()?.origins),
        "IPCEnabled" => json!(config.ipc.is_some()),
        "IPCFile" => json!(config.ipc.as_ref()?),
        "MetricsEnabled" => json!(metrics.is_some()),
        "MetricsHost" => json!(metrics?.host),
        "MetricsPort" => json!(metrics?.port),
        "MaxPeers" => json!(config.max_peers),
        "MaxPendingPeers" => json!(config.max_pending_peers),
        "EnableNTPSync" => json!(config.ntp),
        "LogLevel" => json!(config.log_level.name()),
        "LiveDir" => json!(config.live_dir),
        "SharedSources" => config.shared_sources.iter().map(ToString::to_string).collect(),
        "WorkerThreads" => json!(config.worker_threads),
        _ => return None,
    })
}

fn cluster(config: &NodeConfig, key: &str) -> Option<Value> {
    let urls = match key {
        "StaticNodes" => &config.static_peers,
        "TrustedNodes" => &config.trusted_peers,
        "TrustedMailServers" => &config.trusted_mailservers,
        "BootNodes" => &config.discovery.as_ref()?.boot_nodes,
        _ => return None,
    };
    Some(json!(urls))
}

fn waku(config: &NodeConfig, key: &str) -> Option<Value> {
    let waku = config.waku.as_ref();
    let mailserver = config.mailserver.as_ref();
    let limits = waku.and_then(|waku| waku.rate_limits);
    Some(match key {
        "Enabled" => json!(waku.is_some()),
        "LightClient" => json!(waku?.light_client),
        "FullNode" => json!(waku?.full_node),
        "BloomFilterMode" => json!(waku?.bloom_filter_mode),
        "MinimumPoW" => json!(waku?.minimum_pow),
        "MaxMessageSize" => json!(waku?.max_message_size),
        "EnableConfirmations" => json!(waku?.confirmations),
        "SoftBlacklistedPeerIDs" => json!(waku?.soft_blacklist),
        "EnableRateLimiter" => json!(limits.is_some()),
        "PacketRateLimitIP" => json!(limits?.ip_packets),
        "PacketRateLimitPeerID" => json!(limits?.peer_packets),
        "BytesRateLimitIP" => json!(limits?.ip_bytes),
        "BytesRateLimitPeerID" => json!(limits?.peer_bytes),
        "RateLimitTolerance" => json!(limits?.tolerance),
        "EnableMailServer" => json!(mailserver.is_some()),
        "DataDir" => json!(mailserver?.data_dir),
        "MailServerPasswordFile" => match &mailserver?.password {
            Password::File(path) => json!(path),
            Password::Inline(_) => Value::Null,
        },
        "MailServerRateLimit" => json!(mailserver?.rate_limit.map_or(0, |it| it.as_secs())),
        "MailServerRetentionSeconds" => json!(mailserver?.retention.map_or(0, |it| it.as_secs())),
        "MailServerSyncPeers" => json!(mailserver?.sync_peers),
        "MailServerSyncTimeout" => json!(mailserver?.sync_timeout.as_secs()),
        "DatabaseConfig.PGConfig.Enabled" => json!(postgres(config).is_some()),
        "DatabaseConfig.PGConfig.URIFile" => match &postgres(config)?.uri {
            DatabaseUri::File(path) => json!(path),
            DatabaseUri::Inline(_) => Value::Null,
        },
        "DatabaseConfig.PGConfig.SpoolMaxBytes" => json!(postgres(config)?.spool_max_bytes),
        "MailServerMaxBytes" => json!(mailserver?.max_bytes.map_or(0, std::num::NonZero::get)),
        _ => return None,
    })
}

/// What the files say of a key that comes to nothing, or that says the same as another one.
fn configured(merged: &Merged, path: &str) -> Value {
    let mut names = path.split('.');
    let first = names.next().and_then(|name| merged.values.get(name));
    names.fold(first, |value, name| value?.get(name)).cloned().unwrap_or(Value::Null)
}

//! The effective configuration: what the node is told, in types it can use.
//!
//! Only types and [`config_hash`]; how they come about is in `resolve`.
//! Facts: `spec/operations.md` §1.4–1.6.

use std::{
    collections::BTreeMap, ffi::OsString, net::IpAddr, num::NonZeroU64, path::PathBuf, time::Duration,
};

use enode::{EnodeUrl, NodeId};
use sha2::{Digest as _, Sha256};

use crate::{Cidr, Secret};

/// The part of the process environment that counts, read by the caller.
#[derive(Debug, Default, Clone)]
pub struct Environment {
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `STATUSD_NODEKEY_FILE`.
    pub nodekey_file: Option<PathBuf>,
    /// `STATUSD_NODEKEY`.
    pub nodekey: Option<Secret>,
}

impl Environment {
    /// Asks `get` for each variable that counts. An empty key or key file is not the same as none: it is refused later.
    pub fn collect(get: impl Fn(&str) -> Option<OsString>) -> Self {
        Self {
            home: get("HOME").filter(|home| !home.is_empty()).map(PathBuf::from),
            nodekey_file: get("STATUSD_NODEKEY_FILE").map(PathBuf::from),
            nodekey: get("STATUSD_NODEKEY").map(|key| Secret::new(key.to_string_lossy().into_owned())),
        }
    }
}

/// Everything the node needs to start.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Ethereum network number.
    pub network_id: NonZeroU64,
    /// Directory of everything the node keeps.
    pub data_dir: PathBuf,
    /// Where the node key comes from.
    pub identity: Identity,
    /// devp2p listener.
    pub listen: ListenAddr,
    /// Address to advertise with the listener's port, if fixed.
    pub advertise: Option<IpAddr>,
    /// Have the home router forward the listener's port; never with [`Self::live_dir`].
    pub upnp: bool,
    /// Directory with `live.json`, if the address and peers come from there.
    pub live_dir: Option<PathBuf>,
    /// Most peers, at least 1.
    pub max_peers: u32,
    /// Most connections in handshake, each direction, at least 1.
    pub max_pending_peers: u32,
    /// Peers that are always dialled, from `ClusterConfig` or `static-nodes.json`.
    pub static_peers: Vec<EnodeUrl>,
    /// Peers that may exceed [`Self::max_peers`], from `ClusterConfig` or `trusted-nodes.json`.
    pub trusted_peers: Vec<EnodeUrl>,
    /// Mailservers that discovery believes and that are never limited. Not dialled.
    pub trusted_mailservers: Vec<EnodeUrl>,
    /// UDP discovery, if on.
    pub discovery: Option<DiscoveryConfig>,
    /// Sources that are not throttled per address.
    pub shared_sources: Vec<Cidr>,
    /// JSON-RPC over HTTP, if on.
    pub http: Option<HttpConfig>,
    /// Path of the socket of JSON-RPC, if on.
    pub ipc: Option<PathBuf>,
    /// Metrics and health, if on.
    pub metrics: Option<MetricsConfig>,
    /// Waku, if on.
    pub waku: Option<WakuConfig>,
    /// The history role, if on; then [`Self::waku`] is on too.
    pub mailserver: Option<MailserverConfig>,
    /// Measure by NTP what the machine's clock is off by.
    pub ntp: bool,
    /// Least severe level that is logged.
    pub log_level: LogLevel,
    /// Never colour the log.
    pub log_without_color: bool,
    /// Threads of the event loop; `None`: choose by the processors.
    pub worker_threads: Option<u16>,
    /// [`config_hash`] of the `-c` files; empty without any.
    pub config_hash: String,
}

/// Where the node key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A file that must hold a key and is never written.
    File(PathBuf),
    /// The key itself, already found to be one.
    Inline(Secret),
    /// `<DataDir>/Statusd/nodekey`, generated once.
    DataDir,
}

/// `host:port` of a listener; no host is every interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenAddr {
    /// Address of one interface, or `None` for all.
    pub host: Option<IpAddr>,
    /// Port, 0 for any free one.
    pub port: u16,
}

/// JSON-RPC over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// IP literal or name of the interface.
    pub host: String,
    /// Port, 0 for any free one.
    pub port: u16,
    /// Host headers that are answered, lower case; `*` is any.
    pub virtual_hosts: Vec<String>,
    /// Allowed CORS origins; `*` is any; empty: no CORS headers.
    pub cors: Vec<String>,
    /// Enabled modules.
    pub modules: Vec<String>,
    /// WebSocket on the same listener, if on.
    pub websocket: Option<WebSocketConfig>,
    /// File with the bearer token of write methods.
    pub token_file: Option<PathBuf>,
}

/// WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSocketConfig {
    /// Allowed Origin headers; `*` is any; empty: only requests without one.
    pub origins: Vec<String>,
}

/// UDP discovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveryConfig {
    /// Where it begins, at least one.
    pub boot_nodes: Vec<EnodeUrl>,
    /// Topics that this node advertises, 1 to 64 bytes each, no two alike.
    pub register: Vec<String>,
    /// Topics to search.
    pub require: BTreeMap<String, TopicLimits>,
}

/// How many peers of a topic are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicLimits {
    /// The fewest, at most [`Self::max`].
    pub min: u32,
    /// The most, at least 1.
    pub max: u32,
}

/// Metrics and health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsConfig {
    /// IP literal or name of the interface.
    pub host: String,
    /// Port, 0 for any free one.
    pub port: u16,
}

/// Waku v1.
#[derive(Debug, Clone, PartialEq)]
pub struct WakuConfig {
    /// Receive nothing.
    pub light_client: bool,
    /// Accept and forward everything.
    pub full_node: bool,
    /// Announce a bloom filter instead of topics.
    pub bloom_filter_mode: bool,
    /// Least proof of work of an envelope, finite, at least 0.
    pub minimum_pow: f64,
    /// Most bytes of a packet, 1 KiB to 10 MiB.
    pub max_message_size: u32,
    /// Confirm received envelopes.
    pub confirmations: bool,
    /// Nodes whose envelopes are ignored.
    pub soft_blacklist: Vec<NodeId>,
    /// Limits on what peers send; `None` without the limiter.
    pub rate_limits: Option<RateLimitsConfig>,
}

/// Limits on what peers send, a second; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimitsConfig {
    /// Packets of one address prefix.
    pub ip_packets: u32,
    /// Packets of one peer.
    pub peer_packets: u32,
    /// Bytes of one address prefix.
    pub ip_bytes: u32,
    /// Bytes of one peer.
    pub peer_bytes: u32,
    /// Exceedings at which a peer is disconnected; 0 is never.
    pub tolerance: u32,
}

/// The history role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailserverConfig {
    /// Directory of the archive.
    pub data_dir: PathBuf,
    /// Where the password of history requests comes from.
    pub password: Password,
    /// Least time between two requests of one peer.
    pub rate_limit: Option<Duration>,
    /// How long envelopes are kept; `None` is for ever.
    pub retention: Option<Duration>,
    /// Most bytes of the archive.
    pub max_bytes: Option<NonZeroU64>,
    /// Replicas that sync with this one. Not dialled.
    pub sync_peers: Vec<EnodeUrl>,
    /// When history counts as complete although no replica agrees.
    pub sync_timeout: Duration,
    /// The database that holds the archive; `None`: it is in [`Self::data_dir`].
    pub postgres: Option<PostgresConfig>,
}

/// An archive in a PostgreSQL database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresConfig {
    /// Where its URI comes from.
    pub uri: DatabaseUri,
    /// Directory of what waits while it is away.
    pub spool_dir: PathBuf,
    /// Most bytes that wait there.
    pub spool_max_bytes: u64,
}

/// Where the URI of a database comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUri {
    /// From the configuration.
    Inline(Secret),
    /// From a file, read at the start.
    File(PathBuf),
}

/// Where the password of history requests comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Password {
    /// From the configuration.
    Inline(Secret),
    /// From a file that is reloaded when it changes.
    File(PathBuf),
}

/// Severity of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogLevel {
    /// Only failures.
    Error,
    /// And what is about to fail.
    Warn,
    /// And what an operator wants to know.
    #[default]
    Info,
    /// And what a developer wants to know.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// As it is written in a configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
            Self::Trace => "TRACE",
        }
    }
}

/// The name of a configuration: the first 10 hex digits of the SHA-256 of the texts of its files, in order.
/// The operator names its immutable config maps by the same digits and compares them with `/status`.
#[must_use]
pub fn config_hash<T: AsRef<[u8]>>(texts: impl IntoIterator<Item = T>) -> String {
    let mut digest = Sha256::new();
    for text in texts {
        digest.update(text.as_ref());
    }
    hex::encode(&digest.finalize()[..5])
}

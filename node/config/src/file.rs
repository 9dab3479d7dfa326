//! The JSON config file as a type: every key that has an effect, under its exact name.
//!
//! Written by the operator, read by the node after merging. A key that is `None` is left out, and the node's
//! default holds. Facts: `spec/operations.md` §1.4–1.6; the extension keys are marked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Secret;

/// The root object of a config file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ConfigFile {
    /// Ethereum network number; non-zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_id: Option<u64>,
    /// Directory of everything the node keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<String>,
    /// Private key, 64 hex digits. Prefer [`Self::node_key_file`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_key: Option<Secret>,
    /// Extension: file with the private key, 64 hex digits. Never written by the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_key_file: Option<String>,
    /// `host:port` of the devp2p listener; an empty host is every interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen_addr: Option<String>,
    /// IP address to advertise with the listener's port. Not together with [`Self::live_dir`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertise_addr: Option<String>,
    /// Extension: have the home router forward the listener's port. Not together with [`Self::live_dir`].
    #[serde(rename = "UPnPEnabled", skip_serializing_if = "Option::is_none")]
    pub upnp_enabled: Option<bool>,
    /// `true`: no UDP discovery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_discovery: Option<bool>,
    /// Discovery topics that this node advertises.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub register_topics: Option<Vec<String>>,
    /// Discovery topics to search.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_topics: Option<BTreeMap<String, TopicLimitsFile>>,
    /// Comma-separated RPC modules.
    #[serde(rename = "APIModules", skip_serializing_if = "Option::is_none")]
    pub api_modules: Option<String>,
    /// Serve JSON-RPC over HTTP.
    #[serde(rename = "HTTPEnabled", skip_serializing_if = "Option::is_none")]
    pub http_enabled: Option<bool>,
    /// Host of the RPC listener.
    #[serde(rename = "HTTPHost", skip_serializing_if = "Option::is_none")]
    pub http_host: Option<String>,
    /// Port of the RPC listener.
    #[serde(rename = "HTTPPort", skip_serializing_if = "Option::is_none")]
    pub http_port: Option<u16>,
    /// Host headers that are answered; `*` is any, IP literals always pass.
    #[serde(rename = "HTTPVirtualHosts", skip_serializing_if = "Option::is_none")]
    pub http_virtual_hosts: Option<Vec<String>>,
    /// Allowed CORS origins; `*` is any.
    #[serde(rename = "HTTPCors", skip_serializing_if = "Option::is_none")]
    pub http_cors: Option<Vec<String>>,
    /// Extension: serve WebSocket on the RPC listener too.
    #[serde(rename = "WSEnabled", skip_serializing_if = "Option::is_none")]
    pub ws_enabled: Option<bool>,
    /// Extension: allowed Origin headers of WebSocket; `*` is any.
    #[serde(rename = "WSOrigins", skip_serializing_if = "Option::is_none")]
    pub ws_origins: Option<Vec<String>>,
    /// Serve JSON-RPC on a Unix socket.
    #[serde(rename = "IPCEnabled", skip_serializing_if = "Option::is_none")]
    pub ipc_enabled: Option<bool>,
    /// Path of the socket; a bare name is placed in `DataDir`.
    #[serde(rename = "IPCFile", skip_serializing_if = "Option::is_none")]
    pub ipc_file: Option<String>,
    /// Extension: file with the bearer token of RPC write methods; reloaded when it changes.
    #[serde(rename = "RPCTokenFile", skip_serializing_if = "Option::is_none")]
    pub rpc_token_file: Option<String>,
    /// Extension: serve metrics and health.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_enabled: Option<bool>,
    /// Extension: host of the metrics listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_host: Option<String>,
    /// Extension: port of the metrics listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_port: Option<u16>,
    /// Most peers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_peers: Option<u32>,
    /// Most connections in handshake, each direction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_pending_peers: Option<u32>,
    /// ERROR, WARN, INFO, DEBUG or TRACE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_level: Option<String>,
    /// `false`: log errors only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_enabled: Option<bool>,
    /// Measure by NTP what the machine's clock is off by.
    #[serde(rename = "EnableNTPSync", skip_serializing_if = "Option::is_none")]
    pub enable_ntp_sync: Option<bool>,
    /// Extension: directory that holds `live.json`; watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live_dir: Option<String>,
    /// Extension: CIDR ranges behind which many clients share one address; not throttled per address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_sources: Option<Vec<String>>,
    /// Extension: threads of the event loop, 1 to 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker_threads: Option<u16>,
    /// Peers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_config: Option<ClusterConfigFile>,
    /// Waku v1 and the mailserver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waku_config: Option<WakuConfigFile>,
}

/// `ClusterConfig`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ClusterConfigFile {
    /// `false`: the lists below are ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// enode URLs that are always dialled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub static_nodes: Option<Vec<String>>,
    /// Extension: enode URLs of nodes that may exceed `MaxPeers`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_nodes: Option<Vec<String>>,
    /// enode URLs by which discovery begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_nodes: Option<Vec<String>>,
    /// enode URLs of mailservers that discovery believes; never limited, not dialled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_mail_servers: Option<Vec<String>>,
}

/// How many peers of a topic are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TopicLimitsFile {
    /// The fewest.
    pub min: u32,
    /// The most, at least 1 and at least [`Self::min`].
    pub max: u32,
}

/// `WakuConfig`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct WakuConfigFile {
    /// Speak waku at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Start with an empty bloom filter: receive nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub light_client: Option<bool>,
    /// Accept and forward everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_node: Option<bool>,
    /// Announce a bloom filter instead of topics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bloom_filter_mode: Option<bool>,
    /// Archive envelopes and answer history requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_mail_server: Option<bool>,
    /// Directory of the archive, inside the root `DataDir`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<String>,
    /// Password that derives the key of history requests. Prefer [`Self::mail_server_password_file`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail_server_password: Option<Secret>,
    /// Extension: file with the password; reloaded when it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail_server_password_file: Option<String>,
    /// Seconds between two requests of one peer; 0 is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail_server_rate_limit: Option<u32>,
    /// Days that envelopes are kept; 0 is for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail_server_data_retention: Option<u32>,
    /// Extension: the same in seconds; wins over the days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail_server_retention_seconds: Option<u64>,
    /// Extension: most bytes of the archive; 0 is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail_server_max_bytes: Option<u64>,
    /// Extension: enode URLs of the mailservers that sync with this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail_server_sync_peers: Option<Vec<String>>,
    /// Extension: seconds after which history counts as complete although no replica agrees; 0 is the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail_server_sync_timeout: Option<u32>,
    /// Least proof of work of an envelope.
    #[serde(rename = "MinimumPoW", skip_serializing_if = "Option::is_none")]
    pub minimum_pow: Option<f64>,
    /// Most bytes of a packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_message_size: Option<u32>,
    /// Confirm received envelopes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_confirmations: Option<bool>,
    /// Node ids whose envelopes are ignored, 64 hex digits each.
    #[serde(rename = "SoftBlacklistedPeerIDs", skip_serializing_if = "Option::is_none")]
    pub soft_blacklisted_peer_ids: Option<Vec<String>>,
    /// Count what comes in against the rates below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_rate_limiter: Option<bool>,
    /// Packets a second of one address prefix; 0 is no limit.
    #[serde(rename = "PacketRateLimitIP", skip_serializing_if = "Option::is_none")]
    pub packet_rate_limit_ip: Option<u32>,
    /// Packets a second of one peer; 0 is no limit.
    #[serde(rename = "PacketRateLimitPeerID", skip_serializing_if = "Option::is_none")]
    pub packet_rate_limit_peer_id: Option<u32>,
    /// Bytes a second of one address prefix; 0 is no limit.
    #[serde(rename = "BytesRateLimitIP", skip_serializing_if = "Option::is_none")]
    pub bytes_rate_limit_ip: Option<u32>,
    /// Bytes a second of one peer; 0 is no limit.
    #[serde(rename = "BytesRateLimitPeerID", skip_serializing_if = "Option::is_none")]
    pub bytes_rate_limit_peer_id: Option<u32>,
    /// Exceedings at which a peer is disconnected; 0 is never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit_tolerance: Option<u32>,
    /// Databases of the archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_config: Option<DatabaseConfigFile>,
}

/// `WakuConfig.DatabaseConfig`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DatabaseConfigFile {
    /// PostgreSQL.
    #[serde(rename = "PGConfig", skip_serializing_if = "Option::is_none")]
    pub postgres: Option<PostgresConfigFile>,
}

/// `WakuConfig.DatabaseConfig.PGConfig`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PostgresConfigFile {
    /// Keep the archive in a PostgreSQL database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Where it is. Prefer [`Self::uri_file`].
    #[serde(rename = "URI", skip_serializing_if = "Option::is_none")]
    pub uri: Option<Secret>,
    /// Extension: file with the URI.
    #[serde(rename = "URIFile", skip_serializing_if = "Option::is_none")]
    pub uri_file: Option<String>,
    /// Extension: most bytes that wait on disk while the database is away; 0 is the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spool_max_bytes: Option<u64>,
}

//! How the effective configuration comes about: flags over files over defaults, then validation.
//!
//! Facts: `spec/operations.md` §1.3 (precedence), §1.4–1.6 (defaults), §1.8 (validation), §8 (what differs on
//! purpose: retention of 30 days, full node for the history role, listeners on loopback, 500 peers, no S6).

use std::{
    fmt,
    net::IpAddr,
    num::NonZeroU64,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use enode::{EnodeUrl, NodeKey};

use crate::{
    Cidr, CidrError, ConfigError, Environment, Flags, HttpConfig, Identity, ListenAddr, LogLevel,
    MailserverConfig, MetricsConfig, NodeConfig, Password, RateLimitsConfig, Secret, WakuConfig,
    WebSocketConfig, config_hash,
    file::{ClusterConfigFile, ConfigFile, WakuConfigFile},
    merge::{Merged, Warning},
};

/// devp2p port when nothing else is said.
pub const DEFAULT_P2P_PORT: u16 = 30303;
/// JSON-RPC port when nothing else is said.
pub const DEFAULT_RPC_PORT: u16 = 8545;
/// Metrics and health port when nothing else is said.
pub const DEFAULT_METRICS_PORT: u16 = 9090;
/// Most peers when nothing else is said.
pub const DEFAULT_MAX_PEERS: u32 = 500;
/// How long envelopes are kept when nothing else is said.
pub const DEFAULT_RETENTION: Duration = Duration::from_hours(30 * 24);
/// The password every client of the network knows; used with the flag `-mailserver` when none is given.
pub const DEFAULT_MAIL_PASSWORD: &str = "status-offline-inbox";

const DEFAULT_MODULES: &str = "admin,net,web3";
const DEFAULT_MINIMUM_POW: f64 = 0.000_002;
const DEFAULT_MAX_MESSAGE_SIZE: u32 = 1024 * 1024;
/// Below it a peer's status does not fit.
const MAX_MESSAGE_SIZE_FLOOR: u32 = 1024;
/// The reference's ceiling for the packet size (`spec/operations.md` §1.5).
const MAX_MESSAGE_SIZE_CEILING: u32 = 10 * 1024 * 1024;
const MAX_WORKER_THREADS: u16 = 64;

impl NodeConfig {
    /// What `flags`, the `-c` files (name and text, in order) and the environment come to.
    ///
    /// # Errors
    /// [`ConfigError`], which names the setting and the remedy.
    pub fn assemble(
        flags: &Flags,
        files: &[(String, String)],
        environment: &Environment,
    ) -> Result<(Self, Vec<Warning>), ConfigError> {
        let mut merged = Merged::default();
        for (name, text) in files {
            merged.add(name, text)?;
        }
        let values = serde_json::Value::Object(std::mem::take(&mut merged.values));
        let file: ConfigFile = serde_json::from_value(values).map_err(|error| ConfigError::NotJson {
            file: files.last().map(|(name, _)| name.clone()).unwrap_or_default(),
            problem: error.to_string(),
        })?;
        let config = Self::from_merged(flags, file, files, environment, &mut merged)?;
        Ok((config, merged.warnings))
    }

    fn from_merged(
        flags: &Flags,
        file: ConfigFile,
        files: &[(String, String)],
        environment: &Environment,
        merged: &mut Merged,
    ) -> Result<Self, ConfigError> {
        let data_dir = data_dir(flags, &file, environment)?;
        let waku_file = file.waku_config.clone().unwrap_or_default();
        let mailserver = mailserver(flags, &waku_file, &data_dir)?;
        let waku = waku(&waku_file, mailserver.is_some())?;
        if mailserver.is_some() && waku.is_none() {
            return Err(ConfigError::setting(
                "WakuConfig.Enabled",
                "is false although the mailserver is on",
                "set it to true, or WakuConfig.EnableMailServer to false",
            ));
        }
        if file.no_discovery == Some(false) {
            merged
                .warn("NoDiscovery: false has no effect in this version: peers are static or come in".into());
        }
        let live_dir = file.live_dir.as_deref().filter(|dir| !dir.is_empty()).map(PathBuf::from);
        Ok(Self {
            network_id: network_id(flags, &file)?,
            identity: identity(flags, &file, environment)?,
            ipc: ipc(&file, &data_dir),
            data_dir,
            listen: listen(flags, &file)?,
            advertise: advertise(&file, live_dir.as_deref())?,
            live_dir,
            max_peers: match file.max_peers {
                None | Some(0) => DEFAULT_MAX_PEERS,
                Some(peers) => peers,
            },
            max_pending_peers: match file.max_pending_peers {
                None | Some(0) => 100,
                Some(peers) => peers,
            },
            static_peers: static_peers(&file.cluster_config.clone().unwrap_or_default(), merged),
            shared_sources: shared_sources(&file)?,
            http: http(&file),
            metrics: metrics(flags, &file),
            waku,
            mailserver,
            log_level: log_level(flags, &file)?,
            log_without_color: flags.log_without_color,
            worker_threads: worker_threads(flags, &file)?,
            config_hash: if files.is_empty() {
                String::new()
            } else {
                config_hash(files.iter().map(|(_, text)| text))
            },
        })
    }
}

fn network_id(flags: &Flags, file: &ConfigFile) -> Result<NonZeroU64, ConfigError> {
    NonZeroU64::new(flags.network_id.or(file.network_id).unwrap_or(3)).ok_or_else(|| {
        ConfigError::setting("NetworkId", "is 0", "give the number of a network, 1 for mainnet")
    })
}

fn data_dir(flags: &Flags, file: &ConfigFile, environment: &Environment) -> Result<PathBuf, ConfigError> {
    let dir = flags.dir.clone().or_else(|| file.data_dir.clone().map(PathBuf::from)).unwrap_or_else(|| {
        environment.home.as_ref().map_or_else(|| PathBuf::from("statusd-data"), |home| home.join(".statusd"))
    });
    if dir.as_os_str().is_empty() {
        return Err(ConfigError::setting("DataDir", "is empty", "give a directory, or leave the key out"));
    }
    Ok(dir)
}

fn identity(flags: &Flags, file: &ConfigFile, environment: &Environment) -> Result<Identity, ConfigError> {
    let key_file = |path: &Path, key: &'static str| {
        if path.as_os_str().is_empty() {
            return Err(ConfigError::setting(key, "is empty", "give a file with 64 hex digits"));
        }
        Ok(Identity::File(path.to_owned()))
    };
    let inline = |secret: &Secret, key: &'static str| match NodeKey::from_hex(secret.expose()) {
        Ok(_) => Ok(Identity::Inline(secret.clone())),
        Err(_) => Err(ConfigError::setting(
            key,
            "is not a secp256k1 private key",
            "give exactly 64 hex digits without 0x, or leave it out to have one generated",
        )),
    };
    if let Some(path) = &flags.nodekey_file {
        return key_file(path, "-nodekey-file");
    }
    if let Some(path) = &environment.nodekey_file {
        return key_file(path, "STATUSD_NODEKEY_FILE");
    }
    if let Some(secret) = &environment.nodekey {
        return inline(secret, "STATUSD_NODEKEY");
    }
    let node_key = file.node_key.as_ref().filter(|key| !key.expose().is_empty());
    let node_key_file = file.node_key_file.as_deref().filter(|path| !path.is_empty());
    match (node_key, node_key_file) {
        (Some(_), Some(_)) => Err(ConfigError::setting(
            "NodeKey",
            "is given together with NodeKeyFile",
            "keep only NodeKeyFile",
        )),
        (Some(secret), None) => inline(secret, "NodeKey"),
        (None, Some(path)) => key_file(Path::new(path), "NodeKeyFile"),
        (None, None) => Ok(Identity::DataDir),
    }
}

fn listen(flags: &Flags, file: &ConfigFile) -> Result<ListenAddr, ConfigError> {
    let (text, key) = match (&flags.addr, &file.listen_addr) {
        (Some(text), _) => (text, "-addr"),
        (None, Some(text)) => (text, "ListenAddr"),
        (None, None) => return Ok(ListenAddr { host: None, port: DEFAULT_P2P_PORT }),
    };
    text.parse().map_err(|()| {
        ConfigError::setting(
            key,
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

fn advertise(file: &ConfigFile, live_dir: Option<&Path>) -> Result<Option<IpAddr>, ConfigError> {
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

fn static_peers(cluster: &ClusterConfigFile, merged: &mut Merged) -> Vec<EnodeUrl> {
    let nodes = cluster.static_nodes.clone().unwrap_or_default();
    if !nodes.is_empty() && cluster.enabled != Some(true) {
        merged.warn("ClusterConfig.StaticNodes has no effect: ClusterConfig.Enabled is not true".into());
        return Vec::new();
    }
    let mut peers = Vec::with_capacity(nodes.len());
    for (index, text) in nodes.iter().enumerate() {
        match text.parse() {
            Ok(peer) => peers.push(peer),
            Err(error) => merged.warn(format!("ClusterConfig.StaticNodes[{index}] is skipped: {error}")),
        }
    }
    peers
}

fn shared_sources(file: &ConfigFile) -> Result<Vec<Cidr>, ConfigError> {
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

/// Loopback when the host is not given: RPC and metrics open to others is a decision, not a default.
fn host(configured: Option<&str>) -> String {
    configured.filter(|host| !host.is_empty()).unwrap_or("127.0.0.1").to_owned()
}

fn http(file: &ConfigFile) -> Option<HttpConfig> {
    if file.http_enabled != Some(true) {
        return None;
    }
    let modules = file.api_modules.as_deref().filter(|csv| !csv.trim().is_empty()).unwrap_or(DEFAULT_MODULES);
    let virtual_hosts = file.http_virtual_hosts.clone().unwrap_or_else(|| vec!["localhost".to_owned()]);
    Some(HttpConfig {
        host: host(file.http_host.as_deref()),
        port: file.http_port.unwrap_or(DEFAULT_RPC_PORT),
        virtual_hosts: virtual_hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
        cors: file.http_cors.clone().unwrap_or_default(),
        modules: modules
            .split(',')
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .collect(),
        websocket: (file.ws_enabled == Some(true))
            .then(|| WebSocketConfig { origins: file.ws_origins.clone().unwrap_or_default() }),
        token_file: file.rpc_token_file.as_deref().filter(|path| !path.is_empty()).map(PathBuf::from),
    })
}

fn ipc(file: &ConfigFile, data_dir: &Path) -> Option<PathBuf> {
    let path = file.ipc_file.as_deref().filter(|path| !path.is_empty()).unwrap_or("geth.ipc");
    (file.ipc_enabled == Some(true))
        .then(|| if path.contains('/') { PathBuf::from(path) } else { data_dir.join(path) })
}

fn metrics(flags: &Flags, file: &ConfigFile) -> Option<MetricsConfig> {
    (flags.metrics || file.metrics_enabled == Some(true)).then(|| MetricsConfig {
        host: host(file.metrics_host.as_deref()),
        port: flags.metrics_port.or(file.metrics_port).unwrap_or(DEFAULT_METRICS_PORT),
    })
}

fn waku(file: &WakuConfigFile, mailserver: bool) -> Result<Option<WakuConfig>, ConfigError> {
    if file.enabled == Some(false) {
        return Ok(None);
    }
    let light_client = file.light_client.unwrap_or(false);
    if mailserver && light_client {
        return Err(ConfigError::setting(
            "WakuConfig.LightClient",
            "is true although the mailserver is on, which would archive nothing",
            "set it to false",
        ));
    }
    let minimum_pow = file.minimum_pow.unwrap_or(DEFAULT_MINIMUM_POW);
    if minimum_pow < 0.0 {
        return Err(ConfigError::setting(
            "WakuConfig.MinimumPoW",
            format!("{minimum_pow} is negative"),
            "give 0 or more; the network uses 0.000002",
        ));
    }
    let max_message_size = match file.max_message_size {
        None | Some(0) => DEFAULT_MAX_MESSAGE_SIZE,
        Some(bytes) if bytes < MAX_MESSAGE_SIZE_FLOOR => {
            return Err(ConfigError::setting(
                "WakuConfig.MaxMessageSize",
                format!("{bytes} is less than {MAX_MESSAGE_SIZE_FLOOR}"),
                "give at least 1024 bytes, or peers cannot even say what they want; the network uses 1048576",
            ));
        }
        Some(bytes) if bytes <= MAX_MESSAGE_SIZE_CEILING => bytes,
        Some(bytes) => {
            return Err(ConfigError::setting(
                "WakuConfig.MaxMessageSize",
                format!("{bytes} is more than {MAX_MESSAGE_SIZE_CEILING}"),
                "give at most 10485760 bytes; the network uses 1048576",
            ));
        }
    };
    Ok(Some(WakuConfig {
        light_client,
        full_node: file.full_node.unwrap_or(mailserver),
        bloom_filter_mode: file.bloom_filter_mode.unwrap_or(false),
        minimum_pow,
        max_message_size,
        confirmations: file.enable_confirmations.unwrap_or(false),
        rate_limits: (file.enable_rate_limiter == Some(true)).then(|| RateLimitsConfig {
            ip_packets: file.packet_rate_limit_ip.unwrap_or(0),
            peer_packets: file.packet_rate_limit_peer_id.unwrap_or(0),
            ip_bytes: file.bytes_rate_limit_ip.unwrap_or(0),
            peer_bytes: file.bytes_rate_limit_peer_id.unwrap_or(0),
            tolerance: file.rate_limit_tolerance.unwrap_or(0),
        }),
    }))
}

fn mailserver(
    flags: &Flags,
    file: &WakuConfigFile,
    data_dir: &Path,
) -> Result<Option<MailserverConfig>, ConfigError> {
    if !flags.mailserver && file.enable_mail_server != Some(true) {
        return Ok(None);
    }
    let dir = file.data_dir.as_deref().filter(|dir| !dir.is_empty());
    let dir = dir.map_or_else(|| data_dir.join("waku"), PathBuf::from);
    if !dir.starts_with(data_dir) || dir == data_dir {
        return Err(ConfigError::setting(
            "WakuConfig.DataDir",
            format!("{} is not inside DataDir {}", dir.display(), data_dir.display()),
            "give a directory inside DataDir, or leave it out for <DataDir>/waku",
        ));
    }
    let inline = file.mail_server_password.as_ref().filter(|password| !password.expose().is_empty());
    let password_file = file.mail_server_password_file.as_deref().filter(|path| !path.is_empty());
    let password = match (inline, password_file) {
        (Some(_), Some(_)) => {
            return Err(ConfigError::setting(
                "WakuConfig.MailServerPassword",
                "is given together with MailServerPasswordFile",
                "keep only MailServerPasswordFile",
            ));
        }
        (Some(password), None) => Password::Inline(password.clone()),
        (None, Some(path)) => Password::File(PathBuf::from(path)),
        (None, None) if flags.mailserver => Password::Inline(Secret::new(DEFAULT_MAIL_PASSWORD.to_owned())),
        (None, None) => {
            return Err(ConfigError::setting(
                "WakuConfig.MailServerPassword",
                "is not set although the mailserver is on",
                "set it or MailServerPasswordFile; clients of the network use status-offline-inbox",
            ));
        }
    };
    let retention = match (file.mail_server_retention_seconds, file.mail_server_data_retention) {
        (Some(seconds), _) => Duration::from_secs(seconds),
        (None, Some(days)) => Duration::from_secs(u64::from(days) * 86_400),
        (None, None) => DEFAULT_RETENTION,
    };
    let rate_limit = Duration::from_secs(u64::from(file.mail_server_rate_limit.unwrap_or(0)));
    Ok(Some(MailserverConfig {
        data_dir: dir,
        password,
        rate_limit: (!rate_limit.is_zero()).then_some(rate_limit),
        retention: (!retention.is_zero()).then_some(retention),
        max_bytes: file.mail_server_max_bytes.and_then(NonZeroU64::new),
    }))
}

fn log_level(flags: &Flags, file: &ConfigFile) -> Result<LogLevel, ConfigError> {
    let (text, key) = match (flags.log.as_deref(), file.log_level.as_deref()) {
        (Some(text), _) if !text.is_empty() => (text, "-log"),
        (_, Some(text)) if !text.is_empty() => (text, "LogLevel"),
        _ => return Ok(LogLevel::default()),
    };
    match text.to_ascii_uppercase().as_str() {
        "ERROR" => Ok(LogLevel::Error),
        "WARN" => Ok(LogLevel::Warn),
        "INFO" => Ok(LogLevel::Info),
        "DEBUG" => Ok(LogLevel::Debug),
        "TRACE" => Ok(LogLevel::Trace),
        _ => Err(ConfigError::setting(
            key,
            format!("{text:?} is not a level"),
            "give ERROR, WARN, INFO, DEBUG or TRACE",
        )),
    }
}

fn worker_threads(flags: &Flags, file: &ConfigFile) -> Result<Option<u16>, ConfigError> {
    match flags.worker_threads.or(file.worker_threads) {
        None => Ok(None),
        Some(threads) if (1..=MAX_WORKER_THREADS).contains(&threads) => Ok(Some(threads)),
        Some(threads) => Err(ConfigError::setting(
            "WorkerThreads",
            format!("{threads} is not between 1 and {MAX_WORKER_THREADS}"),
            "give the number of processors the node may use, or leave it out",
        )),
    }
}

#[cfg(test)]
mod tests;

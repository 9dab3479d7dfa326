//! How the effective configuration comes about: flags over environment over files over the fleet over defaults, then
//! validation.
//!
//! Facts: `spec/operations.md` §1.3 (precedence), §1.4–1.6 (defaults), §8 (what differs on purpose: retention of 30
//! days, full node for the history role, listeners on loopback, 500 peers, no S6, no fleet unless named).

mod identity;
mod peers;
mod serve;
mod waku;

use std::{num::NonZeroU64, path::PathBuf, time::Duration};

use serde_json::Value;

use crate::{
    ConfigError, Environment, Flags, LogLevel, NodeConfig, Origin, config_hash, file::ConfigFile, fleet,
    merge::Merged, overlay, validate,
};

/// devp2p port when nothing else is said.
pub const DEFAULT_P2P_PORT: u16 = 30303;
/// JSON-RPC port when nothing else is said.
pub const DEFAULT_RPC_PORT: u16 = 8545;
/// Metrics and health port when nothing else is said.
pub const DEFAULT_METRICS_PORT: u16 = 9090;
/// Most peers when nothing else is said.
pub const DEFAULT_MAX_PEERS: u32 = 500;
/// Most connections in handshake, each direction, when nothing else is said.
pub(crate) const DEFAULT_MAX_PENDING_PEERS: u32 = 100;
/// How long envelopes are kept when nothing else is said.
pub const DEFAULT_RETENTION: Duration = Duration::from_hours(30 * 24);
/// The password every client of the network knows; used with the flag `-mailserver` when none is given.
pub const DEFAULT_MAIL_PASSWORD: &str = "status-offline-inbox";

const MAX_WORKER_THREADS: u16 = 64;

/// A file: its name and its text.
pub(crate) type Text = (String, String);

/// What the flags, the fleet's file, the `-c` files in order and the environment come to, and where from.
///
/// # Errors
/// [`ConfigError`], which names the setting and the remedy.
pub(crate) fn assemble(
    flags: &Flags,
    fleet_file: Option<&Text>,
    files: &[Text],
    environment: &Environment,
) -> Result<(NodeConfig, Merged), ConfigError> {
    let mut merged = Merged::default();
    match (fleet::Choice::of(flags.fleet.as_deref())?, fleet_file) {
        (fleet::Choice::BuiltIn(name, text), _) => fleet::add(&mut merged, name, text)?,
        (fleet::Choice::File(_), Some((name, text))) => fleet::add(&mut merged, name, text)?,
        _ => {}
    }
    for (name, text) in files {
        merged.add(&Origin::File(name.clone()), text)?;
    }
    overlay::add(&mut merged, flags, environment)?;
    let unknown = std::mem::take(&mut merged.unknown);
    if flags.strict == Some(true) && !unknown.is_empty() {
        return Err(ConfigError::Unknown(unknown));
    }
    unknown.into_iter().chain(flags.idle()).for_each(|text| merged.warn(text));
    validate::check(&merged)?;
    let typed = serde_json::from_value(Value::Object(merged.values.clone()));
    let file: ConfigFile = typed.map_err(|error| ConfigError::NotJson {
        file: "configuration".to_owned(),
        problem: error.to_string(),
    })?;
    let mut config = resolve(&file, &mut merged)?;
    config.log_without_color = flags.log_without_color == Some(true);
    if !files.is_empty() {
        config.config_hash = config_hash(files.iter().map(|(_, text)| text));
    }
    Ok((config, merged))
}

fn resolve(file: &ConfigFile, merged: &mut Merged) -> Result<NodeConfig, ConfigError> {
    let cluster = file.cluster_config.clone().unwrap_or_default();
    let data_dir = data_dir(file, merged)?;
    let waku_file = file.waku_config.clone().unwrap_or_default();
    let mailserver = waku::mailserver(&waku_file, &data_dir, merged)?;
    let waku = waku::waku(&waku_file, mailserver.is_some())?;
    if mailserver.is_some() && waku.is_none() {
        return Err(ConfigError::setting(
            "WakuConfig.Enabled",
            "is false although the mailserver is on",
            "set it to true, or WakuConfig.EnableMailServer to false",
        ));
    }
    let live_dir = file.live_dir.as_deref().filter(|dir| !dir.is_empty()).map(PathBuf::from);
    Ok(NodeConfig {
        network_id: network_id(file, merged)?,
        identity: identity::identity(file, merged)?,
        listen: peers::listen(file, merged)?,
        advertise: peers::advertise(file, live_dir.as_deref())?,
        upnp: peers::upnp(file, merged, live_dir.as_deref())?,
        max_peers: or_default(file.max_peers, DEFAULT_MAX_PEERS),
        max_pending_peers: or_default(file.max_pending_peers, DEFAULT_MAX_PENDING_PEERS),
        static_peers: peers::cluster_list("StaticNodes", &cluster.static_nodes, &cluster, merged),
        trusted_peers: peers::cluster_list("TrustedNodes", &cluster.trusted_nodes, &cluster, merged),
        trusted_mailservers: peers::trusted_mailservers(&cluster, merged),
        discovery: peers::discovery(file, &cluster, merged)?,
        shared_sources: peers::shared_sources(file)?,
        http: serve::http(file, merged),
        ipc: serve::ipc(file, &data_dir),
        metrics: serve::metrics(file),
        data_dir,
        live_dir,
        waku,
        mailserver,
        // Off unless asked for: most machines keep their clock themselves, and it asks the public network.
        ntp: file.enable_ntp_sync == Some(true),
        log_level: log_level(file, merged)?,
        log_without_color: false,
        worker_threads: worker_threads(file, merged)?,
        config_hash: String::new(),
    })
}

/// A configured 0 is the default, as in the reference.
fn or_default(value: Option<u32>, default: u32) -> u32 {
    value.filter(|value| *value > 0).unwrap_or(default)
}

fn network_id(file: &ConfigFile, merged: &Merged) -> Result<NonZeroU64, ConfigError> {
    NonZeroU64::new(file.network_id.unwrap_or(3)).ok_or_else(|| {
        ConfigError::setting(merged.name("NetworkId"), "is 0", "give the number of a network, 1 for mainnet")
    })
}

fn data_dir(file: &ConfigFile, merged: &Merged) -> Result<PathBuf, ConfigError> {
    let dir = file.data_dir.clone().unwrap_or_else(|| "statusd-data".to_owned());
    if dir.is_empty() {
        return Err(ConfigError::setting(
            merged.name("DataDir"),
            "is empty",
            "give a directory, or leave it out",
        ));
    }
    Ok(PathBuf::from(dir))
}

fn log_level(file: &ConfigFile, merged: &Merged) -> Result<LogLevel, ConfigError> {
    let level = match file.log_level.as_deref().unwrap_or_default() {
        "" => LogLevel::default(),
        text => match text.to_ascii_uppercase().as_str() {
            "ERROR" => LogLevel::Error,
            "WARN" => LogLevel::Warn,
            "INFO" => LogLevel::Info,
            "DEBUG" => LogLevel::Debug,
            "TRACE" => LogLevel::Trace,
            _ => {
                return Err(ConfigError::setting(
                    merged.name("LogLevel"),
                    format!("{text:?} is not a level"),
                    "give ERROR, WARN, INFO, DEBUG or TRACE",
                ));
            }
        },
    };
    Ok(if file.log_enabled == Some(false) { LogLevel::Error } else { level })
}

fn worker_threads(file: &ConfigFile, merged: &Merged) -> Result<Option<u16>, ConfigError> {
    match file.worker_threads {
        Some(threads) if !(1..=MAX_WORKER_THREADS).contains(&threads) => Err(ConfigError::setting(
            merged.name("WorkerThreads"),
            format!("{threads} is not between 1 and {MAX_WORKER_THREADS}"),
            "give the number of processors the node may use, or leave it out",
        )),
        threads => Ok(threads),
    }
}

#[cfg(test)]
mod tests;

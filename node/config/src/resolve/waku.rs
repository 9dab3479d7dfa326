//! Waku and the history role. Facts: `spec/operations.md` §1.5; `spec/waku-mailserver.md` §8.

use std::{
    num::NonZeroU64,
    path::{Path, PathBuf},
    time::Duration,
};

use enode::NodeId;

use super::{DEFAULT_MAIL_PASSWORD, DEFAULT_RETENTION};
use crate::{
    ConfigError, DatabaseUri, MailserverConfig, Origin, Password, PostgresConfig, RateLimitsConfig, Secret,
    WakuConfig, file::WakuConfigFile, merge::Merged, nodes,
};

const DEFAULT_MINIMUM_POW: f64 = 0.000_002;
const DEFAULT_MAX_MESSAGE_SIZE: u32 = 1024 * 1024;
/// Above every packet of replica sync but single larger envelopes.
const SYNC_MESSAGE_SIZE: u32 = 256 * 1024;
/// When history counts as complete although no replica agrees.
const DEFAULT_SYNC_TIMEOUT: Duration = Duration::from_mins(10);
/// What waits while the database is away: some two million envelopes.
const DEFAULT_SPOOL_BYTES: u64 = 1 << 30;
/// Below it a peer's status does not fit.
const MAX_MESSAGE_SIZE_FLOOR: u32 = 1024;
/// The reference's ceiling for the packet size (`spec/operations.md` §1.5).
const MAX_MESSAGE_SIZE_CEILING: u32 = 10 * 1024 * 1024;

pub(super) fn waku(file: &WakuConfigFile, mailserver: bool) -> Result<Option<WakuConfig>, ConfigError> {
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
        soft_blacklist: soft_blacklist(file)?,
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

/// Node ids, with `0x` as the reference wants them or without.
fn soft_blacklist(file: &WakuConfigFile) -> Result<Vec<NodeId>, ConfigError> {
    let ids = file.soft_blacklisted_peer_ids.as_deref().unwrap_or_default();
    ids.iter()
        .map(|text| {
            text.strip_prefix("0x").unwrap_or(text).parse().map_err(|error: enode::ParseNodeIdError| {
                ConfigError::setting(
                    "WakuConfig.SoftBlacklistedPeerIDs",
                    error.to_string(),
                    "give the `id` that admin_peers shows, or remove it",
                )
            })
        })
        .collect()
}

pub(super) fn mailserver(
    file: &WakuConfigFile,
    data_dir: &Path,
    merged: &mut Merged,
) -> Result<Option<MailserverConfig>, ConfigError> {
    if file.enable_mail_server != Some(true) {
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
        // By the flag alone the mailserver works as its users expect; a config file says its password.
        (None, None) if matches!(merged.origin("WakuConfig.EnableMailServer"), Origin::Flag(_)) => {
            Password::Inline(Secret::new(DEFAULT_MAIL_PASSWORD.to_owned()))
        }
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
    let texts = file.mail_server_sync_peers.as_deref().unwrap_or_default();
    let (sync_peers, warnings) = nodes::urls("WakuConfig.MailServerSyncPeers", texts);
    merged.warnings.extend(warnings);
    if !sync_peers.is_empty()
        && file.max_message_size.is_some_and(|size| (1..SYNC_MESSAGE_SIZE).contains(&size))
    {
        return Err(ConfigError::setting(
            "WakuConfig.MailServerSyncPeers",
            format!("sync needs a MaxMessageSize of {SYNC_MESSAGE_SIZE} or more"),
            "raise WakuConfig.MaxMessageSize, the network uses 1048576, or remove the peers",
        ));
    }
    let postgres = postgres(file, data_dir)?;
    let rate_limit = Duration::from_secs(u64::from(file.mail_server_rate_limit.unwrap_or(0)));
    Ok(Some(MailserverConfig {
        data_dir: dir,
        password,
        rate_limit: (!rate_limit.is_zero()).then_some(rate_limit),
        retention: (!retention.is_zero()).then_some(retention),
        max_bytes: file.mail_server_max_bytes.and_then(NonZeroU64::new),
        sync_peers,
        sync_timeout: file
            .mail_server_sync_timeout
            .filter(|seconds| *seconds > 0)
            .map_or(DEFAULT_SYNC_TIMEOUT, |seconds| Duration::from_secs(seconds.into())),
        postgres,
    }))
}

fn postgres(file: &WakuConfigFile, data_dir: &Path) -> Result<Option<PostgresConfig>, ConfigError> {
    let database = file.database_config.as_ref().and_then(|database| database.postgres.as_ref());
    let Some(database) = database.filter(|database| database.enabled == Some(true)) else { return Ok(None) };
    let inline = database.uri.as_ref().filter(|uri| !uri.expose().is_empty());
    let uri_file = database.uri_file.as_deref().filter(|path| !path.is_empty());
    let wrong = |problem, remedy| {
        Err(ConfigError::setting("WakuConfig.DatabaseConfig.PGConfig.URI", problem, remedy))
    };
    let uri = match (inline, uri_file) {
        (Some(_), Some(_)) => return wrong("is given together with URIFile", "keep only URIFile"),
        (None, None) => {
            return wrong(
                "is not set although PGConfig.Enabled is true",
                "set it or URIFile: postgres://user:password@host:5432/database?sslmode=verify-full",
            );
        }
        (Some(uri), None) => DatabaseUri::Inline(uri.clone()),
        (None, Some(path)) => DatabaseUri::File(PathBuf::from(path)),
    };
    Ok(Some(PostgresConfig {
        uri,
        spool_dir: data_dir.join("spool"),
        spool_max_bytes: database.spool_max_bytes.filter(|bytes| *bytes > 0).unwrap_or(DEFAULT_SPOOL_BYTES),
    }))
}

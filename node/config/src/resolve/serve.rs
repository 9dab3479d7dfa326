//! Listeners for operators: JSON-RPC and metrics. Facts: `spec/operations.md` §1.4, §8.

use std::path::{Path, PathBuf};

use super::{DEFAULT_METRICS_PORT, DEFAULT_RPC_PORT};
use crate::{HttpConfig, MetricsConfig, WebSocketConfig, file::ConfigFile, merge::Merged};

const DEFAULT_MODULES: &str = "admin,net,web3";
/// The socket's name in the reference.
const DEFAULT_IPC_FILE: &str = "geth.ipc";

/// Loopback when the host is not given: RPC and metrics open to others is a decision, not a default.
fn host(configured: Option<&str>) -> String {
    configured.filter(|host| !host.is_empty()).unwrap_or("127.0.0.1").to_owned()
}

pub(super) fn http(file: &ConfigFile, merged: &mut Merged) -> Option<HttpConfig> {
    if file.http_enabled != Some(true) {
        if file.ws_enabled == Some(true) {
            merged.warn("WSEnabled has no effect: HTTPEnabled is not true".to_owned());
        }
        return None;
    }
    let modules = file.api_modules.as_deref().unwrap_or(DEFAULT_MODULES);
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

pub(super) fn ipc(file: &ConfigFile, data_dir: &Path) -> Option<PathBuf> {
    let path = file.ipc_file.as_deref().filter(|path| !path.is_empty()).unwrap_or(DEFAULT_IPC_FILE);
    (file.ipc_enabled == Some(true))
        .then(|| if path.contains('/') { PathBuf::from(path) } else { data_dir.join(path) })
}

pub(super) fn metrics(file: &ConfigFile) -> Option<MetricsConfig> {
    (file.metrics_enabled == Some(true)).then(|| MetricsConfig {
        host: host(file.metrics_host.as_deref()),
        port: file.metrics_port.unwrap_or(DEFAULT_METRICS_PORT),
    })
}

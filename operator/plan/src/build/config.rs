//! The restart-relevant configuration: an immutable ConfigMap named after its content. Another content is another
//! ConfigMap, so a pod that restarts during a rollout finds the configuration that it was made for.

use node_config::{ConfigFile, Secret, WakuConfigFile, config_hash};
use serde_json::json;
use statusnode_api::DEFAULT_MAIL_PASSWORD;

use crate::{
    Object, ObjectKind,
    build::{Base, Owner},
    names,
    world::{SharedSecret, World},
};

/// Paths in the container: the contract between this and the node.
pub(crate) mod paths {
    pub(crate) const CONFIG_DIR: &str = "/etc/statusd/config";
    pub(crate) const CONFIG_FILE: &str = "config.json";
    pub(crate) const IDENTITY_DIR: &str = "/etc/statusd/identity";
    pub(crate) const IDENTITY_FILE: &str = "nodekey";
    pub(crate) const PASSWORD_DIR: &str = "/etc/statusd/secrets";
    pub(crate) const PASSWORD_FILE: &str = "password";
    pub(crate) const TOKEN_DIR: &str = "/etc/statusd/rpc";
    pub(crate) const TOKEN_FILE: &str = "token";
    pub(crate) const LIVE_DIR: &str = "/etc/statusd/live";
    pub(crate) const DATA_DIR: &str = "/data";
}

/// The ConfigMap with the node's `config.json`; the same for all ordinals.
pub(crate) fn config(world: &World<'_>) -> Object {
    let settings = world.settings;
    let text = serde_json::to_string_pretty(&file(world)).unwrap_or_default();
    let base = Base {
        kind: ObjectKind::ConfigMap,
        name: names::config(&settings.name, &config_hash([&text])),
        component: names::COMPONENT_CONFIG,
        ordinal: None,
        owner: Owner::Resource,
    };
    base.object(
        settings,
        serde_json::Map::new(),
        json!({"immutable": true, "data": {paths::CONFIG_FILE: text}}),
    )
}

fn file(world: &World<'_>) -> ConfigFile {
    let settings = world.settings;
    ConfigFile {
        data_dir: Some(paths::DATA_DIR.to_owned()),
        node_key_file: Some(format!("{}/{}", paths::IDENTITY_DIR, paths::IDENTITY_FILE)),
        listen_addr: Some(format!(":{}", settings.ports.p2p)),
        live_dir: Some(paths::LIVE_DIR.to_owned()),
        max_peers: Some(settings.max_peers),
        api_modules: Some(settings.spec.rpc.modules.join(",")),
        http_enabled: Some(true),
        http_host: Some("0.0.0.0".to_owned()),
        http_port: Some(settings.ports.rpc),
        // The NetworkPolicy says who may connect; a Host header says nothing about that in a cluster.
        http_virtual_hosts: Some(vec!["*".to_owned()]),
        rpc_token_file: Some(format!("{}/{}", paths::TOKEN_DIR, paths::TOKEN_FILE)),
        metrics_enabled: Some(true),
        metrics_host: Some("0.0.0.0".to_owned()),
        metrics_port: Some(settings.ports.metrics),
        waku_config: Some(waku(world)),
        ..ConfigFile::default()
    }
}

fn waku(world: &World<'_>) -> WakuConfigFile {
    let mut waku = WakuConfigFile {
        enabled: Some(true),
        full_node: Some(true),
        enable_confirmations: Some(true),
        data_dir: Some(format!("{}/waku", paths::DATA_DIR)),
        enable_mail_server: Some(false),
        ..WakuConfigFile::default()
    };
    if let Some(history) = &world.settings.history {
        waku.enable_mail_server = Some(true);
        waku.mail_server_retention_seconds = Some(history.max_age);
        waku.mail_server_max_bytes = Some(world.history_bound(history.max_bytes));
        if world.password == SharedSecret::NotWanted {
            // A public constant of the ecosystem, not a secret.
            waku.mail_server_password = Some(Secret::new(DEFAULT_MAIL_PASSWORD.to_owned()));
        } else {
            waku.mail_server_password_file =
                Some(format!("{}/{}", paths::PASSWORD_DIR, paths::PASSWORD_FILE));
        }
    }
    waku
}

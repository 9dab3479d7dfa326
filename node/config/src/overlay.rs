//! Flags and environment as the topmost layers of the configuration. Facts: `spec/operations.md` §1.1, §1.3, §8.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::{ConfigError, Environment, Flags, Origin, merge::Merged};

/// Discovery topic of relays (`spec/devp2p.md` §5.3).
const RELAY_TOPIC: &str = "whisper";
/// Discovery topic of mailservers.
const MAILSERVER_TOPIC: &str = "whispermail";

/// Puts what the environment and the flags say on top of `merged`.
///
/// # Errors
/// [`ConfigError::Setting`] for a path that is no text.
pub(crate) fn add(merged: &mut Merged, flags: &Flags, environment: &Environment) -> Result<(), ConfigError> {
    if !merged.values.contains_key("DataDir")
        && flags.dir.is_none()
        && let Some(home) = &environment.home
    {
        let dir = text("HOME", &home.join(".statusd"))?;
        merged.set("DataDir", dir, Origin::Environment("HOME"));
    }
    add_identity(merged, flags, environment)?;
    if let Some(dir) = &flags.dir {
        merged.set("DataDir", text("-dir", dir)?, Origin::Flag("-dir"));
    }
    let mut set = |key, value: Option<Value>, flag| {
        if let Some(value) = value {
            merged.set(key, value, Origin::Flag(flag));
        }
    };
    let given = |text: &Option<String>| text.as_deref().filter(|text| !text.is_empty()).map(Value::from);
    set("NetworkId", flags.network_id.map(Value::from), "-network-id");
    set("ListenAddr", given(&flags.addr), "-addr");
    set("UPnPEnabled", flags.upnp.map(Value::from), "-upnp");
    set("LogLevel", given(&flags.log), "-log");
    set("IPCEnabled", flags.ipc.map(Value::from), "-ipc");
    set("IPCFile", given(&flags.ipcfile), "-ipcfile");
    set("MetricsEnabled", flags.metrics.map(Value::from), "-metrics");
    set("MetricsPort", flags.metrics_port.map(Value::from), "-metrics-port");
    set("WorkerThreads", flags.worker_threads.map(Value::from), "-worker-threads");
    set("NoDiscovery", flags.discovery.map(|on| json!(!on)), "-discovery");
    if let Some(on) = flags.mailserver {
        let waku = Map::from_iter([("WakuConfig".to_owned(), json!({"EnableMailServer": on}))]);
        merged.add_object(&Origin::Flag("-mailserver"), waku)?;
    }
    if flags.register == Some(true) {
        let topic = if flags.mailserver == Some(true) { MAILSERVER_TOPIC } else { RELAY_TOPIC };
        let mut topics = match merged.values.get("RegisterTopics") {
            Some(Value::Array(topics)) => topics.clone(),
            _ => Vec::new(),
        };
        topics.push(topic.into());
        merged.set("RegisterTopics", Value::Array(topics), Origin::Flag("-register"));
    }
    Ok(())
}

/// One source of the key hides the weaker ones, whichever of the two keys they use.
fn add_identity(merged: &mut Merged, flags: &Flags, environment: &Environment) -> Result<(), ConfigError> {
    let (key, value, origin) = if let Some(path) = &flags.nodekey_file {
        ("NodeKeyFile", text("-nodekey-file", path)?, Origin::Flag("-nodekey-file"))
    } else if let Some(path) = &environment.nodekey_file {
        let name = "STATUSD_NODEKEY_FILE";
        ("NodeKeyFile", text(name, path)?, Origin::Environment(name))
    } else if let Some(secret) = &environment.nodekey {
        ("NodeKey", secret.expose().into(), Origin::Environment("STATUSD_NODEKEY"))
    } else {
        return Ok(());
    };
    merged.unset("NodeKey");
    merged.unset("NodeKeyFile");
    merged.set(key, value, origin);
    Ok(())
}

fn text(name: &'static str, path: &Path) -> Result<Value, ConfigError> {
    let text = path.to_str().ok_or_else(|| {
        ConfigError::setting(name, "is a path that is no UTF-8 text", "give a path of ordinary letters")
    })?;
    Ok(text.into())
}

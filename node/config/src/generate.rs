//! Config files as the reference's `gen_config.sh` writes them, from the environment names of the scripts
//! (`spec/operations.md` §4.3, §4.6, §8), without their defects: `LISTEN_PORT` counts (S5), the data directory is the one
//! that is mounted (S3), and `PUBLIC_IP` is advertised.

use serde_json::{Value, json};

use crate::{
    ConfigError, DEFAULT_MAIL_PASSWORD, DEFAULT_P2P_PORT, DEFAULT_RPC_PORT,
    fleet::{built_in, without_source},
};

const DEFAULT_FLEET: &str = "eth.prod";
const DEFAULT_DATA_PATH: &str = "/var/tmp/status-go-mail";
const DEFAULT_MODULES: &str = "admin,net,web3";
const DEFAULT_TOPIC: &str = "whispermail";
const DEFAULT_MAX_PEERS: u32 = 500;

/// A config file that was made, and where the scripts put it.
#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    /// The config, for a mailserver.
    pub config: Value,
    /// `CONFIG_PATH`, or `config.json` in `DATA_PATH`.
    pub path: String,
}

/// The config of a mailserver by the variables of the scripts; `get` looks one up. An empty one counts as not set.
///
/// # Errors
/// [`ConfigError::Setting`] names the variable that holds no number, or no fleet.
pub fn generate(get: impl Fn(&str) -> Option<String>) -> Result<Generated, ConfigError> {
    let get = |name: &str| get(name).filter(|value| !value.is_empty());
    let or = |name: &str, default: &str| get(name).unwrap_or_else(|| default.to_owned());
    let fleet = or("FLEET_NAME", DEFAULT_FLEET);
    let Some(Ok(Value::Object(fleet))) = built_in(&fleet).map(serde_json::from_str) else {
        return Err(ConfigError::setting(
            "FLEET_NAME",
            format!("{fleet:?} is no fleet"),
            "give eth.prod, eth.staging, eth.test, wakuv2.prod or wakuv2.test",
        ));
    };
    let mut config = without_source(fleet);
    let data = or("DATA_PATH", DEFAULT_DATA_PATH);
    // The scripts misspell it, and so do the settings of those who found out.
    let listen = port("LISTEN_PORT", get("LISTEN_PORT"))?.or(port("LSTEN_PORT", get("LSTEN_PORT"))?);
    let mut set = |key: &str, value: Value| config.insert(key.to_owned(), value);
    set("ListenAddr", format!("0.0.0.0:{}", listen.unwrap_or(DEFAULT_P2P_PORT)).into());
    set("HTTPEnabled", true.into());
    set("HTTPHost", or("RPC_HOST", "localhost").into());
    set("HTTPPort", port("RPC_PORT", get("RPC_PORT"))?.unwrap_or(DEFAULT_RPC_PORT).into());
    set("MaxPeers", number::<u32>("MAX_PEERS", get("MAX_PEERS"))?.unwrap_or(DEFAULT_MAX_PEERS).into());
    set("DataDir", data.clone().into());
    set("APIModules", or("API_MODULES", DEFAULT_MODULES).into());
    set("RegisterTopics", json!([or("REGISTER_TOPIC", DEFAULT_TOPIC)]));
    set(
        "WakuConfig",
        json!({
            "Enabled": true,
            "EnableMailServer": true,
            "DataDir": format!("{}/waku", data.trim_end_matches('/')),
            "MailServerPassword": or("MAIL_PASSWORD", DEFAULT_MAIL_PASSWORD),
        }),
    );
    if let Some(address) = get("PUBLIC_IP") {
        set("AdvertiseAddr", address.into());
    }
    if let Some(level) = get("LOG_LEVEL") {
        set("LogLevel", level.into());
    }
    if let Some(port) = port("METRICS_PORT", get("METRICS_PORT"))? {
        set("MetricsEnabled", true.into());
        set("MetricsPort", port.into());
    }
    let path = get("CONFIG_PATH").unwrap_or_else(|| format!("{}/config.json", data.trim_end_matches('/')));
    Ok(Generated { config: Value::Object(config), path })
}

fn port(name: &'static str, text: Option<String>) -> Result<Option<u16>, ConfigError> {
    number(name, text)
}

fn number<T: std::str::FromStr>(name: &'static str, text: Option<String>) -> Result<Option<T>, ConfigError> {
    text.map(|text| {
        text.parse().map_err(|_| {
            ConfigError::setting(
                name,
                format!("{text:?} is no number in range"),
                "give a whole number, or unset it",
            )
        })
    })
    .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Environment, Flags, load};

    fn made(variables: &[(&str, &str)]) -> Result<Generated, String> {
        let get = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        generate(get).map_err(|error| error.to_string())
    }

    #[test]
    fn ops_4_6_the_defaults_of_the_scripts_are_a_config_that_strict_takes() {
        let made = made(&[]).unwrap();
        assert_eq!(made.path, "/var/tmp/status-go-mail/config.json");
        let flags = Flags { config_files: vec!["c".into()], strict: Some(true), ..Flags::default() };
        let read = |path: &std::path::Path| {
            if path == std::path::Path::new("c") {
                Ok(made.config.to_string())
            } else {
                Err(std::io::ErrorKind::NotFound.into())
            }
        };
        let loaded = load(&flags, &Environment::default(), read).unwrap();
        assert_eq!(loaded.warnings, []);
        let config = loaded.config;
        assert_eq!(config.listen.to_string(), "0.0.0.0:30303");
        assert_eq!(config.discovery.unwrap().register, ["whispermail"]);
        assert_eq!(config.static_peers.len(), 3);
        assert_eq!(config.http.unwrap().port, 8545);
        assert_eq!(config.mailserver.unwrap().data_dir.to_str(), Some("/var/tmp/status-go-mail/waku"));
        assert_eq!((config.advertise, config.metrics), (None, None));
    }

    #[test]
    fn ops_4_6_and_8_every_name_counts() {
        let made = made(&[
            ("RPC_HOST", "0.0.0.0"),
            ("RPC_PORT", "1"),
            ("LISTEN_PORT", "443"),
            ("LSTEN_PORT", "5"),
            ("API_MODULES", "admin"),
            ("MAX_PEERS", "2"),
            ("FLEET_NAME", "eth.test"),
            ("REGISTER_TOPIC", "whisper"),
            ("MAIL_PASSWORD", "p"),
            ("DATA_PATH", "/data/"),
            ("CONFIG_PATH", "/c.json"),
            ("PUBLIC_IP", "198.51.100.7"),
            ("LOG_LEVEL", "WARN"),
            ("METRICS_PORT", "9305"),
            ("CONTAINER_TAG", "v0.84.0"),
        ])
        .unwrap();
        assert_eq!(made.path, "/c.json");
        for (pointer, want) in [
            ("/HTTPHost", json!("0.0.0.0")),
            ("/HTTPPort", json!(1)),
            ("/ListenAddr", json!("0.0.0.0:443")),
            ("/APIModules", json!("admin")),
            ("/MaxPeers", json!(2)),
            ("/ClusterConfig/Fleet", json!("eth.test")),
            ("/RegisterTopics", json!(["whisper"])),
            ("/WakuConfig/MailServerPassword", json!("p")),
            ("/WakuConfig/DataDir", json!("/data/waku")),
            ("/DataDir", json!("/data/")),
            ("/AdvertiseAddr", json!("198.51.100.7")),
            ("/LogLevel", json!("WARN")),
            ("/MetricsPort", json!(9305)),
        ] {
            assert_eq!(made.config.pointer(pointer), Some(&want), "{pointer}");
        }
        assert_eq!(made.config.get("Source"), None);
    }

    #[test]
    fn ops_s5_the_misspelt_name_is_an_alias() {
        assert_eq!(made(&[("LSTEN_PORT", "5")]).unwrap().config["ListenAddr"], "0.0.0.0:5");
    }

    #[test]
    fn what_cannot_be_used_names_the_variable() {
        for (name, value) in [
            ("LISTEN_PORT", "70000"),
            ("LSTEN_PORT", "x"),
            ("RPC_PORT", "tcp://10.0.0.1:8545"),
            ("METRICS_PORT", "-1"),
            ("MAX_PEERS", "many"),
            ("FLEET_NAME", "nowhere"),
        ] {
            let error = made(&[(name, value)]).unwrap_err();
            assert!(error.starts_with(&format!("{name}: ")), "{error}");
        }
    }
}

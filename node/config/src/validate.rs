//! The reference's rules over several keys and over keys that have no effect here (`spec/operations.md` §1.8): a file
//! that it refuses is refused. What a rule says of one key that counts is checked where that key is resolved.

use std::path::Path;

use serde_json::Value;

use crate::{ConfigError, merge::Merged};

/// # Errors
/// [`ConfigError::Setting`] for the first rule that is broken.
pub(crate) fn check(merged: &Merged) -> Result<(), ConfigError> {
    let values = Values(merged);
    not_empty(&values, "KeyStoreDir", "give a directory, or leave it out: a relay keeps no accounts")?;
    not_empty(&values, "APIModules", "name modules such as admin,net,web3, or leave it out")?;
    if values.text("Name").is_some_and(|name| name.contains('/')) {
        return refuse("Name", "contains a slash", "leave it out: the name is always Statusd");
    }
    upstream(&values)?;
    waku_v2(&values)?;
    if values.is_on("Rendezvous") && values.is_empty_list("ClusterConfig.RendezvousNodes") {
        return refuse(
            "Rendezvous",
            "is true, but ClusterConfig.RendezvousNodes is empty",
            "set it to false: peers are found by NoDiscovery=false and by lists",
        );
    }
    let missing = |key| values.text(key).unwrap_or_default().is_empty();
    // The directory has a default; only an empty one is a mistake.
    let no_backup = values.text("ShhextConfig.BackupDisabledDataDir") == Some("");
    if values.is_on("ShhextConfig.PFSEnabled") && (missing("ShhextConfig.InstallationID") || no_backup) {
        return refuse(
            "ShhextConfig.PFSEnabled",
            "is true without InstallationID and BackupDisabledDataDir",
            "leave ShhextConfig out: it concerns clients only",
        );
    }
    Ok(())
}

fn upstream(values: &Values<'_>) -> Result<(), ConfigError> {
    if !values.is_on("UpstreamConfig.Enabled") {
        return Ok(());
    }
    if values.is_on("LightEthConfig.Enabled") {
        return refuse(
            "UpstreamConfig.Enabled",
            "is true together with LightEthConfig.Enabled",
            "leave both out: a relay has no Ethereum client",
        );
    }
    let url = values.text("UpstreamConfig.URL").unwrap_or_default();
    let host = url.split_once("://").map_or("", |(_, rest)| rest);
    if host.is_empty() || url.contains(char::is_whitespace) {
        // The URL may hold a key of its provider.
        return refuse(
            "UpstreamConfig.URL",
            "is not a URL",
            "leave UpstreamConfig out: a relay has no Ethereum client",
        );
    }
    Ok(())
}

fn waku_v2(values: &Values<'_>) -> Result<(), ConfigError> {
    const KEY: &str = "WakuV2Config.DataDir";
    const REMEDY: &str = "leave WakuV2Config out: Waku v2 is not spoken";
    let (Some(dir), Some(root)) = (values.text(KEY), values.text("DataDir")) else { return Ok(()) };
    if values.is_on("WakuV2Config.EnableMailServer") && !Path::new(dir).starts_with(root) {
        return refuse(KEY, "is not inside DataDir", REMEDY);
    }
    let v1 = values.get("WakuConfig.Enabled") != Some(&Value::Bool(false));
    let v1_dir = values.text("WakuConfig.DataDir").map_or_else(|| Path::new(root).join("waku"), Into::into);
    if v1 && values.is_on("WakuV2Config.Enabled") && v1_dir == Path::new(dir) {
        return refuse(KEY, "is that of WakuConfig too", REMEDY);
    }
    Ok(())
}

fn not_empty(values: &Values<'_>, key: &'static str, remedy: &'static str) -> Result<(), ConfigError> {
    if values.text(key).is_some_and(|text| text.trim().is_empty()) {
        return refuse(key, "is empty", remedy);
    }
    Ok(())
}

fn refuse(key: &str, problem: &str, remedy: &'static str) -> Result<(), ConfigError> {
    Err(ConfigError::setting(key, problem, remedy))
}

/// Merged values by path.
struct Values<'a>(&'a Merged);

impl<'a> Values<'a> {
    fn get(&self, path: &str) -> Option<&'a Value> {
        let mut names = path.split('.');
        let first = self.0.values.get(names.next()?);
        names.fold(first, |value, name| value?.get(name))
    }

    fn is_on(&self, path: &str) -> bool {
        self.get(path) == Some(&Value::Bool(true))
    }

    fn text(&self, path: &str) -> Option<&'a str> {
        self.get(path)?.as_str()
    }

    fn is_empty_list(&self, path: &str) -> bool {
        self.get(path).and_then(Value::as_array).is_none_or(Vec::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Origin;

    fn outcome(text: &str) -> Result<(), String> {
        let mut merged = Merged::default();
        merged.add(&Origin::File("f".into()), text).unwrap();
        check(&merged).map_err(|error| error.to_string())
    }

    #[test]
    fn ops_1_8_what_the_reference_refuses_is_refused() {
        for (text, named) in [
            (r#"{"KeyStoreDir":""}"#, "KeyStoreDir: is empty; "),
            (r#"{"APIModules":" "}"#, "APIModules: is empty; "),
            (r#"{"Name":"a/b"}"#, "Name: contains a slash; "),
            (
                r#"{"UpstreamConfig":{"Enabled":true},"LightEthConfig":{"Enabled":true}}"#,
                "UpstreamConfig.Enabled: ",
            ),
            (r#"{"UpstreamConfig":{"Enabled":true,"URL":"nonsense"}}"#, "UpstreamConfig.URL: is not a URL; "),
            (
                r#"{"DataDir":"/d","WakuV2Config":{"EnableMailServer":true,"DataDir":"/x"}}"#,
                "WakuV2Config.DataDir: is not inside DataDir; ",
            ),
            (
                r#"{"DataDir":"/d","WakuV2Config":{"Enabled":true,"DataDir":"/d/waku"}}"#,
                "WakuV2Config.DataDir: is that of WakuConfig too; ",
            ),
            (r#"{"Rendezvous":true}"#, "Rendezvous: is true, but ClusterConfig.RendezvousNodes is empty; "),
            (r#"{"ShhextConfig":{"PFSEnabled":true}}"#, "ShhextConfig.PFSEnabled: "),
            (
                r#"{"ShhextConfig":{"PFSEnabled":true,"InstallationID":"x","BackupDisabledDataDir":""}}"#,
                "ShhextConfig.PFSEnabled: ",
            ),
        ] {
            let error = outcome(text).unwrap_err();
            assert!(error.starts_with(named), "{text}: {error}");
        }
    }

    #[test]
    fn ops_1_8_what_the_reference_takes_is_taken() {
        for text in [
            "{}",
            r#"{"KeyStoreDir":"/k","APIModules":"admin","Name":"Statusd"}"#,
            r#"{"UpstreamConfig":{"Enabled":true,"URL":"https://example.org/key"}}"#,
            r#"{"UpstreamConfig":{"Enabled":false,"URL":""},"LightEthConfig":{"Enabled":true}}"#,
            r#"{"DataDir":"/d","WakuV2Config":{"Enabled":true,"DataDir":"/d/wakuv2"}}"#,
            r#"{"DataDir":"/d","WakuConfig":{"Enabled":false},"WakuV2Config":{"Enabled":true,"DataDir":"/d/waku"}}"#,
            r#"{"Rendezvous":true,"ClusterConfig":{"RendezvousNodes":["/ip4/192.0.2.1/tcp/1"]}}"#,
            r#"{"ShhextConfig":{"PFSEnabled":true,"InstallationID":"x"}}"#,
        ] {
            assert_eq!(outcome(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_url_is_not_shown() {
        let error = outcome(r#"{"UpstreamConfig":{"Enabled":true,"URL":"https:hush-hush"}}"#).unwrap_err();
        assert!(!error.contains("hush"), "{error}");
    }
}

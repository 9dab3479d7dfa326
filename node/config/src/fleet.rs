//! Fleets: nodes to begin with, built in as data files or from a file of the same form. Facts: `spec/operations.md` §1.6.
//!
//! A fleet is a config object whose values are weaker than those of any config file. Unlike a config file it may have
//! the key `Source`, which says where its facts are from.

use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::{ConfigError, Origin, merge::Merged};

/// The built-in fleets, name and data file.
const BUILT_IN: &[(&str, &str)] = &[
    ("eth.prod", include_str!("../fleets/eth.prod.json")),
    ("eth.staging", include_str!("../fleets/eth.staging.json")),
    ("eth.test", include_str!("../fleets/eth.test.json")),
    ("wakuv2.prod", include_str!("../fleets/wakuv2.prod.json")),
    ("wakuv2.test", include_str!("../fleets/wakuv2.test.json")),
];

/// What `-fleet` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// No fleet.
    None,
    /// A built-in one: its name and its data file.
    BuiltIn(&'static str, &'static str),
    /// One from a file.
    File(PathBuf),
}

impl Choice {
    /// Understands the value of `-fleet`: a name, a path (with a `/`, or ending in `.json`), or nothing.
    ///
    /// # Errors
    /// [`ConfigError::Setting`] for a name that nobody knows.
    pub(crate) fn of(text: Option<&str>) -> Result<Self, ConfigError> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Self::None) };
        if let Some((name, data)) = BUILT_IN.iter().find(|(name, _)| *name == text) {
            return Ok(Self::BuiltIn(name, data));
        }
        if text.contains('/') || text.ends_with(".json") {
            return Ok(Self::File(text.into()));
        }
        Err(ConfigError::setting(
            "-fleet",
            format!("{text:?} is no fleet"),
            "give eth.prod, eth.staging, eth.test, wakuv2.prod or wakuv2.test, or the path of a file",
        ))
    }
}

/// The text of a built-in fleet, for who writes a config file from it.
pub(crate) fn built_in(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, data)| *data)
}

/// Merges a fleet: discovery on and the cluster enabled, then what it says.
///
/// # Errors
/// As a config file.
pub(crate) fn add(merged: &mut Merged, name: &str, text: &str) -> Result<(), ConfigError> {
    let origin = Origin::Fleet(name.to_owned());
    merged.add(&origin, r#"{"NoDiscovery": false, "ClusterConfig": {"Enabled": true}}"#)?;
    match serde_json::from_str(text) {
        Ok(Value::Object(fleet)) => merged.add_object(&origin, without_source(fleet)),
        // Says what is wrong with it.
        _ => merged.add(&origin, text),
    }
}

/// The config object of a fleet.
pub(crate) fn without_source(mut fleet: Map<String, Value>) -> Map<String, Value> {
    fleet.retain(|key, _| !key.eq_ignore_ascii_case("Source"));
    fleet
}

#[cfg(test)]
mod tests {
    use enode::EnodeUrl;
    use serde_json::json;

    use super::*;

    fn lists(name: &str) -> [usize; 5] {
        let fleet: Value = serde_json::from_str(built_in(name).unwrap()).unwrap();
        ["BootNodes", "TrustedMailServers", "StaticNodes", "WakuNodes", "WakuStoreNodes"]
            .map(|list| fleet["ClusterConfig"][list].as_array().map_or(0, Vec::len))
    }

    #[test]
    fn ops_1_6_the_fleets_have_as_many_nodes_as_the_reference() {
        assert_eq!(lists("eth.prod"), [6, 9, 3, 0, 0]);
        assert_eq!(lists("eth.staging"), [3, 3, 3, 0, 0]);
        assert_eq!(lists("eth.test"), [3, 3, 3, 0, 0]);
        assert_eq!(lists("wakuv2.prod"), [0, 0, 0, 3, 1]);
        assert_eq!(lists("wakuv2.test"), [0, 0, 0, 3, 1]);
    }

    #[test]
    fn ops_1_6_every_fleet_states_its_source_and_every_enode_is_one_on_port_443() {
        for (name, data) in BUILT_IN {
            let mut merged = Merged::default();
            add(&mut merged, name, data).unwrap();
            assert_eq!(merged.unknown, Vec::<String>::new(), "{name}");
            let fleet: Value = serde_json::from_str(data).unwrap();
            assert!(fleet["Source"].as_str().unwrap().contains("at commit "), "{name}");
            assert_eq!(fleet["ClusterConfig"]["Fleet"], *name);
            for list in ["BootNodes", "TrustedMailServers", "StaticNodes"] {
                for node in fleet["ClusterConfig"][list].as_array().into_iter().flatten() {
                    let url: EnodeUrl = node.as_str().unwrap().parse().unwrap();
                    assert_eq!(url.address.unwrap().1, 443, "{node}");
                }
            }
        }
    }

    #[test]
    fn ops_1_1_what_fleet_takes() {
        assert_eq!(Choice::of(None).unwrap(), Choice::None);
        assert_eq!(Choice::of(Some("")).unwrap(), Choice::None);
        assert!(matches!(Choice::of(Some("eth.test")).unwrap(), Choice::BuiltIn("eth.test", _)));
        assert_eq!(Choice::of(Some("mine.json")).unwrap(), Choice::File("mine.json".into()));
        assert_eq!(Choice::of(Some("/etc/fleet")).unwrap(), Choice::File("/etc/fleet".into()));
        let error = Choice::of(Some("eth.beta")).unwrap_err().to_string();
        assert!(error.starts_with("-fleet: \"eth.beta\" is no fleet; give eth.prod"), "{error}");
    }

    #[test]
    fn ops_1_3_a_fleet_switches_discovery_and_cluster_on_unless_it_says_otherwise() {
        let mut merged = Merged::default();
        add(&mut merged, "f", r#"{"source": "here", "MaxPeers": 3}"#).unwrap();
        let on = json!({"NoDiscovery": false, "ClusterConfig": {"Enabled": true}, "MaxPeers": 3});
        assert_eq!(Value::Object(merged.values), on);
        let mut merged = Merged::default();
        add(&mut merged, "f", r#"{"NoDiscovery": true}"#).unwrap();
        assert_eq!(merged.values["NoDiscovery"], true);
        for text in ["", "[]", "{"] {
            let error = add(&mut Merged::default(), "f", text).unwrap_err().to_string();
            assert!(error.starts_with("fleet f: "), "{error}");
        }
    }
}

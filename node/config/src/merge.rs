//! Merging JSON config files by the reference's rules (`spec/operations.md` §1.3): keys match without regard to
//! case, scalars replace, objects merge, arrays replace as a whole, `null` leaves scalars and objects alone and
//! empties arrays, only the first JSON value of a file counts. Unlike the reference it warns of what it ignores.

use std::fmt;

use serde_json::{Map, Value};

use crate::{
    ConfigError,
    keys::{Key, Kind, ROOT},
    near::nearest,
};

/// Something in the configuration that has no effect, or not the expected one. The node starts anyway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning(pub String);

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Files merged so far, keys in canonical spelling.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    pub(crate) values: Map<String, Value>,
    pub(crate) warnings: Vec<Warning>,
}

impl Merged {
    /// Merges the text of one file on top; `file` names it in messages.
    pub(crate) fn add(&mut self, file: &str, text: &str) -> Result<(), ConfigError> {
        let not_json = |problem: String| ConfigError::NotJson { file: file.to_owned(), problem };
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        let overlay = match values.next() {
            None => return Err(not_json("the file is empty".to_owned())),
            Some(Err(error)) => return Err(not_json(format!("not JSON: {error}"))),
            Some(Ok(Value::Object(overlay))) => overlay,
            Some(Ok(other)) => return Err(not_json(format!("holds {}", found(&other)))),
        };
        let rest = text.get(values.byte_offset()..).unwrap_or_default();
        if !rest.trim().is_empty() {
            self.warn(format!("config file {file}: what follows the first JSON value is ignored"));
        }
        let mut warnings = Vec::new();
        merge_object(file, "", ROOT, &mut self.values, overlay, &mut warnings)?;
        self.warnings.append(&mut warnings);
        Ok(())
    }

    pub(crate) fn warn(&mut self, text: String) {
        self.warnings.push(Warning(text));
    }
}

fn merge_object(
    file: &str,
    prefix: &str,
    keys: &'static [Key],
    base: &mut Map<String, Value>,
    overlay: Map<String, Value>,
    warnings: &mut Vec<Warning>,
) -> Result<(), ConfigError> {
    for (name, value) in overlay {
        let Some(key) = keys.iter().find(|key| key.name.eq_ignore_ascii_case(&name)) else {
            warnings.push(unknown(file, prefix, keys, &name));
            continue;
        };
        let path = format!("{prefix}{}", key.name);
        match (&key.kind, value) {
            (Kind::Ignored, value) => {
                if !is_empty(&value) {
                    warnings
                        .push(Warning(format!("config file {file}: {path} has no effect in this version")));
                }
            }
            (Kind::Texts, Value::Null) => {
                base.insert(key.name.to_owned(), Value::Array(Vec::new()));
            }
            (_, Value::Null) => {}
            (Kind::Object(inner), Value::Object(overlay)) => {
                let slot = base.entry(key.name).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(base) = slot {
                    merge_object(file, &format!("{path}."), inner, base, overlay, warnings)?;
                }
            }
            (kind, value) if fits(kind, &value) => {
                base.insert(key.name.to_owned(), value);
            }
            (kind, value) => {
                return Err(ConfigError::Type {
                    file: file.to_owned(),
                    key: path,
                    want: kind.want(),
                    found: found(&value),
                });
            }
        }
    }
    Ok(())
}

fn fits(kind: &Kind, value: &Value) -> bool {
    match kind {
        Kind::Bool => value.is_boolean(),
        Kind::UInt(most) => value.as_u64().is_some_and(|number| number <= *most),
        Kind::Float => value.as_f64().is_some_and(f64::is_finite),
        Kind::Text => value.is_string(),
        Kind::Texts => value.as_array().is_some_and(|texts| texts.iter().all(Value::is_string)),
        Kind::Object(_) | Kind::Ignored => false,
    }
}

/// The JSON type of a value in words; never the value, which may be a secret.
fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a number with a fraction",
        Value::Number(number) if number.is_i64() && !number.is_u64() => "a negative number",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// What switches nothing on needs no warning.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.values().all(is_empty),
        Value::Bool(true) => false,
    }
}

fn unknown(file: &str, prefix: &str, keys: &'static [Key], name: &str) -> Warning {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    let here = nearest(name, keys.iter().map(|key| key.name)).map(|near| format!("{prefix}{near}"));
    let elsewhere = || {
        let sections = [("", ROOT)].into_iter().chain(ROOT.iter().filter_map(|key| match key.kind {
            Kind::Object(inner) => Some((key.name, inner)),
            _ => None,
        }));
        sections
            .flat_map(|(section, keys)| keys.iter().map(move |key| (section, key.name)))
            .find(|(_, key)| key.eq_ignore_ascii_case(name))
            .map(
                |(section, key)| if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") },
            )
    };
    let hint = match elsewhere().or(here) {
        Some(near) => format!("; did you mean {near}?"),
        None => String::new(),
    };
    Warning(format!("config file {file}: unknown key {prefix}{shown} is ignored{hint}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn merged(files: &[&str]) -> (Value, Vec<String>) {
        let mut merged = Merged::default();
        for (index, text) in files.iter().enumerate() {
            merged.add(&format!("{index}.json"), text).unwrap();
        }
        (Value::Object(merged.values), merged.warnings.into_iter().map(|warning| warning.0).collect())
    }

    fn refused(text: &str) -> String {
        Merged::default().add("f.json", text).unwrap_err().to_string()
    }

    #[test]
    fn ops_1_3_keys_match_without_case() {
        let (values, warnings) = merged(&[r#"{"NetworkID":1,"wakuconfig":{"enablemailserver":true}}"#]);
        assert_eq!(values, json!({"NetworkId":1,"WakuConfig":{"EnableMailServer":true}}));
        assert!(warnings.is_empty());
    }

    #[test]
    fn ops_1_3_scalars_replace_and_objects_merge() {
        let (values, _) = merged(&[
            r#"{"MaxPeers":5,"WakuConfig":{"FullNode":true,"MaxMessageSize":9}}"#,
            r#"{"maxpeers":6,"WakuConfig":{"MaxMessageSize":10}}"#,
        ]);
        assert_eq!(values, json!({"MaxPeers":6,"WakuConfig":{"FullNode":true,"MaxMessageSize":10}}));
    }

    #[test]
    fn ops_1_3_arrays_replace_as_a_whole() {
        let (values, _) = merged(&[
            r#"{"ClusterConfig":{"StaticNodes":["a","b"]}}"#,
            r#"{"ClusterConfig":{"StaticNodes":["c"]}}"#,
        ]);
        assert_eq!(values, json!({"ClusterConfig":{"StaticNodes":["c"]}}));
    }

    #[test]
    fn ops_1_3_null_leaves_scalars_and_objects_and_clears_arrays() {
        let (values, _) = merged(&[
            r#"{"MaxPeers":5,"HTTPVirtualHosts":["a"],"WakuConfig":{"FullNode":true}}"#,
            r#"{"MaxPeers":null,"HTTPVirtualHosts":null,"WakuConfig":null}"#,
        ]);
        assert_eq!(values, json!({"MaxPeers":5,"HTTPVirtualHosts":[],"WakuConfig":{"FullNode":true}}));
    }

    #[test]
    fn ops_1_3_only_the_first_value_of_a_file_counts_and_the_rest_is_named() {
        let (values, warnings) = merged(&[r#"{"MaxPeers":5} {"MaxPeers":6}"#]);
        assert_eq!(values, json!({"MaxPeers":5}));
        assert!(warnings[0].contains("0.json") && warnings[0].contains("ignored"), "{warnings:?}");
    }

    #[test]
    fn ops_1_3_a_wrong_type_names_file_key_and_remedy_but_not_the_value() {
        assert_eq!(
            refused(r#"{"WakuConfig":{"MailServerPassword":12345}}"#),
            "config file f.json: WakuConfig.MailServerPassword must be a text in quotes, found a number"
        );
        assert_eq!(
            refused(r#"{"HTTPPort":70000}"#),
            "config file f.json: HTTPPort must be a whole number from 0 to 65535, found a number"
        );
        assert!(refused(r#"{"MaxPeers":-1}"#).ends_with("found a negative number"));
        assert!(refused(r#"{"MaxPeers":1.5}"#).ends_with("found a number with a fraction"));
        assert!(refused(r#"{"WakuConfig":[]}"#).contains("must be an object"));
        assert!(refused(r#"{"SharedSources":["a",1]}"#).contains("must be an array of texts"));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in ["", "[]", "{", "nonsense", "\"text\""] {
            assert!(refused(text).starts_with("config file f.json: "), "{text}");
        }
    }

    #[test]
    fn ops_s2_unknown_keys_are_named_with_their_near_match() {
        let (_, warnings) = merged(&[
            r#"{"WakuConfig":{"RateLimitIP":1},"EnableMailServer":true,"Frobnicate":1,"ListenAdr":""}"#,
        ]);
        assert_eq!(
            warnings,
            [
                "config file 0.json: unknown key WakuConfig.RateLimitIP is ignored; did you mean WakuConfig.PacketRateLimitIP?",
                "config file 0.json: unknown key EnableMailServer is ignored; did you mean WakuConfig.EnableMailServer?",
                "config file 0.json: unknown key Frobnicate is ignored",
                "config file 0.json: unknown key ListenAdr is ignored; did you mean ListenAddr?",
            ]
        );
    }

    #[test]
    fn a_known_key_without_effect_is_named_when_it_would_switch_something_on() {
        let (values, warnings) =
            merged(&[r#"{"TLSEnabled":true,"Rendezvous":false,"WakuV2Config":{"Enabled":false}}"#]);
        assert_eq!(values, json!({}));
        assert_eq!(warnings, ["config file 0.json: TLSEnabled has no effect in this version"]);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}") {
            let _ = Merged::default().add("f", &text);
        }

        #[test]
        fn merging_a_file_twice_changes_nothing(peers in any::<u32>(), hosts in proptest::collection::vec("[a-z]{1,8}", 0..4)) {
            let text = json!({"MaxPeers": peers, "HTTPVirtualHosts": hosts}).to_string();
            prop_assert_eq!(merged(&[&text]).0, merged(&[&text, &text]).0);
        }
    }
}

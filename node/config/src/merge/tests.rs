//! The rules, one by one.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn merged(files: &[&str]) -> (Value, Vec<String>) {
    let mut merged = Merged::default();
    for (index, text) in files.iter().enumerate() {
        merged.add(&Origin::File(format!("{index}.json")), text).unwrap();
    }
    let said = merged.warnings.into_iter().map(|warning| warning.0).chain(merged.unknown);
    (Value::Object(merged.values), said.collect())
}

fn refused(text: &str) -> String {
    Merged::default().add(&Origin::File("f.json".into()), text).unwrap_err().to_string()
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
fn unknown_keys_are_found_at_any_depth_but_not_in_sections_without_effect() {
    let (_, said) = merged(&[
        r#"{"WakuConfig":{"DatabaseConfig":{"PGConfig":{"Uri":"","Url":""}}},"ShhextConfig":{"SendV1Messages":true},
            "RequireTopics":{"whisper":{"Mim":3}}}"#,
    ]);
    assert_eq!(
        said,
        [
            "config file 0.json: unknown key WakuConfig.DatabaseConfig.PGConfig.Url is ignored; did you mean UpstreamConfig.URL?",
            "config file 0.json: unknown key RequireTopics.whisper.Mim is ignored",
        ]
    );
}

#[test]
fn a_known_key_without_effect_is_named_when_it_would_switch_something_on() {
    let (_, said) = merged(&[
        r#"{"LogFile":"/log","Rendezvous":false,"WakuV2Config":{"Enabled":false,"Port":5},"Name":"x","LogMobileSystem":true,
            "WakuConfig":{"Enabled":true}}"#,
    ]);
    assert_eq!(
        said,
        [
            "config file 0.json: LogFile has no effect in this version: the log goes to standard error",
            "config file 0.json: LogMobileSystem has no effect in this version: the log goes to standard error",
        ]
    );
}

#[test]
fn ops_1_3_topics_merge_by_name_and_null_clears_them() {
    let first = r#"{"RequireTopics":{"whisper":{"Min":3,"Max":5},"whispermail":{"min":1,"MAX":1}}}"#;
    let (values, _) = merged(&[first, r#"{"requiretopics":{"whisper":{"Max":2}}}"#]);
    let topics = json!({"whisper":{"Min":0,"Max":2},"whispermail":{"Min":1,"Max":1}});
    assert_eq!(values, json!({"RequireTopics": topics}));
    let (values, _) = merged(&[first, r#"{"RequireTopics":null}"#]);
    assert_eq!(values, json!({"RequireTopics":{}}));
    assert_eq!(
        refused(r#"{"RequireTopics":{"whisper":{"Min":-1}}}"#),
        "config file f.json: RequireTopics.whisper.Min must be a whole number from 0 to 4294967295, found a negative number"
    );
    assert!(
        refused(r#"{"RequireTopics":{"whisper":3}}"#).contains("RequireTopics.whisper must be an object")
    );
    assert!(refused(r#"{"RequireTopics":[]}"#).contains("RequireTopics must be an object"));
}

#[test]
fn the_origin_of_a_value_is_the_last_layer_that_gave_it() {
    let mut merged = Merged::default();
    merged.add(&Origin::Fleet("f".into()), r#"{"MaxPeers":1,"WakuConfig":{"FullNode":true}}"#).unwrap();
    merged.add(&Origin::File("a".into()), r#"{"maxpeers":2,"HTTPCors":null,"DataDir":null}"#).unwrap();
    merged.set("DataDir", json!("/d"), Origin::Flag("-dir"));
    assert_eq!(merged.origin("MaxPeers"), Origin::File("a".into()));
    assert_eq!(merged.origin("WakuConfig.FullNode"), Origin::Fleet("f".into()));
    assert_eq!(merged.origin("HTTPCors"), Origin::File("a".into()));
    assert_eq!(merged.origin("LogLevel"), Origin::Default);
    assert_eq!((merged.name("DataDir"), merged.name("MaxPeers")), ("-dir".to_owned(), "MaxPeers".to_owned()));
    merged.unset("DataDir");
    assert_eq!(merged.origin("DataDir"), Origin::Default);
}

/// Every key of the table takes a value of its type, and refuses every other type with its path.
#[test]
fn every_key_takes_its_type_and_refuses_others() {
    let values = [json!(true), json!(7), json!(0.5), json!("text"), json!(["text"]), json!({})];
    for (path, key) in crate::keys::leaves() {
        let good = match key.kind {
            Kind::Bool => [0].as_slice(),
            Kind::UInt(_) => &[1],
            Kind::Number => &[1, 2],
            Kind::Text => &[3],
            Kind::Texts => &[4],
            Kind::Object(_) | Kind::Open(_) | Kind::Topics => &[5],
        };
        for (index, value) in values.iter().enumerate() {
            let nested = path.rsplit('.').fold(value.clone(), |value, name| json!({ name: value }));
            let outcome = Merged::default().add(&Origin::File("f".into()), &nested.to_string());
            assert_eq!(outcome.is_ok(), good.contains(&index), "{path} {value}");
            if let Err(error) = outcome {
                assert!(error.to_string().starts_with(&format!("config file f: {path} must be ")), "{error}");
            }
        }
    }
}

/// Any JSON, small and deep enough to matter, with known names among the keys.
fn any_json() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    let mut names = Vec::new();
    for key in ROOT.iter().flat_map(|key| std::iter::once(key).chain(key.kind.members())) {
        names.push(key.name);
    }
    let name = prop_oneof![proptest::sample::select(names).prop_map(str::to_owned), "[A-Za-z]{0,12}"];
    scalar.prop_recursive(4, 64, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((name.clone(), inner), 0..8)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,200}") {
        let _ = Merged::default().add(&Origin::File("f".into()), &text);
    }

    /// What is taken can always be read as the typed file: the table is no looser than the types.
    #[test]
    fn no_json_panics_and_what_is_taken_fits_the_types(value in any_json()) {
        let mut merged = Merged::default();
        if merged.add(&Origin::File("f".into()), &value.to_string()).is_ok() {
            let typed = serde_json::from_value::<crate::ConfigFile>(Value::Object(merged.values));
            prop_assert!(typed.is_ok(), "{typed:?}");
        }
    }

    #[test]
    fn merging_a_file_twice_changes_nothing(peers in any::<u32>(), hosts in proptest::collection::vec("[a-z]{1,8}", 0..4)) {
        let text = json!({"MaxPeers": peers, "HTTPVirtualHosts": hosts}).to_string();
        prop_assert_eq!(merged(&[&text]).0, merged(&[&text, &text]).0);
    }
}

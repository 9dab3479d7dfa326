//! `config explain` and reloading.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{Setting, Shown, changes};

fn settings(texts: &[&str]) -> Vec<Setting> {
    load_all(&Flags::default(), &disk(texts), &home()).unwrap().settings
}

fn of<'a>(settings: &'a [Setting], key: &str) -> &'a Setting {
    settings.iter().find(|it| it.key == key).unwrap()
}

#[test]
fn ops_8_every_effective_value_has_its_origin() {
    let all = settings(&[
        r#"{"WakuConfig":{"MailServerDataRetention":1,"EnableMailServer":true,"MailServerPassword":"hush"}}"#,
    ]);
    let seconds = of(&all, "WakuConfig.MailServerRetentionSeconds");
    assert_eq!(
        serde_json::to_value(seconds).unwrap(),
        json!({"key": "WakuConfig.MailServerRetentionSeconds",
        "value": 86400, "origin": {"from": "file", "name": "0.json"}})
    );
    let full = of(&all, "WakuConfig.FullNode");
    assert_eq!((full.value.clone(), full.origin.clone()), (Shown::Plain(json!(true)), Origin::Default));
    assert_eq!(of(&all, "MaxPeers").value, Shown::Plain(json!(500)));
    let text = serde_json::to_string(&all).unwrap();
    assert!(text.contains("(secret)") && !text.contains("hush"), "{text}");
    let quiet = of(&settings(&[r#"{"LogEnabled":false}"#]), "LogLevel").clone();
    assert_eq!((quiet.value, quiet.origin), (Shown::Plain(json!("ERROR")), Origin::File("0.json".into())));
}

/// A value that is given is the value that is shown, for every key that takes a simple one.
#[test]
fn what_is_given_is_shown() {
    let given = [
        ("NetworkId", json!(9)),
        ("DataDir", json!("/d")),
        ("NodeKeyFile", json!("/k")),
        ("ListenAddr", json!("127.0.0.1:5")),
        ("AdvertiseAddr", json!("192.0.2.1")),
        ("UPnPEnabled", json!(true)),
        ("HTTPEnabled", json!(true)),
        ("HTTPHost", json!("0.0.0.0")),
        ("HTTPPort", json!(1)),
        ("HTTPVirtualHosts", json!(["a"])),
        ("HTTPCors", json!(["b"])),
        ("WSEnabled", json!(true)),
        ("WSOrigins", json!(["c"])),
        ("APIModules", json!("admin")),
        ("IPCEnabled", json!(true)),
        ("IPCFile", json!("/run/x")),
        ("RPCTokenFile", json!("/t")),
        ("MetricsEnabled", json!(true)),
        ("MetricsHost", json!("::1")),
        ("MetricsPort", json!(2)),
        ("MaxPeers", json!(3)),
        ("MaxPendingPeers", json!(4)),
        ("LogLevel", json!("TRACE")),
        ("LogEnabled", json!(true)),
        ("EnableNTPSync", json!(true)),
        ("LiveDir", json!("/l")),
        ("SharedSources", json!(["10.0.0.0/8"])),
        ("WorkerThreads", json!(6)),
        ("NoDiscovery", json!(false)),
        ("RegisterTopics", json!(["t"])),
        ("RequireTopics", json!({"u": {"Min": 1, "Max": 2}})),
        ("ClusterConfig.Enabled", json!(true)),
        ("ClusterConfig.StaticNodes", json!([enode(1)])),
        ("ClusterConfig.TrustedNodes", json!([enode(2)])),
        ("ClusterConfig.BootNodes", json!([enode(3)])),
        ("ClusterConfig.TrustedMailServers", json!([enode(4)])),
        ("WakuConfig.Enabled", json!(true)),
        ("WakuConfig.LightClient", json!(false)),
        ("WakuConfig.FullNode", json!(true)),
        ("WakuConfig.BloomFilterMode", json!(true)),
        ("WakuConfig.EnableMailServer", json!(true)),
        ("WakuConfig.DataDir", json!("/d/w")),
        ("WakuConfig.MailServerPasswordFile", json!("/p")),
        ("WakuConfig.MailServerRateLimit", json!(7)),
        ("WakuConfig.MailServerDataRetention", json!(1)),
        ("WakuConfig.MailServerRetentionSeconds", json!(8)),
        ("WakuConfig.MailServerMaxBytes", json!(9)),
        ("WakuConfig.MailServerSyncPeers", json!([enode(5)])),
        ("WakuConfig.MailServerSyncTimeout", json!(15)),
        ("WakuConfig.DatabaseConfig.PGConfig.Enabled", json!(true)),
        ("WakuConfig.DatabaseConfig.PGConfig.URIFile", json!("/u")),
        ("WakuConfig.DatabaseConfig.PGConfig.SpoolMaxBytes", json!(16)),
        ("WakuConfig.MinimumPoW", json!(0.5)),
        ("WakuConfig.MaxMessageSize", json!(2048)),
        ("WakuConfig.EnableConfirmations", json!(true)),
        ("WakuConfig.SoftBlacklistedPeerIDs", json!(["11".repeat(32)])),
        ("WakuConfig.EnableRateLimiter", json!(true)),
        ("WakuConfig.PacketRateLimitIP", json!(10)),
        ("WakuConfig.PacketRateLimitPeerID", json!(11)),
        ("WakuConfig.BytesRateLimitIP", json!(12)),
        ("WakuConfig.BytesRateLimitPeerID", json!(13)),
        ("WakuConfig.RateLimitTolerance", json!(14)),
    ];
    let secrets = ["NodeKey", "WakuConfig.MailServerPassword", "WakuConfig.DatabaseConfig.PGConfig.URI"];
    for (path, _) in crate::keys::leaves().iter().filter(|(_, key)| key.counts()) {
        let covered = given.iter().any(|(key, _)| key == path) || secrets.contains(&path.as_str());
        assert!(covered, "{path}");
    }
    for (key, value) in given {
        // What the key needs to mean something.
        let base = format!(
            r#"{{"DataDir":"/d","HTTPEnabled":true,"WSEnabled":true,"IPCEnabled":true,"MetricsEnabled":true,"NoDiscovery":false,
            "ClusterConfig":{{"Enabled":true,"BootNodes":["{}"]}},"WakuConfig":{{"EnableRateLimiter":true,
            "EnableMailServer":true,"MailServerPasswordFile":"/q",
            "DatabaseConfig":{{"PGConfig":{{"Enabled":true,"URIFile":"/q"}}}}}}}}"#,
            enode(9)
        );
        let text = key.rsplit('.').fold(value.clone(), |value, name| json!({ name: value })).to_string();
        let all = settings(&[&base, &text]);
        let shown = of(&all, key);
        assert_eq!(shown.value, Shown::Plain(value), "{key}");
        assert_eq!(shown.origin, Origin::File("1.json".into()), "{key}");
    }
}

#[test]
fn changes_say_what_a_running_node_takes() {
    let old = settings(&[
        r#"{"MaxPeers":5,"HTTPPort":1,"NodeKey":"b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291"}"#,
    ]);
    let new = settings(&[
        r#"{"MaxPeers":6,"HTTPPort":2,"NodeKey":"b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f292"}"#,
    ]);
    let found = changes(&old, &new);
    let said: Vec<(&str, String, String, bool)> =
        found.iter().map(|it| (it.key.as_str(), it.from.to_string(), it.to.to_string(), it.live)).collect();
    assert_eq!(
        said,
        [
            ("NodeKey", "(secret)".to_owned(), "(secret)".to_owned(), false),
            ("HTTPPort", "1".to_owned(), "2".to_owned(), false),
            ("MaxPeers", "5".to_owned(), "6".to_owned(), true),
        ]
    );
    assert!(!format!("{found:?}").contains("b71c71"));
    assert_eq!(changes(&old, &old), []);
}

proptest! {
    /// Nothing that a file can hold makes loading panic, and what is loaded can be shown.
    #[test]
    fn no_file_panics(text in prop_oneof![".{0,120}", r#"\{"(NoDiscovery|DataDir|ListenAddr|HTTPHost|APIModules|RequireTopics|IPCFile)": ("[^"\\\\]{0,20}"|true|null|\{\}|\[\]|-?[0-9]{1,25})\}"#]) {
        if let Ok(loaded) = load_all(&Flags::default(), &disk(&[&text]), &home()) {
            prop_assert!(serde_json::to_string(&loaded.settings).is_ok());
        }
    }
}

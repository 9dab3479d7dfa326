//! Defaults, precedence and validation.

use std::{io, path::Path};

use super::*;
use crate::{
    DatabaseUri, Identity, ListenAddr, LoadError, Loaded, Password, RateLimitsConfig, Secret, TopicLimits,
    WebSocketConfig, load,
};

/// A file system of a few files.
type Disk = Vec<(String, String)>;

fn disk(texts: &[&str]) -> Disk {
    texts.iter().enumerate().map(|(index, text)| (format!("{index}.json"), (*text).to_owned())).collect()
}

fn read(disk: &Disk) -> impl Fn(&Path) -> io::Result<String> + '_ {
    |path| {
        let found = disk.iter().find(|(name, _)| Path::new(name) == path);
        found.map(|(_, text)| text.clone()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn home() -> Environment {
    Environment { home: Some(PathBuf::from("/home/me")), ..Environment::default() }
}

/// Loads `disk` with its numbered files behind `-c`.
fn load_all(flags: &Flags, disk: &Disk, environment: &Environment) -> Result<Loaded, LoadError> {
    let numbered = |name: &&String| name.starts_with(|c: char| c.is_ascii_digit());
    let config_files = disk.iter().map(|(name, _)| name).filter(numbered).map(PathBuf::from).collect();
    load(&Flags { config_files, ..flags.clone() }, environment, read(disk))
}

fn with(flags: &Flags, texts: &[&str]) -> Result<(NodeConfig, Vec<String>), String> {
    let loaded = load_all(flags, &disk(texts), &home()).map_err(|error| error.to_string())?;
    Ok((loaded.config, loaded.warnings.into_iter().map(|warning| warning.0).collect()))
}

/// What the command line comes to.
fn flags(args: &[&str]) -> Flags {
    match Flags::parse_args(args.iter().map(Into::into)).unwrap() {
        crate::Parsed::Run(flags) => flags,
        crate::Parsed::Help(text) => panic!("{text}"),
    }
}

fn config(texts: &[&str]) -> NodeConfig {
    with(&Flags::default(), texts).unwrap().0
}

fn refused(text: &str) -> String {
    with(&Flags::default(), &[text]).unwrap_err()
}

mod layers;
mod origins;

const KEY: &str = "b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291";

fn enode(port: u16) -> String {
    format!("enode://{}@192.0.2.1:{port}", enode::NodeKey::from_hex(KEY).unwrap().public_key())
}

#[test]
fn ops_1_4_and_8_defaults() {
    let config = config(&[]);
    assert_eq!(config.network_id.get(), 3);
    assert_eq!(config.data_dir, Path::new("/home/me/.statusd"));
    assert_eq!(config.identity, Identity::DataDir);
    assert_eq!(config.listen, ListenAddr { host: None, port: 30303 });
    assert_eq!((config.max_peers, config.max_pending_peers), (500, 100));
    assert_eq!((config.http, config.metrics, config.mailserver), (None, None, None));
    assert_eq!(config.log_level, LogLevel::Info);
    assert_eq!(config.config_hash, "");
    let waku = config.waku.unwrap();
    assert!(!waku.full_node && !waku.confirmations && !waku.light_client);
    assert_eq!(waku.rate_limits, None);
    assert_eq!((waku.minimum_pow, waku.max_message_size), (0.000_002, 1 << 20));
}

#[test]
fn without_home_the_data_directory_is_local() {
    let loaded = load_all(&Flags::default(), &Vec::new(), &Environment::default()).unwrap();
    assert_eq!(loaded.config.data_dir, Path::new("statusd-data"));
}

#[test]
fn ops_8_defaults_of_the_history_role() {
    let config = config(&[r#"{"WakuConfig":{"EnableMailServer":true,"MailServerPassword":"p"}}"#]);
    assert!(config.waku.unwrap().full_node);
    let mailserver = config.mailserver.unwrap();
    assert_eq!(mailserver.data_dir, Path::new("/home/me/.statusd/waku"));
    assert_eq!(mailserver.retention, Some(Duration::from_secs(2_592_000)));
    assert_eq!((mailserver.rate_limit, mailserver.max_bytes), (None, None));
}

#[test]
fn ops_8_the_mailserver_flag_really_enables_the_mailserver() {
    let flags = Flags { mailserver: Some(true), ..Flags::default() };
    let mailserver = with(&flags, &[]).unwrap().0.mailserver.unwrap();
    assert_eq!(mailserver.password, Password::Inline(Secret::new("status-offline-inbox".into())));
}

#[test]
fn ops_8_flags_win_over_files_and_later_files_over_earlier() {
    let flags = Flags {
        dir: Some("/flag".into()),
        network_id: Some(1),
        addr: Some("127.0.0.1:1".into()),
        log: Some("debug".into()),
        metrics: Some(true),
        metrics_port: Some(9305),
        worker_threads: Some(2),
        ..Flags::default()
    };
    let first = r#"{"DataDir":"/file","NetworkId":5,"ListenAddr":":9","LogLevel":"WARN","MetricsPort":1,"WorkerThreads":9,"MaxPeers":1}"#;
    let (config, _) = with(&flags, &[first, r#"{"MaxPeers":2}"#]).unwrap();
    assert_eq!(config.data_dir, Path::new("/flag"));
    assert_eq!(config.network_id.get(), 1);
    assert_eq!(config.listen.to_string(), "127.0.0.1:1");
    assert_eq!(config.log_level, LogLevel::Debug);
    assert_eq!(config.metrics.unwrap().port, 9305);
    assert_eq!((config.worker_threads, config.max_peers), (Some(2), 2));
}

#[test]
fn retention_in_seconds_wins_over_days_and_zero_is_for_ever() {
    let retention = |keys: &str| {
        let text = format!(r#"{{"WakuConfig":{{"EnableMailServer":true,"MailServerPassword":"p",{keys}}}}}"#);
        config(&[&text]).mailserver.unwrap().retention
    };
    assert_eq!(retention(r#""MailServerDataRetention":2"#), Some(Duration::from_secs(172_800)));
    assert_eq!(
        retention(r#""MailServerDataRetention":2,"MailServerRetentionSeconds":90"#),
        Some(Duration::from_secs(90))
    );
    assert_eq!(retention(r#""MailServerDataRetention":0"#), None);
}

#[test]
fn devp2p_1_2_and_the_order_of_identity_sources() {
    let text = format!(r#"{{"NodeKey":"{KEY}"}}"#);
    assert_eq!(config(&[&text]).identity, Identity::Inline(Secret::new(KEY.into())));
    assert_eq!(config(&[r#"{"NodeKeyFile":"/k"}"#]).identity, Identity::File("/k".into()));
    let mut environment = Environment { nodekey: Some(Secret::new(KEY.into())), ..Environment::default() };
    let identity = |flags: &Flags, environment: &Environment| {
        load_all(flags, &disk(&[r#"{"NodeKeyFile":"/k"}"#]), environment).unwrap().config.identity
    };
    assert_eq!(identity(&Flags::default(), &environment), Identity::Inline(Secret::new(KEY.into())));
    environment.nodekey_file = Some("/env".into());
    assert_eq!(identity(&Flags::default(), &environment), Identity::File("/env".into()));
    let flags = Flags { nodekey_file: Some("/flag".into()), ..Flags::default() };
    assert_eq!(identity(&flags, &environment), Identity::File("/flag".into()));
}

#[test]
fn ops_s17_a_malformed_key_is_refused_without_being_shown() {
    for key in ["0xb71c71a67e", &KEY[..62], &"0".repeat(64), &"f".repeat(64)] {
        let error = refused(&format!(r#"{{"NodeKey":"{key}"}}"#));
        assert!(error.starts_with("NodeKey: ") && error.contains("64 hex digits"), "{error}");
        assert!(!error.contains(key), "{error}");
    }
}

#[test]
fn debug_output_holds_no_secret() {
    let text = format!(
        r#"{{"NodeKey":"{KEY}","WakuConfig":{{"EnableMailServer":true,"MailServerPassword":"hush-hush"}}}}"#
    );
    let shown = format!("{:?}", config(&[&text]));
    assert!(!shown.contains(KEY) && !shown.contains("hush-hush"), "{shown}");
}

#[test]
fn ops_1_8_what_is_refused_names_the_setting_and_the_remedy() {
    for (text, named, remedy) in [
        (r#"{"NoDiscovery":false}"#, "NoDiscovery", "name a boot node"),
        (r#"{"RegisterTopics":[""]}"#, "RegisterTopics", "1 to 64 bytes"),
        (r#"{"RequireTopics":{"whisper":{"Min":3,"Max":2}}}"#, "RequireTopics.whisper", "at least Min"),
        (r#"{"RequireTopics":{"whisper":{}}}"#, "RequireTopics.whisper", "at least 1"),
        (
            r#"{"WakuConfig":{"SoftBlacklistedPeerIDs":["0x00"]}}"#,
            "WakuConfig.SoftBlacklistedPeerIDs",
            "admin_peers",
        ),
        (r#"{"KeyStoreDir":""}"#, "KeyStoreDir", "leave it out"),
        (r#"{"NetworkId":0}"#, "NetworkId", "1 for mainnet"),
        (r#"{"DataDir":""}"#, "DataDir", "give a directory"),
        (r#"{"LogLevel":"LOUD"}"#, "LogLevel", "ERROR, WARN"),
        (r#"{"ListenAddr":"30303"}"#, "ListenAddr", "0.0.0.0:30303"),
        (r#"{"ListenAddr":"a.example:1"}"#, "ListenAddr", "0.0.0.0:30303"),
        (r#"{"ListenAddr":":99999"}"#, "ListenAddr", "0.0.0.0:30303"),
        (r#"{"AdvertiseAddr":"a.example"}"#, "AdvertiseAddr", "198.51.100.7"),
        (r#"{"AdvertiseAddr":"192.0.2.1","LiveDir":"/l"}"#, "AdvertiseAddr", "leave it out"),
        (r#"{"UPnPEnabled":true,"LiveDir":"/l"}"#, "UPnPEnabled", "leave it out"),
        (r#"{"SharedSources":["10.0.0.0"]}"#, "SharedSources", "10.0.0.0/8"),
        (r#"{"WorkerThreads":65}"#, "WorkerThreads", "leave it out"),
        (r#"{"WakuConfig":{"MinimumPoW":-1}}"#, "WakuConfig.MinimumPoW", "0.000002"),
        (r#"{"WakuConfig":{"MaxMessageSize":10485761}}"#, "WakuConfig.MaxMessageSize", "1048576"),
        (r#"{"WakuConfig":{"MaxMessageSize":1023}}"#, "WakuConfig.MaxMessageSize", "at least 1024"),
        (
            r#"{"WakuConfig":{"EnableMailServer":true}}"#,
            "WakuConfig.MailServerPassword",
            "status-offline-inbox",
        ),
        (
            r#"{"WakuConfig":{"EnableMailServer":true,"MailServerPassword":"a","MailServerPasswordFile":"/b"}}"#,
            "WakuConfig.MailServerPassword",
            "keep only",
        ),
        (
            r#"{"WakuConfig":{"EnableMailServer":true,"MailServerPassword":"a","Enabled":false}}"#,
            "WakuConfig.Enabled",
            "true",
        ),
        (
            r#"{"WakuConfig":{"EnableMailServer":true,"MailServerPassword":"a","LightClient":true}}"#,
            "WakuConfig.LightClient",
            "false",
        ),
        (
            r#"{"DataDir":"/data","WakuConfig":{"EnableMailServer":true,"MailServerPassword":"a","DataDir":"/database"}}"#,
            "WakuConfig.DataDir",
            "inside DataDir",
        ),
        (r#"{"NodeKey":"00","NodeKeyFile":"/b"}"#, "NodeKey", "keep only"),
    ] {
        let error = refused(text);
        assert!(error.starts_with(&format!("{named}: ")), "{text}: {error}");
        assert!(error.contains(remedy), "{text}: {error}");
    }
}

#[test]
fn ops_1_6_static_nodes_count_only_when_enabled_and_bad_ones_are_skipped() {
    let public = enode::NodeKey::from_hex(KEY).unwrap().public_key();
    let enode = format!("enode://{public}@node.example:443");
    let nodes = format!(r#""StaticNodes":["{enode}","enode://nonsense@1.2.3.4:1"]"#);
    let (config, warnings) =
        with(&Flags::default(), &[&format!(r#"{{"ClusterConfig":{{"Enabled":true,{nodes}}}}}"#)]).unwrap();
    assert_eq!(config.static_peers.len(), 1);
    assert_eq!(config.static_peers[0].dns_name(), Some("node.example"));
    assert!(warnings.iter().any(|warning| warning.contains("StaticNodes[1]")), "{warnings:?}");
    let (config, warnings) =
        with(&Flags::default(), &[&format!(r#"{{"ClusterConfig":{{{nodes}}}}}"#)]).unwrap();
    assert!(config.static_peers.is_empty());
    assert!(warnings[0].contains("ClusterConfig.Enabled"), "{warnings:?}");
}

#[test]
fn listeners_are_on_loopback_unless_told_otherwise() {
    let quiet = config(&[r#"{"HTTPEnabled":true,"MetricsEnabled":true}"#]);
    let http = quiet.http.unwrap();
    assert_eq!((http.host.as_str(), http.port), ("127.0.0.1", 8545));
    assert_eq!(http.virtual_hosts, ["localhost"]);
    assert_eq!(http.modules, ["admin", "net", "web3"]);
    let metrics = quiet.metrics.unwrap();
    assert_eq!((metrics.host.as_str(), metrics.port), ("127.0.0.1", 9090));
}

#[test]
fn the_config_of_the_operator_in_full() {
    let text = r#"{"NetworkId":1,"DataDir":"/data","NodeKeyFile":"/etc/statusd/identity/nodekey","ListenAddr":"0.0.0.0:30303",
        "LiveDir":"/etc/statusd/live","RPCTokenFile":"/etc/statusd/rpc/token","HTTPEnabled":true,"HTTPHost":"0.0.0.0","HTTPPort":8545,
        "HTTPVirtualHosts":["*"],"APIModules":"admin, web3","MetricsEnabled":true,"MetricsHost":"0.0.0.0","MetricsPort":9090,
        "SharedSources":["10.0.0.0/8"],"NoDiscovery":true,
        "WakuConfig":{"EnableMailServer":true,"DataDir":"/data/waku","MailServerPasswordFile":"/etc/statusd/secrets/password",
        "MailServerRetentionSeconds":2592000,"MailServerMaxBytes":17179869184,"EnableConfirmations":true}}"#;
    let (config, warnings) = with(&Flags::default(), &[text]).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(config.http.unwrap().modules, ["admin", "web3"]);
    assert!(config.shared_sources[0].contains("10.9.9.9".parse().unwrap()));
    let mailserver = config.mailserver.unwrap();
    assert_eq!(mailserver.password, Password::File("/etc/statusd/secrets/password".into()));
    assert_eq!(mailserver.max_bytes.unwrap().get(), 17_179_869_184);
    assert_eq!(config.config_hash, config_hash([text]));
    assert_eq!(config_hash([""]), "e3b0c44298", "as the operator's hash of a text");
    assert_ne!(config.config_hash, config_hash([format!("{text} ")]));
}

#[test]
fn ops_1_5_the_archive_is_in_postgresql_where_that_is_enabled() {
    let file = |database: &str| {
        format!(
            r#"{{"DataDir":"/data","WakuConfig":{{"EnableMailServer":true,"MailServerPassword":"p","DatabaseConfig":{{"PGConfig":{database}}}}}}}"#
        )
    };
    let postgres = |database: &str| config(&[&file(database)]).mailserver.unwrap().postgres;
    assert_eq!(postgres(r#"{"Enabled":false,"URI":"postgres://u@db/x"}"#), None);
    let inline = postgres(r#"{"Enabled":true,"URI":"postgres://u:hush@db/x"}"#).unwrap();
    assert_eq!(inline.uri, DatabaseUri::Inline(Secret::new("postgres://u:hush@db/x".into())));
    assert_eq!((inline.spool_dir, inline.spool_max_bytes), ("/data/spool".into(), 1 << 30));
    let named = postgres(r#"{"Enabled":true,"URIFile":"/run/uri","SpoolMaxBytes":5000}"#).unwrap();
    assert_eq!((named.uri, named.spool_max_bytes), (DatabaseUri::File("/run/uri".into()), 5000));
    for (database, problem) in [
        (
            r#"{"Enabled":true}"#,
            "is not set although PGConfig.Enabled is true; set it or URIFile: postgres://",
        ),
        (
            r#"{"Enabled":true,"URI":"postgres://u:hush@db/x","URIFile":"/f"}"#,
            "is given together with URIFile",
        ),
    ] {
        let error = refused(&file(database));
        assert!(
            error.contains("WakuConfig.DatabaseConfig.PGConfig.URI") && error.contains(problem),
            "{error}"
        );
        assert!(!error.contains("hush"));
    }
    let loaded = load_all(
        &Flags::default(),
        &disk(&[&file(r#"{"Enabled":true,"URI":"postgres://u:hush@db/x"}"#)]),
        &home(),
    );
    let said = serde_json::to_string(&loaded.unwrap().settings).unwrap();
    assert!(said.contains(r#"{"key":"WakuConfig.DatabaseConfig.PGConfig.URI","value":"(secret)""#), "{said}");
    assert!(!said.contains("hush"));
}

#[test]
fn listen_addresses() {
    for (text, host, port) in [
        (":1", None, 1),
        ("0.0.0.0:30303", Some("0.0.0.0"), 30303),
        ("[::]:0", Some("::"), 0),
        ("localhost:5", Some("127.0.0.1"), 5),
    ] {
        let address: ListenAddr = text.parse().unwrap();
        assert_eq!((address.host, address.port), (host.map(|host| host.parse().unwrap()), port), "{text}");
    }
    assert!("::1:30303".parse::<ListenAddr>().is_err());
}

#[test]
fn waku_4_13_the_rate_limiter_is_off_unless_enabled() {
    let limits = |enabled: bool| {
        let text = format!(
            r#"{{"WakuConfig":{{"EnableRateLimiter":{enabled},"PacketRateLimitIP":10,"PacketRateLimitPeerID":5,
            "BytesRateLimitIP":2000,"BytesRateLimitPeerID":1000,"RateLimitTolerance":100}}}}"#
        );
        with(&Flags::default(), &[&text]).unwrap().0.waku.unwrap().rate_limits
    };
    assert_eq!(limits(false), None);
    let all = RateLimitsConfig {
        ip_packets: 10,
        peer_packets: 5,
        ip_bytes: 2000,
        peer_bytes: 1000,
        tolerance: 100,
    };
    assert_eq!(limits(true), Some(all));
}

#[test]
fn ops_1_4_the_ipc_socket_and_websocket_are_off_until_asked_for() {
    let ipc = |text: &str| config(&[text]).ipc;
    assert_eq!(ipc(r#"{"IPCFile":"a.ipc"}"#), None);
    assert_eq!(ipc(r#"{"DataDir":"/d","IPCEnabled":true}"#), Some("/d/geth.ipc".into()));
    assert_eq!(ipc(r#"{"DataDir":"/d","IPCEnabled":true,"IPCFile":"a.ipc"}"#), Some("/d/a.ipc".into()));
    assert_eq!(ipc(r#"{"IPCEnabled":true,"IPCFile":"/run/a.ipc"}"#), Some("/run/a.ipc".into()));
    let websocket = |text: &str| config(&[text]).http.unwrap().websocket;
    assert_eq!(websocket(r#"{"HTTPEnabled":true}"#), None);
    let origins = websocket(r#"{"HTTPEnabled":true,"WSEnabled":true,"WSOrigins":["*"]}"#).unwrap().origins;
    assert_eq!(origins, ["*"]);
}

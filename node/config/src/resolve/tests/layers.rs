//! Fleets, files, environment, flags and lists of nodes, one over the other.

use super::*;

#[test]
fn ops_1_3_precedence_of_fleet_files_and_flags() {
    let fleet = r#"{"MaxPeers":1,"NetworkId":1,"LogLevel":"DEBUG","ClusterConfig":{"StaticNodes":["F"]}}"#;
    let fleet = fleet.replace('F', &enode(1));
    let mut disk =
        disk(&[r#"{"NetworkId":2,"LogLevel":"WARN","NoDiscovery":true}"#, r#"{"LogLevel":"TRACE"}"#]);
    disk.push(("/fleet".to_owned(), fleet));
    let flags = flags(&["-fleet", "/fleet", "-log", "ERROR"]);
    let loaded = load_all(&flags, &disk, &home()).unwrap();
    let config = &loaded.config;
    assert_eq!((config.max_peers, config.network_id.get(), config.log_level), (1, 2, LogLevel::Error));
    assert_eq!(config.static_peers.len(), 1, "the fleet enables its cluster");
    let origin = |key: &str| loaded.settings.iter().find(|it| it.key == key).unwrap().origin.to_string();
    assert_eq!(origin("MaxPeers"), "fleet /fleet");
    assert_eq!(origin("NetworkId"), "config file 0.json");
    assert_eq!(origin("LogLevel"), "flag -log");
    assert_eq!(origin("DataDir"), "environment HOME");
    assert_eq!(origin("ListenAddr"), "default");
    assert_eq!(config.config_hash, config_hash([&disk[0].1, &disk[1].1]), "of the -c files alone");
    assert!(
        loaded.files.contains(&("-fleet", "/fleet".into()))
            && loaded.files.contains(&("-c", "1.json".into()))
    );
}

#[test]
fn ops_1_6_a_built_in_fleet_and_a_file_that_replaces_one_of_its_lists() {
    let config = |texts: &[&str]| with(&flags(&["-fleet", "eth.prod"]), texts).unwrap().0;
    let whole = config(&[]);
    let discovery = whole.discovery.unwrap();
    let lists = (discovery.boot_nodes.len(), whole.static_peers.len(), whole.trusted_mailservers.len());
    assert_eq!(lists, (6, 3, 9));
    let text = format!(r#"{{"ClusterConfig":{{"BootNodes":["{}"]}}}}"#, enode(7));
    let replaced = config(&[&text]);
    assert_eq!(replaced.discovery.unwrap().boot_nodes.len(), 1);
    assert_eq!(replaced.static_peers.len(), 3);
    let off = config(&[r#"{"ClusterConfig":{"Enabled":false}}"#]);
    assert_eq!((off.static_peers.len(), off.discovery, off.trusted_mailservers.len()), (0, None, 9));
    let (_, warnings) = with(&flags(&["-fleet", "wakuv2.test"]), &[]).unwrap();
    assert!(warnings.iter().any(|it| it.contains("WakuV2Config.Enabled has no effect")), "{warnings:?}");
    let error = with(&flags(&["-fleet", "nowhere"]), &[]).unwrap_err();
    assert!(error.starts_with("-fleet: "), "{error}");
    let error = with(&flags(&["-fleet", "/nowhere"]), &[]).unwrap_err();
    assert!(error.starts_with("-fleet: cannot read /nowhere: "), "{error}");
    assert!(with(&flags(&["-fleet", ""]), &[]).unwrap().0.discovery.is_none());
}

#[test]
fn without_peers_it_is_said_that_nobody_is_looked_for() {
    let said = |texts: &[&str]| with(&Flags::default(), texts).unwrap().1;
    assert!(said(&[]).iter().any(|it| it.contains("no peers are configured")), "{:?}", said(&[]));
    assert!(said(&[r#"{"LiveDir":"/l"}"#]).is_empty());
}

#[test]
fn ops_1_4_discovery_keys_and_flags() {
    let text = format!(
        r#"{{"NoDiscovery":false,"RegisterTopics":["a","a"],"RequireTopics":{{"whisper":{{"Min":3,"Max":5}}}},
        "ClusterConfig":{{"Enabled":true,"BootNodes":["{}","enode://nonsense"]}}}}"#,
        enode(1)
    );
    let discovery = |args: &[&str]| with(&flags(args), &[&text]).unwrap().0.discovery;
    let found = discovery(&[]).unwrap();
    assert_eq!((found.boot_nodes.len(), found.register), (1, vec!["a".to_owned()]));
    assert_eq!(found.require["whisper"], TopicLimits { min: 3, max: 5 });
    assert_eq!(discovery(&["-register"]).unwrap().register, ["a", "whisper"]);
    let mailserver = discovery(&["-register", "-mailserver"]).unwrap();
    assert_eq!(mailserver.register, ["a", "whispermail"]);
    assert_eq!(discovery(&["-discovery=false"]), None);
    let error = with(&flags(&["-discovery"]), &[]).unwrap_err();
    assert!(
        error.starts_with("-discovery: discovery is on, but ClusterConfig.BootNodes is empty"),
        "{error}"
    );
    let (config, warnings) = with(&Flags::default(), &[r#"{"RegisterTopics":["x"]}"#]).unwrap();
    assert_eq!(config.discovery, None);
    assert!(warnings[0].contains("RegisterTopics has no effect: discovery is off"), "{warnings:?}");
}

#[test]
fn upnp_is_off_unless_asked_for() {
    let upnp = |args: &[&str], text: &str| with(&flags(args), &[text]).unwrap().0.upnp;
    assert!(!upnp(&[], "{}"));
    assert!(upnp(&["-upnp"], "{}"));
    assert!(upnp(&[], r#"{"UPnPEnabled":true,"AdvertiseAddr":"192.0.2.1"}"#));
    assert!(!upnp(&["-upnp=false"], r#"{"UPnPEnabled":true}"#));
    let error = with(&flags(&["-upnp"]), &[r#"{"LiveDir":"/l"}"#]).unwrap_err();
    assert!(error.starts_with("-upnp: is true together with LiveDir"), "{error}");
}

#[test]
fn ops_1_4_ipc_and_websocket() {
    let ipc = |args: &[&str], text: &str| with(&flags(args), &[text]).unwrap().0.ipc;
    let dir = |name: &str| Some(PathBuf::from("/home/me/.statusd").join(name));
    assert_eq!(ipc(&[], "{}"), None);
    assert_eq!(ipc(&["-ipc"], "{}"), dir("geth.ipc"));
    assert_eq!(ipc(&["-ipc", "-ipcfile", "a.ipc"], r#"{"IPCFile":"b.ipc"}"#), dir("a.ipc"));
    assert_eq!(ipc(&[], r#"{"IPCEnabled":true,"IPCFile":"/run/b.ipc"}"#), Some("/run/b.ipc".into()));
    assert_eq!(ipc(&["-ipc=false"], r#"{"IPCEnabled":true}"#), None);
    let text = r#"{"HTTPEnabled":true,"WSEnabled":true,"WSOrigins":["https://a.example"]}"#;
    let websocket = config(&[text]).http.unwrap().websocket;
    assert_eq!(websocket, Some(WebSocketConfig { origins: vec!["https://a.example".to_owned()] }));
    let (_, warnings) = with(&Flags::default(), &[r#"{"WSEnabled":true}"#]).unwrap();
    assert!(warnings.iter().any(|it| it.starts_with("WSEnabled has no effect")), "{warnings:?}");
}

#[test]
fn a_boolean_flag_that_is_false_wins_over_a_file() {
    let text = r#"{"MetricsEnabled":true,"WakuConfig":{"EnableMailServer":true,"MailServerPassword":"p"}}"#;
    let config = with(&flags(&["-metrics=false", "-mailserver=false"]), &[text]).unwrap().0;
    assert_eq!((config.metrics, config.mailserver), (None, None));
}

#[test]
fn ops_8_strict_refuses_what_is_otherwise_warned_of() {
    let text = r#"{"WakuConfig":{"RateLimitIP":1},"Bogus":2,"LogFile":"/l"}"#;
    let (_, warnings) = with(&Flags::default(), &[text]).unwrap();
    assert!(
        warnings.iter().any(|it| it.contains("did you mean WakuConfig.PacketRateLimitIP?")),
        "{warnings:?}"
    );
    let error = with(&flags(&["-strict"]), &[text]).unwrap_err();
    assert!(error.starts_with("-strict: config file 0.json: unknown key WakuConfig.RateLimitIP"), "{error}");
    assert!(error.contains("unknown key Bogus") && !error.contains("LogFile"), "{error}");
    assert!(with(&flags(&["-strict"]), &[r#"{"LogFile":"/l","Rendezvous":false}"#]).is_ok());
}

#[test]
fn waku_2_7_soft_blacklist_with_and_without_0x() {
    let id = "11".repeat(32);
    let text = format!(r#"{{"WakuConfig":{{"SoftBlacklistedPeerIDs":["0x{id}","{id}"]}}}}"#);
    let ids = config(&[&text]).waku.unwrap().soft_blacklist;
    assert_eq!(ids, [enode::NodeId([0x11; 32]); 2]);
}

#[test]
fn devp2p_3_6_lists_of_the_data_directory() {
    let (statics, trusted) =
        ("/home/me/.statusd/Statusd/static-nodes.json", "/home/me/.statusd/Statusd/trusted-nodes.json");
    let list = |port| format!(r#"["{}","nonsense"]"#, enode(port));
    let mut disk = disk(&["{}"]);
    disk.push((statics.to_owned(), list(1)));
    disk.push((trusted.to_owned(), list(2)));
    let loaded = load_all(&Flags::default(), &disk, &home()).unwrap();
    let ports = |config: &NodeConfig| {
        let port = |peers: &[enode::EnodeUrl]| {
            peers.iter().map(|it| it.address.as_ref().unwrap().1).collect::<Vec<_>>()
        };
        (port(&config.static_peers), port(&config.trusted_peers))
    };
    assert_eq!(ports(&loaded.config), (vec![1], vec![2]));
    assert_eq!(
        loaded.warnings.iter().filter(|it| it.0.contains("[1] is skipped")).count(),
        2,
        "{:?}",
        loaded.warnings
    );
    let origin = |key: &str| loaded.settings.iter().find(|it| it.key == key).unwrap().origin.to_string();
    assert_eq!(origin("ClusterConfig.StaticNodes"), format!("config file {statics}"));
    // The configuration wins.
    disk[0].1 = format!(
        r#"{{"ClusterConfig":{{"Enabled":true,"StaticNodes":["{}"],"TrustedNodes":["{}"]}}}}"#,
        enode(3),
        enode(4)
    );
    assert_eq!(ports(&load_all(&Flags::default(), &disk, &home()).unwrap().config), (vec![3], vec![4]));
    disk[0].1 = disk[0].1.replace("true", "false");
    assert_eq!(ports(&load_all(&Flags::default(), &disk, &home()).unwrap().config), (vec![1], vec![2]));
    disk[1].1 = "{".to_owned();
    let error = load_all(&Flags::default(), &disk, &home()).unwrap_err().to_string();
    assert!(error.starts_with(statics) && error.ends_with("or remove the file"), "{error}");
}

#[test]
fn log_enabled_false_leaves_errors_only() {
    assert_eq!(config(&[r#"{"LogLevel":"DEBUG","LogEnabled":true}"#]).log_level, LogLevel::Debug);
    assert_eq!(config(&[r#"{"LogLevel":"DEBUG","LogEnabled":false}"#]).log_level, LogLevel::Error);
}

/// What `gen_config.sh` of the reference writes (`spec/operations.md` §4.6) is taken whole.
#[test]
fn ops_4_6_a_config_of_the_scripts() {
    let text = format!(
        r#"{{"Rendezvous":false,"NoDiscovery":false,
        "ClusterConfig":{{"Enabled":true,"Fleet":"eth.prod","BootNodes":["{0}"],"TrustedMailServers":["{0}"],
          "PushNotificationsServers":["04aa"],"StaticNodes":["{0}"]}},
        "ListenAddr":"0.0.0.0:30303","HTTPEnabled":true,"HTTPHost":"localhost","HTTPPort":8545,"MaxPeers":50,
        "DataDir":"/var/tmp/status-go-mail","APIModules":"eth,web3,admin,mailserver","RegisterTopics":["whispermail"],
        "WakuConfig":{{"Enabled":true,"EnableMailServer":true,"DataDir":"/var/tmp/status-go-mail/waku",
          "MailServerPassword":"status-offline-inbox"}}}}"#,
        enode(443)
    );
    let (config, warnings) = with(&flags(&["-strict"]), &[&text]).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(config.discovery.unwrap().register, ["whispermail"]);
    assert_eq!(config.max_peers, 50);
    assert!(config.mailserver.is_some());
}

/// The sections of the reference's own manual, and of Status' production template, together.
#[test]
fn ops_s2_a_config_of_the_status_fleet() {
    let text = r#"{"NetworkID":1,"DataDir":"/d","ListenAddr":"0.0.0.0:30303","LogLevel":"INFO","LogEnabled":true,
        "APIModules":"eth,web3,admin,waku,wakuext","NoDiscovery":true,"RequireTopics":{"whisper":{"Max":5,"Min":3}},
        "WakuConfig":{"Enabled":true,"FullNode":true,"EnableMailServer":true,"MailServerPassword":"p","MailServerDataRetention":30,
          "EnableRateLimiter":true,"RateLimitIP":50,"RateLimitPeerID":50,"RateLimitTolerance":0}}"#;
    let (config, warnings) = with(&Flags::default(), &[text]).unwrap();
    assert_eq!(config.mailserver.unwrap().retention, Some(DEFAULT_RETENTION));
    for near in ["WakuConfig.PacketRateLimitIP", "WakuConfig.PacketRateLimitPeerID"] {
        assert!(
            warnings.iter().any(|it| it.ends_with(&format!("did you mean {near}?"))),
            "{near}: {warnings:?}"
        );
    }
}

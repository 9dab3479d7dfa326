//! The table itself. Facts: `spec/operations.md` §1.4–1.7; extension keys are marked so.

use super::{
    Effect, Key,
    Kind::{self, Bool, Number, Object, Open, Text, Texts, Topics, UInt},
};

const fn start(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, effect: Effect::Start, about }
}

const fn live(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, effect: Effect::Live, about }
}

const fn missing(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, effect: Effect::Missing, about }
}

const fn idle(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, effect: Effect::Idle, about }
}

const U16: u64 = u16::MAX as u64;
const U32: u64 = u32::MAX as u64;
const APP: &str = "a feature of the app";

/// Root keys.
pub(crate) const ROOT: &[Key] = &[
    start(
        "NetworkId",
        UInt(u64::MAX),
        "Ethereum network number, not 0: 1 mainnet, 3 Ropsten, 4 Rinkeby, 5 Goerli",
    ),
    start("DataDir", Text, "directory of everything the node keeps"),
    start("NodeKey", Text, "private key, 64 hex digits; secret, prefer `NodeKeyFile`"),
    start("NodeKeyFile", Text, "extension: file with the private key; never written"),
    start("ListenAddr", Text, "`host:port` of the devp2p listener; no host is every interface"),
    live(
        "AdvertiseAddr",
        Text,
        "IP address to advertise with the listener's port; not together with `LiveDir`",
    ),
    start(
        "UPnPEnabled",
        Bool,
        "extension: have the home router forward the listener's port, and advertise the router's address unless `AdvertiseAddr` is given; not together with `LiveDir`",
    ),
    start("NoDiscovery", Bool, "`true`: no UDP discovery; `false` needs `ClusterConfig.BootNodes`"),
    start("RegisterTopics", Texts, "discovery topics that this node advertises, 1 to 64 bytes each"),
    start(
        "RequireTopics",
        Topics,
        "discovery topics to search, with the fewest and most peers wanted of each",
    ),
    start("APIModules", Text, "RPC modules over HTTP, separated by commas; not empty"),
    start("HTTPEnabled", Bool, "serve JSON-RPC over HTTP"),
    start("HTTPHost", Text, "host of the RPC listener"),
    start("HTTPPort", UInt(U16), "port of the RPC listener, 0 for any free one"),
    start("HTTPVirtualHosts", Texts, "Host headers that are answered; `*` is any, IP literals always pass"),
    start("HTTPCors", Texts, "allowed CORS origins; `*` is any; none: no CORS headers"),
    start("WSEnabled", Bool, "extension: serve WebSocket on the RPC listener too; needs `HTTPEnabled`"),
    start("WSOrigins", Texts, "extension: allowed Origin headers of WebSocket; `*` is any"),
    start("IPCEnabled", Bool, "serve JSON-RPC on a Unix socket"),
    start("IPCFile", Text, "the socket's path; a bare name is placed in `DataDir`"),
    start(
        "RPCTokenFile",
        Text,
        "extension: file with the bearer token of write methods; read again when it changes",
    ),
    start("MetricsEnabled", Bool, "extension: serve metrics and health"),
    start("MetricsHost", Text, "extension: host of the metrics listener"),
    start("MetricsPort", UInt(U16), "extension: port of the metrics listener, 0 for any free one"),
    live("MaxPeers", UInt(U32), "most peers, a third of them dialled; 0 is the default"),
    live("MaxPendingPeers", UInt(U32), "most connections in handshake, each direction; 0 is the default"),
    live("LogLevel", Text, "ERROR, WARN, INFO, DEBUG or TRACE"),
    live("LogEnabled", Bool, "`false`: log errors only"),
    start("EnableNTPSync", Bool, "measure by NTP what the machine's clock is off by"),
    start("LiveDir", Text, "extension: directory that holds `live.json`; watched"),
    start("SharedSources", Texts, "extension: CIDR ranges behind which many clients share one address"),
    start("WorkerThreads", UInt(U16), "extension: threads of the event loop, 1 to 64"),
    start("ClusterConfig", Object(CLUSTER), ""),
    start("WakuConfig", Object(WAKU), ""),
    missing("Rendezvous", Bool, "libp2p rendezvous is not spoken; needs `ClusterConfig.RendezvousNodes`"),
    missing("LogFile", Text, "the log goes to standard error"),
    missing("LogMobileSystem", Bool, "the log goes to standard error"),
    missing("UpstreamConfig", Object(UPSTREAM), ""),
    idle("LogMaxSize", Number, "of `LogFile`"),
    idle("LogMaxBackups", Number, "of `LogFile`"),
    idle("LogCompressRotated", Bool, "of `LogFile`"),
    idle("LogDir", Text, "not read by the reference"),
    idle("LogToStderr", Bool, "not read by the reference"),
    idle("KeyStoreDir", Text, "a relay keeps no accounts; not empty"),
    idle("Name", Text, "always `Statusd`; without `/`"),
    idle("Version", Text, "always the program's"),
    idle("TLSEnabled", Bool, "not read by the reference"),
    idle("EnableStatusService", Bool, APP),
    idle("MailServerRegistryAddress", Text, APP),
    idle("BridgeConfig", Open(&[]), APP),
    idle("SwarmConfig", Open(&[]), APP),
    idle("LightEthConfig", Open(ENABLED), "excludes an enabled `UpstreamConfig`"),
    missing("WakuV2Config", Open(WAKU_V2), "Waku v2 is not spoken"),
    idle("ShhextConfig", Open(SHHEXT), APP),
    idle("WalletConfig", Open(&[]), APP),
    idle("LocalNotificationsConfig", Open(&[]), APP),
    idle("BrowsersConfig", Open(&[]), APP),
    idle("PermissionsConfig", Open(&[]), APP),
    idle("MailserversConfig", Open(&[]), APP),
    missing("PushNotificationServerConfig", Open(PUSH), "push notifications are not served"),
];

const UPSTREAM: &[Key] = &[
    missing("Enabled", Bool, "there are no `eth` filters; excludes `LightEthConfig`, needs a valid `URL`"),
    idle("URL", Text, "URL of an Ethereum node"),
];

const CLUSTER: &[Key] = &[
    live("Enabled", Bool, "`false`: the lists below are ignored, except `TrustedMailServers`"),
    live(
        "StaticNodes",
        Texts,
        "enode URLs that are always dialled; none: those of `<DataDir>/Statusd/static-nodes.json`",
    ),
    live(
        "TrustedNodes",
        Texts,
        "extension: enode URLs that may exceed `MaxPeers`; none: those of `<DataDir>/Statusd/trusted-nodes.json`",
    ),
    start("BootNodes", Texts, "enode URLs by which discovery begins"),
    start(
        "TrustedMailServers",
        Texts,
        "enode URLs of mailservers that discovery believes; never limited, not dialled",
    ),
    idle("Fleet", Text, "a name to show"),
    idle("PushNotificationsServers", Texts, APP),
    idle("RendezvousNodes", Texts, "of `Rendezvous`"),
    idle("WakuNodes", Texts, "of Waku v2"),
    idle("WakuStoreNodes", Texts, "of Waku v2"),
];

const WAKU: &[Key] = &[
    start("Enabled", Bool, "speak Waku v1 at all"),
    start("LightClient", Bool, "start with an empty bloom filter: receive nothing"),
    start("FullNode", Bool, "accept and forward everything"),
    start("BloomFilterMode", Bool, "announce a bloom filter instead of topics"),
    start("EnableMailServer", Bool, "archive envelopes and answer history requests"),
    start("DataDir", Text, "directory of the archive, inside the root `DataDir`"),
    start(
        "MailServerPassword",
        Text,
        "password of history requests; secret, prefer `MailServerPasswordFile`",
    ),
    start("MailServerPasswordFile", Text, "extension: file with the password; read again when it changes"),
    live("MailServerRateLimit", UInt(U32), "seconds between two requests of one peer; 0 is no limit"),
    start("MailServerDataRetention", UInt(U32), "days that envelopes are kept; 0 is for ever"),
    start("MailServerRetentionSeconds", UInt(u64::MAX), "extension: the same in seconds; wins over the days"),
    start("MailServerMaxBytes", UInt(u64::MAX), "extension: most bytes of the archive; 0 is no limit"),
    live(
        "MailServerSyncPeers",
        Texts,
        "extension: enode URLs, or `enode://` and the public key, of replicas that heal each other's gaps; not dialled",
    ),
    start(
        "MailServerSyncTimeout",
        UInt(U32),
        "extension: seconds after which history counts as complete although no replica agrees; 0 is the default",
    ),
    start("MinimumPoW", Number, "least proof of work of an envelope"),
    start("MaxMessageSize", UInt(U32), "most bytes of a packet, 1024 to 10485760; 0 is the default"),
    start("EnableConfirmations", Bool, "confirm received envelopes"),
    start("SoftBlacklistedPeerIDs", Texts, "node ids whose envelopes are ignored; the connection is kept"),
    live("EnableRateLimiter", Bool, "count what peers send against the rates below"),
    live("PacketRateLimitIP", UInt(U32), "packets a second of one address prefix; 0 is no limit"),
    live("PacketRateLimitPeerID", UInt(U32), "packets a second of one peer; 0 is no limit"),
    live("BytesRateLimitIP", UInt(U32), "bytes a second of one address prefix; 0 is no limit"),
    live("BytesRateLimitPeerID", UInt(U32), "bytes a second of one peer; 0 is no limit"),
    live("RateLimitTolerance", UInt(U32), "exceedings at which a peer is disconnected; 0 is never"),
    idle("TTL", Number, "not read by the reference's node"),
    start("DatabaseConfig", Object(DATABASE), ""),
];

const DATABASE: &[Key] = &[start("PGConfig", Object(POSTGRES), "")];

const POSTGRES: &[Key] = &[
    start("Enabled", Bool, "keep the archive in a PostgreSQL database instead of `WakuConfig.DataDir`"),
    start(
        "URI",
        Text,
        "the database, `postgres://user:password@host:port/name?sslmode=verify-full&sslrootcert=FILE`; secret, prefer `URIFile`",
    ),
    start("URIFile", Text, "extension: file with the URI"),
    start(
        "SpoolMaxBytes",
        UInt(u64::MAX),
        "extension: most bytes that wait in `spool` in the root `DataDir` while the database is away; 0 is the default, 1 GiB",
    ),
];

/// Looked at by validation.
const ENABLED: &[Key] = &[idle("Enabled", Bool, APP)];

const PUSH: &[Key] = &[missing("Enabled", Bool, "push notifications are not served")];

const WAKU_V2: &[Key] = &[
    missing("Enabled", Bool, "Waku v2 is not spoken"),
    idle("EnableMailServer", Bool, "of Waku v2"),
    idle("DataDir", Text, "of Waku v2; another one than that of `WakuConfig`"),
];

const SHHEXT: &[Key] = &[
    idle("PFSEnabled", Bool, "needs the two below"),
    idle("InstallationID", Text, APP),
    idle("BackupDisabledDataDir", Text, APP),
];

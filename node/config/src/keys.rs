//! Every key of the reference's config file and every extension key, with its JSON type.
//!
//! The one table behind merging, type errors, unknown-key warnings and near matches.
//! Facts: `spec/operations.md` §1.4–1.7.

/// A key of a JSON object.
#[derive(Debug)]
pub(crate) struct Key {
    /// Canonical spelling; matched without regard to case.
    pub(crate) name: &'static str,
    /// What its value must be.
    pub(crate) kind: Kind,
}

/// What a value must be.
#[derive(Debug)]
pub(crate) enum Kind {
    Bool,
    /// An integer from 0 to the bound.
    UInt(u64),
    Float,
    Text,
    /// An array of strings.
    Texts,
    Object(&'static [Key]),
    /// Known to the reference, without effect in this version.
    Ignored,
}

use Kind::{Bool, Float, Ignored, Object, Text, Texts, UInt};

const fn key(name: &'static str, kind: Kind) -> Key {
    Key { name, kind }
}

const U16: u64 = u16::MAX as u64;
const U32: u64 = u32::MAX as u64;

/// Root keys.
pub(crate) const ROOT: &[Key] = &[
    key("NetworkId", UInt(u64::MAX)),
    key("DataDir", Text),
    key("NodeKey", Text),
    key("NodeKeyFile", Text),
    key("ListenAddr", Text),
    key("AdvertiseAddr", Text),
    key("NoDiscovery", Bool),
    key("APIModules", Text),
    key("HTTPEnabled", Bool),
    key("HTTPHost", Text),
    key("HTTPPort", UInt(U16)),
    key("HTTPVirtualHosts", Texts),
    key("HTTPCors", Texts),
    key("WSEnabled", Bool),
    key("WSOrigins", Texts),
    key("IPCEnabled", Bool),
    key("IPCFile", Text),
    key("RPCTokenFile", Text),
    key("MetricsEnabled", Bool),
    key("MetricsHost", Text),
    key("MetricsPort", UInt(U16)),
    key("MaxPeers", UInt(U32)),
    key("MaxPendingPeers", UInt(U32)),
    key("LogLevel", Text),
    key("LiveDir", Text),
    key("SharedSources", Texts),
    key("WorkerThreads", UInt(U16)),
    key("ClusterConfig", Object(CLUSTER)),
    key("WakuConfig", Object(WAKU)),
    key("KeyStoreDir", Ignored),
    key("Rendezvous", Ignored),
    key("Name", Ignored),
    key("Version", Ignored),
    key("TLSEnabled", Ignored),
    key("LogEnabled", Ignored),
    key("LogMobileSystem", Ignored),
    key("LogFile", Ignored),
    key("LogDir", Ignored),
    key("LogToStderr", Ignored),
    key("LogMaxSize", Ignored),
    key("LogMaxBackups", Ignored),
    key("LogCompressRotated", Ignored),
    key("EnableStatusService", Ignored),
    key("MailServerRegistryAddress", Ignored),
    key("BridgeConfig", Ignored),
    key("SwarmConfig", Ignored),
    key("LightEthConfig", Ignored),
    key("EnableNTPSync", Ignored),
    key("UpstreamConfig", Ignored),
    key("WakuV2Config", Ignored),
    key("ShhextConfig", Ignored),
    key("WalletConfig", Ignored),
    key("LocalNotificationsConfig", Ignored),
    key("BrowsersConfig", Ignored),
    key("PermissionsConfig", Ignored),
    key("MailserversConfig", Ignored),
    key("RegisterTopics", Ignored),
    key("RequireTopics", Ignored),
    key("PushNotificationServerConfig", Ignored),
];

/// Keys of `ClusterConfig`.
const CLUSTER: &[Key] = &[
    key("Enabled", Bool),
    key("StaticNodes", Texts),
    key("Fleet", Ignored),
    key("BootNodes", Ignored),
    key("TrustedMailServers", Ignored),
    key("PushNotificationsServers", Ignored),
    key("RendezvousNodes", Ignored),
    key("WakuNodes", Ignored),
    key("WakuStoreNodes", Ignored),
];

/// Keys of `WakuConfig`.
const WAKU: &[Key] = &[
    key("Enabled", Bool),
    key("LightClient", Bool),
    key("FullNode", Bool),
    key("BloomFilterMode", Bool),
    key("EnableMailServer", Bool),
    key("DataDir", Text),
    key("MailServerPassword", Text),
    key("MailServerPasswordFile", Text),
    key("MailServerRateLimit", UInt(U32)),
    key("MailServerDataRetention", UInt(U32)),
    key("MailServerRetentionSeconds", UInt(u64::MAX)),
    key("MailServerMaxBytes", UInt(u64::MAX)),
    key("MinimumPoW", Float),
    key("MaxMessageSize", UInt(U32)),
    key("EnableConfirmations", Bool),
    key("EnableRateLimiter", Bool),
    key("PacketRateLimitIP", UInt(U32)),
    key("PacketRateLimitPeerID", UInt(U32)),
    key("BytesRateLimitIP", UInt(U32)),
    key("BytesRateLimitPeerID", UInt(U32)),
    key("RateLimitTolerance", UInt(U32)),
    key("TTL", Ignored),
    key("DatabaseConfig", Ignored),
    key("SoftBlacklistedPeerIDs", Ignored),
];

impl Kind {
    /// What a person should write.
    pub(crate) fn want(&self) -> String {
        match self {
            Bool => "true or false".to_owned(),
            UInt(u64::MAX) => "a whole number from 0".to_owned(),
            UInt(most) => format!("a whole number from 0 to {most}"),
            Float => "a number".to_owned(),
            Text => "a text in quotes".to_owned(),
            Texts => "an array of texts".to_owned(),
            Object(_) => "an object".to_owned(),
            Ignored => "anything".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::ConfigFile;

    fn sample(kind: &Kind) -> Option<Value> {
        Some(match kind {
            Bool => json!(true),
            UInt(_) => json!(7),
            Float => json!(0.5),
            Text => json!("text"),
            Texts => json!(["text"]),
            Object(keys) => Value::Object(samples(keys)),
            Ignored => return None,
        })
    }

    fn samples(keys: &[Key]) -> Map<String, Value> {
        keys.iter().filter_map(|key| Some((key.name.to_owned(), sample(&key.kind)?))).collect()
    }

    #[test]
    fn the_table_and_the_typed_file_name_the_same_keys() {
        let full = Value::Object(samples(ROOT));
        let typed: ConfigFile = serde_json::from_value(full.clone()).unwrap();
        assert_eq!(serde_json::to_value(&typed).unwrap(), full);
    }

    #[test]
    fn ops_1_4_to_1_7_names_are_unique_without_case() {
        for table in [ROOT, CLUSTER, WAKU] {
            let mut names: Vec<String> = table.iter().map(|key| key.name.to_ascii_lowercase()).collect();
            names.sort();
            let all = names.len();
            names.dedup();
            assert_eq!(names.len(), all);
        }
    }
}

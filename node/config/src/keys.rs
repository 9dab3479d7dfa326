//! Every key of the reference's config file and every extension key: JSON type, and when it takes effect.
//!
//! The one table behind merging, type errors, unknown-key warnings, near matches, reloading and the reference page.

mod table;

pub(crate) use table::ROOT;

/// A key of a JSON object.
#[derive(Debug)]
pub(crate) struct Key {
    /// Canonical spelling; matched without regard to case.
    pub(crate) name: &'static str,
    /// What its value must be.
    pub(crate) kind: Kind,
    /// When it counts. Of an object: that of its members.
    pub(crate) effect: Effect,
    /// What it says, for the reference page; why not or what instead when it has no effect.
    pub(crate) about: &'static str,
}

/// What a value must be.
#[derive(Debug)]
pub(crate) enum Kind {
    Bool,
    /// An integer from 0 to the bound.
    UInt(u64),
    /// Any number that is finite.
    Number,
    Text,
    /// An array of strings.
    Texts,
    /// An object of which every key is known.
    Object(&'static [Key]),
    /// An object without effect, of which only what validation looks at is known.
    Open(&'static [Key]),
    /// An object of topics, each `{"Min": …, "Max": …}`.
    Topics,
}

/// When a key counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// At the start.
    Start,
    /// At the start and when the configuration is read again.
    Live,
    /// Never, although the reference acts on it: said when it would switch something on.
    Missing,
    /// Never, and on a relay not in the reference either: not worth a word.
    Idle,
}

use Kind::{Bool, Number, Object, Open, Text, Texts, Topics, UInt};

impl Kind {
    /// What a person should write.
    pub(crate) fn want(&self) -> String {
        match self {
            Bool => "true or false".to_owned(),
            UInt(u64::MAX) => "a whole number from 0".to_owned(),
            UInt(most) => format!("a whole number from 0 to {most}"),
            Number => "a number".to_owned(),
            Text => "a text in quotes".to_owned(),
            Texts => "an array of texts".to_owned(),
            Object(_) | Open(_) => "an object".to_owned(),
            Topics => "an object such as {\"whisper\": {\"Min\": 3, \"Max\": 5}}".to_owned(),
        }
    }

    /// The keys of an object.
    pub(crate) fn members(&self) -> &'static [Key] {
        match self {
            Object(keys) | Open(keys) => keys,
            _ => &[],
        }
    }
}

impl Key {
    /// Whether this key, or one inside it, has an effect.
    pub(crate) fn counts(&self) -> bool {
        match self.kind {
            Object(keys) => keys.iter().any(Self::counts),
            _ => matches!(self.effect, Effect::Start | Effect::Live),
        }
    }
}

/// Every key that is no object, with its path, in the order of the table.
pub(crate) fn leaves() -> Vec<(String, &'static Key)> {
    fn collect(prefix: &str, keys: &'static [Key], into: &mut Vec<(String, &'static Key)>) {
        for key in keys {
            let path = format!("{prefix}{}", key.name);
            match key.kind {
                Object(members) => collect(&format!("{path}."), members, into),
                _ => into.push((path, key)),
            }
        }
    }
    let mut all = Vec::new();
    collect("", ROOT, &mut all);
    all
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::ConfigFile;

    fn sample(kind: &Kind) -> Value {
        match kind {
            Bool => json!(true),
            UInt(_) => json!(7),
            Number => json!(0.5),
            Text => json!("text"),
            Texts => json!(["text"]),
            Object(keys) | Open(keys) => Value::Object(samples(keys)),
            Topics => json!({"whisper": {"Min": 1, "Max": 2}}),
        }
    }

    fn samples(keys: &[Key]) -> Map<String, Value> {
        keys.iter().filter(|key| key.counts()).map(|key| (key.name.to_owned(), sample(&key.kind))).collect()
    }

    #[test]
    fn the_table_and_the_typed_file_name_the_same_keys() {
        let full = Value::Object(samples(ROOT));
        let typed: ConfigFile = serde_json::from_value(full.clone()).unwrap();
        assert_eq!(serde_json::to_value(&typed).unwrap(), full);
    }

    #[test]
    fn ops_1_4_to_1_7_names_are_unique_without_case() {
        fn check(keys: &[Key]) {
            let mut names: Vec<String> = keys.iter().map(|key| key.name.to_ascii_lowercase()).collect();
            names.sort();
            let all = names.len();
            names.dedup();
            assert_eq!(names.len(), all);
            keys.iter().for_each(|key| check(key.kind.members()));
        }
        check(ROOT);
    }

    /// Every key of the tables in §1.4–1.6 and of `waku-mailserver.md` §8 is known.
    #[test]
    fn ops_1_4_to_1_6_every_key_of_the_reference_is_known() {
        let known: Vec<String> = leaves().into_iter().map(|(path, _)| path).collect();
        let root = "NetworkId DataDir KeyStoreDir NodeKey NoDiscovery Rendezvous ListenAddr AdvertiseAddr Name Version \
            APIModules HTTPEnabled HTTPHost HTTPPort HTTPVirtualHosts HTTPCors IPCEnabled IPCFile TLSEnabled MaxPeers \
            MaxPendingPeers LogEnabled LogMobileSystem LogFile LogDir LogToStderr LogLevel LogMaxSize LogMaxBackups \
            LogCompressRotated EnableStatusService MailServerRegistryAddress BridgeConfig SwarmConfig LightEthConfig \
            EnableNTPSync UpstreamConfig.Enabled UpstreamConfig.URL WakuV2Config ShhextConfig WalletConfig \
            LocalNotificationsConfig BrowsersConfig PermissionsConfig MailserversConfig RegisterTopics RequireTopics \
            PushNotificationServerConfig";
        let waku = "Enabled LightClient FullNode BloomFilterMode EnableMailServer DataDir MailServerPassword \
            MailServerRateLimit MailServerDataRetention MinimumPoW TTL MaxMessageSize DatabaseConfig.PGConfig.Enabled \
            DatabaseConfig.PGConfig.URI EnableRateLimiter PacketRateLimitIP PacketRateLimitPeerID BytesRateLimitIP \
            BytesRateLimitPeerID RateLimitTolerance SoftBlacklistedPeerIDs EnableConfirmations";
        let cluster = "Enabled Fleet StaticNodes BootNodes TrustedMailServers PushNotificationsServers \
            RendezvousNodes WakuNodes WakuStoreNodes";
        let all = root.split_whitespace().map(str::to_owned);
        let all = all.chain(waku.split_whitespace().map(|key| format!("WakuConfig.{key}")));
        let all = all.chain(cluster.split_whitespace().map(|key| format!("ClusterConfig.{key}")));
        let unknown: Vec<String> = all.filter(|key| !known.contains(key)).collect();
        assert_eq!(unknown, Vec::<String>::new());
    }

    #[test]
    fn the_reference_page_has_something_to_say_of_every_key() {
        for (path, key) in leaves() {
            assert!(!key.about.is_empty(), "{path}");
        }
    }
}

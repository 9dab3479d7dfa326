//! The configuration of a node: flags, JSON files, fleets, environment, and what they come to.
//!
//! Owns the names of every setting, the merge rules, validation, where each value comes from, the built-in fleets and
//! the two files that the operator writes ([`ConfigFile`], [`LiveFile`]). Pure: it reads no file, no environment, no
//! clock; the caller hands in texts.
//! Facts: `spec/operations.md` §1 (flags, keys, merging, validation) and §8 (what differs on purpose).
//!
//! The order data takes: [`Flags::parse_args`] → [`load`] (fleet, `-c` files, environment, flags, lists of nodes) →
//! [`Loaded`]. When the files are read again, [`changes`] says what differs and what a running node takes.

mod cidr;
mod effective;
mod error;
mod explain;
mod file;
mod flags;
mod fleet;
mod generate;
mod keys;
mod live;
mod load;
mod merge;
mod near;
mod nodes;
mod origin;
mod overlay;
mod reference;
mod resolve;
mod secret;
mod validate;

pub use cidr::{Cidr, CidrError};
pub use effective::{
    DatabaseUri, DiscoveryConfig, Environment, HttpConfig, Identity, ListenAddr, LogLevel, MailserverConfig,
    MetricsConfig, NodeConfig, Password, PostgresConfig, RateLimitsConfig, TopicLimits, WakuConfig,
    WebSocketConfig, config_hash,
};
pub use error::ConfigError;
pub use explain::{Change, Setting, Shown, changes};
pub use file::{
    ClusterConfigFile, ConfigFile, DatabaseConfigFile, PostgresConfigFile, TopicLimitsFile, WakuConfigFile,
};
pub use flags::{Flags, Parsed, UsageError, go_bool, parse_command};
pub use generate::{Generated, generate};
pub use live::{Advertise, LIVE_FILE_NAME, LiveFile, SYNC_INTERVALS};
pub use load::{LoadError, Loaded, load};
pub use merge::Warning;
pub use origin::Origin;
pub use reference::reference;
pub use resolve::{
    DEFAULT_MAIL_PASSWORD, DEFAULT_MAX_PEERS, DEFAULT_METRICS_PORT, DEFAULT_P2P_PORT, DEFAULT_RETENTION,
    DEFAULT_RPC_PORT,
};
pub use secret::Secret;

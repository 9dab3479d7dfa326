//! The configuration of a node: flags, JSON files, environment, and what they come to.
//!
//! Owns the names of every setting, the merge rules, validation and the two files that the operator writes
//! ([`ConfigFile`], [`LiveFile`]). Pure: it reads no file, no environment, no clock; the caller hands in texts.
//! Facts: `spec/operations.md` §1 (flags, keys, merging, validation) and §8 (what differs on purpose).
//!
//! The order data takes: [`Flags::parse`] → texts of the `-c` files → [`NodeConfig::assemble`].

mod cidr;
mod effective;
mod error;
mod file;
mod flags;
mod keys;
mod live;
mod merge;
mod near;
mod resolve;
mod secret;

pub use cidr::{Cidr, CidrError};
pub use effective::{
    Environment, HttpConfig, Identity, ListenAddr, LogLevel, MailserverConfig, MetricsConfig, NodeConfig,
    Password, RateLimitsConfig, WakuConfig, WebSocketConfig, config_hash,
};
pub use error::ConfigError;
pub use file::{ClusterConfigFile, ConfigFile, WakuConfigFile};
pub use flags::{Flags, Parsed, UsageError};
pub use live::{Advertise, LIVE_FILE_NAME, LiveFile};
pub use merge::Warning;
pub use resolve::{
    DEFAULT_MAIL_PASSWORD, DEFAULT_MAX_PEERS, DEFAULT_METRICS_PORT, DEFAULT_P2P_PORT, DEFAULT_RETENTION,
    DEFAULT_RPC_PORT,
};
pub use secret::Secret;

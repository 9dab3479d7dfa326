//! `mailserver_*`: what the archive holds and keeps. The reference names this module but never had it
//! (`spec/operations.md` §2.6, §8).

use std::{path::Path, sync::Arc};

use archive::{History, Retention};
use archive_rocksdb::RocksHistory;
use futures::FutureExt as _;
use json_rpc::{failure, invalid};
use jsonrpsee::core::RegisterMethodError;
use serde::Serialize;

use super::registry::{Access, Kind, Param, Registry, Spec};
use crate::clock::unix_seconds;

/// What `mailserver_*` works on.
#[derive(Clone)]
pub(crate) struct ArchiveApi {
    pub(crate) history: Arc<dyn History>,
    /// Where it is in a directory.
    pub(crate) directory: Option<Arc<RocksHistory>>,
    pub(crate) retention: Retention,
}

/// `mailserver_stats`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct ArchiveStats {
    envelopes: u64,
    bytes: u64,
    /// UNIX seconds of the first and last envelope; `null` when there is none.
    oldest: Option<u32>,
    newest: Option<u32>,
    /// UNIX second below which nothing is served any more.
    floor: u32,
    /// What is kept: seconds, and bytes; `null` is no bound.
    max_age: Option<u32>,
    max_bytes: Option<u64>,
}

/// `mailserver_prune`.
#[derive(Debug, Clone, Serialize)]
struct Pruned {
    floor: u32,
    envelopes: u64,
    bytes: u64,
}

/// Adds the module.
pub(super) fn register(registry: &mut Registry, api: &ArchiveApi) -> Result<(), RegisterMethodError> {
    let stats = api.clone();
    registry.async_method(
        &Spec {
            name: "mailserver_stats",
            access: Access::Open,
            summary: "How much history there is, from when to when, and how much is kept.",
            params: &[],
            result: Kind::Object,
        },
        move |_| {
            let ArchiveApi { history, retention, .. } = stats.clone();
            async move {
                let stats = history.stats().await.map_err(|error| failure(error.to_string()))?;
                Ok(ArchiveStats {
                    envelopes: stats.envelopes,
                    bytes: stats.bytes,
                    oldest: stats.oldest,
                    newest: stats.newest,
                    floor: stats.floor,
                    max_age: retention.max_age,
                    max_bytes: retention.max_bytes,
                })
            }
            .boxed()
        },
    )?;
    let prune = api.clone();
    registry.async_method(
        &Spec {
            name: "mailserver_prune",
            access: Access::Privileged,
            summary: "Evicts now what is older than maxAge seconds or more than maxBytes; without both, what is too old or too \
                      much by the configuration, which otherwise happens every five minutes.",
            params: &[
                Param { name: "maxAge", kind: Kind::Number, required: false },
                Param { name: "maxBytes", kind: Kind::Number, required: false },
            ],
            result: Kind::Object,
        },
        move |args| {
            let ArchiveApi { history, retention, .. } = prune.clone();
            async move {
                let own = Retention { max_age: args.parse(0)?, max_bytes: args.parse(1)? };
                let retention = if own == Retention::default() { retention } else { own };
                let evicted = history.evict(retention, unix_seconds()).await;
                let evicted = evicted.map_err(|error| failure(error.to_string()))?;
                Ok(Pruned { floor: evicted.floor, envelopes: evicted.rows, bytes: evicted.bytes })
            }
            .boxed()
        },
    )
}

/// Adds what only callers on this machine may ask for: they name paths of it. Nothing where the archive is in a database.
pub(super) fn register_local(registry: &mut Registry, api: &ArchiveApi) -> Result<(), RegisterMethodError> {
    let Some(directory) = api.directory.clone() else { return Ok(()) };
    let backup = Arc::clone(&directory);
    registry.method(
        &Spec {
            name: "mailserver_directory",
            access: Access::Privileged,
            summary: "Where the archive is.",
            params: &[],
            result: Kind::Text,
        },
        move |_| Ok(directory.label().to_owned()),
    )?;
    registry.async_method(
        &Spec {
            name: "mailserver_backup",
            access: Access::Privileged,
            summary: "Makes a second archive in a directory that does not exist yet, an absolute path, while the node goes on.",
            params: &[Param { name: "to", kind: Kind::Text, required: true }],
            result: Kind::Null,
        },
        move |args| {
            let store = Arc::clone(&backup);
            async move {
                let to = Path::new(args.text(0));
                if !to.is_absolute() {
                    return Err(invalid("invalid argument 0: want an absolute path"));
                }
                store.backup(to.to_owned()).await.map_err(|error| failure(error.to_string()))
            }
            .boxed()
        },
    )
}

//! `mailserver_*`: what the archive holds and keeps. The reference names this module but never had it
//! (`spec/operations.md` §2.6, §8).

use std::sync::Arc;

use archive::{History, Retention};
use futures::FutureExt as _;
use json_rpc::failure;
use jsonrpsee::core::RegisterMethodError;
use serde::Serialize;

use super::registry::{Access, Kind, Registry, Spec};
use crate::clock::unix_seconds;

/// What `mailserver_*` works on.
#[derive(Clone)]
pub(crate) struct ArchiveApi {
    pub(crate) history: Arc<dyn History>,
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
            let ArchiveApi { history, retention } = stats.clone();
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
            summary: "Evicts now what is too old or too much, which otherwise happens every five minutes.",
            params: &[],
            result: Kind::Object,
        },
        move |_| {
            let ArchiveApi { history, retention } = prune.clone();
            async move {
                let evicted = history.evict(retention, unix_seconds()).await;
                let evicted = evicted.map_err(|error| failure(error.to_string()))?;
                Ok(Pruned { floor: evicted.floor, envelopes: evicted.rows, bytes: evicted.bytes })
            }
            .boxed()
        },
    )
}

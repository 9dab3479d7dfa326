//! `status_*`: the node's own verdict on itself. The reference names this module but never had it
//! (`spec/operations.md` §2.6, §8).

use std::sync::Arc;

use futures::FutureExt as _;
use jsonrpsee::core::RegisterMethodError;
use serde::Serialize;

use super::registry::{Access, Kind, Registry, Spec};
use crate::report::Report;

/// `status_health`.
#[derive(Debug, Clone, Serialize)]
struct Health {
    /// What `/livez` answers.
    live: bool,
    /// What `/readyz` answers.
    ready: bool,
    /// Why it is not ready.
    reasons: Vec<String>,
}

/// Adds the module.
pub(super) fn register(registry: &mut Registry, report: &Arc<Report>) -> Result<(), RegisterMethodError> {
    let node = Arc::clone(report);
    registry.async_method(
        &Spec {
            name: "status_node",
            access: Access::Open,
            summary: "The document of /status: version, configuration, identity, health, archive, disk.",
            params: &[],
            result: Kind::Object,
        },
        move |_| {
            let report = Arc::clone(&node);
            async move { Ok(report.status().await) }.boxed()
        },
    )?;
    let health = Arc::clone(report);
    registry.async_method(
        &Spec {
            name: "status_health",
            access: Access::Open,
            summary: "Whether the node lives, whether it can serve, and why not.",
            params: &[],
            result: Kind::Object,
        },
        move |_| {
            let report = Arc::clone(&health);
            async move {
                let status = report.status().await;
                Ok(Health { live: status.live, ready: status.ready, reasons: status.not_ready_reasons })
            }
            .boxed()
        },
    )?;
    let version = report.version;
    registry.method(
        &Spec {
            name: "status_version",
            access: Access::Open,
            summary: "The version of the program.",
            params: &[],
            result: Kind::Text,
        },
        move |_| Ok(version),
    )?;
    let hash = report.config_hash.clone();
    registry.method(
        &Spec {
            name: "status_configHash",
            access: Access::Open,
            summary: "The name of the configuration that the process was started with.",
            params: &[],
            result: Kind::Text,
        },
        move |_| Ok(hash.clone()),
    )
}

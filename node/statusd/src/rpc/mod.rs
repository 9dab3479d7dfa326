//! JSON-RPC: the methods, and the ways to reach them. Facts: `spec/operations.md` §2.
//!
//! ```text
//! HTTP ─► transport ─┐
//! WebSocket ─► websocket ─► connection ─► dispatch ─► registry ─► admin, net, web3 ─► Backend; waku, wakuext ─► WakuApi;
//!                                                      status ─► Report; mailserver ─► ArchiveApi
//! IPC ─► ipc, split ─┘          └─ subscriptions
//! ```
//! HTTP and WebSocket have the configured modules; the IPC socket has all.

mod admin;
mod backend;
mod calls;
mod connection;
mod discover;
mod dispatch;
mod gzip;
mod ipc;
mod mailserver;
mod misc;
mod number;
mod registry;
mod status;
mod subscriptions;
mod token;
mod transport;
mod waku;
mod websocket;

use std::sync::Arc;

use jsonrpsee::core::RegisterMethodError;

pub(crate) use self::waku::WakuApi;
pub(crate) use backend::{
    Backend, NodeInfo, PeerChange, PeerEntry, PeerNetwork, Ports, peer_protocols, waku_protocol,
};
pub(crate) use calls::Calls;
pub(crate) use dispatch::Rpc;
pub(crate) use ipc::IpcListener;
pub(crate) use mailserver::ArchiveApi;
pub(crate) use token::Token;
pub(crate) use transport::{Access, serve};

use crate::report::Report;
use registry::Registry;

/// Who may call methods that change the node.
#[derive(Clone)]
pub(crate) enum WriteAccess {
    /// Nobody: the methods do not exist.
    Off,
    /// Every caller: the listener is on loopback and no token is configured.
    Open,
    /// Callers that show the token.
    Token(Arc<Token>),
}

/// What the methods work on.
#[derive(Clone)]
pub(crate) struct Services {
    pub(crate) node: Arc<dyn Backend>,
    /// Without it there are no modules `waku` and `wakuext`.
    pub(crate) waku: Option<Arc<WakuApi>>,
    /// Without it there is no module `mailserver`.
    pub(crate) archive: Option<ArchiveApi>,
    pub(crate) report: Arc<Report>,
    /// Counts what is called.
    pub(crate) calls: Calls,
}

impl Services {
    /// The modules that there are, but for `rpc`, which every transport has.
    fn modules(&self) -> Vec<&'static str> {
        let mut modules = vec!["admin", "net", "status", "web3"];
        if self.waku.is_some() {
            modules.extend(["waku", "wakuext"]);
        }
        modules.extend(self.archive.is_some().then_some("mailserver"));
        modules
    }

    /// The methods of a transport that has these modules, as far as they exist, and `rpc`.
    ///
    /// # Errors
    /// Two methods with one name.
    pub(crate) fn rpc(&self, modules: &[String], write: &WriteAccess) -> Result<Rpc, RegisterMethodError> {
        let there = self.modules();
        for name in modules.iter().filter(|name| name.as_str() != "rpc" && !there.contains(&name.as_str())) {
            tracing::warn!("APIModules: {name} is not available on this node");
        }
        let enabled = there.into_iter().filter(|module| modules.iter().any(|name| name == module));
        let registry = self.build(enabled, !matches!(write, WriteAccess::Off))?;
        Ok(Rpc::new(registry, self.calls.clone()))
    }

    /// All methods, for a transport whose callers may do everything.
    ///
    /// # Errors
    /// Two methods with one name.
    pub(crate) fn full_rpc(&self) -> Result<Rpc, RegisterMethodError> {
        let mut registry = self.build(self.modules().into_iter(), true)?;
        if let Some(api) = &self.archive {
            mailserver::register_local(&mut registry, api)?;
        }
        Ok(Rpc::new(registry, self.calls.clone()))
    }

    fn build(
        &self,
        modules: impl Iterator<Item = &'static str>,
        privileged: bool,
    ) -> Result<Registry, RegisterMethodError> {
        let mut registry = Registry::new(privileged);
        let mut enabled = vec!["rpc"];
        for module in modules {
            match (module, &self.waku, &self.archive) {
                ("admin", ..) => admin::register(&mut registry, &self.node)?,
                ("net", ..) => misc::net(&mut registry, &self.node)?,
                ("status", ..) => status::register(&mut registry, &self.report)?,
                ("waku", Some(api), _) => waku::register(&mut registry, api)?,
                ("wakuext", Some(api), _) => waku::history::register(&mut registry, api, &self.node)?,
                ("mailserver", _, Some(api)) => mailserver::register(&mut registry, api)?,
                _ => misc::web3(&mut registry, &self.node)?,
            }
            enabled.push(module);
        }
        misc::rpc(&mut registry, &enabled)?;
        Ok(registry)
    }
}

#[cfg(test)]
mod connection_tests;
#[cfg(test)]
mod properties;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

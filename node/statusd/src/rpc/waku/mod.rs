//! `waku_*`: settings of the relay, keys, posting, and filters. Facts: `spec/operations.md` §2.4,
//! `spec/waku-mailserver.md` §2.5, §2.9, §3.7.

mod filters;
pub(super) mod history;
mod key_methods;
mod keys;
mod messages;
mod post;
mod settings;

use std::sync::Arc;

use enode::{EnodeUrl, NodeKey};
use jsonrpsee::core::RegisterMethodError;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use waku::Waku;

use self::keys::KeyStore;
use super::registry::{Access, Kind, Registry, Spec};

/// What `waku_*` and `wakuext_*` work on, the same over every transport.
pub(crate) struct WakuApi {
    waku: Arc<Waku>,
    keys: Mutex<KeyStore>,
    /// The node's own, which signs history requests.
    own_key: NodeKey,
    /// Known to `wakuext_*`.
    mailservers: Mutex<Vec<EnodeUrl>>,
    clock: fn() -> u32,
    /// One search for a proof of work at a time: it takes a whole core.
    sealing: Semaphore,
}

impl WakuApi {
    /// The API of this relay, by the adjusted clock in UNIX seconds.
    pub(crate) fn new(waku: Arc<Waku>, own_key: NodeKey, clock: fn() -> u32) -> Arc<Self> {
        Arc::new(Self {
            waku,
            keys: Mutex::default(),
            own_key,
            mailservers: Mutex::default(),
            clock,
            sealing: Semaphore::new(1),
        })
    }
}

/// Adds the module.
pub(super) fn register(registry: &mut Registry, api: &Arc<WakuApi>) -> Result<(), RegisterMethodError> {
    registry.method(
        &Spec {
            name: "waku_version",
            access: Access::Open,
            summary: "The highest version of waku that is spoken.",
            params: &[],
            result: Kind::Text,
        },
        |_| Ok("1"),
    )?;
    settings::register(registry, api)?;
    key_methods::register(registry, api)?;
    post::register(registry, api)?;
    filters::register(registry, api)
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

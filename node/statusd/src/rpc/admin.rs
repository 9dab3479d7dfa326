//! `admin_nodeInfo`, `admin_peers`, `admin_addPeer`. Facts: `spec/operations.md` §2.2.

use std::sync::Arc;

use jsonrpsee::{RpcModule, core::RegisterMethodError, types::ErrorObjectOwned};

use super::{Authorized, Backend, WriteAccess, args, failure};

/// The methods; those that change the node only when `write` is not off.
pub(super) fn module(
    node: Arc<dyn Backend>,
    write: &WriteAccess,
) -> Result<RpcModule<Arc<dyn Backend>>, RegisterMethodError> {
    let mut module = RpcModule::new(node);
    module.register_method("admin_nodeInfo", |params, node, _| {
        args::none(&params)?;
        Ok::<_, ErrorObjectOwned>(node.info())
    })?;
    module.register_method("admin_peers", |params, node, _| {
        args::none(&params)?;
        let mut peers = node.peers();
        peers.sort_by(|a, b| a.id.cmp(&b.id));
        Ok::<_, ErrorObjectOwned>(peers)
    })?;
    if !matches!(write, WriteAccess::Off) {
        module.register_method("admin_addPeer", |params, node, extensions| {
            let text = args::one_text(&params)?;
            if !extensions.get::<Authorized>().is_some_and(|authorized| authorized.0) {
                return Err(failure(
                    "unauthorized: this method needs the header \"Authorization: Bearer <token>\" with the token in RPCTokenFile",
                ));
            }
            let peer = enode::parse_node(&text).map_err(|error| failure(format!("invalid enode: {error}")))?;
            node.add_peer(peer).map_err(failure)?;
            Ok::<_, ErrorObjectOwned>(true)
        })?;
    }
    Ok(module)
}

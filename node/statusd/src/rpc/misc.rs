//! `net_*`, `web3_*` and `rpc_modules`. Facts: `spec/operations.md` §2.3.

use std::{collections::BTreeMap, sync::Arc};

use jsonrpsee::{RpcModule, core::RegisterMethodError, types::ErrorObjectOwned};

use super::{Backend, args};

type Module = Result<RpcModule<Arc<dyn Backend>>, RegisterMethodError>;

/// Network number, peers, listening.
pub(super) fn net(node: Arc<dyn Backend>) -> Module {
    let mut module = RpcModule::new(node);
    module.register_method("net_version", |params, node, _| {
        args::none(&params)?;
        Ok::<_, ErrorObjectOwned>(node.network_id().to_string())
    })?;
    module.register_method("net_peerCount", |params, node, _| {
        args::none(&params)?;
        Ok::<_, ErrorObjectOwned>(format!("{:#x}", node.peer_count()))
    })?;
    module.register_method("net_listening", |params, _, _| {
        args::none(&params)?;
        Ok::<_, ErrorObjectOwned>(true)
    })?;
    Ok(module)
}

/// The program's name.
pub(super) fn web3(node: Arc<dyn Backend>) -> Module {
    let mut module = RpcModule::new(node);
    module.register_method("web3_clientVersion", |params, node, _| {
        args::none(&params)?;
        Ok::<_, ErrorObjectOwned>(node.client_name())
    })?;
    Ok(module)
}

/// The enabled modules.
pub(super) fn rpc(enabled: Vec<&'static str>) -> Result<RpcModule<Vec<&'static str>>, RegisterMethodError> {
    let mut module = RpcModule::new(enabled);
    module.register_method("rpc_modules", |params, enabled, _| {
        args::none(&params)?;
        let modules: BTreeMap<&str, &str> = enabled.iter().map(|name| (*name, "1.0")).collect();
        Ok::<_, ErrorObjectOwned>(modules)
    })?;
    Ok(module)
}

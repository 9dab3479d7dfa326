//! `net_*`, `web3_*`, `rpc_modules` and `rpc_discover`. Facts: `spec/operations.md` §2.3.

use std::{collections::BTreeMap, sync::Arc};

use jsonrpsee::core::RegisterMethodError;

use super::{
    Backend, discover,
    registry::{Access, Kind, Param, Registry, Spec},
};

type Registered = Result<(), RegisterMethodError>;

/// Network number, peers, listening.
pub(super) fn net(registry: &mut Registry, node: &Arc<dyn Backend>) -> Registered {
    let (version, count, listening) = (Arc::clone(node), Arc::clone(node), Arc::clone(node));
    registry.method(
        &Spec {
            name: "net_version",
            access: Access::Open,
            summary: "The number of the Ethereum network, in decimal.",
            params: &[],
            result: Kind::Text,
        },
        move |_| Ok(version.network_id().to_string()),
    )?;
    registry.method(
        &Spec {
            name: "net_peerCount",
            access: Access::Open,
            summary: "How many peers are connected, 0x and hex digits.",
            params: &[],
            result: Kind::Text,
        },
        move |_| Ok(format!("{:#x}", count.peer_count())),
    )?;
    registry.method(
        &Spec {
            name: "net_listening",
            access: Access::Open,
            summary: "Whether the node accepts peers.",
            params: &[],
            result: Kind::Boolean,
        },
        move |_| Ok(listening.is_listening()),
    )
}

/// The program's name, and a hash.
pub(super) fn web3(registry: &mut Registry, node: &Arc<dyn Backend>) -> Registered {
    let name = Arc::clone(node);
    registry.method(
        &Spec {
            name: "web3_clientVersion",
            access: Access::Open,
            summary: "The name that the node tells its peers.",
            params: &[],
            result: Kind::Text,
        },
        move |_| Ok(name.client_name()),
    )?;
    registry.method(
        &Spec {
            name: "web3_sha3",
            access: Access::Open,
            summary: "Keccak-256 of bytes; both 0x and hex digits.",
            params: &[Param { name: "data", kind: Kind::Text, required: true }],
            result: Kind::Text,
        },
        |args| Ok(format!("0x{}", hex::encode(enode::keccak256(&args.hex(0)?)))),
    )
}

const MODULES: Spec = Spec {
    name: "rpc_modules",
    access: Access::Open,
    summary: "The enabled modules and their version.",
    params: &[],
    result: Kind::Object,
};
const DISCOVER: Spec = Spec {
    name: "rpc_discover",
    access: Access::Open,
    summary: "This OpenRPC document: every method that can be called here.",
    params: &[],
    result: Kind::Object,
};

/// What there is. To be added last: it tells what was there before.
pub(super) fn rpc(registry: &mut Registry, enabled: &[&'static str]) -> Registered {
    let modules: BTreeMap<&str, &str> = enabled.iter().map(|name| (*name, "1.0")).collect();
    registry.method(&MODULES, move |_| Ok(modules.clone()))?;
    let document = discover::document(registry.specs().chain([&DISCOVER]), registry.subscriptions());
    registry.method(&DISCOVER, move |_| Ok(document.clone()))
}

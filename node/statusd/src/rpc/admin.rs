//! `admin_*`: the node, its peers, and who they shall be. Facts: `spec/operations.md` §2.2.
//!
//! The methods of the reference that open listeners (`admin_startHTTP`, `admin_startWS` and their kin) do not exist
//! here (§7.1 item 8): what listens is a matter of the configuration.

use std::sync::Arc;

use enode::EnodeUrl;
use futures::{FutureExt as _, StreamExt as _};
use json_rpc::{Args, failure};
use jsonrpsee::{core::RegisterMethodError, types::ErrorObjectOwned};

use super::{
    Backend,
    registry::{Access, Kind, Param, Registry, Spec},
};

const ENODE: Param = Param { name: "enode", kind: Kind::Text, required: true };

/// Adds the module.
pub(super) fn register(registry: &mut Registry, node: &Arc<dyn Backend>) -> Result<(), RegisterMethodError> {
    read_only(registry, node)?;
    peers(registry, node)?;
    let events = Arc::clone(node);
    registry.subscription("admin", "peerEvents", Access::Open, &[], move |_| {
        let items =
            events.peer_events().filter_map(async |event| serde_json::value::to_raw_value(&event).ok());
        Ok(items.boxed())
    });
    Ok(())
}

fn read_only(registry: &mut Registry, node: &Arc<dyn Backend>) -> Result<(), RegisterMethodError> {
    let info = Arc::clone(node);
    registry.method(
        &Spec {
            name: "admin_nodeInfo",
            access: Access::Open,
            summary: "The node's identity, address and protocols.",
            params: &[],
            result: Kind::Object,
        },
        move |_| Ok(info.info()),
    )?;
    let connected = Arc::clone(node);
    registry.method(
        &Spec {
            name: "admin_peers",
            access: Access::Open,
            summary: "The connected peers, by id.",
            params: &[],
            result: Kind::Array,
        },
        move |_| {
            let mut peers = connected.peers();
            peers.sort_by(|a, b| a.id.cmp(&b.id));
            Ok(peers)
        },
    )?;
    let directory = Arc::clone(node);
    registry.method(
        &Spec {
            name: "admin_datadir",
            access: Access::Open,
            summary: "The absolute path of the data directory.",
            params: &[],
            result: Kind::Text,
        },
        move |_| Ok(directory.data_dir()),
    )
}

fn peers(registry: &mut Registry, node: &Arc<dyn Backend>) -> Result<(), RegisterMethodError> {
    let adder = Arc::clone(node);
    registry.method(
        &Spec {
            name: "admin_addPeer",
            access: Access::Privileged,
            summary: "Keeps a connection to a node from now on; dialing is asynchronous.",
            params: &[ENODE],
            result: Kind::Boolean,
        },
        move |args| {
            adder.add_peer(peer(args)?).map_err(failure)?;
            Ok(true)
        },
    )?;
    let remover = Arc::clone(node);
    registry.async_method(
        &Spec {
            name: "admin_removePeer",
            access: Access::Privileged,
            summary: "Disconnects a node and forgets that it was to be kept connected.",
            params: &[ENODE],
            result: Kind::Boolean,
        },
        move |args| {
            let node = Arc::clone(&remover);
            async move {
                node.remove_peer(peer(&args)?.public_key.node_id()).await;
                Ok(true)
            }
            .boxed()
        },
    )?;
    let truster = Arc::clone(node);
    registry.method(
        &Spec {
            name: "admin_addTrustedPeer",
            access: Access::Privileged,
            summary: "Lets a node connect above the limit of peers from now on; dials nobody.",
            params: &[ENODE],
            result: Kind::Boolean,
        },
        move |args| {
            truster.set_trusted(peer(args)?.public_key.node_id(), true).map_err(failure)?;
            Ok(true)
        },
    )?;
    let doubter = Arc::clone(node);
    registry.method(
        &Spec {
            name: "admin_removeTrustedPeer",
            access: Access::Privileged,
            summary: "Takes admin_addTrustedPeer back; disconnects nobody.",
            params: &[ENODE],
            result: Kind::Boolean,
        },
        move |args| {
            doubter.set_trusted(peer(args)?.public_key.node_id(), false).map_err(failure)?;
            Ok(true)
        },
    )
}

fn peer(args: &Args) -> Result<EnodeUrl, ErrorObjectOwned> {
    enode::parse_node(args.text(0)).map_err(|error| failure(format!("invalid enode: {error}")))
}

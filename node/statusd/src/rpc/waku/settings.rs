//! What the relay asks for, and whom it trusts. Changes are lost on restart.

use std::sync::Arc;

use json_rpc::{failure, invalid};
use jsonrpsee::core::RegisterMethodError;
use serde::Serialize;
use waku_wire::Bloom;

use super::WakuApi;
use crate::rpc::{
    number::GoFloat,
    registry::{Access, Kind, Param, Registry, Spec},
};

/// `waku_info`.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    /// Envelopes in the pool: filters look at each one as it comes, there is no other queue.
    messages: usize,
    min_pow: GoFloat,
    max_message_size: usize,
}

pub(super) fn register(registry: &mut Registry, api: &Arc<WakuApi>) -> Result<(), RegisterMethodError> {
    let info = Arc::clone(api);
    registry.method(
        &Spec {
            name: "waku_info",
            access: Access::Open,
            summary: "How many envelopes wait, and what is asked of them.",
            params: &[],
            result: Kind::Object,
        },
        move |_| {
            Ok(Info {
                messages: info.waku.stats().envelopes,
                min_pow: GoFloat(info.waku.min_pow()),
                max_message_size: info.waku.max_message_size(),
            })
        },
    )?;
    let pow = Arc::clone(api);
    registry.method(
        &Spec {
            name: "waku_setMinPoW",
            access: Access::Privileged,
            summary: "Sets the least proof of work and tells peers; the old one is enough for 10 s more.",
            params: &[Param { name: "pow", kind: Kind::Number, required: true }],
            result: Kind::Boolean,
        },
        move |args| {
            pow.waku.set_min_pow(args.parse(0)?).map_err(|error| failure(error.to_string()))?;
            Ok(true)
        },
    )?;
    let size = Arc::clone(api);
    registry.method(
        &Spec {
            name: "waku_setMaxMessageSize",
            access: Access::Privileged,
            summary: "Refuses larger packets and envelopes, in bytes; at most what WakuConfig.MaxMessageSize says.",
            params: &[Param { name: "size", kind: Kind::Number, required: true }],
            result: Kind::Boolean,
        },
        move |args| {
            let bytes = usize::try_from(args.parse::<u32>(0)?).unwrap_or(usize::MAX);
            size.waku.set_max_message_size(bytes).map_err(|error| failure(error.to_string()))?;
            Ok(true)
        },
    )?;
    let bloom = Arc::clone(api);
    registry.method(
        &Spec {
            name: "waku_setBloomFilter",
            access: Access::Privileged,
            summary: "Takes in only topics of this filter, 0x and 128 hex digits, and tells peers.",
            params: &[Param { name: "bloom", kind: Kind::Text, required: true }],
            result: Kind::Boolean,
        },
        move |args| {
            let filter =
                Bloom::try_from(args.hex(0)?.as_slice()).map_err(|error| invalid(error.to_string()))?;
            bloom.waku.set_bloom(filter).map_err(|error| failure(error.to_string()))?;
            Ok(true)
        },
    )?;
    let truster = Arc::clone(api);
    registry.method(
        &Spec {
            name: "waku_markTrustedPeer",
            access: Access::Privileged,
            summary: "Takes history and direct messages of a connected peer until it disconnects.",
            params: &[Param { name: "enode", kind: Kind::Text, required: true }],
            result: Kind::Boolean,
        },
        move |args| {
            let peer = enode::parse_node(args.text(0))
                .map_err(|error| failure(format!("invalid enode: {error}")))?;
            let id = peer.public_key.node_id();
            truster.waku.mark_trusted(id).map_err(|error| failure(error.to_string()))?;
            Ok(true)
        },
    )?;
    light_client(registry, api)
}

fn light_client(registry: &mut Registry, api: &Arc<WakuApi>) -> Result<(), RegisterMethodError> {
    let on = Arc::clone(api);
    registry.method(
        &Spec {
            name: "waku_makeLightClient",
            access: Access::Privileged,
            summary: "Takes in the topics of filters only, and forwards nothing.",
            params: &[],
            result: Kind::Boolean,
        },
        move |_| {
            on.waku.set_light_client(true).map_err(|error| failure(error.to_string()))?;
            Ok(true)
        },
    )?;
    let off = Arc::clone(api);
    registry.method(
        &Spec {
            name: "waku_cancelLightClient",
            access: Access::Privileged,
            summary: "Takes waku_makeLightClient back.",
            params: &[],
            result: Kind::Boolean,
        },
        move |_| {
            off.waku.set_light_client(false).map_err(|error| failure(error.to_string()))?;
            Ok(true)
        },
    )
}

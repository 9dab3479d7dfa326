//! `waku_post`: encrypts, seals and sends one envelope.

use std::{sync::Arc, time::Duration};

use enode::NodeId;
use futures::FutureExt as _;
use json_rpc::failure;
use jsonrpsee::{core::RegisterMethodError, types::ErrorObjectOwned};
use waku_wire::{
    Envelope, Topic, WireEnvelope,
    payload::{self, Padding},
    seal::SealError,
};

use super::{WakuApi, keys::public_key, messages::NewMessage};
use crate::rpc::registry::{Access, Kind, Param, Registry, Spec};

/// Seconds that a message without a ttl lives (`spec/waku-mailserver.md` §2.5).
const DEFAULT_TTL: u32 = 50;
/// Longest search for a proof of work, seconds: it takes a core.
const MAX_POW_TIME: u32 = 60;

pub(super) fn register(registry: &mut Registry, api: &Arc<WakuApi>) -> Result<(), RegisterMethodError> {
    let poster = Arc::clone(api);
    registry.async_method(
        &Spec {
            name: "waku_post",
            access: Access::Privileged,
            summary: "Encrypts, seals and sends a message; the hash of its envelope.",
            params: &[Param { name: "message", kind: Kind::Object, required: true }],
            result: Kind::Text,
        },
        move |args| {
            let api = Arc::clone(&poster);
            async move { api.post(args.parse(0)?).await }.boxed()
        },
    )
}

impl WakuApi {
    async fn post(&self, message: NewMessage) -> Result<String, ErrorObjectOwned> {
        let data = self.encrypt(&message)?;
        let target = target(&message)?;
        if target.is_none() && message.pow_target < self.waku.min_pow() {
            return Err(failure("message rejected, PoW too low"));
        }
        let ttl = if message.ttl == 0 { DEFAULT_TTL } else { message.ttl };
        let expiry = (self.clock)().saturating_add(ttl);
        let envelope = Envelope { expiry, ttl, topic: message.topic, data: data.into(), nonce: 0 };
        let envelope = self.seal(envelope, message.pow_target, message.pow_time).await?;
        let hash = format!("0x{}", envelope.hash());
        let sent = match target {
            Some(peer) => self.waku.send_direct(peer, &envelope).await.map_err(|error| error.to_string()),
            None => self.waku.post(envelope).await.map_err(|error| error.to_string()),
        };
        sent.map_err(failure)?;
        Ok(hash)
    }

    fn encrypt(&self, message: &NewMessage) -> Result<Vec<u8>, ErrorObjectOwned> {
        if message.sym_key_id.is_empty() == message.pub_key.0.is_empty() {
            return Err(failure("specify either a symmetric or an asymmetric key"));
        }
        let most = self.waku.max_message_size();
        if message.payload.0.len().saturating_add(message.padding.0.len()) > most {
            return Err(failure(format!(
                "payload and padding are longer than a message may be, {most} bytes"
            )));
        }
        let keys = self.keys.lock();
        let signer = match message.sig.as_str() {
            "" => None,
            id => Some(keys.pair(id)?.clone()),
        };
        let symmetric = match message.sym_key_id.as_str() {
            "" => None,
            _ if message.topic == Topic::default() => return Err(failure("missing topic(s)")),
            id => Some(keys.symmetric(id)?.clone()),
        };
        drop(keys);
        let padding = match message.padding.0.as_slice() {
            [] => Padding::Random,
            bytes => Padding::Bytes(bytes),
        };
        let plain = payload::build(&message.payload.0, padding, signer.as_ref());
        let sealed = plain.and_then(|plain| match symmetric {
            Some(key) => Ok(payload::encrypt_symmetric(&plain, &key)),
            None => Ok(payload::encrypt_asymmetric(
                &plain,
                &public_key(&message.pub_key.0).ok_or(payload::PayloadError::Encrypt)?,
            )),
        });
        match sealed {
            Ok(data) => data.map_err(|error| failure(error.to_string())),
            Err(payload::PayloadError::Encrypt) => Err(failure("invalid public key")),
            Err(error) => Err(failure(error.to_string())),
        }
    }

    /// Finds the proof of work off the event loop, in at most `seconds`.
    pub(super) async fn seal(
        &self,
        envelope: Envelope,
        target: f64,
        seconds: u32,
    ) -> Result<WireEnvelope, ErrorObjectOwned> {
        if seconds > MAX_POW_TIME {
            return Err(failure(format!("powTime is {seconds}; at most {MAX_POW_TIME} seconds are allowed")));
        }
        let _turn = self.sealing.acquire().await.map_err(|_| failure("the node is stopping"))?;
        let sealed = node_client::seal(envelope, target, Duration::from_secs(seconds.into())).await;
        sealed.map_err(|error| match error {
            SealError::OutOfTime { .. } => failure(format!(
                "failed to reach the PoW target, specified pow time ({seconds} seconds) was insufficient"
            )),
            other => failure(other.to_string()),
        })
    }
}

fn target(message: &NewMessage) -> Result<Option<NodeId>, ErrorObjectOwned> {
    if message.target_peer.is_empty() {
        return Ok(None);
    }
    let peer = enode::parse_node(&message.target_peer);
    let peer = peer.map_err(|error| failure(format!("failed to parse target peer: {error}")))?;
    Ok(Some(peer.public_key.node_id()))
}

//! Keys by their ids: made, imported, shown, deleted.

use std::sync::Arc;

use enode::NodeKey;
use futures::FutureExt as _;
use json_rpc::{Args, failure};
use jsonrpsee::{core::RegisterMethodError, types::ErrorObjectOwned};
use waku_wire::SymmetricKey;
use zeroize::Zeroizing;

use super::{
    WakuApi,
    keys::{KeyStoreError, uncompressed},
};
use crate::rpc::registry::{Access, Kind, Param, Registry, Spec};

const ID: Param = Param { name: "id", kind: Kind::Text, required: true };
const KEY: Param = Param { name: "key", kind: Kind::Text, required: true };

impl From<KeyStoreError> for ErrorObjectOwned {
    fn from(error: KeyStoreError) -> Self {
        failure(error.to_string())
    }
}

pub(super) fn register(registry: &mut Registry, api: &Arc<WakuApi>) -> Result<(), RegisterMethodError> {
    pairs(registry, api)?;
    show_pairs(registry, api)?;
    symmetric(registry, api)?;
    show_symmetric(registry, api)
}

fn pairs(registry: &mut Registry, api: &Arc<WakuApi>) -> Result<(), RegisterMethodError> {
    let new = Arc::clone(api);
    registry.method(
        &Spec {
            name: "waku_newKeyPair",
            access: Access::Privileged,
            summary: "Makes a key pair; its id.",
            params: &[],
            result: Kind::Text,
        },
        move |_| Ok(new.keys.lock().add_pair(NodeKey::generate())?),
    )?;
    let add = Arc::clone(api);
    registry.method(
        &Spec {
            name: "waku_addPrivateKey",
            access: Access::Privileged,
            summary: "Keeps a key pair, its private key given as 0x and 64 hex digits; its id.",
            params: &[KEY],
            result: Kind::Text,
        },
        move |args| {
            let key = NodeKey::from_bytes(&*secret(args)?).map_err(|error| failure(error.to_string()))?;
            Ok(add.keys.lock().add_pair(key)?)
        },
    )?;
    let delete = Arc::clone(api);
    registry.method(
        &Spec {
            name: "waku_deleteKeyPair",
            access: Access::Privileged,
            summary: "Forgets a key pair.",
            params: &[ID],
            result: Kind::Boolean,
        },
        move |args| {
            if delete.keys.lock().delete_pair(args.text(0)) {
                return Ok(true);
            }
            let shown: String = args.text(0).chars().take(64).collect();
            Err(failure(format!("key pair {shown} not found")))
        },
    )
}

fn show_pairs(registry: &mut Registry, api: &Arc<WakuApi>) -> Result<(), RegisterMethodError> {
    let has = Arc::clone(api);
    registry.method(
        &Spec {
            name: "waku_hasKeyPair",
            access: Access::Privileged,
            summary: "Whether a key pair is kept.",
            params: &[ID],
            result: Kind::Boolean,
        },
        move |args| Ok(has.keys.lock().pair(args.text(0)).is_ok()),
    )?;
    let public = Arc::clone(api);
    registry.method(
        &Spec {
            name: "waku_getPublicKey",
            access: Access::Privileged,
            summary: "The public key of a pair: 0x04 and 128 hex digits.",
            params: &[ID],
            result: Kind::Text,
        },
        move |args| {
            let key = public.keys.lock().pair(args.text(0))?.public_key();
            Ok(format!("0x{}", hex::encode(uncompressed(&key))))
        },
    )?;
    let private = Arc::clone(api);
    registry.method(
        &Spec {
            name: "waku_getPrivateKey",
            access: Access::Privileged,
            summary: "The private key of a pair: 0x and 64 hex digits.",
            params: &[ID],
            result: Kind::Text,
        },
        move |args| Ok(format!("0x{}", *private.keys.lock().pair(args.text(0))?.to_hex())),
    )
}

fn symmetric(registry: &mut Registry, api: &Arc<WakuApi>) -> Result<(), RegisterMethodError> {
    let new = Arc::clone(api);
    registry.method(
        &Spec {
            name: "waku_newSymKey",
            access: Access::Privileged,
            summary: "Makes a symmetric key; its id.",
            params: &[],
            result: Kind::Text,
        },
        move |_| new.keep(rand::random()),
    )?;
    let add = Arc::clone(api);
    registry.method(
        &Spec {
            name: "waku_addSymKey",
            access: Access::Privileged,
            summary: "Keeps a symmetric key, given as 0x and 64 hex digits; its id.",
            params: &[KEY],
            result: Kind::Text,
        },
        move |args| add.keep(*secret(args)?),
    )?;
    let derive = Arc::clone(api);
    registry.async_method(
        &Spec {
            name: "waku_generateSymKeyFromPassword",
            access: Access::Privileged,
            summary: "Keeps the symmetric key of a password or public chat; its id.",
            params: &[Param { name: "password", kind: Kind::Text, required: true }],
            result: Kind::Text,
        },
        move |args| {
            let api = Arc::clone(&derive);
            async move {
                // Some 20 ms of computing.
                let key =
                    tokio::task::spawn_blocking(move || SymmetricKey::from_password(args.text(0))).await;
                let key = key.map_err(|_| failure("method handler crashed"))?;
                Ok(api.keys.lock().add_symmetric(key)?)
            }
            .boxed()
        },
    )?;
    let delete = Arc::clone(api);
    registry.method(
        &Spec {
            name: "waku_deleteSymKey",
            access: Access::Privileged,
            summary: "Forgets a symmetric key; whether there was one.",
            params: &[ID],
            result: Kind::Boolean,
        },
        move |args| Ok(delete.keys.lock().delete_symmetric(args.text(0))),
    )
}

fn show_symmetric(registry: &mut Registry, api: &Arc<WakuApi>) -> Result<(), RegisterMethodError> {
    let has = Arc::clone(api);
    registry.method(
        &Spec {
            name: "waku_hasSymKey",
            access: Access::Privileged,
            summary: "Whether a symmetric key is kept.",
            params: &[ID],
            result: Kind::Boolean,
        },
        move |args| Ok(has.keys.lock().symmetric(args.text(0)).is_ok()),
    )?;
    let get = Arc::clone(api);
    registry.method(
        &Spec {
            name: "waku_getSymKey",
            access: Access::Privileged,
            summary: "A symmetric key: 0x and 64 hex digits.",
            params: &[ID],
            result: Kind::Text,
        },
        move |args| Ok(format!("0x{}", hex::encode(get.keys.lock().symmetric(args.text(0))?.as_bytes()))),
    )
}

impl WakuApi {
    fn keep(&self, key: [u8; 32]) -> Result<String, ErrorObjectOwned> {
        let key = SymmetricKey::from_bytes(key).ok_or_else(|| failure("invalid symmetric key"))?;
        Ok(self.keys.lock().add_symmetric(key)?)
    }
}

fn secret(args: &Args) -> Result<Zeroizing<[u8; 32]>, ErrorObjectOwned> {
    let bytes = Zeroizing::new(args.hex(0)?);
    let key: Result<[u8; 32], _> = bytes.as_slice().try_into();
    key.map(Zeroizing::new).map_err(|_| failure(format!("wrong key size: {}", bytes.len())))
}

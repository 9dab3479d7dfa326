//! JSON-RPC 2.0 as the reference speaks it: requests, batches, error codes and messages, over a jsonrpsee registry.
//!
//! Independent of the transport, which says whether the caller is authorized. Facts: `spec/operations.md` §2.1.

mod admin;
mod args;
mod backend;
mod misc;
mod token;
mod transport;

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures::FutureExt as _;
use jsonrpsee::{
    ConnectionId, Extensions, MethodCallback, Methods, RpcModule,
    core::RegisterMethodError,
    types::{ErrorObjectOwned, Id, Params},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub(crate) use backend::{Backend, NodeInfo, PeerEntry, PeerNetwork, Ports, peer_protocols, waku_protocol};
pub(crate) use token::Token;
pub(crate) use transport::router;

/// Most calls of one batch; the reference has no bound.
const MAX_BATCH: usize = 1000;
/// Most bytes of one result.
const MAX_RESULT_BYTES: usize = 5 * 1024 * 1024;

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

/// Whether the transport saw the token; put into the extensions of a call.
#[derive(Clone, Copy)]
pub(crate) struct Authorized(pub(crate) bool);

/// The enabled methods.
#[derive(Clone)]
pub(crate) struct Rpc {
    methods: Methods,
}

/// An RPC error object.
#[derive(Serialize)]
struct RpcError<'a> {
    code: i32,
    message: &'a str,
}

/// One request, as far as it could be understood. `None` is an absent key.
#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(default)]
    method: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    params: Option<&'a RawValue>,
}

/// Keeps an explicit `null` apart from an absent key.
fn present<'de: 'a, 'a, D: serde::Deserializer<'de>>(d: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(d).map(Some)
}

impl Rpc {
    /// The methods of `modules` that exist, and `rpc_modules`, which always does.
    ///
    /// # Errors
    /// Two methods with one name.
    pub(crate) fn new(
        node: Arc<dyn Backend>,
        modules: &[String],
        write: &WriteAccess,
    ) -> Result<Self, RegisterMethodError> {
        let mut enabled: Vec<&'static str> = vec!["rpc"];
        let mut all = RpcModule::new(());
        for name in modules {
            match name.as_str() {
                "admin" => {
                    all.merge(admin::module(Arc::clone(&node), write)?)?;
                    enabled.push("admin");
                }
                "net" => {
                    all.merge(misc::net(Arc::clone(&node))?)?;
                    enabled.push("net");
                }
                "web3" => {
                    all.merge(misc::web3(Arc::clone(&node))?)?;
                    enabled.push("web3");
                }
                "rpc" => {}
                other => tracing::warn!("APIModules: {other} is not available in this version"),
            }
        }
        all.merge(misc::rpc(enabled)?)?;
        Ok(Self { methods: all.into() })
    }

    /// The answer to one body; `None` when nothing in it wants one.
    pub(crate) async fn answer(&self, body: &[u8], authorized: Authorized) -> Option<String> {
        let mut values = serde_json::Deserializer::from_slice(body).into_iter::<&RawValue>();
        let Some(Ok(value)) = values.next() else { return Some(error(None, -32700, "parse error")) };
        if !value.get().starts_with('[') {
            return self.one(value, authorized).await;
        }
        let Ok(calls) = serde_json::from_str::<Vec<&RawValue>>(value.get()) else {
            return Some(error(None, -32700, "parse error"));
        };
        if calls.is_empty() {
            return Some(error(None, -32600, "empty batch"));
        }
        if calls.len() > MAX_BATCH {
            return Some(error(None, -32600, &format!("batch too large, want at most {MAX_BATCH} calls")));
        }
        let mut answers = Vec::with_capacity(calls.len());
        let mut bytes = 0;
        for call in calls {
            let Some(answer) = self.one(call, authorized).await else { continue };
            bytes += answer.len();
            if bytes > MAX_RESULT_BYTES {
                return Some(error(None, -32000, "the answers of this batch are too large: split it"));
            }
            answers.push(answer);
        }
        (!answers.is_empty()).then(|| format!("[{}]", answers.join(",")))
    }

    async fn one(&self, text: &RawValue, authorized: Authorized) -> Option<String> {
        let Ok(request) = serde_json::from_str::<Request<'_>>(text.get()) else {
            return Some(error(None, -32600, "invalid request"));
        };
        let id = request.id.filter(|id| !id.get().starts_with(['{', '[']));
        let Some(method) = request.method.as_deref().filter(|method| !method.is_empty()) else {
            return Some(error(id, -32600, "invalid request"));
        };
        if request.id.is_none() {
            // A notification takes effect, but is not answered.
            let _ = self.call(method, request.params, authorized).await;
            return None;
        }
        let Some(id) = id else { return Some(error(None, -32600, "invalid request")) };
        Some(match self.call(method, request.params, authorized).await {
            Outcome::Unknown => {
                let shown: String = method.chars().take(64).collect();
                let text = format!("the method {shown} does not exist/is not available");
                error(Some(id), -32601, &text)
            }
            Outcome::Crashed => error(Some(id), -32000, "method handler crashed"),
            Outcome::Answer(json) => respond(id, &json),
        })
    }

    async fn call(&self, method: &str, params: Option<&RawValue>, authorized: Authorized) -> Outcome {
        let Some(callback) = self.methods.method(method) else { return Outcome::Unknown };
        let params = Params::new(params.map(RawValue::get)).into_owned();
        let mut extensions = Extensions::new();
        extensions.insert(authorized);
        // Ids are echoed byte for byte below, which jsonrpsee's own type cannot do for every JSON value.
        let response = match callback {
            MethodCallback::Sync(method) => std::panic::catch_unwind(AssertUnwindSafe(|| {
                method(Id::Null, params, MAX_RESULT_BYTES, extensions)
            })),
            MethodCallback::Async(method) => {
                let call = method(Id::Null, params, ConnectionId(0), MAX_RESULT_BYTES, extensions);
                AssertUnwindSafe(call).catch_unwind().await
            }
            MethodCallback::Subscription(_) | MethodCallback::Unsubscription(_) => return Outcome::Unknown,
        };
        response.map_or(Outcome::Crashed, |response| Outcome::Answer(response.into_json()))
    }
}

enum Outcome {
    Unknown,
    Crashed,
    Answer(Box<RawValue>),
}

#[derive(Serialize)]
struct Response<'a> {
    jsonrpc: &'static str,
    id: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a RawValue>,
}

/// The registry's answer under the caller's own id.
fn respond(id: &RawValue, answer: &RawValue) -> String {
    #[derive(Deserialize)]
    struct Parts<'a> {
        #[serde(borrow, default, deserialize_with = "present")]
        result: Option<&'a RawValue>,
        #[serde(borrow, default, deserialize_with = "present")]
        error: Option<&'a RawValue>,
    }
    match serde_json::from_str::<Parts<'_>>(answer.get()) {
        Ok(Parts { result, error }) => to_text(&Response { jsonrpc: "2.0", id: Some(id), result, error }),
        Err(_) => error(Some(id), -32000, "method handler crashed"),
    }
}

fn error(id: Option<&RawValue>, code: i32, message: &str) -> String {
    let error = serde_json::value::to_raw_value(&RpcError { code, message }).ok();
    to_text(&Response { jsonrpc: "2.0", id, result: None, error: error.as_deref() })
}

fn to_text(response: &Response<'_>) -> String {
    // Text, numbers and JSON that was parsed before always serialise.
    serde_json::to_string(response).unwrap_or_default()
}

/// An error that a method returns (`spec/operations.md` §2.1: always -32000).
fn failure(message: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(-32000, message, None::<()>)
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

//! JSON-RPC 2.0 as the reference speaks it: requests, batches, error codes and messages, over the registry.
//!
//! Independent of the transport, which says whether the caller is authorized and whether it can be notified.
//! Facts: `spec/operations.md` §2.1.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

use futures::FutureExt as _;
use json_rpc::{Args, Body, Call, crashed, error, failure, fault, invalid};
use jsonrpsee::{
    ConnectionId, Extensions, MethodCallback, MethodResponse,
    types::{ErrorObjectOwned, Id, Params},
};
use serde::Serialize;
use serde_json::{Value, value::RawValue};

use super::{
    calls::Calls,
    registry::{Access, Registry},
    subscriptions::Subscriptions,
};

/// Most bytes of one result, and of all answers of one batch.
const MAX_RESULT_BYTES: usize = 5 * 1024 * 1024;
const UNAUTHORIZED: &str = "unauthorized: this method needs the header \"Authorization: Bearer <token>\" with the token in RPCTokenFile";

/// Whether the caller may call privileged methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Authorized(pub(crate) bool);

/// Answers requests of one transport. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Rpc {
    registry: Arc<Registry>,
    calls: Calls,
}

impl Rpc {
    pub(super) fn new(registry: Registry, calls: Calls) -> Self {
        Self { registry: Arc::new(registry), calls }
    }

    /// The answer to one body; `None` when nothing in it wants one. Subscriptions go to `subscriptions`, where the
    /// transport can notify; what was begun there is to be activated once the answer is on its way.
    pub(crate) async fn answer(
        &self,
        body: &[u8],
        authorized: Authorized,
        mut subscriptions: Option<&mut Subscriptions>,
    ) -> Option<String> {
        let calls = match Body::parse(body) {
            Ok(Body::One(call)) => return self.one(call, authorized, subscriptions).await,
            Ok(Body::Batch(calls)) => calls,
            Err(refusal) => return Some(refusal),
        };
        let mut answers = Vec::with_capacity(calls.len());
        let mut bytes = 0;
        for call in calls {
            let Some(answer) = self.one(call, authorized, subscriptions.as_deref_mut()).await else {
                continue;
            };
            bytes += answer.len();
            if bytes > MAX_RESULT_BYTES {
                return Some(error(None, &failure("the answers of this batch are too large: split it")));
            }
            answers.push(answer);
        }
        (!answers.is_empty()).then(|| format!("[{}]", answers.join(",")))
    }

    async fn one(
        &self,
        text: &RawValue,
        authorized: Authorized,
        subscriptions: Option<&mut Subscriptions>,
    ) -> Option<String> {
        let Call { id, method, params } = match Call::parse(text) {
            Ok(call) => call,
            Err(refusal) => return Some(refusal),
        };
        let outcome = self.call(&method, params, authorized, subscriptions).await;
        // A notification takes effect, but is not answered.
        let id = id?;
        Some(match outcome {
            Ok(answer) => json_rpc::result(id, &answer),
            Err(fault) => error(Some(id), &fault),
        })
    }

    /// The registry's answer as a whole, with its own id.
    async fn call(
        &self,
        method: &str,
        params: Option<&RawValue>,
        authorized: Authorized,
        subscriptions: Option<&mut Subscriptions>,
    ) -> Result<Box<RawValue>, ErrorObjectOwned> {
        if let Some(namespace) = method.strip_suffix("_subscribe") {
            return self.subscribe(namespace, params, authorized, subscriptions);
        }
        if method.ends_with("_unsubscribe") {
            return unsubscribe(params, subscriptions);
        }
        let Some((spec, callback)) = self.registry.find(method) else {
            let shown: String = method.chars().take(64).collect();
            return Err(fault(-32601, format!("the method {shown} does not exist/is not available")));
        };
        permit(spec.access, authorized)?;
        let params = Params::new(params.map(RawValue::get)).into_owned();
        let begin = Instant::now();
        // Ids are echoed byte for byte by `respond`, which jsonrpsee's own type cannot do for every JSON value.
        let response = match callback {
            MethodCallback::Sync(method) => std::panic::catch_unwind(AssertUnwindSafe(|| {
                method(Id::Null, params, MAX_RESULT_BYTES, Extensions::new())
            })),
            MethodCallback::Async(method) => {
                let call = method(Id::Null, params, ConnectionId(0), MAX_RESULT_BYTES, Extensions::new());
                AssertUnwindSafe(call).catch_unwind().await
            }
            MethodCallback::Subscription(_) | MethodCallback::Unsubscription(_) => return Err(crashed()),
        };
        let success = response.as_ref().is_ok_and(MethodResponse::is_success);
        self.calls.count(spec.name, success, begin.elapsed());
        response.map(|response| response.into_json()).map_err(|_panic| crashed())
    }

    fn subscribe(
        &self,
        namespace: &str,
        params: Option<&RawValue>,
        authorized: Authorized,
        subscriptions: Option<&mut Subscriptions>,
    ) -> Result<Box<RawValue>, ErrorObjectOwned> {
        let Some(subscriptions) = subscriptions else { return Err(failure("notifications not supported")) };
        let mut values = match params.map(|params| serde_json::from_str(params.get())) {
            Some(Ok(Value::Array(values))) => values,
            _ => return Err(invalid("non-array args")),
        };
        let name = match values.first() {
            Some(Value::String(name)) => name.clone(),
            _ => return Err(invalid("expected subscription name as first argument")),
        };
        let Some(subscription) = self.registry.find_subscription(namespace, &name) else {
            let shown: String = name.chars().take(64).collect();
            return Err(fault(-32601, format!("no {shown:?} subscription in {namespace} namespace")));
        };
        permit(subscription.access, authorized)?;
        values.remove(0);
        subscriptions.has_room()?;
        let items = subscription.start(Args::check(values, subscription.params)?)?;
        result(&subscriptions.add(subscription.namespace, items))
    }
}

fn permit(access: Access, authorized: Authorized) -> Result<(), ErrorObjectOwned> {
    if access == Access::Privileged && !authorized.0 { Err(failure(UNAUTHORIZED)) } else { Ok(()) }
}

/// Ends a subscription of this connection, whatever its namespace, as the reference does.
fn unsubscribe(
    params: Option<&RawValue>,
    subscriptions: Option<&mut Subscriptions>,
) -> Result<Box<RawValue>, ErrorObjectOwned> {
    use super::registry::{Kind, Param};
    const WANT: &[Param] = &[Param { name: "subscription", kind: Kind::Text, required: true }];
    let Some(subscriptions) = subscriptions else { return Err(failure("notifications not supported")) };
    let args = Args::read(params.map(RawValue::get), WANT)?;
    if !subscriptions.end(args.text(0)) {
        return Err(failure("subscription not found"));
    }
    result(&true)
}

/// A result in the form in which the registry gives one.
fn result(value: &impl Serialize) -> Result<Box<RawValue>, ErrorObjectOwned> {
    #[derive(Serialize)]
    struct Parts<T> {
        result: T,
    }
    serde_json::value::to_raw_value(&Parts { result: value }).map_err(|_| crashed())
}

//! Filters: polled, or as the subscription `messages`.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use json_rpc::{Args, failure};
use jsonrpsee::{core::RegisterMethodError, types::ErrorObjectOwned};
use tokio::time::{Interval, MissedTickBehavior, interval};
use waku::{Filter, FilterError, FilterId, FilterKey, Waku};

use super::{
    WakuApi,
    keys::public_key,
    messages::{Criteria, Message},
};
use crate::rpc::registry::{Access, Items, Kind, Param, Registry, Spec};

/// How often a subscription looks for what its filter found; the reference's.
const POLL: Duration = Duration::from_millis(250);
const CRITERIA: Param = Param { name: "criteria", kind: Kind::Object, required: true };
const ID: Param = Param { name: "id", kind: Kind::Text, required: true };

pub(super) fn register(registry: &mut Registry, api: &Arc<WakuApi>) -> Result<(), RegisterMethodError> {
    let installer = Arc::clone(api);
    registry.method(
        &Spec {
            name: "waku_newMessageFilter",
            access: Access::Privileged,
            summary: "Looks for messages from now on; the filter's id.",
            params: &[CRITERIA],
            result: Kind::Text,
        },
        move |args| Ok(installer.install(&args.parse(0)?)?.to_string()),
    )?;
    let getter = Arc::clone(api);
    registry.method(
        &Spec {
            name: "waku_getFilterMessages",
            access: Access::Privileged,
            summary: "What a filter found since the last call.",
            params: &[ID],
            result: Kind::Array,
        },
        move |args| {
            let found = getter.waku.filter_messages(id(args)?).map_err(unknown)?;
            Ok(found.into_iter().map(Message::from).collect::<Vec<_>>())
        },
    )?;
    let deleter = Arc::clone(api);
    registry.method(
        &Spec {
            name: "waku_deleteMessageFilter",
            access: Access::Privileged,
            summary: "Forgets a filter and what it found.",
            params: &[ID],
            result: Kind::Boolean,
        },
        move |args| {
            deleter.waku.uninstall_filter(id(args)?).map_err(unknown)?;
            Ok(true)
        },
    )?;
    let uninstaller = Arc::clone(api);
    registry.method(
        &Spec {
            name: "waku_uninstallFilter",
            access: Access::Privileged,
            summary: "Forgets a filter, if there is one of this id.",
            params: &[ID],
            result: Kind::Null,
        },
        move |args| {
            // The reference says nothing about it either.
            let _ = id(args).and_then(|id| uninstaller.waku.uninstall_filter(id).map_err(unknown));
            Ok(())
        },
    )?;
    let subscriber = Arc::clone(api);
    registry.subscription("waku", "messages", Access::Privileged, &[CRITERIA], move |args| {
        subscriber.subscribe(&args.parse(0)?)
    });
    Ok(())
}

fn id(args: &Args) -> Result<FilterId, ErrorObjectOwned> {
    args.text(0).parse().map_err(unknown)
}

fn unknown(error: FilterError) -> ErrorObjectOwned {
    failure(error.to_string())
}

/// A filter for as long as its subscription.
struct Subscribed {
    waku: Arc<Waku>,
    id: FilterId,
    tick: Interval,
    found: VecDeque<Message>,
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        // Somebody may have deleted it by its id.
        let _ = self.waku.uninstall_filter(self.id);
    }
}

impl WakuApi {
    fn install(&self, criteria: &Criteria) -> Result<FilterId, ErrorObjectOwned> {
        if criteria.sym_key_id.is_empty() == criteria.private_key_id.is_empty() {
            return Err(failure("specify either a symmetric or an asymmetric key"));
        }
        let source = match criteria.sig.0.as_slice() {
            [] => None,
            bytes => Some(public_key(bytes).ok_or_else(|| failure("invalid signing public key"))?),
        };
        let keys = self.keys.lock();
        let key = if criteria.private_key_id.is_empty() {
            FilterKey::Symmetric(keys.symmetric(&criteria.sym_key_id)?.clone())
        } else {
            FilterKey::Asymmetric(keys.pair(&criteria.private_key_id)?.clone())
        };
        drop(keys);
        let filter = Filter {
            key,
            source,
            topics: criteria.topics.clone(),
            min_pow: criteria.min_pow,
            allow_p2p: criteria.allow_p2p,
        };
        self.waku.install_filter(filter).map_err(|error| failure(error.to_string()))
    }

    pub(super) fn subscribe(&self, criteria: &Criteria) -> Result<Items, ErrorObjectOwned> {
        if !criteria.sym_key_id.is_empty() && criteria.topics.is_empty() {
            return Err(failure("missing topic(s)"));
        }
        let id = self.install(criteria)?;
        let mut tick = interval(POLL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let subscribed = Subscribed { waku: Arc::clone(&self.waku), id, tick, found: VecDeque::new() };
        let messages = stream::unfold(subscribed, async |mut subscribed| {
            loop {
                if let Some(message) = subscribed.found.pop_front() {
                    return Some((message, subscribed));
                }
                subscribed.tick.tick().await;
                let found = subscribed.waku.filter_messages(subscribed.id).ok()?;
                subscribed.found.extend(found.into_iter().map(Message::from));
            }
        });
        Ok(messages.filter_map(async |message| serde_json::value::to_raw_value(&message).ok()).boxed())
    }
}

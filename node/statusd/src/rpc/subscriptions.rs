//! The subscriptions of one connection that lasts: begun by an answer, active once that answer is on its way.
//! Facts: `spec/operations.md` §2.1; ids and notifications in the reference's form.

use std::collections::HashMap;

use futures::StreamExt as _;
use json_rpc::failure;
use jsonrpsee::types::ErrorObjectOwned;
use rand::Rng as _;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};

use super::registry::Items;

/// Most subscriptions of one connection.
const MAX_SUBSCRIPTIONS: usize = 64;

/// The subscriptions of one connection. They end when it is dropped.
pub(crate) struct Subscriptions {
    out: mpsc::Sender<String>,
    tasks: JoinSet<()>,
    active: HashMap<String, AbortHandle>,
    begun: Vec<Begun>,
}

struct Begun {
    id: String,
    namespace: &'static str,
    items: Items,
}

#[derive(Serialize)]
struct Notification<'a> {
    jsonrpc: &'static str,
    method: &'a str,
    params: Params<'a>,
}

#[derive(Serialize)]
struct Params<'a> {
    subscription: &'a str,
    result: &'a RawValue,
}

impl Subscriptions {
    /// None yet; notifications will go to `out`, whose bound slows a subscription down to its reader's pace.
    pub(super) fn new(out: mpsc::Sender<String>) -> Self {
        Self { out, tasks: JoinSet::new(), active: HashMap::new(), begun: Vec::new() }
    }

    /// Whether one more may begin.
    pub(super) fn has_room(&self) -> Result<(), ErrorObjectOwned> {
        if self.active.len() + self.begun.len() < MAX_SUBSCRIPTIONS {
            return Ok(());
        }
        Err(failure(format!(
            "too many subscriptions, want at most {MAX_SUBSCRIPTIONS} a connection: end some, or open another connection"
        )))
    }

    /// Takes one in and names it; it says nothing before [`Self::activate`].
    pub(super) fn add(&mut self, namespace: &'static str, items: Items) -> String {
        // As the reference names them: a random 128-bit quantity.
        let id = format!("{:#x}", rand::rng().random::<u128>());
        self.begun.push(Begun { id: id.clone(), namespace, items });
        id
    }

    /// Lets those that began speak.
    pub(super) fn activate(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        for Begun { id, namespace, mut items } in self.begun.drain(..) {
            let (out, subscription) = (self.out.clone(), id.clone());
            let method = format!("{namespace}_subscription");
            let task = self.tasks.spawn(async move {
                while let Some(item) = items.next().await {
                    let params = Params { subscription: &subscription, result: &item };
                    let notification = Notification { jsonrpc: "2.0", method: &method, params };
                    let Ok(text) = serde_json::to_string(&notification) else { return };
                    if out.send(text).await.is_err() {
                        return;
                    }
                }
            });
            self.active.insert(id, task);
        }
    }

    /// Ends one; whether there was one of this id.
    pub(super) fn end(&mut self, id: &str) -> bool {
        let begun = self.begun.len();
        self.begun.retain(|begun| begun.id != id);
        match self.active.remove(id) {
            Some(task) => {
                task.abort();
                true
            }
            None => self.begun.len() < begun,
        }
    }

    /// Ends all and lets go of the way out.
    pub(super) async fn close(mut self) {
        self.tasks.shutdown().await;
    }
}

//! Events: what `kubectl describe statusnode` shows of the operator's deeds and findings.
//!
//! The plan names them, on transitions only; an event that is told again within minutes becomes a series of the first
//! one. An event that cannot be written is logged and never fails a reconcile.
//!
//! Not `kube`'s `Recorder`: that one makes a series of all events of one reason, so that of three nodes that get a key,
//! or of two addresses that change, only the first is ever named.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use parking_lot::Mutex;
use serde_json::json;
use statusnode_plan::EventIntent;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::{
    apply::{FIELD_MANAGER, bounded},
    error::{Class, class_of},
};

/// Longest note that the API takes, in bytes.
const LONGEST_NOTE: usize = 1024;
/// Longest name of a reporting instance that the API takes, in bytes.
const LONGEST_INSTANCE: usize = 128;
/// How long after the last of a series another one belongs to it.
const SERIES: Duration = Duration::from_secs(360);
/// Events that are remembered. Beyond them an event begins a new series.
const REMEMBERED: usize = 4096;

/// Publishes events.
#[derive(Clone)]
pub struct Events {
    client: Client,
    instance: String,
    told: Arc<Mutex<HashMap<What, Told>>>,
}

/// What an event says, of which object.
#[derive(Clone, Hash, PartialEq, Eq)]
struct What {
    uid: String,
    warning: bool,
    reason: &'static str,
    action: &'static str,
    note: String,
}

/// An event that was written.
#[derive(Clone)]
struct Told {
    name: String,
    times: i32,
    last: Instant,
}

impl Events {
    /// Events in the name of this instance.
    pub fn new(client: Client, instance: String) -> Self {
        Self { client, instance, told: Arc::default() }
    }

    /// Publishes one that the plan names.
    pub async fn publish(&self, about: &ObjectReference, intent: &EventIntent) {
        self.tell(about, intent.warning, intent.reason.as_str(), intent.action, &intent.note).await;
    }

    /// A stored object that cannot be read as a `StatusNode`.
    pub async fn invalid(&self, about: &ObjectReference, problem: &str) {
        let note =
            format!("the stored object is no valid StatusNode and nothing is done about it: {problem}");
        self.tell(about, true, statusnode_api::condition::Reason::InvalidSpec.as_str(), "Read", &note).await;
    }

    async fn tell(
        &self,
        about: &ObjectReference,
        warning: bool,
        reason: &'static str,
        action: &'static str,
        note: &str,
    ) {
        let name = about.name.as_deref().unwrap_or_default();
        let namespace = about.namespace.as_deref().unwrap_or_default();
        info!(namespace, name, reason, note, "event");
        let uid = about.uid.clone().unwrap_or_default();
        let what = What { uid, warning, reason, action, note: cut(note, LONGEST_NOTE).to_owned() };
        let before = self.remembered(&what);
        match self.write(about, &what, before).await {
            Ok(told) => {
                let mut all = self.told.lock();
                if all.len() < REMEMBERED || all.contains_key(&what) {
                    all.insert(what, told);
                }
            }
            Err(error) if class_of(&error) == Class::Ending => {
                debug!(namespace, name, reason, "event not written")
            }
            Err(error) => warn!(%error, namespace, name, reason, "event not written"),
        }
    }

    fn remembered(&self, what: &What) -> Option<Told> {
        let mut all = self.told.lock();
        all.retain(|_, told| told.last.elapsed() < SERIES);
        all.get(what).cloned()
    }

    async fn write(
        &self,
        about: &ObjectReference,
        what: &What,
        before: Option<Told>,
    ) -> Result<Told, kube::Error> {
        let namespace = about.namespace.as_deref().unwrap_or_default();
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let now = Timestamp::now();
        if let Some(mut told) = before {
            told.times = told.times.saturating_add(1);
            told.last = Instant::now();
            let series = json!({"count": told.times, "lastObservedTime": MicroTime(now)});
            let patch = Patch::Merge(json!({"series": series}));
            match bounded(api.patch(&told.name, &PatchParams::default(), &patch)).await {
                // Its time was up, or somebody deleted it.
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                answer => return answer.map(|_| told),
            }
        }
        let event = self.event(about, what, now);
        bounded(api.create(&PostParams::default(), &event)).await?;
        let name = event.metadata.name.unwrap_or_default();
        Ok(Told { name, times: 1, last: Instant::now() })
    }

    fn event(&self, about: &ObjectReference, what: &What, now: Timestamp) -> Event {
        let name = about.name.as_deref().unwrap_or_default();
        Event {
            metadata: ObjectMeta {
                namespace: about.namespace.clone(),
                name: Some(format!("{name}.{:x}", now.as_nanosecond())),
                ..ObjectMeta::default()
            },
            type_: Some(if what.warning { "Warning" } else { "Normal" }.to_owned()),
            reason: Some(what.reason.to_owned()),
            action: Some(what.action.to_owned()),
            note: Some(what.note.clone()),
            regarding: Some(about.clone()),
            event_time: Some(MicroTime(now)),
            reporting_controller: Some(FIELD_MANAGER.to_owned()),
            reporting_instance: Some(cut(&self.instance, LONGEST_INSTANCE).to_owned()),
            ..Event::default()
        }
    }
}

/// At most `most` bytes of `text`, whole characters.
fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_cut_between_characters() {
        assert_eq!(cut("abc", 1024), "abc");
        assert_eq!(cut("aüb", 2), "a");
        assert_eq!(cut("aüb", 3), "aü");
        assert_eq!(cut("", 3), "");
    }
}

//! Events: what `kubectl describe statusnode` shows of the operator's deeds and findings.
//!
//! The plan names them, on transitions only; equal ones within minutes become one series (kube's `Recorder`). An event
//! that cannot be written is logged and never fails a reconcile.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use statusnode_plan::EventIntent;
use tracing::{info, warn};

use crate::apply::{FIELD_MANAGER, bounded};

/// Longest note that the API takes, in bytes.
const LONGEST_NOTE: usize = 1024;

/// Publishes events.
#[derive(Clone)]
pub struct Events(Recorder);

impl Events {
    /// Events in the name of this instance.
    pub fn new(client: Client, instance: String) -> Self {
        Self(Recorder::new(client, Reporter { controller: FIELD_MANAGER.into(), instance: Some(instance) }))
    }

    /// Publishes one that the plan names.
    pub async fn publish(&self, about: &ObjectReference, intent: &EventIntent) {
        self.write(about, intent.warning, intent.reason.as_str(), intent.action, &intent.note).await;
    }

    /// A stored object that cannot be read as a `StatusNode`.
    pub async fn invalid(&self, about: &ObjectReference, problem: &str) {
        let note =
            format!("the stored object is no valid StatusNode and nothing is done about it: {problem}");
        self.write(about, true, statusnode_api::condition::Reason::InvalidSpec.as_str(), "Read", &note).await;
    }

    async fn write(&self, about: &ObjectReference, warning: bool, reason: &str, action: &str, note: &str) {
        let name = about.name.as_deref().unwrap_or_default();
        let namespace = about.namespace.as_deref().unwrap_or_default();
        info!(namespace, name, reason, note, "event");
        let event = Event {
            type_: if warning { EventType::Warning } else { EventType::Normal },
            reason: reason.to_owned(),
            note: Some(cut(note, LONGEST_NOTE).to_owned()),
            action: action.to_owned(),
            secondary: None,
        };
        if let Err(error) = bounded(self.0.publish(&event, about)).await {
            warn!(%error, namespace, name, reason, "event not written");
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

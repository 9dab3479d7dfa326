//! Which `StatusNode`s are to be looked at again: the one queue between what changes and the reconciler.
//!
//! A set, so that any number of changes of one resource is one entry, and its size is bounded by the number of
//! resources. Never blocks who tells it something; a standby lets it fill and drops it with the rest.

use std::{collections::HashSet, sync::Arc};

use futures::{Stream, stream};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::store::OwnerKey;

/// The queue; clones are the same queue.
#[derive(Clone, Default)]
pub struct Triggers(Arc<Inner>);

#[derive(Default)]
struct Inner {
    pending: Mutex<HashSet<OwnerKey>>,
    added: Notify,
}

impl Triggers {
    /// Asks for a look at one resource.
    pub fn add(&self, key: OwnerKey) {
        if self.0.pending.lock().insert(key) {
            self.0.added.notify_one();
        }
    }

    /// Asks for a look at several.
    pub fn extend(&self, keys: impl IntoIterator<Item = OwnerKey>) {
        self.0.pending.lock().extend(keys);
        self.0.added.notify_one();
    }

    /// Every resource that is asked for, from now on. For one consumer at a time.
    pub fn stream(&self) -> impl Stream<Item = OwnerKey> + Send + use<> {
        stream::unfold(
            (self.clone(), Vec::new()),
            |(triggers, mut batch): (Self, Vec<OwnerKey>)| async move {
                loop {
                    if let Some(key) = batch.pop() {
                        return Some((key, (triggers, batch)));
                    }
                    let pending = std::mem::take(&mut *triggers.0.pending.lock());
                    if pending.is_empty() {
                        triggers.0.added.notified().await;
                    } else {
                        batch = pending.into_iter().collect();
                    }
                }
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};

    use super::*;

    fn key(name: &str) -> OwnerKey {
        OwnerKey { namespace: "a".into(), name: name.into() }
    }

    #[tokio::test]
    async fn many_changes_of_one_resource_are_one_entry() {
        let triggers = Triggers::default();
        triggers.add(key("x"));
        triggers.extend([key("x"), key("x")]);
        let mut stream = Box::pin(triggers.stream());
        assert_eq!(stream.next().await, Some(key("x")));
        assert_eq!(stream.next().now_or_never(), None);
    }

    #[tokio::test]
    async fn a_waiting_consumer_is_woken() {
        let triggers = Triggers::default();
        let mut stream = Box::pin(triggers.stream());
        assert_eq!(stream.next().now_or_never(), None);
        triggers.add(key("y"));
        assert_eq!(stream.next().await, Some(key("y")));
    }
}

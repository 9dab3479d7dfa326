//! Reads of Secrets by name: never listed, never watched.
//!
//! An answer is good for a little under a minute, so that a resource that is reconciled once a minute sees each Secret
//! as it is and one that is reconciled more often does not read more often (design §3 "Data channel"). One that is being
//! removed is asked for again at once: its successor waits for it. What is kept is dropped with its resource. Contents
//! are never logged.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use parking_lot::Mutex;
use statusnode_plan::{
    ObjectKind, SecretView,
    names::{self, Claim},
};
use tokio::time::Instant;

use crate::{apply::bounded, error::Error, store::OwnerKey};

/// How long an answer is good.
const GOOD_FOR: Duration = Duration::from_secs(55);
/// The same for a Secret that is being removed.
const GOOD_FOR_GOING: Duration = Duration::from_secs(1);

type Answers = HashMap<OwnerKey, BTreeMap<String, (Instant, SecretView)>>;

/// Reads Secrets and remembers the answers.
pub struct Secrets {
    client: Client,
    answers: Mutex<Answers>,
}

impl Secrets {
    /// Nothing read yet.
    pub fn new(client: Client) -> Self {
        Self { client, answers: Mutex::default() }
    }

    /// The Secrets of those names for the resource with that uid, and what went wrong with those that are missing: one
    /// that can neither be read nor is known to be absent. What is no longer named is dropped.
    pub async fn read(
        &self,
        key: &OwnerKey,
        uid: &str,
        names: &BTreeSet<String>,
    ) -> (BTreeMap<String, SecretView>, Option<Error>) {
        let now = Instant::now();
        let mut known = self.answers.lock().remove(key).unwrap_or_default();
        known.retain(|name, (at, view)| {
            let good_for = if is_going(view, key, uid) { GOOD_FOR_GOING } else { GOOD_FOR };
            names.contains(name) && now.duration_since(*at) < good_for
        });
        let missing = names.iter().filter(|name| !known.contains_key(*name)).cloned().collect::<Vec<_>>();
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &key.namespace);
        let reads = missing.into_iter().map(|name| {
            let api = api.clone();
            async move {
                match bounded(api.get_opt(&name)).await {
                    Ok(None) => Ok((name, SecretView::Absent)),
                    Ok(Some(mut secret)) => {
                        secret.metadata.managed_fields = None;
                        Ok((name, SecretView::Present(Arc::new(secret))))
                    }
                    Err(error) => {
                        let source = Box::new(error);
                        Err(Error::Object { verb: "get", kind: ObjectKind::Secret, name, source })
                    }
                }
            }
        });
        let mut failed = Vec::new();
        for read in futures::future::join_all(reads).await {
            match read {
                Ok((name, view)) => {
                    known.insert(name, (now, view));
                }
                Err(error) => failed.push(error),
            }
        }
        let views = known.iter().map(|(name, (_, view))| (name.clone(), view.clone())).collect();
        self.answers.lock().insert(key.clone(), known);
        (views, Error::all(failed))
    }

    /// The answer is no longer good: the Secret was written, or seen to be different.
    pub fn forget(&self, key: &OwnerKey, name: &str) {
        if let Some(known) = self.answers.lock().get_mut(key) {
            known.remove(name);
        }
    }

    /// Drops all answers of a resource.
    pub fn drop_owner(&self, key: &OwnerKey) {
        self.answers.lock().remove(key);
    }
}

fn is_going(view: &SecretView, key: &OwnerKey, uid: &str) -> bool {
    matches!(view, SecretView::Present(secret) if names::claim(&secret.metadata, &key.name, uid) == Claim::Going)
}

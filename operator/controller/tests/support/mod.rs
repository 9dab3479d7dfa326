//! An API server in memory: just enough of Kubernetes to drive the controller through real HTTP requests.
//!
//! It has get, list, watch, create, replace, delete with preconditions, server-side apply with fields of one manager
//! removed when no longer applied, the status subresource, generations, uids, and resourceVersions that move only
//! when an object changes. Any request can be made to fail before or after it takes effect, and watches to break and to
//! find their history gone.
#![allow(dead_code, reason = "each test binary uses its own part")]

mod answers;
pub(crate) mod objects;
mod state;
pub(crate) mod world;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use kube::{Client, client::Body};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::sleep;

use answers::{Answer, failure};
use objects::Path;
use state::State;

/// How a request goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 500 without effect.
    Refused,
    /// The connection breaks before the server has acted.
    CutBefore,
    /// The connection breaks after the server has acted.
    CutAfter,
    /// 409 Conflict without effect.
    Conflict,
}

/// One write that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) method: String,
    pub(crate) path: String,
}

/// Verb, API group and resource: what a request needs a rule for.
pub(crate) type Right = (&'static str, String, String);

/// The server; clones are the same server.
#[derive(Clone, Default)]
pub(crate) struct FakeApi(Arc<Mutex<State>>);

impl FakeApi {
    /// A client of this server.
    pub(crate) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { server.serve(request).await }
        });
        Client::new(service, "default")
    }

    /// Makes the `nth` request from now on (0 is the next; watches and lists are not counted) go wrong.
    pub(crate) fn fail_at(&self, nth: usize, fault: Fault) {
        let mut state = self.0.lock();
        state.requests = 0;
        state.fault = Some((nth, fault));
    }

    /// Whether the fault of [`Self::fail_at`] has happened.
    pub(crate) fn has_failed(&self) -> bool {
        self.0.lock().fault.is_none()
    }

    /// The rights that the requests so far needed.
    pub(crate) fn rights_used(&self) -> BTreeSet<Right> {
        self.0.lock().used.clone()
    }

    /// Answers every write of a path that contains `part` with 422 from now on.
    pub(crate) fn refuse(&self, part: &str) {
        self.0.lock().refused.push((part.to_owned(), StatusCode::UNPROCESSABLE_ENTITY, false));
    }

    /// Answers every request for an object whose path contains `part` with `code` from now on.
    pub(crate) fn answer(&self, part: &str, code: u16) {
        self.0.lock().refused.push((part.to_owned(), StatusCode::from_u16(code).unwrap(), true));
    }

    /// Ends [`Self::refuse`] and [`Self::answer`].
    pub(crate) fn accept_all(&self) {
        self.0.lock().refused.clear();
    }

    /// Lets the server act on the next write of a path that contains `part`, and answer it `late`.
    pub(crate) fn answer_late(&self, part: &str, late: Duration) {
        self.0.lock().late = Some((part.to_owned(), late));
    }

    /// Whether the write of [`Self::answer_late`] was acted on.
    pub(crate) fn acted_late(&self) -> bool {
        self.0.lock().late.is_none()
    }

    /// Refuses to create anything in a namespace from now on, as while it is being deleted.
    pub(crate) fn end_namespace(&self, namespace: &str) {
        self.0.lock().ending.insert(namespace.to_owned());
    }

    /// The namespace is gone and made again.
    pub(crate) fn begin_namespace(&self, namespace: &str) {
        self.0.lock().ending.remove(namespace);
    }

    /// Breaks all watches, and lets no new watch or list through.
    pub(crate) fn cut_watches(&self) {
        let mut state = self.0.lock();
        state.watchers.clear();
        state.watches_cut = true;
    }

    /// Ends [`Self::cut_watches`].
    pub(crate) fn restore_watches(&self) {
        self.0.lock().watches_cut = false;
    }

    /// Forgets what happened so far: who watches from before is answered 410.
    pub(crate) fn forget_history(&self) {
        let mut state = self.0.lock();
        state.history.clear();
        state.oldest = state.version;
    }

    /// The number of requests for single objects since the last call.
    pub(crate) fn take_requests(&self) -> usize {
        std::mem::take(&mut self.0.lock().requests)
    }

    /// Adds an API group version whose resources can be discovered, as `monitoring.coreos.com/v1`.
    pub(crate) fn serve_group(&self, group: &'static str) {
        self.0.lock().groups.push(group);
    }

    /// The writes since the last call.
    pub(crate) fn take_writes(&self) -> Vec<Write> {
        std::mem::take(&mut self.0.lock().writes)
    }

    /// Stores an object as a user or another controller would; returns it as stored.
    pub(crate) fn put(&self, object: Value) -> Value {
        let path = Path::of(&object);
        let mut state = self.0.lock();
        let before = state.objects.get(&path).cloned();
        state.store(path, before, object)
    }

    /// Changes an object in place, status included.
    pub(crate) fn change(&self, path: &Path, change: impl FnOnce(&mut Value)) {
        let mut state = self.0.lock();
        let before = state.objects.get(path).cloned().unwrap_or_else(|| panic!("no {path:?}"));
        let mut object = before.clone();
        change(&mut object);
        state.store(path.clone(), Some(before), object);
    }

    /// Removes an object.
    pub(crate) fn remove(&self, path: &Path) {
        self.0.lock().delete(path);
    }

    pub(crate) fn get(&self, path: &Path) -> Option<Value> {
        self.0.lock().objects.get(path).cloned()
    }

    /// Removes what is owned by objects that are gone, as the garbage collector does.
    pub(crate) fn collect_garbage(&self) {
        let mut state = self.0.lock();
        let uids: BTreeSet<String> =
            state.objects.values().filter_map(|o| o["metadata"]["uid"].as_str().map(str::to_owned)).collect();
        let orphaned = |o: &Value| {
            let owners = o["metadata"]["ownerReferences"].as_array().filter(|owners| !owners.is_empty());
            owners.is_some_and(|owners| {
                owners.iter().all(|r| r["uid"].as_str().is_none_or(|u| !uids.contains(u)))
            })
        };
        let gone: Vec<Path> =
            state.objects.iter().filter(|(_, o)| orphaned(o)).map(|(p, _)| p.clone()).collect();
        for path in gone {
            state.delete(&path);
        }
    }

    /// All objects of a plural.
    pub(crate) fn list(&self, plural: &str) -> Vec<Value> {
        self.0.lock().objects.iter().filter(|(p, _)| p.plural == plural).map(|(_, o)| o.clone()).collect()
    }

    /// Every object but events and leases with what differs between two runs taken out.
    pub(crate) fn contents(&self) -> BTreeMap<String, Value> {
        let state = self.0.lock();
        state
            .objects
            .iter()
            .filter(|(p, _)| p.plural != "events" && p.plural != "leases")
            .map(|(p, o)| (p.to_string(), o.clone()))
            .collect()
    }

    async fn serve(&self, request: Request<Body>) -> Result<Answer, std::io::Error> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
        let (answer, late) = self.answer_to(&parts, &body)?;
        if let Some(late) = late {
            sleep(late).await;
        }
        Ok(answer)
    }

    /// The answer, and how late it comes.
    fn answer_to(
        &self,
        parts: &http::request::Parts,
        body: &[u8],
    ) -> Result<(Answer, Option<Duration>), std::io::Error> {
        let query: HashMap<String, String> = parts
            .uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(k, v)| (k.to_owned(), objects::percent_decode(v)))
            .collect();
        let mut state = self.0.lock();
        if let Some(group) = state.discovery(parts.uri.path()) {
            return Ok((group, None));
        }
        let path = Path::parse(parts.uri.path());
        state.needs(&parts.method, &path, &query);
        if parts.method == Method::GET && path.name.is_empty() {
            if state.watches_cut {
                return Err(std::io::Error::other("cut"));
            }
            return Ok((state.list_or_watch(&path, &query), None));
        }
        let write = parts.method != Method::GET;
        let named = if write { objects::named(&path, body) } else { path.clone() }.to_string();
        if write {
            state.writes.push(Write { method: parts.method.to_string(), path: named.clone() });
        }
        let refused =
            |(part, _, reads): &&(String, StatusCode, bool)| (write || *reads) && named.contains(part);
        if let Some((_, code, _)) = state.refused.iter().find(refused) {
            let reason = match code.as_u16() {
                403 => "Forbidden",
                422 => "Invalid",
                429 => "TooManyRequests",
                503 => "ServiceUnavailable",
                _ => "InternalError",
            };
            let answer = failure(*code, reason);
            state.requests += 1;
            return Ok((answer, None));
        }
        let nth = state.requests;
        state.requests += 1;
        let fault = state.fault.filter(|(at, _)| *at == nth && path.plural != "events").map(|(_, f)| f);
        if fault.is_some() {
            state.fault = None;
        }
        match fault {
            Some(Fault::Refused) => {
                return Ok((failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"), None));
            }
            Some(Fault::Conflict) => return Ok((failure(StatusCode::CONFLICT, "Conflict"), None)),
            Some(Fault::CutBefore) => return Err(std::io::Error::other("cut before")),
            Some(Fault::CutAfter) | None => {}
        }
        let answer = state.act(&parts.method, path, &query, body);
        if fault == Some(Fault::CutAfter) {
            return Err(std::io::Error::other("cut after"));
        }
        let late = state.late.take_if(|(part, _)| write && named.contains(part.as_str()));
        Ok((answer, late.map(|(_, late)| late)))
    }
}

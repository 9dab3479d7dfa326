//! An API server in memory: just enough of Kubernetes to drive the controller through real HTTP requests.
//!
//! It has get, list, watch, create, replace, delete with preconditions, server-side apply with fields of one manager
//! removed when no longer applied, the status subresource, generations, uids, and resourceVersions that move only
//! when an object changes. Any request can be made to fail before or after it takes effect, and watches to break and to
//! find their history gone.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod objects;
pub(crate) mod world;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    convert::Infallible,
    sync::Arc,
};

use futures::{Stream, StreamExt, channel::mpsc, stream};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame};
use kube::{Client, client::Body};
use parking_lot::Mutex;
use serde_json::{Value, json};

use objects::{Path, merge, prune, selected};

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

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

#[derive(Default)]
struct State {
    version: u64,
    uids: u64,
    objects: BTreeMap<Path, Value>,
    applied: HashMap<(Path, String), Value>,
    history: Vec<(u64, Path, &'static str, Value)>,
    watchers: Vec<(Path, String, mpsc::UnboundedSender<Value>)>,
    writes: Vec<Write>,
    requests: usize,
    fault: Option<(usize, Fault)>,
    /// Parts of paths and what is answered: to writes alone, or to reads as well.
    refused: Vec<(String, StatusCode, bool)>,
    watches_cut: bool,
    oldest: u64,
    used: BTreeSet<Right>,
    groups: Vec<&'static str>,
}

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
            return Ok(group);
        }
        let path = Path::parse(parts.uri.path());
        state.needs(&parts.method, &path, &query);
        if parts.method == Method::GET && path.name.is_empty() {
            if state.watches_cut {
                return Err(std::io::Error::other("cut"));
            }
            return Ok(state.list_or_watch(&path, &query));
        }
        let write = parts.method != Method::GET;
        let named = if write { objects::named(&path, &body) } else { path.clone() }.to_string();
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
            return Ok(answer);
        }
        let nth = state.requests;
        state.requests += 1;
        let fault = state.fault.filter(|(at, _)| *at == nth && path.plural != "events").map(|(_, f)| f);
        if fault.is_some() {
            state.fault = None;
        }
        match fault {
            Some(Fault::Refused) => return Ok(failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError")),
            Some(Fault::Conflict) => return Ok(failure(StatusCode::CONFLICT, "Conflict")),
            Some(Fault::CutBefore) => return Err(std::io::Error::other("cut before")),
            Some(Fault::CutAfter) | None => {}
        }
        let answer = state.act(&parts.method, path, &query, &body);
        if fault == Some(Fault::CutAfter) {
            return Err(std::io::Error::other("cut after"));
        }
        Ok(answer)
    }
}

impl State {
    fn discovery(&self, uri: &str) -> Option<Answer> {
        let group = uri.strip_prefix("/apis/")?;
        let parts: Vec<&str> = group.split('/').collect();
        if parts.len() != 2 {
            return None;
        }
        Some(if self.groups.contains(&group) {
            ok(&json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group, "resources": [
                {"name": "servicemonitors", "singularName": "servicemonitor", "namespaced": true,
                 "kind": "ServiceMonitor", "verbs": ["get", "patch"]}]}))
        } else {
            // As the real one: plain text.
            let once = stream::once(async { Ok(Frame::data(Bytes::from_static(b"404 page not found\n"))) });
            let mut answer = Response::new(UnsyncBoxBody::new(StreamBody::new(once)));
            *answer.status_mut() = StatusCode::NOT_FOUND;
            answer
        })
    }

    fn needs(&mut self, method: &Method, path: &Path, query: &HashMap<String, String>) {
        let verb = match *method {
            Method::GET if query.get("watch").is_some_and(|w| w == "true") => "watch",
            Method::GET if path.name.is_empty() => "list",
            Method::GET => "get",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            _ => "delete",
        };
        let resource = format!("{}{}", path.plural, if path.status { "/status" } else { "" });
        // Applying what does not exist is a creation as well.
        if verb == "patch" && !path.status && !self.objects.contains_key(path) {
            self.used.insert(("create", path.group.clone(), resource.clone()));
        }
        self.used.insert((verb, path.group.clone(), resource));
    }

    fn list_or_watch(&mut self, path: &Path, query: &HashMap<String, String>) -> Answer {
        let selector = query.get("labelSelector").cloned().unwrap_or_default();
        let fields = query.get("fieldSelector").cloned().unwrap_or_default();
        let fits = |p: &Path, o: &Value| {
            p.plural == path.plural
                && p.group == path.group
                && (path.namespace.is_empty() || p.namespace == path.namespace)
                && selected(o, &selector)
                && fields.strip_prefix("metadata.name=").is_none_or(|n| n == p.name)
        };
        if query.get("watch").is_some_and(|w| w == "true") {
            let from: u64 = query.get("resourceVersion").and_then(|v| v.parse().ok()).unwrap_or(0);
            if from < self.oldest {
                // As the real one: no HTTP error, but an event.
                return lines(stream::iter([
                    json!({"type": "ERROR", "object": status(StatusCode::GONE, "Expired")}),
                ]));
            }
            let past: Vec<Value> = self
                .history
                .iter()
                .filter(|(version, p, _, o)| *version > from && fits(p, o))
                .map(|(_, _, kind, o)| json!({"type": kind, "object": o}))
                .collect();
            let (sender, receiver) = mpsc::unbounded();
            let watched = Path { name: fields.replace("metadata.name=", ""), ..path.clone() };
            self.watchers.push((watched, selector, sender));
            return lines(stream::iter(past).chain(receiver));
        }
        let items: Vec<&Value> = self.objects.iter().filter(|(p, o)| fits(p, o)).map(|(_, o)| o).collect();
        let version = self.version.to_string();
        ok(
            &json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": version}, "items": items}),
        )
    }

    fn act(&mut self, method: &Method, path: Path, query: &HashMap<String, String>, body: &[u8]) -> Answer {
        let before = self.objects.get(&Path { status: false, ..path.clone() }).cloned();
        let sent: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        match *method {
            Method::GET => before.map_or_else(|| failure(StatusCode::NOT_FOUND, "NotFound"), |o| ok(&o)),
            Method::POST => {
                let name = sent["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                let path = Path { name, ..path };
                if self.objects.contains_key(&path) {
                    return failure(StatusCode::CONFLICT, "AlreadyExists");
                }
                let mut sent = sent;
                sent["metadata"]["namespace"] = json!(path.namespace);
                created(&self.store(path, None, sent))
            }
            Method::PUT => {
                let Some(before) = before else { return failure(StatusCode::NOT_FOUND, "NotFound") };
                let version = &sent["metadata"]["resourceVersion"];
                if !version.is_null() && *version != before["metadata"]["resourceVersion"] {
                    return failure(StatusCode::CONFLICT, "Conflict");
                }
                ok(&self.store(path, Some(before), sent))
            }
            Method::PATCH => self.apply(path, query, before, sent),
            Method::DELETE => {
                let Some(before) = before else { return failure(StatusCode::NOT_FOUND, "NotFound") };
                for part in ["uid", "resourceVersion"] {
                    let wanted = &sent["preconditions"][part];
                    if !wanted.is_null() && *wanted != before["metadata"][part] {
                        return failure(StatusCode::CONFLICT, "Conflict");
                    }
                }
                self.delete(&path);
                ok(&json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}))
            }
            _ => failure(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
        }
    }

    fn apply(
        &mut self,
        path: Path,
        query: &HashMap<String, String>,
        before: Option<Value>,
        sent: Value,
    ) -> Answer {
        let Some(manager) = query.get("fieldManager") else {
            // A merge patch, as events use.
            let mut next = before.clone().unwrap_or(Value::Null);
            merge(&mut next, &sent);
            return ok(&self.store(path, before, next));
        };
        let target = Path { status: false, ..path.clone() };
        if path.status && before.is_none() {
            return failure(StatusCode::NOT_FOUND, "NotFound");
        }
        let mut sent = sent;
        if path.status {
            sent = json!({"status": sent["status"]});
        } else if let Some(map) = sent.as_object_mut() {
            map.remove("status");
        }
        let mut next = before.clone().unwrap_or_else(|| json!({"metadata": {"namespace": path.namespace}}));
        let owned = (path, manager.clone());
        if let Some(former) = self.applied.get(&owned) {
            prune(&mut next, former, &sent);
        }
        merge(&mut next, &sent);
        self.applied.insert(owned, sent);
        ok(&self.store(target, before, next))
    }

    /// Stores a version; an unchanged object keeps its resourceVersion.
    fn store(&mut self, path: Path, before: Option<Value>, mut object: Value) -> Value {
        objects::default(&path, &mut object);
        let metadata = before.as_ref().map_or(&Value::Null, |b| &b["metadata"]);
        let mut generation = metadata["generation"].as_u64().unwrap_or(1);
        if before.as_ref().is_some_and(|b| b["spec"] != object["spec"]) {
            generation += 1;
        }
        object["metadata"]["generation"] = json!(generation);
        object["metadata"]["name"] = json!(path.name);
        object["metadata"]["uid"] = match metadata["uid"].as_str() {
            Some(uid) => json!(uid),
            None => {
                self.uids += 1;
                json!(format!("uid-{}", self.uids))
            }
        };
        object["metadata"]["resourceVersion"] = metadata["resourceVersion"].clone();
        if before.as_ref() == Some(&object) {
            return object;
        }
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert(path.clone(), object.clone());
        self.tell(&path, if before.is_some() { "MODIFIED" } else { "ADDED" }, before.as_ref(), &object);
        object
    }

    fn delete(&mut self, path: &Path) {
        let Some(mut object) = self.objects.remove(path) else { return };
        self.applied.retain(|(p, _), _| Path { status: false, ..p.clone() } != *path);
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.tell(path, "DELETED", None, &object);
        let uid = object["metadata"]["uid"].clone();
        let owned = |o: &Value| {
            o["metadata"]["ownerReferences"].as_array().is_some_and(|r| r.iter().any(|r| r["uid"] == uid))
        };
        let children: Vec<Path> =
            self.objects.iter().filter(|(_, o)| owned(o)).map(|(p, _)| p.clone()).collect();
        for child in children {
            self.delete(&child);
        }
    }

    /// Tells the watchers; to those whose selector `before` met and `object` no longer meets, it is gone.
    fn tell(&mut self, path: &Path, kind: &'static str, before: Option<&Value>, object: &Value) {
        self.history.push((self.version, path.clone(), kind, object.clone()));
        self.watchers.retain(|(watched, selector, sender)| {
            let fits = watched.plural == path.plural
                && watched.group == path.group
                && (watched.namespace.is_empty() || watched.namespace == path.namespace)
                && (watched.name.is_empty() || watched.name == path.name);
            let event = match before.filter(|before| selected(before, selector)) {
                _ if !fits => return true,
                _ if selected(object, selector) => json!({"type": kind, "object": object}),
                // As it was, with the version of now.
                Some(before) => {
                    let mut gone = before.clone();
                    gone["metadata"]["resourceVersion"] = object["metadata"]["resourceVersion"].clone();
                    json!({"type": "DELETED", "object": gone})
                }
                None => return true,
            };
            sender.unbounded_send(event).is_ok()
        });
    }
}

fn ok(value: &Value) -> Answer {
    answer(StatusCode::OK, value)
}

fn created(value: &Value) -> Answer {
    answer(StatusCode::CREATED, value)
}

fn failure(code: StatusCode, reason: &str) -> Answer {
    answer(code, &status(code, reason))
}

fn status(code: StatusCode, reason: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": reason,
           "reason": reason, "code": code.as_u16()})
}

/// The events of a watch, a line each.
fn lines(events: impl Stream<Item = Value> + Send + 'static) -> Answer {
    let lines = events.map(|event| {
        let mut line = serde_json::to_vec(&event).unwrap();
        line.push(b'\n');
        Ok(Frame::data(Bytes::from(line)))
    });
    Response::new(UnsyncBoxBody::new(StreamBody::new(lines)))
}

fn answer(code: StatusCode, value: &Value) -> Answer {
    let body = Bytes::from(serde_json::to_vec(value).unwrap());
    let once = stream::once(async move { Ok(Frame::data(body)) });
    let mut answer = Response::new(UnsyncBoxBody::new(StreamBody::new(once)));
    *answer.status_mut() = code;
    answer
}

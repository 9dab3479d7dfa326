//! What the fake API server holds, and what each verb does to it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use futures::{StreamExt, channel::mpsc, stream};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    Fault, Right, Write,
    answers::{Answer, created, ending, failure, lines, ok, status, unknown_group},
    objects::{self, Path, merge, prune, selected},
};

#[derive(Default)]
pub(super) struct State {
    pub(super) version: u64,
    pub(super) uids: u64,
    pub(super) objects: BTreeMap<Path, Value>,
    pub(super) applied: HashMap<(Path, String), Value>,
    pub(super) history: Vec<(u64, Path, &'static str, Value)>,
    pub(super) watchers: Vec<(Path, String, mpsc::UnboundedSender<Value>)>,
    pub(super) writes: Vec<Write>,
    pub(super) requests: usize,
    pub(super) fault: Option<(usize, Fault)>,
    /// Parts of paths and what is answered: to writes alone, or to reads as well.
    pub(super) refused: Vec<(String, StatusCode, bool)>,
    pub(super) watches_cut: bool,
    pub(super) oldest: u64,
    pub(super) used: BTreeSet<Right>,
    pub(super) groups: Vec<&'static str>,
    /// Part of the path of the write whose answer comes late, and how late.
    pub(super) late: Option<(String, Duration)>,
    /// Namespaces that are being deleted: nothing new is accepted there.
    pub(super) ending: BTreeSet<String>,
}

impl State {
    pub(super) fn discovery(&self, uri: &str) -> Option<Answer> {
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
            unknown_group()
        })
    }

    pub(super) fn needs(&mut self, method: &Method, path: &Path, query: &HashMap<String, String>) {
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

    pub(super) fn list_or_watch(&mut self, path: &Path, query: &HashMap<String, String>) -> Answer {
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

    pub(super) fn act(
        &mut self,
        method: &Method,
        path: Path,
        query: &HashMap<String, String>,
        body: &[u8],
    ) -> Answer {
        let before = self.objects.get(&Path { status: false, ..path.clone() }).cloned();
        if before.is_none() && *method != Method::GET && self.ending.contains(&path.namespace) {
            return ending(&path.namespace);
        }
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
    pub(super) fn store(&mut self, path: Path, before: Option<Value>, mut object: Value) -> Value {
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

    pub(super) fn delete(&mut self, path: &Path) {
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

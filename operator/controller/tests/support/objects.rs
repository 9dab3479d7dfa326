//! What the fake API server knows about objects: paths, selectors, merging, defaults.

use serde_json::{Value, json};

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Path {
    pub(crate) group: String,
    pub(crate) plural: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) status: bool,
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.plural, self.namespace, self.name)?;
        if self.status { write!(f, "/status") } else { Ok(()) }
    }
}

impl Path {
    /// An object by plural (group looked up), namespace and name.
    pub(crate) fn new(plural: &str, namespace: &str, name: &str) -> Self {
        let group = match plural {
            "statusnodes" => "status.im",
            "statefulsets" => "apps",
            "networkpolicies" => "networking.k8s.io",
            "poddisruptionbudgets" => "policy",
            "servicemonitors" => "monitoring.coreos.com",
            "leases" => "coordination.k8s.io",
            "events" => "events.k8s.io",
            _ => "",
        };
        let of = |s: &str| s.to_owned();
        Self { group: of(group), plural: of(plural), namespace: of(namespace), name: of(name), status: false }
    }

    /// The path of a request.
    pub(crate) fn parse(uri: &str) -> Self {
        let mut parts: Vec<&str> = uri.trim_matches('/').split('/').collect();
        let group = if parts.first() == Some(&"api") {
            parts.drain(..2);
            String::new()
        } else {
            let group = parts[1].to_owned();
            parts.drain(..3);
            group
        };
        let mut namespace = String::new();
        if parts.first() == Some(&"namespaces") {
            namespace = parts[1].to_owned();
            parts.drain(..2);
        }
        let at = |i: usize| parts.get(i).map(|s| (*s).to_owned()).unwrap_or_default();
        Self { group, plural: at(0), namespace, name: at(1), status: at(2) == "status" }
    }

    /// The path of an object.
    pub(crate) fn of(object: &Value) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let kind = text("/kind").to_lowercase();
        let plural = match kind.strip_suffix('y') {
            Some(stem) => format!("{stem}ies"),
            None => format!("{kind}s"),
        };
        Self::new(&plural, text("/metadata/namespace"), text("/metadata/name"))
    }
}

/// The path of what a request writes: the name of a new object is in its body.
pub(crate) fn named(path: &Path, body: &[u8]) -> Path {
    let mut path = path.clone();
    if path.name.is_empty() {
        let sent: Value = serde_json::from_slice(body).unwrap();
        path.name = sent["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    }
    path
}

/// Equality, `in` and existence selectors.
pub(crate) fn selected(object: &Value, selector: &str) -> bool {
    let labels = &object["metadata"]["labels"];
    split_selector(selector).iter().all(|term| {
        if let Some((key, values)) = term.split_once(" in ") {
            let values = values.trim().trim_matches(['(', ')']);
            values.split(',').any(|v| labels[key.trim()] == v.trim())
        } else if let Some((key, value)) = term.split_once('=') {
            labels[key] == value.trim_start_matches('=')
        } else {
            !labels[term.as_str()].is_null()
        }
    })
}

fn split_selector(selector: &str) -> Vec<String> {
    let mut terms = vec![String::new()];
    let mut depth = 0;
    for c in selector.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                terms.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(term) = terms.last_mut() {
            term.push(c);
        }
    }
    terms.retain(|t| !t.is_empty());
    terms
}

/// Takes out what `former` held and `next` no longer does.
pub(crate) fn prune(object: &mut Value, former: &Value, next: &Value) {
    let (Some(map), Some(former)) = (object.as_object_mut(), former.as_object()) else { return };
    for (key, value) in former {
        match next.get(key) {
            None if value.is_object() => {
                if let Some(child) = map.get_mut(key) {
                    prune(child, value, &Value::Null);
                }
            }
            None => {
                map.remove(key);
            }
            Some(next) => {
                if let Some(child) = map.get_mut(key) {
                    prune(child, value, next);
                }
            }
        }
    }
}

/// Merges objects; everything else replaces, and so do selectors, which are one value each.
pub(crate) fn merge(object: &mut Value, sent: &Value) {
    match (object, sent) {
        (Value::Object(object), Value::Object(sent)) => {
            for (key, value) in sent {
                if value.is_null() {
                    continue;
                }
                let target = object.entry(key.clone()).or_insert(Value::Null);
                if matches!(key.as_str(), "selector" | "podSelector" | "nodeSelector") {
                    *target = value.clone();
                } else {
                    merge(target, value);
                }
            }
        }
        (object, sent) => *object = sent.clone(),
    }
}

/// Server-side defaults that the controller could mistake for drift.
pub(crate) fn default(path: &Path, object: &mut Value) {
    let metadata = &mut object["metadata"];
    if let Some(map) = metadata.as_object_mut() {
        map.entry("creationTimestamp").or_insert(json!("2026-01-01T00:00:00Z"));
    }
    if let Some(texts) = object.as_object_mut().and_then(|o| o.remove("stringData")) {
        for (key, value) in texts.as_object().unwrap() {
            object["data"][key] = json!(base64(value.as_str().unwrap()));
        }
    }
    if path.plural == "services" && object["spec"]["clusterIP"].is_null() {
        let octet = path.name.bytes().fold(7_u8, |a, b| a.wrapping_mul(31).wrapping_add(b));
        object["spec"]["clusterIP"] = json!(format!("10.96.0.{octet}"));
        object["spec"]["sessionAffinity"] = json!("None");
    }
    if path.plural == "statusnodes" && object["status"].is_null() {
        object["status"] = json!({"observedGeneration": -1});
    }
}

/// `%xx` and `+` decoded.
pub(crate) fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(b) = rest.next() {
        match b {
            b'%' => {
                let hex: Vec<u8> = rest.by_ref().take(2).collect();
                bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
            }
            b'+' => bytes.push(b' '),
            b => bytes.push(b),
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// Standard base64.
pub(crate) fn base64(text: &str) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits = chunk.iter().fold(0_u32, |a, b| a << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i) & 63) as usize] as char;
            out.push(if i <= chunk.len() { digit } else { '=' });
        }
    }
    out
}

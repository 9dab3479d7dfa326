//! Pure: does a live object still say what was applied, and under which hash was it applied.
//!
//! Server-side apply is skipped when the annotation [`HASH_ANNOTATION`] of the live object equals the hash of the
//! desired one *and* the live object covers it: the hash shows that the same set of fields was applied last (a field
//! that is no longer desired changes it), the cover that nobody changed their values since. Both are read from the
//! live object, so a restarted operator decides the same as before and writes nothing. Must never do I/O.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Annotation that holds [`hash`] of the object as it was last applied, that annotation left out.
pub const HASH_ANNOTATION: &str = "status.im/applied-hash";

/// First 16 bytes of SHA-256 over the object with sorted keys, as 32 hex digits.
pub fn hash(desired: &Value) -> String {
    let mut digest = Sha256::new();
    feed(&mut digest, desired);
    hex::encode(digest.finalize().get(..16).unwrap_or_default())
}

fn feed(digest: &mut Sha256, value: &Value) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            digest.update(b"{");
            for key in keys {
                digest.update(Value::String(key.clone()).to_string());
                feed(digest, map.get(key).unwrap_or(&Value::Null));
            }
            digest.update(b"}");
        }
        Value::Array(items) => {
            digest.update(b"[");
            for item in items {
                feed(digest, item);
                digest.update(b",");
            }
            digest.update(b"]");
        }
        scalar => digest.update(scalar.to_string()),
    }
}

/// Sets [`HASH_ANNOTATION`] on `desired` and returns the hash.
pub fn stamp(desired: &mut Value) -> String {
    let hash = hash(desired);
    let annotations = desired
        .as_object_mut()
        .map(|object| object.entry("metadata").or_insert_with(|| json!({})))
        .and_then(Value::as_object_mut)
        .map(|metadata| metadata.entry("annotations").or_insert_with(|| json!({})))
        .and_then(Value::as_object_mut);
    if let Some(annotations) = annotations {
        annotations.insert(HASH_ANNOTATION.into(), Value::String(hash.clone()));
    }
    hash
}

/// Whether every field of `desired` has its value in `live`.
///
/// Fields of `live` that are not desired belong to others, but for what server-side apply holds as one value: there a
/// member that somebody added has changed ours, and would open a wall or empty a Service. Null, `{}`, `[]` and `""`
/// equal absence, as the API server drops them. Lists that server-side apply merges by key may hold elements of others;
/// all other lists must be equal element by element. Quantities are compared by value (`1024Mi` is stored as `1Gi`).
pub fn covers(live: &Value, desired: &Value) -> bool {
    covers_at(Some(live), desired, "", false)
}

/// `whole`: within a value that nobody else may add to.
fn covers_at(live: Option<&Value>, desired: &Value, key: &str, whole: bool) -> bool {
    let Some(live) = live else { return is_absent(key, desired) };
    let whole = whole || is_one_value(key);
    match (live, desired) {
        (Value::Null, _) => is_absent(key, desired),
        (_, Value::Null) => !whole || is_absent(key, live),
        (Value::Object(have), Value::Object(want)) => {
            let quantities = matches!(key, "requests" | "limits");
            let name_of = |name: &str| if quantities { "sizeLimit".to_owned() } else { name.to_owned() };
            want.iter().all(|(name, value)| covers_at(have.get(name), value, &name_of(name), whole))
                && (!whole
                    || have.iter().all(|(name, value)| want.contains_key(name) || is_absent(name, value)))
        }
        (Value::Array(have), Value::Array(want)) => match merge_key(key) {
            Some(id) => want.iter().all(|w| {
                have.iter().find(|h| h.get(id) == w.get(id)).is_some_and(|h| covers_at(Some(h), w, "", whole))
            }),
            None => {
                let mut pairs = have.iter().zip(want);
                have.len() == want.len() && pairs.all(|(h, w)| covers_at(Some(h), w, "", whole))
            }
        },
        (Value::String(have), Value::String(want)) => {
            have == want
                || (key == "sizeLimit" && quantity(have).is_some() && quantity(have) == quantity(want))
        }
        _ => live == desired,
    }
}

/// Whether server-side apply holds a field of that name as one value, in the kinds this operator applies: selectors
/// (`x-kubernetes-map-type: atomic`) and the rules of a NetworkPolicy (an atomic list).
fn is_one_value(field: &str) -> bool {
    matches!(
        field,
        "selector" | "podSelector" | "namespaceSelector" | "labelSelector" | "nodeSelector" | "ingress"
    )
}

/// The key by which server-side apply merges a list of that name, in the kinds this operator applies.
fn merge_key(list: &str) -> Option<&'static str> {
    match list {
        "containers" | "initContainers" | "volumes" | "env" | "imagePullSecrets" => Some("name"),
        "volumeMounts" => Some("mountPath"),
        "ownerReferences" => Some("uid"),
        _ => None,
    }
}

/// Whether a field says no more than if it were not there. A selector of a NetworkPolicy's peer does: `{}` selects all.
fn is_absent(field: &str, value: &Value) -> bool {
    is_empty(value) && !(value.is_object() && matches!(field, "podSelector" | "namespaceSelector"))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().all(is_empty),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// A Kubernetes quantity in billionths; `None` when it is none or too large to compare.
fn quantity(text: &str) -> Option<i128> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-').unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let factor: i128 = match suffix {
        "n" => 1,
        "u" => 1_000,
        "m" => 1_000_000,
        "" => 1_000_000_000,
        "k" => 1_000_000_000_000,
        "M" => 1_000_000_000_000_000,
        "G" => 1_000_000_000_000_000_000,
        "T" => 1_000_000_000_000_000_000_000,
        "Ki" => 1_000_000_000 << 10,
        "Mi" => 1_000_000_000 << 20,
        "Gi" => 1_000_000_000 << 30,
        "Ti" => 1_000_000_000 << 40,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.len() > 9 {
        return None;
    }
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    Some(digits.checked_mul(factor)? / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_does_not_depend_on_the_order_of_keys_but_on_everything_else() {
        let a = json!({"a": 1, "b": {"c": [1, 2], "d": "x"}});
        let b = json!({"b": {"d": "x", "c": [1, 2]}, "a": 1});
        assert_eq!(hash(&a), hash(&b));
        for other in [json!({"a": 1, "b": {"c": [2, 1], "d": "x"}}), json!({"a": 1}), json!({"a": "1"})] {
            assert_ne!(hash(&a), hash(&other));
        }
        assert_ne!(hash(&json!(["a", "b"])), hash(&json!(["a,b"])));
        assert_ne!(hash(&json!({"a": {"b": 1}})), hash(&json!({"a": {}, "b": 1})));
    }

    #[test]
    fn stamping_keeps_other_annotations_and_hashes_the_rest() {
        let mut object = json!({"metadata": {"name": "x", "annotations": {"k": "v"}}});
        let before = hash(&object);
        assert_eq!(stamp(&mut object), before);
        assert_eq!(object["metadata"]["annotations"]["k"], "v");
        assert_eq!(object["metadata"]["annotations"][HASH_ANNOTATION], json!(before));
    }

    #[test]
    fn fields_of_others_and_server_defaults_are_no_drift() {
        let desired = json!({
            "metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "n", "env": [], "args": ["-c"]}], "selector": {}, "x": null, "y": ""}
        });
        let live = json!({
            "metadata": {"labels": {"a": "b", "theirs": "1"}, "uid": "u"},
            "spec": {
                "containers": [{"name": "sidecar"}, {"name": "n", "args": ["-c"], "tty": false}],
                "dnsPolicy": "ClusterFirst"
            },
            "status": {"replicas": 1}
        });
        assert!(covers(&live, &desired));
    }

    #[test]
    fn every_changed_value_is_drift() {
        let desired = json!({
            "metadata": {"labels": {"a": "b"}},
            "spec": {"ingress": [{"ports": [{"port": 1}]}], "containers": [{"name": "n", "args": ["-c", "d"]}]}
        });
        let cases = [
            ("/metadata/labels/a", json!("c")),
            ("/metadata/labels", json!({})),
            ("/spec/ingress/0/ports/0/port", json!(2)),
            ("/spec/ingress/0/ports", json!([{"port": 1}, {"port": 2}])),
            ("/spec/ingress", json!([])),
            ("/spec/containers/0/args", json!(["d", "-c"])),
            ("/spec/containers/0/name", json!("m")),
            ("/spec/containers", json!(null)),
        ];
        assert!(covers(&desired, &desired));
        for (path, value) in cases {
            let mut live = desired.clone();
            *live.pointer_mut(path).unwrap() = value;
            assert!(!covers(&live, &desired), "{path}");
        }
        assert!(!covers(&json!({}), &json!({"replicas": 0})));
        assert!(!covers(&json!({"args": null}), &json!({"args": ["-c"]})));
        assert!(!covers(&json!({}), &json!({"automountServiceAccountToken": false})));
    }

    /// What somebody adds to a rule or a selector is within a value that is ours alone.
    #[test]
    fn what_is_added_to_a_wall_or_a_selector_is_drift() {
        let desired = json!({"spec": {
            "podSelector": {"matchLabels": {"a": "b"}},
            "ingress": [
                {"ports": [{"protocol": "TCP", "port": 1}]},
                {"from": [{"podSelector": {"matchLabels": {"c": "d"}}}], "ports": [{"protocol": "TCP", "port": 2}]}
            ],
            "selector": {"e": "f"},
            "template": {"spec": {"nodeSelector": {"g": "h"}}}
        }});
        for (path, value) in [
            ("/spec/podSelector/matchLabels/x", json!("y")),
            ("/spec/podSelector/matchExpressions", json!([{"key": "x", "operator": "Exists"}])),
            ("/spec/ingress/0/from", json!([{"ipBlock": {"cidr": "10.0.0.0/8"}}])),
            ("/spec/ingress/1/from/0/namespaceSelector", json!({"matchLabels": {"x": "y"}})),
            ("/spec/ingress/1/from/0/podSelector/matchLabels/x", json!("y")),
            ("/spec/ingress/1/ports/0/endPort", json!(9)),
            ("/spec/selector/x", json!("y")),
            ("/spec/template/spec/nodeSelector/x", json!("y")),
        ] {
            let mut live = desired.clone();
            let (parent, name) = path.rsplit_once('/').unwrap();
            live.pointer_mut(parent).unwrap()[name] = value;
            assert!(!covers(&live, &desired), "{path}");
        }
        // An empty selector is no absent one: it selects all.
        let from = |peer: Value| json!({"spec": {"ingress": [{"from": [peer]}]}});
        let narrow = json!({"podSelector": {"matchLabels": {"c": "d"}}});
        let mut wide = narrow.clone();
        wide["namespaceSelector"] = json!({});
        assert!(!covers(&from(wide.clone()), &from(narrow.clone())));
        assert!(!covers(&from(narrow), &from(wide)));
    }

    #[test]
    fn quantities_are_compared_by_value_and_only_where_they_are_quantities() {
        let with = |memory: &str| json!({"resources": {"requests": {"memory": memory, "cpu": "0.5"}}});
        let live = json!({"resources": {"requests": {"memory": "1Gi", "cpu": "500m"}}});
        assert!(covers(&live, &with("1024Mi")));
        assert!(!covers(&live, &with("1025Mi")));
        assert!(!covers(&json!({"data": {"k": "1Gi"}}), &json!({"data": {"k": "1024Mi"}})));
        assert_eq!(quantity("1.5Ki"), Some(1536 * 1_000_000_000));
        for odd in ["", "x", "1Zi", "1e3", "99999999999999999999999999999999999999G", "1.0000000001"] {
            assert_eq!(quantity(odd), None, "{odd}");
        }
    }
}

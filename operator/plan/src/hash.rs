//! Short names for contents.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The first 10 hexadecimal digits of the SHA-256 of `text`.
#[must_use]
pub fn of_text(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(5).map(|byte| hex::encode([*byte])).collect()
}

/// The same for a JSON value, whatever the order of its members.
#[must_use]
pub fn of_json(value: &Value) -> String {
    of_text(&sorted(value).to_string())
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut pairs: Vec<_> = members.iter().collect();
            pairs.sort_by_key(|(key, _)| key.as_str());
            Value::Object(pairs.into_iter().map(|(key, member)| (key.clone(), sorted(member))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        scalar => scalar.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hashes_never_change() {
        assert_eq!(of_text(""), "e3b0c44298");
        assert_eq!(
            of_json(&json!({"b": [1, {"d": 1, "c": 2}], "a": null})),
            of_text(r#"{"a":null,"b":[1,{"c":2,"d":1}]}"#)
        );
    }

    #[test]
    fn the_order_of_members_does_not_count_and_that_of_items_does() {
        assert_eq!(of_json(&json!({"a": 1, "b": 2})), of_json(&json!({"b": 2, "a": 1})));
        assert_ne!(of_json(&json!([1, 2])), of_json(&json!([2, 1])));
    }
}

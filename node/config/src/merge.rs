//! Merging JSON objects by the reference's rules (`spec/operations.md` §1.3): keys match without regard to case,
//! scalars replace, objects merge, arrays replace as a whole, topics merge by name, `null` leaves scalars and objects
//! alone and empties arrays and topics, only the first JSON value of a file counts. Unlike the reference it warns of
//! what it ignores, and knows where each value comes from.

use std::{collections::BTreeMap, fmt};

use serde_json::{Map, Value};

use crate::{
    ConfigError, Origin,
    keys::{Effect, Key, Kind, ROOT},
    near::nearest,
};

/// Something in the configuration that has no effect, or not the expected one. The node starts anyway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning(pub String);

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything merged so far, keys in canonical spelling.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    pub(crate) values: Map<String, Value>,
    /// By the path of a key that is no object.
    origins: BTreeMap<String, Origin>,
    pub(crate) warnings: Vec<Warning>,
    /// What is said of keys that nobody knows.
    pub(crate) unknown: Vec<String>,
}

impl Merged {
    /// Merges the text of one file on top; `origin` names it.
    pub(crate) fn add(&mut self, origin: &Origin, text: &str) -> Result<(), ConfigError> {
        let not_json = |problem: String| ConfigError::NotJson { file: origin.to_string(), problem };
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        let overlay = match values.next() {
            None => return Err(not_json("the file is empty".to_owned())),
            Some(Err(error)) => return Err(not_json(format!("not JSON: {error}"))),
            Some(Ok(Value::Object(overlay))) => overlay,
            Some(Ok(other)) => return Err(not_json(format!("holds {}", found(&other)))),
        };
        let rest = text.get(values.byte_offset()..).unwrap_or_default();
        if !rest.trim().is_empty() {
            self.warn(format!("{origin}: what follows the first JSON value is ignored"));
        }
        self.add_object(origin, overlay)
    }

    /// Merges an object on top.
    pub(crate) fn add_object(
        &mut self,
        origin: &Origin,
        overlay: Map<String, Value>,
    ) -> Result<(), ConfigError> {
        let mut values = std::mem::take(&mut self.values);
        let merged = Layer { origin, into: self }.merge("", ROOT, false, &mut values, overlay);
        self.values = values;
        merged
    }

    /// Puts a value of a root key in place.
    pub(crate) fn set(&mut self, key: &'static str, value: Value, origin: Origin) {
        self.values.insert(key.to_owned(), value);
        self.origins.insert(key.to_owned(), origin);
    }

    /// Takes a root key out.
    pub(crate) fn unset(&mut self, key: &str) {
        self.values.remove(key);
        self.origins.remove(key);
    }

    /// Where the value at `path` comes from.
    pub(crate) fn origin(&self, path: &str) -> Origin {
        self.origins.get(path).cloned().unwrap_or(Origin::Default)
    }

    /// Whether a root key is `false`.
    pub(crate) fn is_off(&self, key: &str) -> bool {
        self.values.get(key) == Some(&Value::Bool(false))
    }

    /// Says that the value at `path` comes from elsewhere.
    pub(crate) fn set_origin(&mut self, path: &str, origin: Origin) {
        self.origins.insert(path.to_owned(), origin);
    }

    /// What a person would correct: the flag or variable that gave the value, else the key.
    pub(crate) fn name(&self, path: &str) -> String {
        match self.origins.get(path) {
            Some(Origin::Flag(name) | Origin::Environment(name)) => (*name).to_owned(),
            _ => path.to_owned(),
        }
    }

    pub(crate) fn warn(&mut self, text: String) {
        self.warnings.push(Warning(text));
    }
}

/// One object being merged.
struct Layer<'a> {
    origin: &'a Origin,
    into: &'a mut Merged,
}

impl Layer<'_> {
    fn merge(
        &mut self,
        prefix: &str,
        keys: &'static [Key],
        open: bool,
        base: &mut Map<String, Value>,
        overlay: Map<String, Value>,
    ) -> Result<(), ConfigError> {
        for (name, value) in overlay {
            match keys.iter().find(|key| key.name.eq_ignore_ascii_case(&name)) {
                Some(key) => self.merge_key(format!("{prefix}{}", key.name), key, base, value)?,
                None if open => {}
                None => {
                    let text = format!("{}: {}", self.origin, unknown(prefix, keys, &name));
                    self.into.unknown.push(text);
                }
            }
        }
        Ok(())
    }

    fn merge_key(
        &mut self,
        path: String,
        key: &'static Key,
        base: &mut Map<String, Value>,
        value: Value,
    ) -> Result<(), ConfigError> {
        if key.effect == Effect::Missing && key.kind.members().is_empty() && !is_empty(&value) {
            self.into.warn(format!("{}: {path} has no effect in this version: {}", self.origin, key.about));
        }
        match (&key.kind, value) {
            (Kind::Texts, Value::Null) => {
                base.insert(key.name.to_owned(), Value::Array(Vec::new()));
            }
            (Kind::Topics, Value::Null) => {
                base.insert(key.name.to_owned(), Value::Object(Map::new()));
            }
            (_, Value::Null) => return Ok(()),
            (kind @ (Kind::Object(members) | Kind::Open(members)), Value::Object(overlay)) => {
                let mut inner = match base.remove(key.name) {
                    Some(Value::Object(inner)) => inner,
                    _ => Map::new(),
                };
                let open = matches!(kind, Kind::Open(_));
                self.merge(&format!("{path}."), members, open, &mut inner, overlay)?;
                base.insert(key.name.to_owned(), Value::Object(inner));
                return Ok(());
            }
            (Kind::Topics, Value::Object(overlay)) => {
                let mut topics = match base.remove(key.name) {
                    Some(Value::Object(topics)) => topics,
                    _ => Map::new(),
                };
                for (topic, limits) in overlay {
                    let limits = self.topic_limits(&path, &topic, limits)?;
                    topics.insert(topic, limits);
                }
                base.insert(key.name.to_owned(), Value::Object(topics));
            }
            (kind, value) if fits(kind, &value) => {
                base.insert(key.name.to_owned(), value);
            }
            (kind, value) => return Err(self.type_error(path, kind.want(), &value)),
        }
        self.into.origins.insert(path, self.origin.clone());
        Ok(())
    }

    /// `{"Min": …, "Max": …}` with canonical keys; what is left out is 0.
    fn topic_limits(&mut self, path: &str, topic: &str, limits: Value) -> Result<Value, ConfigError> {
        let path = format!("{path}.{}", shown(topic));
        let Value::Object(limits) = limits else {
            return Err(self.type_error(
                path,
                "an object such as {\"Min\": 3, \"Max\": 5}".to_owned(),
                &limits,
            ));
        };
        let (mut least, mut most) = (Value::from(0), Value::from(0));
        for (name, value) in limits {
            let slot = if name.eq_ignore_ascii_case("Min") {
                &mut least
            } else if name.eq_ignore_ascii_case("Max") {
                &mut most
            } else {
                let text = format!("{}: unknown key {path}.{} is ignored", self.origin, shown(&name));
                self.into.unknown.push(text);
                continue;
            };
            let kind = Kind::UInt(u64::from(u32::MAX));
            if !fits(&kind, &value) {
                return Err(self.type_error(format!("{path}.{}", shown(&name)), kind.want(), &value));
            }
            *slot = value;
        }
        Ok(serde_json::json!({"Min": least, "Max": most}))
    }

    fn type_error(&self, key: String, want: String, value: &Value) -> ConfigError {
        ConfigError::Type { file: self.origin.to_string(), key, want, found: found(value) }
    }
}

fn fits(kind: &Kind, value: &Value) -> bool {
    match kind {
        Kind::Bool => value.is_boolean(),
        Kind::UInt(most) => value.as_u64().is_some_and(|number| number <= *most),
        Kind::Number => value.as_f64().is_some_and(f64::is_finite),
        Kind::Text => value.is_string(),
        Kind::Texts => value.as_array().is_some_and(|texts| texts.iter().all(Value::is_string)),
        Kind::Object(_) | Kind::Open(_) | Kind::Topics => false,
    }
}

/// The JSON type of a value in words; never the value, which may be a secret.
fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a number with a fraction",
        Value::Number(number) if number.is_i64() && !number.is_u64() => "a negative number",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// What switches nothing on needs no warning.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        Value::Bool(true) => false,
    }
}

/// A name from a file, short and on one line.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}

fn unknown(prefix: &str, keys: &'static [Key], name: &str) -> String {
    let here = nearest(name, keys.iter().map(|key| key.name)).map(|near| format!("{prefix}{near}"));
    let hint = match elsewhere("", ROOT, name).or(here) {
        Some(near) => format!("; did you mean {near}?"),
        None => String::new(),
    };
    format!("unknown key {prefix}{} is ignored{hint}", shown(name))
}

/// The path of the key of that name in any section.
fn elsewhere(prefix: &str, keys: &'static [Key], name: &str) -> Option<String> {
    keys.iter()
        .find(|key| key.name.eq_ignore_ascii_case(name))
        .map(|key| format!("{prefix}{}", key.name))
        .or_else(|| {
            keys.iter().find_map(|key| elsewhere(&format!("{prefix}{}.", key.name), key.kind.members(), name))
        })
}

#[cfg(test)]
mod tests;

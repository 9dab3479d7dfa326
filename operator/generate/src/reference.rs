//! The reference of the resource: every field with bounds and default, every rule, every condition and reason, the
//! objects that are made. From the definition and the operator's own names: nothing is said twice.

use serde_json::Value;
use statusnode_api::condition::{ConditionType, Reason};
use statusnode_plan::{Ordinal, names};

/// Types of Kubernetes whose fields Kubernetes documents.
const FOREIGN: [&str; 7] = [
    ".affinity",
    ".tolerations[]",
    ".topologySpreadConstraints[]",
    ".resources",
    ".namespaceSelector",
    ".podSelector",
    ".conditions[]",
];

/// The page in Markdown.
pub(crate) fn reference(crd: &Value) -> String {
    let mut page = String::from(
        "<!-- Generated from the types in operator/api by `make generate`; do not edit. -->\n\n# StatusNode\n\n\
         `statusnodes.status.im`, version `v1alpha1`, short name `sn`.\n",
    );
    let root = crd.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap_or(&Value::Null);
    let mut rules = Vec::new();
    collect_rules(root, "", &mut rules);
    for part in ["spec", "status"] {
        page.push_str(&format!("\n## {part}\n\n| field | type | default | |\n|---|---|---|---|\n"));
        if let Some(schema) = root.pointer(&format!("/properties/{part}")) {
            fields(schema, "", &mut page);
        }
    }
    page.push_str("\n## Rules\n\nThe API server refuses what breaks one of these, with these words.\n\n");
    for (path, message) in rules {
        page.push_str(&format!(
            "- {}: {message}\n",
            if path.is_empty() { "`.`".into() } else { format!("`{path}`") }
        ));
    }
    page.push_str("\n## Conditions\n\n");
    for type_ in ConditionType::ALL {
        page.push_str(&format!("### {}\n\n{}\n\n", type_.as_str(), type_.doc()));
    }
    page.push_str("## Reasons\n\nOf conditions and Events.\n\n");
    for reason in Reason::ALL {
        page.push_str(&format!("### {}\n\n{}\n\n", reason.as_str(), reason.doc()));
    }
    page.push_str(&objects());
    page
}

fn fields(schema: &Value, path: &str, page: &mut String) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (name, field) in properties {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let (inner, path) = match field.get("items") {
            Some(items) => (items, format!("{path}[]")),
            None => (field, path),
        };
        let nested = inner.get("properties").is_some();
        let default = match field.get("default") {
            _ if required.contains(&name.as_str()) => "required".to_owned(),
            Some(default) if !nested => format!("`{default}`"),
            _ => String::new(),
        };
        let text = field.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ");
        page.push_str(&format!(
            "| `{path}` | {} | {default} | {} |\n",
            kind(field),
            text.replace('|', "\\|")
        ));
        if !FOREIGN.iter().any(|foreign| format!(".{path}").ends_with(foreign)) {
            fields(inner, &path, page);
        }
    }
}

fn kind(field: &Value) -> String {
    let text = |key: &str| field.get(key).and_then(Value::as_str).unwrap_or_default();
    if let Some(values) = field.get("enum").and_then(Value::as_array) {
        let values: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
        return values.join(", ");
    }
    let number = |key: &str| field.get(key).and_then(Value::as_f64);
    match (number("minimum"), number("maximum"), text("type")) {
        (Some(least), Some(most), type_) => format!("{type_} {least} to {most}"),
        (_, _, "array") => match field.get("maxItems") {
            Some(most) => format!("list, at most {most}"),
            None => "list".to_owned(),
        },
        (_, _, "object") if field.get("additionalProperties").is_some() => "map".to_owned(),
        (_, _, type_) => type_.to_owned(),
    }
}

fn collect_rules(schema: &Value, path: &str, rules: &mut Vec<(String, String)>) {
    let own = schema.get("x-kubernetes-validations").and_then(Value::as_array);
    let message = |rule: &Value| rule.get("message").and_then(Value::as_str).map(str::to_owned);
    rules.extend(own.into_iter().flatten().filter_map(|rule| Some((path.to_owned(), message(rule)?))));
    for (name, field) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match field.get("items") {
            Some(items) => {
                collect_rules(field, &path, rules);
                collect_rules(items, &format!("{path}[]"), rules);
            }
            None => collect_rules(field, &path, rules),
        }
    }
}

fn objects() -> String {
    let mut text = String::from(
        "## Objects\n\nOf a StatusNode `mail`. `Kept` is what the defaults of `spec.retention` keep when it is \
         deleted.\n\n| object | name | kept |\n|---|---|---|\n",
    );
    let Some(first) = Ordinal::new(0) else { return text };
    let rows = [
        ("Secret, node key", names::identity("mail", first), "yes"),
        ("Secret, RPC token (when none is named)", names::rpc_token("mail"), ""),
        ("PersistentVolumeClaim", names::volume_claim("mail", first), "yes"),
        ("Service, peer-to-peer", names::p2p("mail", first), ""),
        ("Service, governing", names::headless("mail"), ""),
        ("Service, RPC", names::rpc("mail"), ""),
        ("Service, metrics", names::metrics("mail"), ""),
        ("NetworkPolicy", names::policy("mail"), ""),
        ("PodDisruptionBudget (two replicas and more)", names::policy("mail"), ""),
        ("ConfigMap, restart-relevant, immutable", names::config("mail", "<hash>"), ""),
        ("ConfigMap, applied without restart", names::live("mail", first), ""),
        ("StatefulSet", names::stateful_set("mail", first), ""),
        ("Pod", names::pod("mail", first), ""),
        ("ServiceMonitor (when the API is there)", names::metrics("mail"), ""),
    ];
    for (object, name, kept) in rows {
        text.push_str(&format!("| {object} | `{name}` | {kept} |\n"));
    }
    text.push_str(&format!(
        "\nLabels of all: `{}={}`, `{}={}`, `{}=mail`, `{}`; of those of one ordinal `{}`.\n",
        names::LABEL_NAME,
        names::APP,
        names::LABEL_MANAGED_BY,
        names::OPERATOR,
        names::LABEL_INSTANCE,
        names::LABEL_COMPONENT,
        names::LABEL_ORDINAL,
    ));
    text
}

//! The ServiceMonitor of the Prometheus operator (`spec/operators.md` §5.7).

use serde_json::json;

use crate::{
    Object, ObjectKind,
    build::{Base, Owner, PORT_METRICS},
    names,
    validate::Settings,
};

/// Scrapes the metrics Service.
pub(crate) fn service_monitor(settings: &Settings<'_>) -> Object {
    let base = Base {
        kind: ObjectKind::ServiceMonitor,
        name: names::metrics(&settings.name),
        component: names::COMPONENT_METRICS,
        ordinal: None,
        owner: Owner::Resource,
    };
    let wanted = &settings.spec.metrics.service_monitor;
    let mut selector = names::owned_labels(&settings.name);
    selector.insert(names::LABEL_COMPONENT.to_owned(), names::COMPONENT_METRICS.to_owned());
    let mut object = base.object(
        settings,
        serde_json::Map::new(),
        json!({"spec": {
            "selector": {"matchLabels": selector},
            "targetLabels": [names::LABEL_INSTANCE],
            "podTargetLabels": [names::LABEL_ORDINAL],
            "endpoints": [{"port": PORT_METRICS, "path": "/metrics", "interval": wanted.interval}],
        }}),
    );
    if let Some(labels) =
        object.manifest.pointer_mut("/metadata/labels").and_then(|labels| labels.as_object_mut())
    {
        for (key, value) in &wanted.labels {
            labels.entry(key.clone()).or_insert_with(|| json!(value));
        }
    }
    object
}

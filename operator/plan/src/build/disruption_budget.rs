//! How many nodes a drain may take away at once.

use serde_json::json;
use statusnode_api::Switch;

use crate::{
    Object, ObjectKind,
    build::{Base, Owner},
    names,
    validate::Settings,
};

/// The budget; none for a single replica, which would block every drain. A pod that is not ready never blocks one.
pub(crate) fn disruption_budget(settings: &Settings<'_>) -> Option<Object> {
    let wanted = &settings.spec.pod_disruption_budget;
    if wanted.policy == Switch::Never || settings.ordinals.len() < 2 {
        return None;
    }
    let base = Base {
        kind: ObjectKind::PodDisruptionBudget,
        name: names::policy(&settings.name),
        component: names::COMPONENT_NODE,
        ordinal: None,
        owner: Owner::Resource,
    };
    Some(base.object(
        settings,
        serde_json::Map::new(),
        json!({"spec": {
            "selector": {"matchLabels": names::pod_selector(&settings.name, None)},
            "maxUnavailable": wanted.max_unavailable,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        }}),
    ))
}

//! What is deleted: objects of this resource that it no longer wants, and what the retention policy gives up.
//!
//! Anything else than volumes, keys and addresses is deleted only when its controlling owner is this very resource. Those
//! three are deleted only for ordinals that are scaled away, and only when the policy says so.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use statusnode_api::WhenGone;

use crate::{
    Deletion, ObjectKind, Ordinal, SecretView,
    names::{self, Claim, LABEL_COMPONENT},
    world::World,
};

/// The deletions, given the names of all wanted objects.
pub(crate) fn orphans(world: &World<'_>, wanted: &[(ObjectKind, String)]) -> Vec<Deletion> {
    let mut deletions = Vec::new();
    for (kind, name, meta) in all(world) {
        let is_wanted = wanted.iter().any(|(of, named)| *of == kind && named == name);
        if is_wanted || meta.deletion_timestamp.is_some() || !goes(world, kind, name, meta) {
            continue;
        }
        if let Some(uid) = &meta.uid {
            deletions.push(Deletion { kind, name: name.clone(), uid: uid.clone() });
        }
    }
    deletions
}

fn all<'a>(world: &World<'a>) -> Vec<(ObjectKind, &'a String, &'a ObjectMeta)> {
    let objects = &world.observed.objects;
    let mut all = Vec::new();
    // Pods before what they mount; names within a kind are in order.
    all.extend(objects.stateful_sets.iter().map(|(n, o)| (ObjectKind::StatefulSet, n, &o.metadata)));
    all.extend(objects.service_monitors.iter().map(|(n, o)| (ObjectKind::ServiceMonitor, n, &o.metadata)));
    all.extend(
        objects.disruption_budgets.iter().map(|(n, o)| (ObjectKind::PodDisruptionBudget, n, &o.metadata)),
    );
    all.extend(objects.network_policies.iter().map(|(n, o)| (ObjectKind::NetworkPolicy, n, &o.metadata)));
    all.extend(objects.config_maps.iter().map(|(n, o)| (ObjectKind::ConfigMap, n, &o.metadata)));
    all.extend(objects.services.iter().map(|(n, o)| (ObjectKind::Service, n, &o.metadata)));
    all.extend(
        objects.volume_claims.iter().map(|(n, o)| (ObjectKind::PersistentVolumeClaim, n, &o.metadata)),
    );
    all.extend(world.observed.secrets.iter().filter_map(|(n, view)| match view {
        SecretView::Present(secret) => Some((ObjectKind::Secret, n, &secret.metadata)),
        SecretView::Absent => None,
    }));
    all
}

fn goes(world: &World<'_>, kind: ObjectKind, name: &str, meta: &ObjectMeta) -> bool {
    let settings = world.settings;
    if names::claim(meta, &settings.name, &settings.uid) != Claim::Ours {
        return false;
    }
    let component = meta.labels.as_ref().and_then(|labels| labels.get(LABEL_COMPONENT)).map(String::as_str);
    let retention = &settings.spec.retention;
    let policy = match (kind, component) {
        (ObjectKind::PersistentVolumeClaim, _) => Some(retention.volumes),
        (ObjectKind::Secret, Some(names::COMPONENT_IDENTITY)) => Some(retention.identities),
        (ObjectKind::Service, Some(names::COMPONENT_P2P)) => Some(retention.addresses),
        _ => None,
    };
    if let Some(policy) = policy {
        let scaled_away = Ordinal::of(meta).is_some_and(|ordinal| !settings.ordinals.contains(&ordinal));
        return scaled_away && policy.when_scaled == WhenGone::Delete;
    }
    names::is_controlled(meta, &settings.uid) && !(kind == ObjectKind::ConfigMap && is_mounted(world, name))
}

/// Whether a StatefulSet or a pod still refers to a ConfigMap.
fn is_mounted(world: &World<'_>, config_map: &str) -> bool {
    let objects = &world.observed.objects;
    let templates = objects.stateful_sets.values().filter(|set| set.metadata.deletion_timestamp.is_none());
    let templates = templates.filter_map(|set| set.spec.as_ref()?.template.spec.as_ref());
    let pods = objects.pods.values().filter_map(|pod| pod.spec.as_ref());
    let mut volumes = templates.chain(pods).flat_map(|spec| spec.volumes.iter().flatten());
    volumes.any(|volume| volume.config_map.as_ref().is_some_and(|source| source.name == config_map))
}

//! The volume claim of one node. The operator makes it, the StatefulSet only names it: growth, adoption and the record
//! of the node id recreate nothing (design §3, Claims).

use serde_json::{Value, json};
use statusnode_api::WhenGone;

use crate::{
    Object, ObjectKind, Ordinal,
    build::{Base, Owner, set},
    names,
    validate::{Volume, quantity},
    world::{Replica, World, may_record},
};

/// The claim of `replica`, if its node has a volume.
///
/// A claim's class cannot change. It is sent as it is on a claim that was made with one (the annotation remembers), and
/// never on one that got the default: taking the field away from, or adding it to, an existing claim is refused.
pub(crate) fn volume_claim(world: &World<'_>, replica: &Replica<'_>) -> Option<Object> {
    let settings = world.settings;
    let volume = settings.volume.as_ref()?;
    let record = replica
        .record
        .as_deref()
        .filter(|_| may_record(settings, settings.spec.retention.volumes.when_deleted));
    Some(claim(world, replica.ordinal, volume, record))
}

/// The claim of an ordinal that is gone and keeps its volume, without the record of a key that went.
pub(crate) fn retained_claim(world: &World<'_>, ordinal: Ordinal) -> Option<Object> {
    let settings = world.settings;
    let live = world.observed.objects.volume_claims.get(&names::volume_claim(&settings.name, ordinal))?;
    let recorded = live.metadata.annotations.as_ref()?.contains_key(names::ANNOTATION_NODE_ID);
    let retention = &settings.spec.retention;
    let key_went = retention.identities.when_scaled == WhenGone::Delete;
    let volume = settings.volume.as_ref().filter(|_| recorded && key_went)?;
    Some(claim(world, ordinal, volume, None))
}

fn claim(world: &World<'_>, ordinal: Ordinal, volume: &Volume, record: Option<&str>) -> Object {
    let settings = world.settings;
    let name = names::volume_claim(&settings.name, ordinal);
    let live = world.observed.objects.volume_claims.get(&name);
    let spec = live.and_then(|live| live.spec.as_ref());
    let asked_then =
        live.and_then(|live| live.metadata.annotations.as_ref()?.get(names::ANNOTATION_STORAGE_CLASS));
    let class = match (live, asked_then) {
        (None, _) => volume.class.clone(),
        (Some(_), Some(class)) => Some(class.clone()).filter(|class| !class.is_empty()),
        (Some(_), None) => None,
    };
    let held = spec.and_then(|spec| spec.resources.as_ref()?.requests.as_ref()?.get("storage"));
    // A volume that is larger already stays so: claims cannot shrink.
    let size = held.and_then(|held| crate::validate::bytes(&held.0)).unwrap_or_default().max(volume.size);
    let mut annotations = super::annotation(names::ANNOTATION_NODE_ID, record);
    annotations.insert(names::ANNOTATION_STORAGE_CLASS.to_owned(), json!(class.clone().unwrap_or_default()));
    let mut body: Value = json!({
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": quantity(size)}},
    });
    if let Some(class) = class {
        set(&mut body, "storageClassName", json!(class));
    }
    let base = Base {
        kind: ObjectKind::PersistentVolumeClaim,
        name,
        component: names::COMPONENT_NODE,
        ordinal: Some(ordinal),
        owner: Owner::when_deleted(settings.spec.retention.volumes.when_deleted),
    };
    base.object(settings, annotations, json!({"spec": body}))
}

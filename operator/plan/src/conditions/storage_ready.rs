//! StorageReady: each volume is bound and takes writes.

use statusnode_api::condition::{ConditionType, Reason, Verdict};

use super::{Outcome, ordinals, standing};
use crate::{Ordinal, names, world::World};

pub(super) fn storage_ready(world: &World<'_>) -> Outcome {
    if world.settings.volume.is_none() || world.replicas.is_empty() {
        return Outcome::new(Verdict::True, Reason::NoVolumes, "no volume is wanted");
    }
    let phase = |ordinal: Ordinal| {
        let claims = &world.observed.objects.volume_claims;
        claims.get(&names::volume_claim(&world.settings.name, ordinal))?.status.as_ref()?.phase.as_deref()
    };
    let all = || world.replicas.iter().map(|replica| replica.ordinal);
    let lost: Vec<_> = all().filter(|ordinal| phase(*ordinal) == Some("Lost")).collect();
    if !lost.is_empty() {
        let message = format!("{}: the volume is gone from under its claim", ordinals(lost));
        return Outcome::new(Verdict::False, Reason::VolumeLost, message);
    }
    // A new operator has not heard of each node yet; see `Replica::is_unheard`.
    let before = standing(world, ConditionType::StorageReady);
    if let Some(before) = before.filter(|before| before.reason == Reason::ArchiveNotWritable)
        && all().any(|ordinal| !world.observed.facts.contains_key(&ordinal))
    {
        return before;
    }
    let stuck: Vec<_> = all()
        .filter(|ordinal| {
            world.observed.facts.get(ordinal).is_some_and(|f| f.archive_writable == Some(false))
        })
        .collect();
    if !stuck.is_empty() {
        let message = format!("{}: the archive takes no writes", ordinals(stuck));
        return Outcome::new(Verdict::False, Reason::ArchiveNotWritable, message);
    }
    let pending: Vec<_> = all().filter(|ordinal| phase(*ordinal) != Some("Bound")).collect();
    if pending.is_empty() {
        Outcome::new(Verdict::True, Reason::VolumesBound, "each volume is bound")
    } else {
        let message = format!("{}: the volume claim is not bound", ordinals(pending));
        Outcome::new(Verdict::False, Reason::VolumePending, message)
    }
}
